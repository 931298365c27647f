import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProtocolError } from '../../../protocols/errors.ts'
import { CLIENT, MARIADB_CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { STATEMENT_BYTES_MAX } from '../../../protocols/mysql/client-command.ts'
import { packet } from '../../../protocols/mysql/frames.ts'
import { CLASSIC, MODERN, okReply, openConversation } from './conversation.ts'
import { KnownTexts } from './known-texts.ts'
import {
  command,
  commandsIn,
  eof,
  err,
  execute,
  inWords,
  lenenc,
  ok,
  packets,
  prepare,
  prepared,
  query,
  result,
  split,
  uint32,
} from './packets.ts'

const TRACKING = MODERN | CLIENT.SESSION_TRACK

/** The client prepares `sql` and the server gives it the number. */
function prepareAs(conversation: ReturnType<typeof openConversation>, sql: string, id: number): void {
  conversation.client(prepare(sql))
  conversation.server(prepared(id))
  conversation.toClient()
  conversation.toServer()
}

describe('a query', () => {
  test('that is granted goes to the server as it came, and its reply comes back as it came', () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    assert.deepEqual(talk.toServer(), query('select 1'))
    const reply = result({ rows: [['1'], ['2'], ['3']] })
    talk.server(reply)
    assert.deepEqual(talk.toClient(), reply)
    assert.deepEqual(talk.session.completion(), {
      statementId: 1,
      rows: 3,
      bytes: reply.length,
      error: undefined,
    })
  })

  test('is forwarded as it was analysed: comments do not pass', () => {
    const talk = openConversation()
    talk.client(query('select /*! hidden */ 1'))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select   1'])
  })

  test('that is denied is answered in its place, and the next one is served', () => {
    const talk = openConversation()
    talk.client(Buffer.concat([query('select 1 from secret'), query('select 2')]))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 2'])
    assert.deepEqual(inWords(talk.toClient()), [
      "1:ERR 1142 42000SELECT command denied to user 'r-42'@'bulkhead' for table 'secret': the grant does not allow this",
    ])
    talk.server(okReply())
    assert.deepEqual(inWords(talk.toClient()), ['1:OK 2'])
  })

  test('that is not understood gets a syntax error', () => {
    const talk = openConversation()
    talk.client(query('gibberish'))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1064 42000/)
    assert.equal(talk.toServer().length, 0)
  })

  test('waits while another one runs: one command at a time goes to the server', () => {
    const talk = openConversation()
    talk.client(Buffer.concat([query('select 1'), query('select 2'), query('select 3')]))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1'])
    talk.server(result().subarray(0, 20))
    assert.equal(talk.toServer().length, 0)
    talk.server(result().subarray(20))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 2'])
  })

  test('that is too long is refused without being kept, and the session lives on', () => {
    const talk = openConversation()
    const body = Buffer.alloc(STATEMENT_BYTES_MAX + 2, 0x20)
    body[0] = 3
    const long = packet(0, body)
    talk.client(long.subarray(0, 100_000))
    assert.equal(talk.statements.length, 1)
    assert.ok((talk.statements[0]?.text.length ?? 0) < 5_000)
    assert.equal(talk.toClient().length, 0)
    talk.client(long.subarray(100_000))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1153 08S01/)
    assert.equal(talk.toServer().length, 0)
    talk.client(query('select 1'))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1'])
  })

  test('of more than one packet is refused with the sequence id after its last packet', () => {
    const talk = openConversation()
    const first = Buffer.alloc(4 + 0xffffff, 0x20)
    first.writeUIntLE(0xffffff, 0, 3)
    first[3] = 0
    first[4] = 3
    talk.client(first)
    assert.equal(talk.toClient().length, 0)
    talk.client(packet(1, Buffer.from('tail')))
    assert.match(inWords(talk.toClient())[0] ?? '', /^2:ERR 1153/)
  })

  test('is judged anew when the catalog has changed before it is answered', () => {
    const talk = openConversation({ denies: () => false })
    talk.session.fromClient(query('select 1 from orders'))
    const before = talk.session.next()
    assert.equal(talk.session.next(), before)
    talk.analyser.current = new KnownTexts()
    const after = talk.session.next()
    assert.notEqual(after, before)
    assert.equal(after?.id, before?.id)
  })

  test('is refused once the backend has become another server', () => {
    const talk = openConversation()
    talk.analyser.current = new KnownTexts({ serverVersion: '11.4.2-MariaDB', versionNumber: 110402 })
    talk.client(query('select 1'))
    assert.equal(talk.statements[0]?.analysis.outcome, 'forbidden')
    assert.equal(talk.toServer().length, 0)
  })
})

