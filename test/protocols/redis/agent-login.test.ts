import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProtocolError } from '../../../protocols/errors.ts'
import type { AgentLoginOptions, AgentLoginStep, BackendLoginOptions } from '../../../protocols/login.ts'
import { RedisAgentLogin } from '../../../protocols/redis/agent-login.ts'
import { encodeCommand } from '../../../protocols/redis/frames.ts'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { SCRAM_SALT_BYTES, secretVerifier } from '../../../protocols/secret.ts'
import { command, raw, text } from './wire.ts'

const BACKEND: BackendLoginOptions = {
  user: 'proxy',
  password: 'hunter2',
  database: '0',
  tls: 'disable',
  applicationName: 'bulkhead r-42',
  random: (size) => Buffer.alloc(size, 7),
}

function login(options: Partial<AgentLoginOptions<RedisAnalyser>> = {}): RedisAgentLogin {
  return new RedisAgentLogin({
    knowledge: { current: new RedisAnalyser(offlineCatalog()) },
    random: (size) => Buffer.alloc(size, 7),
    connectionId: 7,
    tlsAvailable: false,
    cleartextAllowed: true,
    ...options,
  })
}

/** What the bytes lead to, and what the client is told. */
function say(bytes: Buffer, to = login()): { step: AgentLoginStep | undefined; answer: string } {
  to.fromClient(bytes)
  const step = to.next()
  return { step, answer: text(to.takeForClient()) }
}

function shown(bytes: Buffer) {
  const { step } = say(bytes)
  assert.equal(step?.kind, 'credentials')
  return step?.kind === 'credentials' ? step.credentials : undefined
}

describe('credentials are taken from', () => {
  for (const [bytes, user, application] of [
    [command('AUTH r-42 token'), 'r-42', undefined],
    [command('auth token'), undefined, undefined],
    [command('AUTH default token'), undefined, undefined],
    [command('HELLO 3 AUTH r-42 token'), 'r-42', undefined],
    [command('hello 2 setname me auth r-42 token'), 'r-42', 'me'],
    [raw('AUTH r-42 token|'), 'r-42', undefined],
  ] as const) {
    test(text([bytes]), () => {
      assert.deepEqual(shown(bytes), { user, password: 'token', database: undefined, application })
    })
  }
})

describe('a user who has a run secret', () => {
  const secret = 'h7Jq2mVxP0aZ'
  const verifier = secretVerifier(secret, Buffer.alloc(SCRAM_SALT_BYTES, 1))
  const options = { verifierOf: (user: string) => (user === 'r-42' ? verifier : undefined) }
  const credentials = (line: string) => {
    const { step } = say(command(line), login(options))
    return step?.kind === 'credentials' ? step.credentials : undefined
  }
  for (const line of [`AUTH r-42 ${secret}`, `HELLO 3 AUTH r-42 ${secret}`]) {
    test(`has proved it by ${line.split(' ')[0]}, and the secret goes no further`, () => {
      const shown = credentials(line)
      assert.equal(shown?.secret, 'proved')
      assert.equal(shown?.password, '')
      assert.doesNotMatch(JSON.stringify(shown), new RegExp(secret))
    })
  }
  test('shows a wrong one, or a token in its stead: wrong', () => {
    for (const password of ['h7Jq2mVxP0aY', `${secret}x`, 'x', 'eyJhbGciOi.eyJhdWQi.c2ln']) {
      assert.equal(credentials(`AUTH r-42 ${password}`)?.secret, 'wrong')
    }
  })
  test('is told apart from one without a secret, who shows a token', () => {
    const shown = credentials(`AUTH r-43 ${secret}`)
    assert.equal(shown?.secret, undefined)
    assert.equal(shown?.password, secret)
  })
  test('must be named', () => {
    assert.equal(credentials(`AUTH ${secret}`)?.secret, undefined)
  })
  test('sends it over TLS where a token must be', () => {
    const to = login({ ...options, tlsAvailable: true, cleartextAllowed: false })
    assert.deepEqual(say(command(`AUTH r-42 ${secret}`), to).step, { kind: 'close' })
  })
  test('may repeat it in the session, and no other password', () => {
    const to = login(options)
    say(command(`AUTH r-42 ${secret}`), to)
    const backend = to.dial(BACKEND)
    backend.next()
    backend.fromServer(raw('+OK|:9|+OK|+OK|'))
    backend.next()
    const session = to.welcome()
    session.fromClient(command(`AUTH r-42 ${secret}`))
    assert.equal(session.next()?.analysis.outcome, 'accesses')
    session.relay()
    for (const other of ['""', 'AUTH', `${secret}x`]) {
      session.fromClient(encodeCommand(['AUTH', 'r-42', other === '""' ? '' : other]))
      assert.equal(session.next()?.analysis.outcome, 'hop')
      session.reject({ reason: 'hop', message: 'no' })
    }
  })
})

describe('a stranger is told', () => {
  for (const [line, answer] of [
    ['PING', '-NOAUTH Authentication required.|'],
    ['GET a', '-NOAUTH Authentication required.|'],
    ['RESET', '-NOAUTH Authentication required.|'],
    ['AUTH', "-ERR wrong number of arguments for 'auth' command|"],
    ['AUTH a b c', '-ERR syntax error|'],
    ['HELLO 4', '-NOPROTO unsupported protocol version|'],
    ['HELLO x', '-ERR Protocol version is not an integer or out of range|'],
    ['HELLO 3 FOO', "-ERR Syntax error in HELLO option 'foo'|"],
    ['HELLO 3 AUTH a', "-ERR Syntax error in HELLO option 'auth'|"],
  ] as const) {
    test(`${line}: ${answer.slice(1, 40)}`, () => {
      assert.deepEqual(say(command(line)), { step: undefined, answer })
    })
  }
  test('HELLO without AUTH: the sentence that drivers look for', () => {
    assert.match(
      say(command('HELLO 3')).answer,
      /^-NOAUTH HELLO must be called with the client already authenticated/,
    )
  })
  test('QUIT is the only wish that is granted', () => {
    assert.deepEqual(say(command('QUIT')), { step: { kind: 'close' }, answer: '+OK|' })
  })
})

