import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../../protocols/errors.ts'
import { CLIENT, frame, int32 } from '../../../protocols/postgres/frames.ts'
import { FakeReader } from './fake-reader.ts'
import {
  bind,
  close,
  copyData,
  copyDone,
  describe,
  errorField,
  execute,
  extended,
  flush,
  frames,
  functionCall,
  parse,
  query,
  server,
  sync,
  terminate,
} from './messages.ts'
import { Fixture } from './session-fixture.ts'

const syntaxError = (marker: string): Buffer => server.error('42601', `syntax error at or near "${marker}"`)

test('nothing of a statement reaches the server before it is judged', () => {
  const { session } = new Fixture()
  session.fromClient(query('select 1'))
  assert.equal(session.next()?.text, 'select 1')
  assert.equal(session.takeForServer().length, 0)
  assert.equal(session.next()?.text, 'select 1', 'until it is answered it is given again')
  session.relay()
  assert.deepEqual(Buffer.concat(session.takeForServer()), query('select 1'))
})

test('the bytes of the client leave as they came', () => {
  const fixture = new Fixture()
  const messages = Buffer.concat([
    parse('select 1', 's'),
    describe('S', 's'),
    bind('s', 'p'),
    describe('P', 'p'),
    execute('p', 7),
    close('P', 'p'),
    flush,
    sync,
  ])
  fixture.client(messages)
  assert.deepEqual(fixture.toServer, messages)
})

test('a text whose comments were blanked leaves blanked', () => {
  const fixture = new Fixture()
  assert.equal(fixture.client(query('select/*blank me*/1')), 'Q(select            1)')
  assert.equal(fixture.client(parse('select/*blank me*/2', 's')), 'P(s=select            2)')
  assert.equal(fixture.statements[0]?.text, 'select/*blank me*/1', 'the record shows what was written')
})

test('a refused Query is replaced by a text that names a marker, and its error by the denial', () => {
  const fixture = new Fixture()
  assert.equal(fixture.client(query('refused')), 'Q(bulkhead_denied_NONCE_1)')
  const before = fixture.toClient.length
  assert.equal(fixture.server(syntaxError(fixture.marker), server.ready('I')), 'E(42501) Z(I)')
  const [error] = frames(fixture.toClient.subarray(before))
  assert.equal(errorField(error?.body ?? Buffer.alloc(0), 'M'), 'permission denied: not in this grant')
  assert.equal(fixture.toClient.includes('bulkhead_denied'), false)
})

test('after a refused message of a batch the rest of the batch is not sent', () => {
  const fixture = new Fixture()
  assert.equal(
    fixture.client(extended('select 1'), extended('refused'), extended('select 2'), flush, query('x'), sync),
    'P(=select 1) B E P(=bulkhead_denied_NONCE_3) S',
  )
  assert.deepEqual(
    fixture.statements.map(({ text }) => text),
    ['select 1', 'select 1', 'refused'],
  )
})

test('a refused Parse of a named statement leaves the older one usable', () => {
  const fixture = new Fixture()
  fixture.client(parse('select 1', 's'), sync)
  fixture.server(server.parseComplete, server.ready('I'))
  assert.equal(
    fixture.client(parse('refused', 's'), sync, bind('s'), execute(), sync),
    'P(bulkhead_denied_NONCE_2=bulkhead_denied_NONCE_2) S B E S',
  )
  assert.equal(fixture.statements.at(-1)?.text, 'select 1')
})

test('a refused Execute becomes a Parse under the name of the marker', () => {
  const fixture = new Fixture(({ prepares }) =>
    prepares === true ? undefined : { reason: 'token_expired', message: 'expired' },
  )
  assert.equal(
    fixture.client(extended('select 1'), sync),
    'P(=select 1) B P(bulkhead_denied_NONCE_2=bulkhead_denied_NONCE_2) S',
  )
  assert.equal(
    fixture.server(server.parseComplete, server.bindComplete, syntaxError(fixture.marker), server.ready('I')),
    '1 2 E(28000) Z(I)',
  )
})