describe('commands other than queries', () => {
  test('ping is relayed', () => {
    const talk = openConversation()
    talk.client(command(14))
    assert.deepEqual(talk.toServer(), command(14))
    talk.server(okReply())
    assert.deepEqual(inWords(talk.toClient()), ['1:OK 2'])
  })

  test('the pinned database may be chosen, another one is a hop', () => {
    const talk = openConversation()
    talk.client(command(2, 'crm'))
    assert.deepEqual(talk.toServer(), command(2, 'crm'))
    talk.server(okReply())
    talk.client(command(2, 'other'))
    assert.equal(talk.toServer().length, 0)
    assert.equal(talk.statements[1]?.analysis.outcome, 'hop')
    assert.match(inWords(talk.toClient())[1] ?? '', /^1:ERR 1044 42000Access denied .* to database 'other'/)
  })

  test('a name that is not UTF-8 is refused', () => {
    const talk = openConversation()
    talk.client(command(2, Buffer.from([0x63, 0xff])))
    assert.equal(talk.statements[0]?.analysis.outcome, 'not_understood')
    assert.equal(talk.toServer().length, 0)
  })

  test('changing the user is an identity switch, whose password is not recorded', () => {
    const talk = openConversation()
    talk.client(command(17, 'root\0', Buffer.of(5), 'token', 'crm\0'))
    const [statement] = talk.statements
    assert.ok(statement?.analysis.outcome === 'hop' && statement.analysis.hop === 'identity_switch')
    assert.doesNotMatch(statement.text, /token/)
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1227/)
  })

  test('killing a connection is an attempt at another run', () => {
    const talk = openConversation()
    talk.client(command(12, uint32(9)))
    const [statement] = talk.statements
    assert.ok(statement?.analysis.outcome === 'hop' && statement.analysis.hop === 'cross_run')
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1095/)
  })

  test('every byte that is not served is refused by its name, and reaches no server', () => {
    const served = new Set([1, 2, 3, 4, 12, 14, 17, 22, 23, 24, 25, 26, 28, 31])
    for (let code = 0; code < 256; code += 1) {
      if (served.has(code)) continue
      const talk = openConversation()
      talk.client(command(code, 'whatever'))
      assert.equal(talk.statements[0]?.analysis.outcome, 'not_understood', `command ${code}`)
      assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1047 08S01Unknown command: (COM_|command)/)
      assert.equal(talk.toServer().length, 0)
    }
  })

  test('the columns of a table are listed only where all of it may be read', () => {
    const talk = openConversation()
    talk.client(command(4, 'orders\0'))
    assert.deepEqual(talk.toServer(), command(4, 'orders\0'))
    const reply = packets(1, split(result())[1]?.body ?? eof(), split(result())[1]?.body ?? eof(), eof())
    talk.server(reply)
    assert.deepEqual(inWords(talk.toClient()), ['1:DEFINITION', '2:DEFINITION', '3:END'])
    talk.client(command(4, 'secrets\0%'))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1142/)
    assert.equal(talk.toServer().length, 0)
  })

  test('an empty packet is no command', () => {
    const talk = openConversation()
    talk.client(packet(0))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1047/)
  })

  test('quit ends the session and tells the server so', () => {
    const talk = openConversation()
    talk.client(command(1))
    assert.equal(talk.session.finished, 'client')
    assert.deepEqual(talk.toServer(), command(1))
  })
})

