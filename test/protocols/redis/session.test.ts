import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProtocolError } from '../../../protocols/errors.ts'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { Conversation, complaint, poison } from './conversation.ts'
import { command, raw, text } from './wire.ts'

const DENIED = '-NOPERM denied|'

test('an allowed command leaves as the bytes that came, and its reply passes', () => {
  const talk = new Conversation()
  assert.equal(talk.client('GET a'), '*2|$3|GET|$1|a|')
  assert.equal(talk.server('$1|x|'), '$1|x|')
  assert.deepEqual(talk.completions(), [{ statementId: 1, rows: 1, bytes: 7, error: undefined }])
})

test('commands side by side leave as one piece', () => {
  const { session } = new Conversation()
  session.fromClient(Buffer.concat([command('GET a'), command('GET b'), command('GET c')]))
  for (let n = 0; n < 3; n++) {
    session.next()
    session.relay()
  }
  assert.equal(session.takeForServer().length, 1)
})

test('nothing leaves before it is judged, and nothing of what is denied leaves', () => {
  const { session } = new Conversation()
  session.fromClient(Buffer.concat([command('GET a'), command('GET no'), command('GET b')]))
  assert.deepEqual(session.takeForServer(), [])
  session.next()
  session.relay()
  session.next()
  session.reject({ reason: 'not_granted', message: 'denied' })
  assert.equal(text(session.takeForServer()), '*2|$3|GET|$1|a|')
})

test('a denial keeps its place in a pipeline', () => {
  const talk = new Conversation()
  assert.equal(talk.client('GET a', 'GET no', 'GET b', 'GET no', 'GET no'), '*2|$3|GET|$1|a|*2|$3|GET|$1|b|')
  assert.equal(talk.answers, '')
  assert.equal(talk.server('$1|x|'), `$1|x|${DENIED}`)
  assert.equal(talk.server('$1|y|'), `$1|y|${DENIED}${DENIED}`)
})

test('a denial with nothing before it is answered at once', () => {
  const talk = new Conversation()
  assert.equal(talk.client('GET no'), '')
  assert.equal(talk.answers, DENIED)
})

test('a denial never falls into the middle of a value', () => {
  const talk = new Conversation()
  talk.client('GET a')
  assert.equal(talk.server('$10|01234'), '$10|01234')
  talk.client('GET no')
  assert.equal(talk.answers, '')
  assert.equal(talk.server('56789|'), `56789|${DENIED}`)
})

test('a denial inside MULTI aborts the transaction as the server itself would', () => {
  const talk = new Conversation()
  const name = poison(1)
  assert.equal(
    talk.client('MULTI', 'SET a 1', 'GET no', 'EXEC', 'GET a'),
    `*1|$5|MULTI|*3|$3|SET|$1|a|$1|1|*1|$${name.length}|${name}|*1|$4|EXEC|*2|$3|GET|$1|a|`,
  )
  assert.equal(talk.server(`+OK|+QUEUED|${complaint(1)}`), `+OK|+QUEUED|${DENIED}`)
  const aborted = '-EXECABORT Transaction discarded because of previous errors.|'
  assert.equal(talk.server(`${aborted}$1|x|`), `${aborted}$1|x|`)
  assert.deepEqual(
    talk.completions().map(({ statementId, error }) => [statementId, error]),
    [
      [1, undefined],
      [2, undefined],
      [4, 'EXECABORT'],
      [5, undefined],
    ],
  )
})

test('after EXEC and after DISCARD a denial is answered here again', () => {
  for (const end of ['EXEC', 'DISCARD']) {
    const talk = new Conversation()
    talk.client('MULTI', end)
    talk.server('+OK|+OK|')
    assert.equal(talk.client('GET no'), '')
    assert.equal(talk.answers, DENIED)
  }
})

test('a server that answers the poison otherwise is not understood any more', () => {
  const talk = new Conversation()
  talk.client('MULTI', 'GET no')
  talk.server('+OK|')
  assert.throws(() => talk.server('+QUEUED|'), ProtocolError)
})

test('a reply to nothing ends the connection', () => {
  assert.throws(() => new Conversation().server('+OK|'), ProtocolError)
})

describe('in a transaction', () => {
  for (const line of ['SUBSCRIBE c', 'UNSUBSCRIBE', 'HELLO 3', 'INFO', 'CLIENT ID', 'AUTH r-42 secret']) {
    test(`${line} cannot be queued`, () => {
      const talk = new Conversation()
      talk.client('MULTI')
      assert.match(talk.client(line), /bulkhead:/)
      assert.match(talk.server(`+OK|${complaint(1)}`), /^\+OK\|-NOPERM /)
    })
  }
})