test('an earlier error that swallows the refused message leaves no stale marker behind', () => {
  const fixture = new Fixture()
  fixture.client(extended('select 1'), parse('refused'), sync, query('select 2'))
  const stale = fixture.marker
  assert.equal(fixture.server(server.error('22012', 'division by zero'), server.ready('I')), 'E(22012) Z(I)')
  // An error that happens to quote the old marker belongs to a statement that was not refused.
  assert.equal(fixture.server(syntaxError(stale), server.ready('I')), 'E(42601) Z(I)')
})

test('an error at the place of a refused message that is not about the marker passes', () => {
  const fixture = new Fixture()
  fixture.client(query('refused'))
  assert.equal(
    fixture.server(server.error('57014', 'canceling statement'), server.ready('I')),
    'E(57014) Z(I)',
  )
})

test('a syntax error that was found here is given in the words of the server', () => {
  const fixture = new Fixture(() => ({
    reason: 'not_understood',
    message: 'no',
    nativeError: { code: '42601', message: 'syntax error at or near "selct"', position: 1 },
  }))
  fixture.client(query('selct 1'))
  fixture.server(syntaxError(fixture.marker), server.ready('I'))
  const [error] = frames(fixture.toClient)
  assert.equal(errorField(error?.body ?? Buffer.alloc(0), 'C'), '42601')
  assert.equal(errorField(error?.body ?? Buffer.alloc(0), 'P'), '1')
})

test('Execute is judged again, under the knowledge of now', () => {
  const fixture = new Fixture()
  fixture.client(parse('select 1', 's'), sync)
  fixture.server(server.parseComplete, server.ready('I'))
  const read: string[] = []
  class Watching extends FakeReader {
    override read(text: Buffer) {
      read.push(text.toString())
      return super.read(text)
    }
  }
  fixture.knowledge.current = new Watching()
  fixture.client(bind('s'), execute(), sync)
  assert.deepEqual(read, ['select 1'])
})

test('a statement that waits for its verdict is read again when the catalog changes', () => {
  const { session, knowledge } = new Fixture()
  session.fromClient(query('select 1'))
  const first = session.next()
  knowledge.current = new FakeReader()
  const second = session.next()
  assert.equal(second?.id, first?.id)
  assert.notEqual(second?.analysis, first?.analysis)
})

test('EXECUTE needs what the prepared statement needs', () => {
  const fixture = new Fixture()
  fixture.client(query('prepare p as select from secrets'))
  fixture.server(server.complete('PREPARE'), server.ready('I'))
  fixture.client(query('execute p'))
  const analysis = fixture.statements.at(-1)?.analysis
  assert.deepEqual(
    analysis?.outcome === 'accesses' && analysis.accesses.map((access) => 'name' in access && access.name),
    ['secrets'],
  )
})

test('FETCH needs what the cursor needs, in the same text too', () => {
  const fixture = new Fixture()
  fixture.client(query('declare c cursor for select from secrets; fetch all from c'))
  const analysis = fixture.statements.at(-1)?.analysis
  assert.equal(analysis?.outcome === 'accesses' && analysis.accesses.length, 1)
})

test('EXECUTE runs no statement that acts on names itself, so that none can run itself', () => {
  const fixture = new Fixture()
  fixture.client(parse('select', 't'), parse('execute t', 'u'), close('S', 't'), sync)
  fixture.server(server.parseComplete, server.parseComplete, server.closeComplete, server.ready('I'))
  fixture.client(parse('execute u', 't'), sync)
  assert.equal(fixture.statements.at(-1)?.analysis.outcome, 'not_understood')
  fixture.client(parse('copy t from stdin', 'c'), sync, query('execute c'))
  assert.equal(fixture.statements.at(-1)?.analysis.outcome, 'accesses', 'c may still fail: it is waited for')
  fixture.server(syntaxError(fixture.marker), server.ready('I'), server.parseComplete, server.ready('I'))
  assert.equal(fixture.statements.at(-1)?.analysis.outcome, 'not_understood')
})