describe('a prepared statement', () => {
  test('is prepared with the text that was analysed and executed by its number', () => {
    for (const flags of [CLASSIC, MODERN]) {
      const deprecateEof = flags === MODERN
      const talk = openConversation({ flags })
      talk.client(prepare('select id from orders where id = ?'))
      talk.toServer()
      const answer = prepared(7, { parameters: 1, columns: 1, deprecateEof })
      talk.server(answer)
      assert.deepEqual(talk.toClient(), answer)
      talk.client(execute(7, 0, Buffer.from('parameters')))
      assert.deepEqual(talk.toServer(), execute(7, 0, Buffer.from('parameters')))
      assert.equal(talk.statements[1]?.text, 'select id from orders where id = ?')
      assert.deepEqual(
        talk.statements.map((statement) => statement.prepares),
        [true, false],
      )
      talk.server(result({ deprecateEof }))
      assert.equal(talk.session.completion()?.rows, 0)
      assert.equal(talk.session.completion()?.rows, 1)
    }
  })

  test('that is denied gets its error in place of its number', () => {
    const talk = openConversation()
    talk.client(prepare('select 1 from secret'))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1142/)
    assert.equal(talk.toServer().length, 0)
  })

  test('of a number that this session never got is unknown', () => {
    const talk = openConversation()
    for (const bytes of [execute(7), command(28, uint32(7), uint32(1)), command(26, uint32(7))]) {
      talk.client(bytes)
      assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1243 HY000/)
    }
    // These two have no reply, not even an error.
    for (const bytes of [command(25, uint32(7)), command(24, uint32(7), Buffer.of(0, 0), 'data')]) {
      talk.client(bytes)
      assert.equal(talk.toClient().length, 0)
    }
    assert.equal(talk.toServer().length, 0)
  })

  test('is judged again at each execution, under the catalog of that moment', () => {
    let denied = false
    const talk = openConversation({ denies: ({ text }) => denied && text.includes('orders') })
    prepareAs(talk, 'select 1 from orders', 3)
    talk.client(execute(3))
    talk.server(result())
    const first = talk.statements.at(-1)?.analysis
    talk.analyser.current = new KnownTexts()
    denied = true
    talk.toServer()
    talk.toClient()
    talk.client(execute(3))
    assert.notEqual(talk.statements.at(-1)?.analysis, first)
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1142/)
    assert.equal(talk.toServer().length, 0)
  })

  test('takes long data and parameters of any length through without keeping them', () => {
    const talk = openConversation()
    prepareAs(talk, 'insert into notes values (?)', 3)
    const data = command(24, uint32(3), Buffer.of(0, 0), Buffer.alloc(100_000, 0x61))
    talk.client(data.subarray(0, 50))
    assert.deepEqual(talk.toServer(), data.subarray(0, 50))
    talk.client(data.subarray(50))
    assert.deepEqual(talk.toServer(), data.subarray(50))
    assert.equal(talk.toClient().length, 0)
    talk.client(execute(3))
    assert.deepEqual(talk.toServer(), execute(3))
  })

  test('with parameters of exactly one full packet is followed by an empty one', () => {
    const talk = openConversation()
    prepareAs(talk, 'insert into notes values (?)', 3)
    const head = Buffer.concat([Buffer.of(23), uint32(3), Buffer.of(0), uint32(1)])
    const full = Buffer.concat([Buffer.of(0xff, 0xff, 0xff, 0), head, Buffer.alloc(0xffffff - head.length)])
    talk.client(full)
    talk.server(Buffer.alloc(0))
    talk.client(packet(1))
    assert.equal(talk.toServer().length, 4 + 0xffffff + 4)
    talk.server(packets(2, ok()))
    assert.deepEqual(inWords(talk.toClient()), ['2:OK 2'])
  })

  test('whose packets are out of order ends the session', () => {
    const talk = openConversation()
    prepareAs(talk, 'insert into notes values (?)', 3)
    const head = Buffer.concat([Buffer.of(23), uint32(3), Buffer.of(0), uint32(1)])
    const full = Buffer.concat([Buffer.of(0xff, 0xff, 0xff, 0), head, Buffer.alloc(0xffffff - head.length)])
    talk.client(full)
    assert.throws(() => talk.client(packet(2)), ProtocolError)
  })

  test('may be named as the last one by clients of MariaDB; the server is given its number', () => {
    const talk = openConversation()
    talk.client(Buffer.concat([prepare('select 1 from orders'), execute(0xffffffff, 0, Buffer.from('p'))]))
    talk.toServer()
    talk.server(prepared(9))
    assert.deepEqual(talk.toServer(), execute(9, 0, Buffer.from('p')))
  })

  test('named as the last one is unknown when the last one was denied', () => {
    const talk = openConversation()
    prepareAs(talk, 'select 1 from orders', 9)
    talk.client(Buffer.concat([prepare('select 1 from secret'), execute(0xffffffff)]))
    assert.deepEqual(
      inWords(talk.toClient()).map((word) => word.slice(0, 10)),
      ['1:ERR 1142', '1:ERR 1243'],
    )
    assert.equal(talk.toServer().length, 0)
  })

  test('with a cursor ends with its definitions, and its rows are fetched later', () => {
    const talk = openConversation()
    prepareAs(talk, 'select 1 from orders', 3)
    talk.client(execute(3, 1))
    const definition = split(result())[1]?.body ?? eof()
    talk.server(packets(1, lenenc(1), definition, eof(0x42)))
    assert.equal(talk.session.completion()?.statementId, 1)
    assert.equal(talk.session.completion()?.statementId, 2)
    talk.client(command(28, uint32(3), uint32(10)))
    talk.server(packets(1, Buffer.from('0000', 'hex'), Buffer.from('0000', 'hex'), eof(0x82)))
    assert.equal(talk.session.completion()?.rows, 2)
    assert.equal(talk.session.idle, true)
  })

  test('without a cursor has rows even where the status says that a cursor exists', () => {
    const talk = openConversation()
    talk.client(query('call p'))
    const definition = split(result())[1]?.body ?? eof()
    talk.server(packets(1, lenenc(1), definition, eof(0x4a)))
    assert.equal(talk.session.completion(), undefined)
    talk.server(packets(4, Buffer.from('0131', 'hex'), eof(0x0a), ok()))
    assert.equal(talk.session.completion()?.rows, 1)
  })

  test('that is no query gets no cursor: its rows are sent at once, and the status may say otherwise', () => {
    for (const number of [3, 0xffffffff]) {
      const talk = openConversation()
      prepareAs(talk, 'call p', 3)
      talk.client(execute(number, 1, Buffer.from('parameters')))
      assert.deepEqual(talk.toServer(), execute(3, 0, Buffer.from('parameters')))
      const definition = split(result())[1]?.body ?? eof()
      talk.server(packets(1, lenenc(1), definition, eof(0x4a), Buffer.from('0000', 'hex'), eof(0x4a), ok()))
      assert.equal(talk.session.completion()?.rows, 0)
      assert.equal(talk.session.completion()?.rows, 1)
      assert.equal(talk.session.idle, true)
    }
  })

  test('with unknown flags is refused: they could change the layout', () => {
    const talk = openConversation()
    prepareAs(talk, 'select 1 from orders', 3)
    talk.client(execute(3, 8))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1835/)
    assert.equal(talk.toServer().length, 0)
  })

  test('is forgotten when it is closed and when the connection is reset', () => {
    const talk = openConversation()
    prepareAs(talk, 'select 1 from orders', 3)
    talk.client(command(25, uint32(3)))
    assert.deepEqual(talk.toServer(), command(25, uint32(3)))
    talk.client(execute(3))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1243/)
    prepareAs(talk, 'select 1 from orders', 4)
    talk.client(command(31))
    talk.server(okReply())
    talk.server(okReply())
    talk.toClient()
    talk.client(execute(4))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1243/)
  })
})