describe('before login', () => {
  const broken = (bytes: Buffer, message: string) => {
    const to = login()
    assert.throws(() => {
      to.fromClient(bytes)
      to.next()
    }, ProtocolError)
    assert.equal(text(to.takeForClient()), `-ERR Protocol error: ${message}|`)
    assert.deepEqual(to.next(), { kind: 'close' })
  }
  test('eleven arguments end the connection', () => broken(raw('*11|'), 'unauthenticated multibulk length'))
  test('a big argument ends it', () => broken(raw('*1|$16385|'), 'unauthenticated bulk length'))
  test('many bytes end it', () => broken(Buffer.alloc(70_000, 0x61), 'too many bytes before login'))
  test('a browser ends it', () => broken(raw('POST / HTTP/1.1|'), 'possible cross-protocol request'))
})

describe('a refused login', () => {
  test('may be tried again, three times in all', () => {
    const to = login()
    for (const last of [false, false, true]) {
      assert.equal(say(command('AUTH r-42 wrong'), to).step?.kind, 'credentials')
      to.refuse({ kind: 'authentication', message: 'the reason, which a stranger is not told' })
      assert.equal(
        text(to.takeForClient()),
        '-WRONGPASS invalid username-password pair or user is disabled.|',
      )
      assert.deepEqual(to.next(), last ? { kind: 'close' } : undefined)
    }
  })
  test('for another reason than the password ends the connection', () => {
    const to = login()
    say(command('AUTH r-42 token'), to)
    to.refuse({ kind: 'backend_unavailable', message: 'not available now' })
    assert.equal(text(to.takeForClient()), '-ERR not available now|')
    assert.deepEqual(to.next(), { kind: 'close' })
  })
  test('leaves what was sent behind it: it is answered as a stranger is', () => {
    const to = login()
    say(Buffer.concat([command('AUTH r-42 wrong'), command('GET a')]), to)
    to.refuse({ kind: 'authentication', message: '' })
    assert.equal(to.next(), undefined)
    assert.match(text(to.takeForClient()), /^-WRONGPASS .*\|-NOAUTH /)
  })
})

describe('a login that is granted', () => {
  const begin = (first: string, ...behind: string[]) => {
    const to = login()
    say(Buffer.concat([command(first), ...behind.map(command)]), to)
    const backend = to.dial(BACKEND)
    backend.next()
    const asked = text(backend.takeForServer())
    backend.fromServer(raw(first.startsWith('HELLO 3') ? '%0|+OK|+OK|' : '+OK|:9|+OK|+OK|'))
    assert.deepEqual(backend.next(), { kind: 'ready' })
    return { asked, session: to.welcome() }
  }
  test('by AUTH is answered with OK, and speaks RESP2 to the backend with the proxy’s own password', () => {
    const { asked, session } = begin('AUTH r-42 token')
    assert.equal(text(session.takeForClient()), '+OK|')
    assert.equal(
      asked,
      '*3|$4|AUTH|$5|proxy|$7|hunter2|*2|$6|CLIENT|$2|ID|*2|$6|SELECT|$1|0|*3|$6|CLIENT|$7|SETNAME|$13|bulkhead:r-42|',
    )
  })
  test('by HELLO is answered with a greeting of ours', () => {
    const { asked, session } = begin('HELLO 3 AUTH r-42 token')
    assert.match(
      text(session.takeForClient()),
      /^%7\|\$6\|server\|\$5\|redis\|.*\$5\|proto\|:3\|\$2\|id\|:7\|/,
    )
    assert.match(asked, /^\*5\|\$5\|HELLO\|\$1\|3\|\$4\|AUTH\|\$5\|proxy\|\$7\|hunter2\|/)
  })
  test('hands the session what the driver has sent behind it', () => {
    const { session } = begin('HELLO 3 AUTH r-42 token', 'SELECT 0', 'GET a')
    assert.equal(session.next()?.text, 'SELECT 0')
    session.relay()
    assert.equal(session.next()?.text, 'GET a')
  })
})

describe('TLS', () => {
  const hello = Buffer.from([0x16, 3, 1, 0, 5])
  test('begins with the first byte of a handshake where there is a certificate', () => {
    const to = login({ tlsAvailable: true })
    assert.deepEqual(say(hello, to).step, { kind: 'start_tls', rest: hello })
  })
  test('is garbage where there is none', () => {
    const to = login()
    to.fromClient(hello)
    assert.throws(() => to.next(), ProtocolError)
  })
  test('is asked for before a password is read where it must be', () => {
    const { step, answer } = say(
      command('AUTH r-42 token'),
      login({ tlsAvailable: true, cleartextAllowed: false }),
    )
    assert.deepEqual(step, { kind: 'close' })
    assert.equal(answer, '-ERR this listener takes passwords only over TLS|')
  })
  test('makes a password welcome', () => {
    const to = login({ tlsAvailable: true, cleartextAllowed: false })
    say(hello, to)
    to.tlsStarted()
    assert.equal(say(command('AUTH r-42 token'), to).step?.kind, 'credentials')
  })
})