test('a PREPARE that failed makes no name', () => {
  const fixture = new Fixture()
  fixture.client(query('prepare p as select from secrets'))
  fixture.server(server.error('42P05', 'exists'), server.ready('I'))
  fixture.client(query('execute p'))
  assert.equal(fixture.statements.at(-1)?.analysis.outcome, 'not_understood')
})

test('of a text with several statements those that were done before the error count', () => {
  const fixture = new Fixture()
  fixture.client(query('prepare a as select from t; prepare b as select from u'))
  fixture.server(server.complete('PREPARE'), server.error('42P05', 'exists'), server.ready('I'))
  fixture.client(bind('a'), sync)
  assert.equal(fixture.statements.length, 1, 'Bind to `a` is known')
  fixture.server(server.bindComplete, server.ready('I'))
  fixture.client(bind('b'), sync)
  assert.equal(fixture.statements.at(-1)?.text, 'Bind b')
})

for (const forget of ['deallocate all', 'deallocate p', 'discard all']) {
  test(`${forget} forgets a name once the server has done it`, () => {
    const fixture = new Fixture()
    fixture.client(query('prepare p as select from t'))
    fixture.server(server.complete('PREPARE'), server.ready('I'))
    fixture.client(query(forget))
    fixture.server(
      server.complete(forget === 'deallocate p' ? 'DEALLOCATE' : forget.toUpperCase()),
      server.ready('I'),
    )
    fixture.client(query('execute p'))
    assert.equal(fixture.statements.at(-1)?.analysis.outcome, 'not_understood')
  })
}

test('a name that an earlier batch may still redefine is waited for', () => {
  const fixture = new Fixture()
  fixture.client(parse('select one', 's'), sync)
  fixture.server(server.parseComplete, server.ready('I'))
  // If the Close fails with its batch, `s` stays the first statement.
  assert.equal(
    fixture.client(close('S', 's'), parse('select two', 's'), sync, bind('s'), execute(), sync),
    'C P(s=select two) S',
  )
  assert.equal(fixture.server(server.error('57014', 'canceled'), server.ready('I')), 'E(57014) Z(I)')
  assert.equal(fixture.statements.at(-1)?.text, 'select one')
})

test('names that begin alike for 63 bytes are one name, as for the server', () => {
  const fixture = new Fixture()
  const long = 'n'.repeat(63)
  fixture.client(parse('select one', `${long}a`), sync)
  fixture.server(server.parseComplete, server.ready('I'))
  fixture.client(close('S', `${long}b`), sync)
  fixture.server(server.closeComplete, server.ready('I'))
  fixture.client(bind(`${long}a`), sync)
  assert.match(fixture.statements.at(-1)?.text ?? '', /^Bind n/)
})

test('parameter types that run a user’s code are part of what a Parse needs', () => {
  const fixture = new Fixture()
  const withType = (oid: number) => frame(CLIENT.parse, '\0select $1\0', Buffer.from([0, 1]), int32(oid))
  fixture.client(withType(23))
  fixture.client(withType(2205))
  fixture.client(withType(16_400))
  assert.deepEqual(
    fixture.statements.map(({ analysis }) =>
      analysis.outcome === 'accesses' ? analysis.accesses.map(({ kind }) => kind) : analysis.outcome,
    ),
    [[], ['metadata'], 'unknown_object'],
  )
})

test('what follows a COPY waits until the server has said whether it begins', () => {
  const fixture = new Fixture()
  assert.equal(
    fixture.client(query('copy t from stdin'), copyData('1\n'), copyDone, query('x')),
    'Q(copy t from stdin)',
  )
  fixture.server(server.copyIn)
  assert.equal(fixture.client(), '')
  assert.match(fixture.toServer.toString('latin1'), /1\n/)
  assert.equal(fixture.statements.length, 1)
  fixture.server(server.complete('COPY 1'), server.ready('I'))
  assert.equal(fixture.statements.at(-1)?.text, 'x')
})