describe('a bulk execution', () => {
  /** Number 3 with these flags, and two rows of data behind. */
  const bulk = (flags: number, id = 3): Buffer =>
    command(250, uint32(id), Buffer.from([flags & 0xff, flags >> 8]), Buffer.from('00016100016200', 'hex'))
  const MARIADB = CLASSIC & ~CLIENT.MYSQL

  test('runs what was prepared, and its rows pass unread', () => {
    const talk = openConversation({ flags: MARIADB, extended: MARIADB_CLIENT.STMT_BULK })
    prepareAs(talk, 'select 1 from orders', 3)
    for (const flags of [0, 128]) {
      talk.client(bulk(flags))
      const { analysis, text } = talk.statements.at(-1) ?? {}
      assert.equal(text, 'select 1 from orders')
      assert.ok(analysis?.outcome === 'accesses' && analysis.accesses.length === 1)
      assert.deepEqual(talk.toServer(), bulk(flags))
      talk.server(okReply())
      assert.deepEqual(inWords(talk.toClient()), ['1:OK 2'])
    }
  })

  test('is judged anew each time', () => {
    let strict = false
    const talk = openConversation({
      flags: MARIADB,
      extended: MARIADB_CLIENT.STMT_BULK,
      denies: () => strict,
    })
    prepareAs(talk, 'select 1 from orders', 3)
    strict = true
    talk.client(bulk(128))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1142/)
    assert.equal(talk.toServer().length, 0)
  })

  test('is refused of a number that is not of this session, with flags that are not known, or where it was not agreed on', () => {
    const talk = openConversation({ flags: MARIADB, extended: MARIADB_CLIENT.STMT_BULK })
    prepareAs(talk, 'select 1 from orders', 3)
    for (const [bytes, error] of [
      [bulk(128, 4), 1243],
      [bulk(64), 1835],
      [bulk(0x8080), 1835],
      [command(250, uint32(3)), 1835],
    ] as const) {
      talk.client(bytes)
      assert.match(inWords(talk.toClient())[0] ?? '', new RegExp(`^1:ERR ${error}`))
    }
    assert.equal(talk.toServer().length, 0)
    const other = openConversation({ flags: MARIADB })
    prepareAs(other, 'select 1 from orders', 3)
    other.client(bulk(128))
    assert.match(inWords(other.toClient())[0] ?? '', /^1:ERR 1047/)
    assert.equal(other.toServer().length, 0)
  })
})

