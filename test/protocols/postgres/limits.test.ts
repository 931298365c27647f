/** Statements that pass a bound of the grant, in every place where their end may stand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../../protocols/errors.ts'
import type { Denial } from '../../../protocols/session.ts'
import {
  bind,
  close,
  copyData,
  errorField,
  execute,
  extended,
  flush,
  frames,
  parse,
  query,
  server,
  serverText,
  sync,
} from './messages.ts'
import { Fixture } from './session-fixture.ts'

const CANCELED = server.error('57014', 'canceling statement due to user request')
const TIMED_OUT: Denial = {
  reason: 'limit',
  message: 'the grant allows 5s a statement',
  hint: 'ask for another grant',
}

const rows = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => server.row('x')))

function limited(limits: { rows?: number; bytes?: number }): Fixture {
  const fixture = new Fixture()
  fixture.session.limitReplies({ rows: limits.rows, bytes: limits.bytes })
  return fixture
}

/** One field of the last error that the client got. */
function lastError(fixture: Fixture, field: string): string | undefined {
  const error = frames(fixture.toClient).findLast(({ type }) => type === 'E')
  return error === undefined ? undefined : errorField(error.body, field)
}

test('a reply that just keeps its bound passes unchanged', () => {
  const fixture = limited({ rows: 3 })
  fixture.client(query('select'))
  assert.equal(
    fixture.server(server.rowDescription, rows(3), server.complete('SELECT 3'), server.ready('I')),
    'T D D D C(SELECT 3) Z(I)',
  )
  assert.equal(fixture.session.takeCancel(), false)
  assert.deepEqual(fixture.completions, [{ statementId: 1, rows: 3, bytes: 63, error: undefined }])
})

test('no row beyond the bound reaches the client, and the error of the cancel names the limit', () => {
  const fixture = limited({ rows: 2 })
  fixture.client(query('select'))
  assert.equal(fixture.server(server.rowDescription, rows(5)), 'T D D')
  assert.equal(fixture.session.takeCancel(), true)
  assert.equal(fixture.session.takeCancel(), false, 'once')
  assert.equal(fixture.server(rows(3)), '')
  assert.equal(fixture.server(CANCELED, server.ready('I')), 'E(53400) Z(I)')
  assert.equal(
    lastError(fixture, 'M'),
    'canceling statement due to row limit: the grant allows 2 rows a statement',
  )
  assert.equal(lastError(fixture, 'D'), undefined)
  const [completion] = fixture.completions
  assert.equal(completion?.rows, 2)
  assert.equal(completion?.error, '53400')
  assert.equal(completion?.limit, 'rows')
})

test('a bound in bytes counts frames whole, and cuts before the frame that passes it', () => {
  const size = server.row('x').length
  const fixture = limited({ bytes: server.rowDescription.length + 2 * size })
  fixture.client(query('select'))
  assert.equal(fixture.server(server.rowDescription, rows(2)), 'T D D')
  assert.equal(fixture.session.takeCancel(), false)
  const long = server.row('y'.repeat(100_000))
  assert.equal(fixture.server(long.subarray(0, 50)), '', 'nothing of a row that is too much')
  assert.equal(fixture.session.takeCancel(), true)
  assert.equal(fixture.server(long.subarray(50), CANCELED, server.ready('I')), 'E(53400) Z(I)')
  assert.match(lastError(fixture, 'M') ?? '', /size limit: the grant allows \d+ bytes/)
})

test('notices of a function count as bytes of its reply', () => {
  const fixture = limited({ bytes: 100 })
  fixture.client(query('select'))
  assert.equal(fixture.server(server.notice('n'.repeat(50)), server.notice('n'.repeat(50))), 'N')
  assert.equal(fixture.session.takeCancel(), true)
})

test('a statement that had ended before the cancel is told so, and no cancel is asked for any more', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(query('select'))
  assert.equal(
    fixture.server(server.rowDescription, rows(3), server.complete('SELECT 3'), server.ready('I')),
    'T D E(53400) Z(I)',
  )
  assert.equal(fixture.session.takeCancel(), false)
  assert.match(lastError(fixture, 'D') ?? '', /had ended on the server before/)
  assert.equal(fixture.client(query('next')), 'Q(next)', 'nothing waits')
  assert.equal(fixture.completions[0]?.limit, 'rows')
})