test('data for a COPY that did not begin is dropped', () => {
  const fixture = new Fixture()
  fixture.client(query('copy t from stdin'), copyData('select 1'), copyDone, query('x'))
  fixture.server(server.error('42P01', 'no such table'), server.ready('I'))
  assert.doesNotMatch(fixture.toServer.toString('latin1'), /select 1/)
  assert.equal(fixture.statements.at(-1)?.text, 'x')
})

test('a Query inside a COPY ends the session', () => {
  const fixture = new Fixture()
  fixture.client(query('copy t from stdin'))
  fixture.server(server.copyIn)
  assert.throws(() => fixture.client(query('select 1')), ProtocolError)
})

test('a COPY that no statement asked for ends the session', () => {
  const fixture = new Fixture()
  fixture.client(query('select 1'))
  assert.throws(() => fixture.server(server.copyIn), ProtocolError)
})

for (const [name, value] of [
  ['standard_conforming_strings', 'off'],
  ['client_encoding', 'SJIS'],
  ['session_authorization', 'boss'],
  ['is_superuser', 'on'],
  ['search_path', 'evil'],
] as const) {
  test(`a change of ${name} ends the session`, () => {
    const fixture = new Fixture()
    fixture.client(query('select 1'))
    assert.throws(() => fixture.server(server.setting(name, value)), ProtocolError)
  })
}

test('a change of another setting passes', () => {
  const fixture = new Fixture()
  assert.equal(fixture.server(server.setting('TimeZone', 'CET')), 'S')
})

test('FunctionCall is refused in its place', () => {
  const fixture = new Fixture()
  assert.equal(fixture.client(functionCall(3), query('select 1')), 'Q(bulkhead_denied_NONCE_1) Q(select 1)')
  assert.equal(fixture.statements[0]?.analysis.outcome, 'forbidden')
})

test('a statement that is too long is refused without being collected', () => {
  const fixture = new Fixture()
  const length = 900 * 1024 * 1024
  const header = Buffer.alloc(5)
  header[0] = CLIENT.query
  header.writeUInt32BE(length, 1)
  fixture.client(header)
  const chunk = Buffer.alloc(65_536, 'x')
  let left = length - 4
  while (left > 0) {
    fixture.session.fromClient(chunk.subarray(0, Math.min(left, chunk.length)))
    fixture.settle()
    left -= chunk.length
    assert.equal(fixture.session.clientIsAhead, false)
  }
  assert.equal(fixture.client(query('select 1')), 'Q(select 1)')
  const analysis = fixture.statements[0]?.analysis
  assert.equal(analysis?.outcome === 'not_understood' && analysis.nativeError?.code, '54000')
  assert.ok((fixture.statements[0]?.text.length ?? 0) < 2000)
})

test('a Bind of any size streams through', () => {
  const fixture = new Fixture()
  fixture.client(parse('select $1'))
  const size = 50 * 1024 * 1024
  const head = Buffer.concat([Buffer.from([CLIENT.bind]), int32(4 + 2 + 2 + 2 + 4 + size + 2)])
  fixture.session.fromClient(Buffer.concat([head, Buffer.from('\0\0\0\0\0\x01'), int32(size)]))
  fixture.session.next()
  for (let sent = 0; sent < size; sent += 65_536) {
    fixture.session.fromClient(Buffer.alloc(Math.min(65_536, size - sent)))
    fixture.session.next()
    const waiting = fixture.session.takeForServer().reduce((sum, { length }) => sum + length, 0)
    assert.ok(waiting <= 65_536 + 100)
  }
  fixture.client(Buffer.alloc(2), sync)
  assert.deepEqual(fixture.toServer.subarray(-7), Buffer.concat([Buffer.alloc(2), sync]))
})