describe('a statement prepared by name', () => {
  test('is judged by its own text when it is executed', () => {
    let strict = false
    const talk = openConversation({ denies: ({ text }) => strict && text.startsWith('execute') })
    talk.client(query('prepare s from orders'))
    talk.server(okReply())
    strict = true
    talk.client(query('execute s'))
    const { analysis } = talk.statements[1] ?? {}
    assert.ok(analysis?.outcome === 'accesses' && analysis.accesses.length === 1)
    assert.match(inWords(talk.toClient())[1] ?? '', /^1:ERR 1142/)
  })

  test('is unknown until the server has said OK, after an error, and after its end', () => {
    const talk = openConversation()
    const outcome = (): string | undefined => talk.statements.at(-1)?.analysis.outcome
    talk.client(query('execute s'))
    assert.equal(outcome(), 'not_understood')
    talk.client(query('prepare s from orders'))
    talk.server(packets(1, err(1064, 'no')))
    talk.client(query('execute s'))
    assert.equal(outcome(), 'not_understood')
    talk.client(query('prepare s from orders'))
    talk.server(okReply())
    talk.client(query('execute s'))
    assert.equal(outcome(), 'accesses')
    talk.server(result())
    talk.client(query('deallocate s'))
    talk.server(okReply())
    talk.client(query('execute s'))
    assert.equal(outcome(), 'not_understood')
  })

  test('is forgotten after a procedure, which may have prepared another text under its name', () => {
    const talk = openConversation()
    talk.client(query('prepare s from orders'))
    talk.server(okReply())
    talk.client(query('call p'))
    talk.server(okReply())
    talk.client(query('execute s'))
    assert.equal(talk.statements.at(-1)?.analysis.outcome, 'not_understood')
  })

  test('cannot be named inside a statement of the binary protocol', () => {
    const talk = openConversation()
    talk.client(prepare('prepare s from orders'))
    assert.equal(talk.statements[0]?.analysis.outcome, 'forbidden')
  })
})