test('in a transaction the error aborts it, also where the server had completed the statement', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(query('begin'))
  fixture.server(server.complete('BEGIN'), server.ready('T'))
  fixture.client(query('select'))
  const sent = fixture.toServer.length
  assert.equal(
    fixture.server(server.rowDescription, rows(2), server.complete('SELECT 2'), server.ready('T')),
    'T D E(53400)',
  )
  assert.match(fixture.toServer.subarray(sent).toString('latin1'), /^Q.*bulkhead_passed_a_limit/s)
  assert.equal(fixture.session.idle, false)
  assert.equal(
    fixture.server(
      server.error('42601', 'syntax error at or near "bulkhead_passed_a_limit"'),
      server.ready('E'),
    ),
    'Z(E)',
  )
  assert.equal(fixture.client(query('rollback')), 'Q(rollback)')
  assert.equal(fixture.server(server.complete('ROLLBACK'), server.ready('I')), 'C(ROLLBACK) Z(I)')
  assert.deepEqual(
    fixture.completions.map(({ error }) => error),
    [undefined, '53400', undefined],
  )
})

test('of several statements in one Query nothing more is seen, whatever the server goes on to do', () => {
  const fixture = limited({ rows: 2 })
  fixture.client(query('select; copy a to stdout; insert'))
  const reply = [
    server.rowDescription,
    rows(2),
    server.complete('SELECT 2'),
    server.rowDescription,
    rows(1),
    server.complete('SELECT 1'),
    server.copyOut,
    server.copyData('a'),
    server.copyDone,
    server.complete('COPY 1'),
    server.notification,
    server.setting('TimeZone', 'UTC+1'),
    server.notice('n'),
    server.complete('INSERT 0 7'),
    server.ready('I'),
  ]
  assert.equal(fixture.server(...reply), 'T D D C(SELECT 2) T A S E(53400) Z(I)')
  assert.equal(fixture.completions[0]?.rows, 2)
})

test('a copy that begins behind the bound is failed for the client, which is never told of it', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(query('select; copy a from stdin'))
  const sent = fixture.toServer.length
  assert.equal(
    fixture.server(server.rowDescription, rows(2), server.complete('SELECT 2'), server.copyIn),
    'T D',
  )
  assert.equal(fixture.toServer.subarray(sent).toString('latin1', 0, 1), 'f')
  assert.equal(
    fixture.server(server.error('57014', 'COPY from stdin failed'), server.ready('I')),
    'E(53400) Z(I)',
  )
})

test('the data of a COPY TO counts piece by piece', () => {
  const fixture = limited({ rows: 2 })
  fixture.client(query('copy a to stdout'))
  const data = [1, 2, 3, 4].map((number) => server.copyData(`${number}\n`))
  assert.equal(fixture.server(server.copyOut, ...data), 'H d d')
  assert.equal(fixture.session.takeCancel(), true)
  assert.equal(fixture.server(CANCELED, server.ready('I')), 'E(53400) Z(I)')
})

test('a cancelled Execute makes the server skip to Sync, and the client sees just that', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(extended('select'), sync)
  assert.equal(fixture.server(server.parseComplete, server.bindComplete, rows(3)), '1 2 D')
  assert.equal(fixture.session.takeCancel(), true)
  assert.equal(fixture.server(rows(1), CANCELED, server.ready('I')), 'E(53400) Z(I)')
})

test('behind an Execute that was not cancelled in time the client sees nothing up to ReadyForQuery', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(extended('select'), close('P'), bind(), sync)
  assert.equal(
    fixture.server(
      server.parseComplete,
      server.bindComplete,
      rows(3),
      server.complete('SELECT 3'),
      server.closeComplete,
      server.bindComplete,
      server.notice('n'),
      server.notification,
      server.ready('I'),
    ),
    '1 2 D E(53400) A Z(I)',
  )
  assert.equal(fixture.session.takeCancel(), false)
})