test('completions count rows and bytes, in order, with the error', () => {
  const fixture = new Fixture()
  fixture.client(query('select'), extended('update'), extended('select 1/0'), extended('never'), sync)
  const first = [
    server.rowDescription,
    server.row('a'),
    server.row('b'),
    server.complete('SELECT 2'),
    server.ready('I'),
  ]
  fixture.server(...first)
  fixture.server(server.parseComplete, server.bindComplete, server.complete('UPDATE 5'))
  fixture.server(server.parseComplete, server.bindComplete, server.error('22012', 'zero'), server.ready('I'))
  const bytes = Buffer.concat(first).length
  assert.deepEqual(fixture.completions[0], { statementId: 1, rows: 2, bytes, error: undefined })
  assert.deepEqual(
    fixture.completions.map(({ statementId, rows, error }) => [statementId, rows, error]),
    [
      [1, 2, undefined],
      [2, 0, undefined],
      [3, 5, undefined],
      [4, 0, undefined],
      [5, 0, '22012'],
      [6, 0, '22012'],
      [7, 0, '22012'],
    ],
  )
})

test('rows of a portal in pieces are counted in each piece', () => {
  const fixture = new Fixture()
  fixture.client(parse('select'), bind(), execute('', 2), execute('', 2), sync)
  fixture.server(
    server.parseComplete,
    server.bindComplete,
    server.row('1'),
    server.row('2'),
    server.suspended,
  )
  fixture.server(server.row('3'), server.complete('SELECT 1'), server.ready('I'))
  assert.deepEqual(
    fixture.completions.map(({ rows }) => rows),
    [0, 2, 1],
  )
})

test('the end is said between messages, never inside one', () => {
  const fixture = new Fixture()
  fixture.client(query('select'))
  const row = server.row('a long row')
  fixture.server(row)
  fixture.session.fromServer(row.subarray(0, 8))
  fixture.session.end({ kind: 'token_expired', message: 'expired' })
  fixture.collect()
  assert.deepEqual(fixture.toClient, Buffer.concat([row, row.subarray(0, 8)]))

  const other = new Fixture()
  other.session.end({ kind: 'shutdown', message: 'the proxy is shutting down' })
  other.collect()
  assert.equal(errorField(frames(other.toClient)[0]?.body ?? Buffer.alloc(0), 'C'), '57P01')
  assert.deepEqual(other.toServer, terminate)
})

test('the server’s own last words are not followed by ours', () => {
  const fixture = new Fixture()
  assert.equal(fixture.server(server.error('57P01', 'terminating connection', 'FATAL')), 'E(57P01)')
  fixture.session.end({ kind: 'backend_lost', message: 'lost' })
  fixture.collect()
  assert.equal(frames(fixture.toClient).length, 1)
})

test('Terminate is passed on and finishes the session', () => {
  const fixture = new Fixture()
  assert.equal(fixture.client(terminate), 'X')
  assert.equal(fixture.session.finished, 'client')
})

test('idle means: nothing runs, no transaction is open', () => {
  const fixture = new Fixture()
  assert.equal(fixture.session.idle, true)
  fixture.client(query('begin'))
  assert.equal(fixture.session.idle, false)
  fixture.server(server.complete('BEGIN'), server.ready('T'))
  assert.equal(fixture.session.idle, false)
  fixture.client(query('commit'))
  fixture.server(server.complete('COMMIT'), server.ready('I'))
  assert.equal(fixture.session.idle, true)
})

test('a client that sends on behind a COPY is held back', () => {
  const fixture = new Fixture()
  fixture.client(query('copy (select 1) to stdout'))
  for (let count = 0; count < 20; count += 1) fixture.session.fromClient(query('x'.repeat(20_000)))
  fixture.session.next()
  assert.equal(fixture.session.clientIsAhead, true)
  fixture.server(
    server.copyOut,
    server.copyData('1\n'),
    server.copyDone,
    server.complete('COPY 1'),
    server.ready('I'),
  )
  assert.equal(fixture.session.clientIsAhead, false)
})