describe('a reply', () => {
  test('with a request for a file of the client ends the session', () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    assert.throws(() => talk.server(packets(1, Buffer.from('\xfb/etc/passwd', 'latin1'))), /local file/)
    assert.equal(talk.toClient().length, 0)
  })

  test('of several results is followed to its last one', () => {
    for (const flags of [CLASSIC, MODERN]) {
      const deprecateEof = flags === MODERN
      const talk = openConversation({ flags })
      talk.client(Buffer.concat([query('call p'), query('select 2')]))
      talk.toServer()
      const first = result({ deprecateEof, status: 0x0a })
      talk.server(first)
      assert.equal(talk.toServer().length, 0)
      talk.server(packets(split(first).length + 1, ok()))
      assert.equal(talk.session.completion()?.rows, 1)
      assert.deepEqual(commandsIn(talk.toServer()), ['3 select 2'])
    }
  })

  test('with a row of more than 16 MB passes piece by piece', () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    const parts = split(result({ rows: [] }))
    talk.server(packets(1, ...parts.slice(0, 3).map(({ body }) => body)))
    talk.toClient()
    talk.server(Buffer.from([0xff, 0xff, 0xff, 4, 0xfe]))
    let passed = talk.toClient().length
    for (let left = 0xffffff - 1; left > 0; left -= 1 << 20) {
      talk.server(Buffer.alloc(Math.min(left, 1 << 20), 0xfe))
      passed += talk.toClient().length
    }
    assert.equal(passed, 4 + 0xffffff)
    talk.server(Buffer.concat([packet(5, Buffer.of(0xfe, 1, 2)), packet(6, eof())]))
    assert.equal(talk.session.completion()?.rows, 1)
  })

  test('with an error ends there', () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    const parts = split(result({ rows: [['1']] })).map(({ body }) => body)
    talk.server(packets(1, ...parts.slice(0, 4), err(1317, 'interrupted')))
    const done = talk.session.completion()
    assert.equal(done?.error, '1317')
    assert.equal(done?.rows, 1)
  })

  test('out of order, empty, or to no command ends the session', () => {
    for (const bytes of [packets(2, ok()), packet(1), packets(1, eof())]) {
      const talk = openConversation()
      talk.client(query('select 1'))
      assert.throws(() => talk.server(bytes), ProtocolError)
    }
    assert.throws(() => openConversation().server(packets(0, ok())), ProtocolError)
  })

  test("carries the server's goodbye between commands to the client", () => {
    const talk = openConversation()
    talk.server(packets(0, err(4031, 'idle for too long')))
    assert.deepEqual(inWords(talk.toClient()), ['0:ERR 4031 HY000idle for too long'])
    talk.session.end({ kind: 'backend_lost', message: 'lost' })
    assert.equal(talk.toClient().length, 0)
  })

  test('loses what the client did not ask for: changes of session state', () => {
    const body = ok({ info: 'Rows: 1', variables: { autocommit: 'OFF' } })
    const classic = openConversation()
    classic.client(query('set autocommit = 0'))
    classic.server(packets(1, body))
    assert.deepEqual(split(classic.toClient())[0]?.body, ok({ info: 'Rows: 1' }))
    const tracking = openConversation({ flags: TRACKING })
    tracking.client(query('set autocommit = 0'))
    tracking.server(packets(1, body))
    assert.deepEqual(split(tracking.toClient())[0]?.body, body)
  })
})