test('a portal that is suspended behind its bound ends in the same way', () => {
  const fixture = limited({ rows: 2 })
  fixture.client(parse('select'), bind('', 'p'), execute('p', 5), flush)
  const sent = fixture.toServer.length
  assert.equal(
    fixture.server(server.parseComplete, server.bindComplete, rows(5), server.suspended),
    '1 2 D D E(53400)',
  )
  assert.equal(fixture.client(execute('p', 5), query('skipped'), sync), 'S', 'skipped up to Sync')
  assert.equal(fixture.server(server.ready('I')), 'Z(I)')
  assert.equal(fixture.toServer.subarray(sent).includes('skipped'), false)
})

test('each Execute of a portal is a statement with a bound of its own', () => {
  const fixture = limited({ rows: 2 })
  fixture.client(parse('select'), bind('', 'p'), execute('p', 2), execute('p', 2), sync)
  assert.equal(
    fixture.server(
      server.parseComplete,
      server.bindComplete,
      rows(2),
      server.suspended,
      rows(2),
      server.complete('SELECT 2'),
      server.ready('I'),
    ),
    '1 2 D D s D D C(SELECT 2) Z(I)',
  )
})

test('an Execute in a transaction block that was not cancelled in time aborts it behind its Sync', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(query('begin'))
  fixture.server(server.complete('BEGIN'), server.ready('T'))
  fixture.client(extended('select'), sync)
  assert.equal(
    fixture.server(
      server.parseComplete,
      server.bindComplete,
      rows(2),
      server.complete('SELECT 2'),
      server.ready('T'),
    ),
    '1 2 D E(53400)',
  )
  assert.equal(fixture.server(server.error('42601', 'syntax error'), server.ready('E')), 'Z(E)')
})

test('a session ends where a later statement of the same batch has run that the client takes for skipped', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(extended('select'), extended('insert'), sync)
  fixture.server(server.parseComplete, server.bindComplete)
  assert.throws(() => fixture.server(rows(2), server.complete('SELECT 2')), ProtocolError)
  fixture.session.end({ kind: 'protocol_error', message: 'x' })
  fixture.collect()
  assert.equal(serverText(fixture.toClient), '1 2 D E(53400)')
  assert.equal(lastError(fixture, 'V'), 'FATAL')
})

test('a session ends where a transaction goes on that the client takes for aborted', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(extended('begin'), sync, extended('select'), sync, extended('insert'), sync)
  fixture.server(server.parseComplete, server.bindComplete, server.complete('BEGIN'), server.ready('T'))
  fixture.server(server.parseComplete, server.bindComplete)
  assert.throws(() => fixture.server(rows(2), server.complete('SELECT 2'), server.ready('T')), ProtocolError)
  fixture.session.end({ kind: 'protocol_error', message: 'x' })
  fixture.collect()
  assert.match(serverText(fixture.toClient), /1 2 D E\(53400\) E\(53400\)$/)
  assert.equal(lastError(fixture, 'V'), 'FATAL')
})

test('pipelined batches outside a transaction go on behind one that was too long', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(extended('select'), sync, extended('insert'), sync)
  assert.equal(
    fixture.server(
      server.parseComplete,
      server.bindComplete,
      rows(2),
      server.complete('SELECT 2'),
      server.ready('I'),
      server.parseComplete,
      server.bindComplete,
      server.complete('INSERT 0 1'),
      server.ready('I'),
    ),
    '1 2 D E(53400) Z(I) 1 2 C(INSERT 0 1) Z(I)',
  )
})

test('while a cancel is under way nothing new is sent, and afterwards all of it', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(query('select'))
  fixture.server(server.rowDescription, rows(2))
  assert.equal(fixture.client(query('next')), '', 'not even before it is asked for')
  assert.equal(fixture.session.takeCancel(), true)
  fixture.server(CANCELED, server.ready('I'))
  assert.equal(fixture.session.next(), undefined)
  assert.equal(fixture.session.idle, false)
  fixture.session.cancelsOver()
  assert.equal(fixture.client(), 'Q(next)')
})

test('a statement that was judged but not yet let through waits for a cancel too', () => {
  const fixture = new Fixture()
  fixture.client(query('slow'))
  fixture.session.fromClient(query('next'))
  assert.equal(fixture.session.next()?.text, 'next')
  fixture.session.timeOut(1, TIMED_OUT)
  assert.equal(fixture.session.next(), undefined)
  fixture.server(CANCELED, server.ready('I'))
  fixture.session.cancelsOver()
  assert.equal(fixture.session.next()?.text, 'next')
})