describe('an inline command', () => {
  test('leaves as an array', () => {
    const talk = new Conversation()
    assert.equal(talk.clientBytes(raw('GET a|')), '*2|$3|GET|$1|a|')
  })
  test('may stand between arrays', () => {
    const talk = new Conversation()
    const bytes = Buffer.concat([command('GET a'), raw('PING|'), command('GET b')])
    assert.equal(talk.clientBytes(bytes), '*2|$3|GET|$1|a|*1|$4|PING|*2|$3|GET|$1|b|')
  })
})

describe('answers of the proxy', () => {
  test('a client may ask about itself', () => {
    const talk = new Conversation()
    assert.equal(talk.client('CLIENT SETNAME me', 'CLIENT GETNAME', 'CLIENT ID', 'ACL WHOAMI'), '')
    assert.equal(talk.answers, '+OK|$2|me|:7|$4|r-42|')
  })
  test('CLIENT INFO and INFO name no address and nobody else', () => {
    const talk = new Conversation()
    talk.client('CLIENT SETINFO LIB-NAME driver', 'CLIENT INFO', 'INFO')
    const answers = talk.answers
    assert.match(answers, /^\+OK\|/)
    assert.match(answers, / name= .* user=r-42 resp=2 lib-name=driver /)
    assert.match(answers, /redis_version:8\.0\.0\|/)
    assert.match(answers, /loading:0\|/)
  })
  test('in RESP3 they have the types of RESP3', () => {
    const talk = new Conversation(3)
    talk.client('CLIENT GETNAME', 'INFO')
    assert.match(talk.answers, /^_\|=\d+\|txt:# Server/)
  })
  test('a name that could break a list is refused in the words of the server', () => {
    const talk = new Conversation()
    talk.clientBytes(raw('*3|$6|CLIENT|$7|SETNAME|$3|a b|'))
    assert.equal(talk.answers, '-ERR Client names cannot contain spaces, newlines or special characters.|')
  })
  test('they wait for their turn', () => {
    const talk = new Conversation()
    talk.client('GET a', 'CLIENT ID')
    assert.equal(talk.answers, '')
    assert.equal(talk.server('$-1|'), '$-1|:7|')
  })
})

describe('HELLO', () => {
  test('switches the version when the server has switched, and the greeting is ours', () => {
    const talk = new Conversation(2)
    assert.equal(talk.client('HELLO 3 SETNAME me', 'CLIENT GETNAME'), '*2|$5|HELLO|$1|3|')
    assert.match(
      talk.server('%2|$6|server|$5|redis|$7|modules|*1|$6|secret|'),
      /^%7\|\$6\|server\|\$5\|redis\|.*\$2\|id\|:7\|.*\$7\|modules\|\*0\|\$2\|me\|$/,
    )
  })
  test('an answer of ours behind it is made in the version asked for', () => {
    const talk = new Conversation(2)
    talk.client('HELLO 3', 'CLIENT GETNAME')
    assert.match(talk.server('%0|'), /\*0\|_\|$/)
  })
  test('an error leaves the version as it was', () => {
    const talk = new Conversation(2)
    talk.client('HELLO 3')
    assert.equal(talk.server('-NOPERM no|'), '-NOPERM no|')
    talk.client('CLIENT GETNAME')
    assert.equal(talk.answers, '$-1|')
  })
  test('a version that does not exist is refused in the words of the server', () => {
    const talk = new Conversation()
    talk.client('HELLO 4')
    assert.equal(talk.answers, '-NOPROTO unsupported protocol version|')
  })
  test('with other credentials is a hop and does not leave', () => {
    const talk = new Conversation()
    assert.equal(talk.client('HELLO 3 AUTH other x'), '')
    assert.match(talk.answers, /^-NOPERM /)
  })
  test('with the same credentials again changes nothing', () => {
    const talk = new Conversation()
    assert.equal(talk.client('AUTH r-42 secret', 'HELLO 2 AUTH r-42 secret'), '*2|$5|HELLO|$1|2|')
    assert.equal(talk.answers, '+OK|')
  })
  test('AUTH with another user or another password is a hop', () => {
    for (const line of ['AUTH r-43 secret', 'AUTH r-42 other', 'AUTH secret']) {
      const talk = new Conversation()
      assert.equal(talk.client(line), '')
      assert.match(talk.answers, /^-NOPERM /, line)
    }
  })
})

describe('subscriptions', () => {
  test('each channel is confirmed, and messages pass beside the count (RESP2)', () => {
    const talk = new Conversation(2)
    talk.client('SUBSCRIBE c d', 'PING', 'GET no')
    assert.equal(talk.server('*3|$9|subscribe|$1|c|:1|'), '*3|$9|subscribe|$1|c|:1|')
    assert.equal(talk.server('*3|$7|message|$1|c|$1|m|'), '*3|$7|message|$1|c|$1|m|')
    assert.equal(talk.server('*3|$9|subscribe|$1|d|:2|'), '*3|$9|subscribe|$1|d|:2|')
    assert.equal(talk.server('*2|$4|pong|$0||'), `*2|$4|pong|$0||${DENIED}`)
  })
  test('and as pushes (RESP3)', () => {
    const talk = new Conversation(3)
    talk.client('SUBSCRIBE c', 'GET a')
    const push = '>3|$7|message|$1|c|$1|m|'
    assert.equal(
      talk.server(`>3|$9|subscribe|$1|c|:1|${push}$1|x|${push}`),
      `>3|$9|subscribe|$1|c|:1|${push}$1|x|${push}`,
    )
    assert.deepEqual(talk.completions().length, 2)
  })
  test('UNSUBSCRIBE of all is confirmed once for each, and once where there is none', () => {
    const talk = new Conversation(3)
    talk.client('SUBSCRIBE c d d', 'PSUBSCRIBE p', 'UNSUBSCRIBE', 'UNSUBSCRIBE', 'GET no')
    talk.server(
      '>3|$9|subscribe|$1|c|:1|>3|$9|subscribe|$1|d|:2|>3|$9|subscribe|$1|d|:2|>3|$10|psubscribe|$1|p|:3|',
    )
    assert.doesNotMatch(talk.server('>3|$11|unsubscribe|$1|c|:2|>3|$11|unsubscribe|$1|d|:1|'), /NOPERM/)
    assert.match(talk.server('>3|$11|unsubscribe|_|:1|'), /NOPERM/)
  })
  test('an error answers the whole command', () => {
    const talk = new Conversation(2)
    talk.client('SUBSCRIBE c d', 'GET no')
    assert.equal(talk.server('-NOPERM no|'), `-NOPERM no|${DENIED}`)
  })
  test('a list that begins like a message is a reply where nothing is subscribed', () => {
    const talk = new Conversation(2)
    talk.client('LRANGE a 0 -1', 'GET no')
    const list = '*3|$7|message|$1|c|$1|m|'
    assert.equal(talk.server(list), `${list}${DENIED}`)
  })
  test('the first words of a message may arrive in pieces', () => {
    const talk = new Conversation(2)
    talk.client('SUBSCRIBE c')
    talk.server('*3|$9|subscribe|$1|c|:1|')
    assert.equal(talk.server('*3|$7|mess'), '')
    assert.equal(talk.server('age|$1|c|$1|m|'), '*3|$7|message|$1|c|$1|m|')
  })
})

describe('what tells of other servers', () => {
  test('a redirection is replaced, wherever it stands', () => {
    const talk = new Conversation()
    const ours = '-ERR the backend answered with a redirection, which is not followed|'
    talk.client('GET a', 'GET b', 'LRANGE c 0 -1')
    assert.equal(talk.server('-MOVED 866 10.0.0.7:6379|'), ours)
    assert.equal(talk.server('-ASK 866 10.0.0.7:6379|'), ours)
    assert.equal(talk.server('*3|$1|x|-REDIRECT 10.0.0.7:6379|:1|'), `*3|$1|x|${ours}:1|`)
    assert.deepEqual(
      talk.completions().map(({ error }) => error),
      ['MOVED', 'ASK', undefined],
    )
  })
  test('a push that is not known is not passed on', () => {
    const talk = new Conversation(3)
    talk.client('GET a')
    assert.equal(talk.server('>3|$6|MOVING|:1|$13|10.0.0.7:6379|$1|x|'), '$1|x|')
  })
  test('an invalidation passes', () => {
    const talk = new Conversation(3)
    assert.equal(talk.server('>2|$10|invalidate|*1|$1|a|'), '>2|$10|invalidate|*1|$1|a|')
  })
})

describe('the end', () => {
  test('QUIT is answered behind what is owed, and finishes the session', () => {
    const talk = new Conversation()
    assert.equal(talk.client('GET a', 'QUIT', 'GET b'), '*2|$3|GET|$1|a|')
    assert.equal(talk.session.finished, undefined)
    assert.equal(talk.server('$-1|'), '$-1|+OK|')
    assert.equal(talk.session.finished, 'client')
  })
  test('an end in the middle of a value says nothing', () => {
    const talk = new Conversation()
    talk.client('GET a')
    talk.server('$10|012')
    talk.session.end({ kind: 'token_expired', message: 'expired' })
    assert.equal(talk.answers, '')
  })
  test('an end is the answer to what waits', () => {
    const talk = new Conversation()
    talk.client('BLPOP a 0')
    talk.session.end({ kind: 'token_expired', message: 'the token has expired' })
    assert.equal(talk.answers, '-NOAUTH the token has expired|')
  })
  test('an end while nothing waits says nothing, because drivers throw at an answer to nothing', () => {
    const talk = new Conversation()
    talk.session.end({ kind: 'shutdown', message: 'going' })
    assert.equal(talk.answers, '')
  })
  test('what was let through but not taken does not leave after the end', () => {
    const { session } = new Conversation()
    session.fromClient(command('GET a'))
    session.next()
    session.relay()
    session.end({ kind: 'revoked', message: 'revoked' })
    assert.deepEqual(session.takeForServer(), [])
    assert.equal(session.next(), undefined)
  })
  test('a session is idle when nothing is owed and no transaction is open', () => {
    const talk = new Conversation()
    assert.equal(talk.session.idle, true)
    talk.client('MULTI')
    talk.server('+OK|')
    assert.equal(talk.session.idle, false)
    talk.client('EXEC')
    assert.equal(talk.session.idle, false)
    talk.server('*0|')
    assert.equal(talk.session.idle, true)
  })
})

test('a client that sends a hundred thousand commands ahead of their answers is to wait', () => {
  const talk = new Conversation()
  const some = Buffer.concat(new Array(1000).fill(command('GET a')))
  for (let n = 0; n < 99; n++) talk.clientBytes(some)
  assert.equal(talk.session.clientIsAhead, false)
  talk.clientBytes(some)
  assert.equal(talk.session.clientIsAhead, true)
  talk.server('$-1|')
  assert.equal(talk.session.clientIsAhead, false)
})

test('denials behind a reply that does not come wait unjudged once there is a MiB of them', () => {
  const talk = new Conversation()
  talk.client('BLPOP a 0')
  const count = 100_000
  const some = Buffer.concat(new Array(1000).fill(command('GET no')))
  for (let n = 0; n < count / 1000; n++) talk.clientBytes(some)
  assert.equal(talk.session.clientIsAhead, true)
  assert.equal(talk.session.next(), undefined)
  let denials = 0
  let bytes = talk.server('*-1|').length
  assert.ok(bytes < 2 * 1024 * 1024, `${bytes} bytes of denials had been made`)
  for (talk.judge(); ; talk.judge()) {
    const answers = talk.answers
    if (answers === '') break
    bytes += answers.length
    denials += 1
  }
  assert.ok(denials > 0, 'the others are judged when there is room')
  assert.equal(talk.session.clientIsAhead, false)
  // Every command has its answer in the end: `*-1`, and a denial of always the same length.
  const denial = talk.client('GET no') + talk.answers
  assert.equal(bytes, '*-1|'.length + count * denial.length)
})

test('a statement that waits is analysed anew when the catalog changes', () => {
  const talk = new Conversation()
  talk.session.fromClient(command('GET a'))
  assert.equal(talk.session.next()?.analysis.outcome, 'accesses')
  talk.knowledge.current = new RedisAnalyser({ ...offlineCatalog(), refused: new Map([['get', 'gone']]) })
  const again = talk.session.next()
  assert.equal(again?.id, 1)
  assert.equal(again?.analysis.outcome, 'not_understood')
})

test('the text of a statement is quoted, cut, and free of passwords', () => {
  const texts = (bytes: Buffer) => {
    const { session } = new Conversation()
    session.fromClient(bytes)
    return session.next()?.text
  }
  assert.equal(texts(command('SET a b')), 'SET a b')
  assert.equal(texts(raw('*2|$3|GET|$5|a "||')), 'GET "a \\"\\r\\n"')
  assert.equal(texts(command('AUTH user hunter2')), 'AUTH (redacted)')
  assert.equal(texts(command('HELLO 3 AUTH user hunter2')), 'HELLO 3 (redacted)')
  assert.equal(texts(command('CONFIG SET requirepass hunter2')), 'CONFIG SET requirepass (redacted)')
  assert.equal(texts(command('MIGRATE h 1 k 0 1 AUTH hunter2')), 'MIGRATE h 1 (redacted)')
  assert.equal(texts(command(`SET a ${'x'.repeat(300)}`))?.endsWith('…(300 bytes)'), true)
  assert.equal(texts(command(`DEL${' k'.repeat(100)}`))?.endsWith(' … 37 more'), true)
})