describe('the pinned session', () => {
  const CHANGES = {
    'a mode that changes how text is read': { sql_mode: 'STRICT_TRANS_TABLES,ANSI_QUOTES' },
    'another character set of statements': { character_set_client: 'gbk' },
    'another character set of literals': { character_set_connection: 'sjis' },
    'an end of the reports': { session_track_schema: 'OFF' },
  }
  for (const [what, variables] of Object.entries(CHANGES)) {
    test(`ends at ${what}`, () => {
      const talk = openConversation()
      talk.client(query('select f()'))
      assert.throws(() => talk.server(packets(1, ok({ variables }))), /the pinned session changed/)
    })
  }

  test('ends with an error in its place behind what the client has seen', () => {
    const talk = openConversation()
    talk.client(query('select f()'))
    const bodies = split(result({ rows: [['1'], ['2']], status: 0x0a })).map(({ body }) => body)
    assert.throws(() => talk.server(packets(1, ...bodies, ok({ variables: { sql_mode: 'ANSI_QUOTES' } }))))
    talk.session.end({ kind: 'protocol_error', message: 'the pinned session changed' })
    const seen = split(talk.toClient())
    assert.deepEqual(
      seen.map(({ sequence }) => sequence),
      seen.map((_, index) => index + 1),
    )
    assert.equal(seen.length, bodies.length + 1)
    assert.equal(seen.at(-1)?.body.readUInt16LE(1), 1152)
  })

  test('ends at another default database', () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    assert.throws(() => talk.server(packets(1, ok({ schema: 'other' }))), /default database/)
  })

  test('does not end at a mode that is harmless', () => {
    const talk = openConversation()
    talk.client(query('set x'))
    talk.server(
      packets(1, ok({ variables: { sql_mode: 'STRICT_ALL_TABLES', character_set_client: 'utf8mb3' } })),
    )
    assert.equal(talk.session.idle, true)
  })

  test('is pinned anew after a reset, before the next command of the client', () => {
    const talk = openConversation()
    talk.client(Buffer.concat([command(31), query('select 1')]))
    assert.deepEqual(talk.toServer(), command(31))
    // The global modes of the server hold for a moment: ANSI_QUOTES in the status flags.
    talk.server(okReply(0x8002))
    assert.match(
      commandsIn(talk.toServer()).join(),
      /^3 SET NAMES utf8mb4 .*sql_mode = 'STRICT_TRANS_TABLES'/,
    )
    assert.deepEqual(inWords(talk.toClient()), ['1:OK 8002'])
    talk.server(okReply())
    assert.equal(talk.toClient().length, 0)
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1'])
  })

  test('ends where it cannot be pinned anew', () => {
    const talk = openConversation()
    talk.client(command(31))
    talk.server(okReply())
    assert.throws(() => talk.server(packets(1, err(1227, 'no'))), /could not be pinned/)
  })

  test('asks for a report where the flags say that a mode is on, and ends if it still is', () => {
    const talk = openConversation()
    talk.client(Buffer.concat([query('call p'), query('select 2')]))
    talk.toServer()
    talk.server(okReply(0x8002))
    assert.match(commandsIn(talk.toServer()).join(), /^3 SET SESSION sql_mode = @@SESSION.sql_mode/)
    assert.throws(() => talk.server(okReply(0x8002)), /ANSI_QUOTES/)
  })

  test('asks for a report where a procedure had a mode for itself, and goes on where it is restored', () => {
    const talk = openConversation({ flags: TRACKING })
    talk.client(Buffer.concat([query('call p'), query('select 2')]))
    talk.toServer()
    const mode = { sql_mode: 'ANSI_QUOTES' }
    const inside = split(result({ deprecateEof: true })).map(({ body }) => body)
    inside[inside.length - 1] = ok({ header: 0xfe, status: 0x800a, variables: mode })
    talk.server(packets(1, ...inside, ok({ status: 0x8002 })))
    assert.match(commandsIn(talk.toServer()).join(), /^3 SET SESSION sql_mode/)
    talk.server(packets(1, ok({ variables: { sql_mode: 'STRICT_TRANS_TABLES' } })))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 2'])
  })

  test('asks MariaDB for a report after a variable was set by @@, which it may not report', () => {
    const talk = openConversation()
    talk.client(query("set @@sql_mode = ''"))
    talk.toServer()
    talk.server(okReply())
    assert.match(commandsIn(talk.toServer()).join(), /^3 SET SESSION sql_mode/)
    assert.throws(
      () => talk.server(packets(1, ok({ variables: { sql_mode: 'IGNORE_SPACE' } }))),
      /the pinned session changed/,
    )
  })

  test('keeps its own reports when a client asks for others', () => {
    const talk = openConversation({ flags: TRACKING })
    talk.client(query('set session_track_system_variables = x'))
    talk.toServer()
    const variables = { session_track_system_variables: 'autocommit,tx_isolation' }
    talk.server(packets(1, ok({ variables })))
    const own = commandsIn(talk.toServer()).join()
    assert.match(own, /^3 SET session_track_system_variables = '.*sql_mode.*tx_isolation.*'$/)
    talk.server(
      packets(1, ok({ variables: { session_track_system_variables: /'(.*)'/.exec(own)?.[1] ?? '' } })),
    )
    assert.equal(talk.session.idle, true)
  })
})