test('a statement whose time is out is told so in the place of the error', () => {
  const fixture = new Fixture()
  fixture.client(query('slow'))
  fixture.server(server.rowDescription, rows(1))
  fixture.session.timeOut(1, TIMED_OUT)
  assert.equal(fixture.session.takeCancel(), false, 'whoever keeps the time cancels')
  assert.equal(fixture.server(rows(1), CANCELED, server.ready('I')), 'D E(57014) Z(I)')
  assert.equal(
    lastError(fixture, 'M'),
    'canceling statement due to statement timeout: the grant allows 5s a statement',
  )
  assert.equal(lastError(fixture, 'H'), 'ask for another grant')
  assert.equal(fixture.completions[0]?.limit, 'time')
  assert.equal(fixture.completions[0]?.error, '57014')
})

test('a statement that ends in another way before its cancel is answered as it ended', () => {
  for (const [end, text] of [
    [server.complete('SELECT 0'), 'C(SELECT 0) Z(I)'],
    [server.error('22012', 'division by zero'), 'E(22012) Z(I)'],
  ] as const) {
    const fixture = new Fixture()
    fixture.client(query('slow'))
    fixture.session.timeOut(1, TIMED_OUT)
    assert.equal(fixture.server(end, server.ready('I')), text)
    assert.equal(fixture.completions[0]?.limit, undefined)
    assert.equal(fixture.client(query('next')), '', 'its cancel may come late')
    fixture.session.cancelsOver()
    assert.equal(fixture.client(), 'Q(next)')
  }
})

test('a statement that has ended cannot time out', () => {
  const fixture = new Fixture()
  fixture.client(query('quick'))
  fixture.server(server.complete('SELECT 0'), server.ready('I'))
  fixture.session.timeOut(1, TIMED_OUT)
  assert.equal(fixture.client(query('next')), 'Q(next)')
})

test('a pipelined statement that a late cancel hits is told whose cancel it was', () => {
  const fixture = new Fixture()
  fixture.client(query('slow'), query('innocent'), query('another'))
  fixture.session.timeOut(1, TIMED_OUT)
  fixture.server(server.complete('SELECT 0'), server.ready('I'))
  fixture.session.cancelsOver()
  assert.equal(fixture.server(CANCELED, server.ready('I')), 'E(57014) Z(I)')
  assert.match(lastError(fixture, 'M') ?? '', /meant for another statement, statement timeout: the grant/)
  fixture.server(server.complete('SELECT 0'), server.ready('I'))
  fixture.client(query('later'))
  fixture.server(CANCELED, server.ready('I'))
  assert.equal(lastError(fixture, 'M'), 'canceling statement due to user request', "the client's own")
})

test('a COPY FROM STDIN whose time is out is failed for the server, which does not look at cancels in it', () => {
  const fixture = new Fixture()
  fixture.client(query('copy a from stdin'))
  fixture.server(server.copyIn)
  fixture.client(copyData('1\n'))
  const sent = fixture.toServer.length
  fixture.session.timeOut(1, TIMED_OUT)
  assert.equal(fixture.client(copyData('2\n')), 'f H')
  assert.equal(
    fixture.server(server.error('57014', 'COPY from stdin failed'), server.ready('I')),
    'E(57014) Z(I)',
  )
  assert.match(lastError(fixture, 'M') ?? '', /statement timeout/)
  assert.equal(fixture.toServer.subarray(sent).includes('2\n'), false)
})

test('the last words of the server pass, whatever has been passed', () => {
  const fixture = limited({ rows: 1 })
  fixture.client(query('select'))
  fixture.server(rows(2))
  assert.equal(fixture.server(server.error('57P01', 'terminating connection', 'FATAL')), 'E(57P01)')
})

test('a bound holds for what is relayed after it was set', () => {
  const fixture = new Fixture()
  fixture.client(query('select'))
  fixture.session.limitReplies({ rows: 1, bytes: undefined })
  assert.equal(
    fixture.server(rows(2), server.complete('SELECT 2'), server.ready('I')),
    'D D C(SELECT 2) Z(I)',
  )
  fixture.client(query('select'))
  assert.equal(fixture.server(rows(2), server.complete('SELECT 2'), server.ready('I')), 'D E(53400) Z(I)')
})