test('a pipeline of any length is bounded, and the server is made to speak', () => {
  const fixture = new Fixture()
  fixture.client(...Array.from({ length: 10_000 }, () => close('S', 'x')))
  const sent = frames(fixture.toServer)
  assert.equal(sent.filter(({ type }) => type === 'C').length, 4096)
  assert.equal(sent.at(-1)?.type, 'H')
  fixture.server(...Array.from({ length: 4096 }, () => server.closeComplete))
  assert.equal(frames(fixture.toServer).filter(({ type }) => type === 'C').length, 8192)
})

test('texts that wait for their answers are bounded', () => {
  const fixture = new Fixture()
  const big = parse(`select ${'x'.repeat(1_000_000)}`)
  fixture.client(...Array.from({ length: 10 }, () => big))
  assert.equal(fixture.statements.length, 5)
  fixture.server(server.parseComplete)
  assert.equal(fixture.statements.length, 6)
})

test('the oldest of too many cursors is forgotten, and refused', () => {
  const fixture = new Fixture()
  for (let count = 0; count <= 10_000; count += 1) {
    fixture.client(query(`declare c${count} cursor for select from t`))
    fixture.server(server.complete('DECLARE CURSOR'), server.ready('T'))
  }
  fixture.client(query('fetch 1 from c1'))
  assert.equal(fixture.statements.at(-1)?.analysis.outcome, 'accesses')
  fixture.server(server.complete('FETCH 1'), server.ready('T'))
  fixture.client(query('fetch 1 from c0'))
  assert.equal(fixture.statements.at(-1)?.analysis.outcome, 'not_understood')
})

const brokenByClient: readonly (readonly [string, Buffer])[] = [
  ['an unknown type', Buffer.from('z\0\0\0\x04')],
  ['a type of the login', Buffer.from('p\0\0\0\x05\0')],
  ['a length below four', Buffer.from('Q\0\0\0\x03')],
  ['a negative length', Buffer.from('Q\xff\xff\xff\xff', 'latin1')],
  ['a Sync with a body', Buffer.from('S\0\0\0\x05\0')],
  ['a Sync of 100 kB', Buffer.from('S\0\x01\x86\xa0')],
  ['an Execute beyond 10,000 bytes', Buffer.from('E\0\0\x27\x11')],
  ['a Describe of nothing', frame(CLIENT.describe, 'Xname\0')],
  ['a Close without an end', frame(CLIENT.close, 'Sname')],
  ['a Bind without names', frame(CLIENT.bind, 'abc')],
  ['an Execute that is too short', frame(CLIENT.execute, '\0')],
  ['a Parse without a text', frame(CLIENT.parse, 'name\0')],
]
for (const [name, bytes] of brokenByClient) {
  test(`${name} ends the session, by the client's fault`, () => {
    assert.throws(
      () => new Fixture().client(bytes),
      (error) => error instanceof ProtocolError && error.side === 'client',
    )
  })
}

const brokenByServer: readonly (readonly [string, Buffer])[] = [
  ['an unknown type', Buffer.from('z\0\0\0\x04')],
  ['CopyBothResponse', Buffer.from('W\0\0\0\x07\0\0\0')],
  ['a length below four', Buffer.from('D\0\0\0\x03')],
  ['a ReadyForQuery of the wrong length', Buffer.from('Z\0\0\0\x06II')],
  ['a row that nobody asked for', server.row('x')],
  ['a ReadyForQuery that nobody asked for', server.ready('I')],
  ['an error that nobody asked for', server.error('XX000', 'what')],
  ['authentication in the middle', Buffer.from('R\0\0\0\x08\0\0\0\0')],
  ['copy data without a copy', server.copyData('x')],
]
for (const [name, bytes] of brokenByServer) {
  test(`${name} ends the session, by the server's fault`, () => {
    assert.throws(
      () => new Fixture().server(bytes),
      (error) => error instanceof ProtocolError && error.side === 'server',
    )
  })
}