describe('the end of a session from our side', () => {
  const cause = { kind: 'token_expired', message: 'the token has expired' } as const

  test('between commands is an error with sequence id 0 and a goodbye to the server', () => {
    const talk = openConversation()
    talk.session.end(cause)
    assert.match(inWords(talk.toClient())[0] ?? '', /^0:ERR 1045 28000/)
    assert.deepEqual(talk.toServer(), command(1))
  })

  test('while a statement waits is its answer', () => {
    const talk = openConversation()
    talk.session.fromClient(query('select 1'))
    assert.equal(talk.session.next()?.id, 1)
    talk.session.end(cause)
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1045/)
  })

  test('between the rows of a result ends that result', () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    talk.toServer()
    talk.server(
      packets(
        1,
        ...split(result())
          .slice(0, 4)
          .map(({ body }) => body),
      ),
    )
    talk.session.end({ kind: 'backend_lost', message: 'the database went away' })
    assert.match(inWords(talk.toClient()).at(-1) ?? '', /^5:ERR 1152 08S01/)
    assert.equal(talk.toServer().length, 0)
  })

  test('inside a row says nothing, for it would be read as part of the row', () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    const bytes = result()
    talk.server(bytes.subarray(0, bytes.length - 10))
    const seen = talk.toClient()
    talk.session.end({ kind: 'shutdown', message: 'bye' })
    assert.equal(talk.toClient().length, 0)
    assert.throws(() => split(seen))
  })

  test('a transaction is not idle, and its end is', () => {
    const talk = openConversation()
    talk.client(query('begin'))
    talk.server(okReply(3))
    assert.equal(talk.session.idle, false)
    talk.client(query('commit'))
    talk.server(okReply(2))
    assert.equal(talk.session.idle, true)
  })

  test('relay() of what is not understood is a bug, and nothing leaves', () => {
    const talk = openConversation()
    talk.session.fromClient(query('gibberish'))
    talk.session.next()
    assert.throws(() => talk.session.relay(), /not understood/)
    assert.equal(talk.toServer().length, 0)
  })
})
