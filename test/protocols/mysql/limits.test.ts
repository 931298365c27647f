/** Replies that are cut at a bound, statements that run out of their time, and cancels that come late. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Completion, Denial, ReplyLimits } from '../../../protocols/session.ts'
import { CLASSIC, type Conversation, MODERN, openConversation, serverGreeting } from './conversation.ts'
import {
  command,
  commandsIn,
  eof,
  err,
  execute,
  inWords,
  ok,
  packets,
  prepare,
  prepared,
  query,
  result,
  split,
  uint32,
} from './packets.ts'

const NONE: ReplyLimits = { rows: undefined, bytes: undefined }

function bounded(limits: Partial<ReplyLimits>, flags = CLASSIC): Conversation {
  const talk = openConversation({ flags })
  talk.session.limitReplies?.({ ...NONE, ...limits })
  return talk
}

const rowsOf = (count: number): string[][] => Array.from({ length: count }, (_, index) => [`row ${index}`])

const error = (stream: Buffer): string => inWords(stream).at(-1) ?? ''

function completions({ session }: Conversation): Completion[] {
  const found: Completion[] = []
  for (let done = session.completion(); done !== undefined; done = session.completion()) found.push(done)
  return found
}

const ROWS_ERROR =
  "ERR 1226 42000User 'r-42'@'bulkhead' has exceeded the 'rows' resource (current value: 3): " +
  'the reply was cut at 3 rows, which is what the grant allows for one statement'

describe('a bound on rows', () => {
  test('lets a result of exactly so many through as it came', () => {
    const talk = bounded({ rows: 3 })
    const reply = result({ rows: rowsOf(3) })
    talk.client(query('select 1'))
    talk.server(reply)
    assert.deepEqual(talk.toClient(), reply)
    assert.equal(completions(talk)[0]?.limit, undefined)
    assert.equal(talk.session.takeCancel?.(), false)
  })

  for (const flags of [CLASSIC, MODERN]) {
    const deprecateEof = flags === MODERN
    const layout = deprecateEof ? 'without EOF packets' : 'with EOF packets'

    test(`puts an error in the place of the first row beyond it, ${layout}`, () => {
      const talk = bounded({ rows: 3 }, flags)
      const reply = result({ rows: rowsOf(9), deprecateEof })
      const kept = result({ rows: rowsOf(3), deprecateEof })
      // What comes before the end of the result.
      const before = kept.subarray(0, kept.length - 4 - (split(kept).at(-1)?.body.length ?? 0))
      talk.client(query('select 1'))
      talk.server(reply)
      const seen = talk.toClient()
      assert.deepEqual(seen.subarray(0, before.length), before)
      assert.deepEqual(inWords(seen.subarray(before.length)), [`${split(before).length + 1}:${ROWS_ERROR}`])
      assert.deepEqual(completions(talk), [
        { statementId: 1, rows: 3, bytes: seen.length, error: undefined, limit: 'rows' },
      ])
      talk.client(query('select 2'))
      assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1', '3 select 2'])
    })
  }

  test('asks once for a cancel, and hides the error with which the server ends', () => {
    const talk = bounded({ rows: 3 })
    const stream = split(result({ rows: rowsOf(5) }))
      .slice(0, -1)
      .map(({ body }) => body)
    talk.client(query('select 1'))
    talk.server(packets(1, ...stream.slice(0, 5)))
    assert.equal(talk.session.takeCancel?.(), false)
    talk.server(packets(6, ...stream.slice(5)))
    assert.deepEqual([talk.session.takeCancel?.(), talk.session.takeCancel?.()], [true, false])
    assert.equal(error(talk.toClient()), `6:${Buffer.from('\x05row 2').toString('hex')}`)
    assert.deepEqual(completions(talk), [])
    talk.server(packets(1 + stream.length, err(1317, 'Query execution was interrupted')))
    assert.deepEqual(inWords(talk.toClient()), [`7:${ROWS_ERROR}`])
    const [done] = completions(talk)
    assert.deepEqual([done?.rows, done?.error, done?.limit], [3, '1317', 'rows'])
  })

  test('asks for no cancel where the whole reply has come already', () => {
    const talk = bounded({ rows: 3 })
    talk.client(query('select 1'))
    talk.server(result({ rows: rowsOf(9) }))
    assert.equal(talk.session.takeCancel?.(), false)
  })

  test('counts the rows of all results of a procedure together, and drops the results that follow', () => {
    const talk = bounded({ rows: 3 })
    talk.client(query('call p'))
    const first = result({ rows: rowsOf(2), status: 10 })
    const second = result({ rows: rowsOf(2), status: 10, from: 1 + split(first).length })
    const more = 1 + split(first).length + split(second).length
    talk.server(Buffer.concat([first, second, result({ rows: rowsOf(1), status: 10, from: more })]))
    const seen = split(talk.toClient()).length
    assert.equal(seen, split(first).length + 4)
    // The procedure still runs: what it says at its end ends the reply.
    assert.equal(completions(talk).length, 0)
    talk.server(packets(more + 5, ok()))
    assert.deepEqual(inWords(talk.toClient()), [`${seen + 1}:${ROWS_ERROR}`])
    assert.deepEqual(
      completions(talk).map(({ rows, limit }) => [rows, limit]),
      [[3, 'rows']],
    )
  })

  test('of one statement holds over all fetches from its cursor', () => {
    const talk = bounded({ rows: 3 })
    talk.client(prepare('select 1 from orders'))
    talk.server(prepared(3))
    talk.client(execute(3, 1))
    talk.server(packets(1, Buffer.of(1), split(result())[1]?.body ?? eof(), eof(0x42)))
    talk.toClient()
    const fetch = command(28, uint32(3), uint32(2))
    talk.client(fetch)
    talk.server(packets(1, Buffer.of(0, 0), Buffer.of(0, 0), eof(0x42)))
    assert.deepEqual(inWords(talk.toClient()).length, 3)
    talk.client(fetch)
    talk.server(packets(1, Buffer.of(0, 0), Buffer.of(0, 0), eof(0x42)))
    assert.deepEqual(inWords(talk.toClient()).slice(1), [`2:${ROWS_ERROR}`])
    talk.client(fetch)
    talk.server(packets(1, Buffer.of(0, 0), eof(0x82)))
    assert.deepEqual(inWords(talk.toClient()), [`1:${ROWS_ERROR}`])
    // Executed anew it begins anew.
    talk.client(execute(3, 1))
    talk.server(packets(1, Buffer.of(1), split(result())[1]?.body ?? eof(), eof(0x42)))
    talk.toClient()
    talk.client(fetch)
    talk.server(packets(1, Buffer.of(0, 0), Buffer.of(0, 0), eof(0x42)))
    assert.deepEqual(inWords(talk.toClient()).length, 3)
    assert.deepEqual(
      completions(talk).map(({ rows, limit }) => [rows, limit]),
      [
        [0, undefined],
        [0, undefined],
        [2, undefined],
        [1, 'rows'],
        [0, 'rows'],
        [0, undefined],
        [2, undefined],
      ],
    )
  })

  test('does not hold for what was relayed before it', () => {
    const talk = openConversation()
    const reply = result({ rows: rowsOf(5) })
    talk.client(query('select 1'))
    talk.session.limitReplies?.({ ...NONE, rows: 3 })
    talk.server(reply)
    assert.deepEqual(talk.toClient(), reply)
  })

  test("leaves the server's own errors, and results without rows, as they are", () => {
    const talk = bounded({ rows: 1, bytes: 1 })
    talk.client(query('select 1'))
    talk.server(packets(1, err(1146, 'no such table')))
    assert.match(error(talk.toClient()), /^1:ERR 1146/)
    talk.client(query('select 2'))
    talk.server(packets(1, ok({ info: 'Rows matched: 1' })))
    assert.match(error(talk.toClient()), /^1:OK/)
  })

  test('never bounds a statement of our own', () => {
    const talk = bounded({ rows: 1, bytes: 1 })
    talk.client(command(31))
    talk.server(packets(1, ok()))
    talk.server(packets(1, ok()))
    talk.client(query('select 1'))
    assert.equal(commandsIn(talk.toServer()).at(-1), '3 select 1')
  })
})

describe('a bound on bytes', () => {
  const reply = result({ rows: rowsOf(5) })
  const bodies = split(reply)
  /** Bytes up to the end of the row of this index. */
  const upTo = (row: number): number =>
    bodies.slice(0, 4 + row).reduce((sum, { body }) => sum + 4 + body.length, 0)

  for (const [bytes, rows] of [
    [upTo(2), 3],
    [upTo(2) - 1, 2],
    [upTo(0) - 1, 0],
    [1, 0],
  ] as const) {
    test(`of ${bytes} lets ${rows} rows through`, () => {
      const talk = bounded({ bytes })
      talk.client(query('select 1'))
      talk.server(reply)
      const seen = talk.toClient()
      assert.match(error(seen), /^\d+:ERR 1226 .*'bytes' resource \(current value: \d+\)/)
      assert.equal(split(seen).length, 4 + rows)
      assert.deepEqual([completions(talk)[0]?.rows, split(seen).at(-1)?.sequence], [rows, 4 + rows])
    })
  }

  test('counts headers, and lets a reply of exactly so many through', () => {
    const talk = bounded({ bytes: reply.length })
    talk.client(query('select 1'))
    talk.server(reply)
    assert.deepEqual(talk.toClient(), reply)
  })

  test('cuts before a row that is announced longer, without waiting for it', () => {
    const talk = bounded({ bytes: 1_000 })
    talk.client(query('select 1'))
    const head = result({ rows: [] })
    const start = head.subarray(0, head.length - 9)
    const row = Buffer.from([0xff, 0xff, 0x7f, 4, 0xfd])
    talk.server(Buffer.concat([start, row]))
    assert.equal(talk.session.takeCancel?.(), true)
    assert.deepEqual(talk.toClient(), start)
  })

  test('ends the session where it is passed inside of a row of several packets', () => {
    const talk = bounded({ bytes: 20 << 20 })
    talk.client(query('select 1'))
    const head = result({ rows: [] })
    talk.server(head.subarray(0, head.length - 9))
    const full = (sequence: number): Buffer => {
      const bytes = Buffer.alloc(4 + 0xffffff)
      bytes.writeUIntLE(0xffffff, 0, 3)
      bytes[3] = sequence
      return bytes
    }
    talk.server(full(4))
    const passed = talk.toClient().length
    assert.equal(talk.session.finished, undefined)
    talk.server(full(5))
    assert.equal(talk.session.finished, 'limit')
    assert.equal(talk.toClient().length, 0)
    const bytes = head.length - 9 + 4 + 0xffffff
    assert.equal(passed, bytes)
    assert.deepEqual(completions(talk), [
      { statementId: 1, rows: 0, bytes, error: undefined, limit: 'bytes' },
    ])
  })
})

describe('a session that ends while a reply is being cut', () => {
  test('says why where the next row was to stand, even inside of a row of the server', () => {
    const talk = bounded({ rows: 1 })
    const reply = result({ rows: rowsOf(3) })
    talk.client(query('select 1'))
    talk.server(reply.subarray(0, reply.length - 9 - 4))
    talk.toClient()
    talk.session.end({ kind: 'revoked', message: 'no longer' })
    assert.deepEqual(inWords(talk.toClient()), ['5:ERR 1927 70100Connection was killed: no longer'])
  })
})

const LATE: Denial = { reason: 'limit', message: 'the grant allows a statement to run for 5 s', hint: 'ask' }

describe('a statement whose time is up', () => {
  test("ends with MariaDB's own error for that, which says why", () => {
    const talk = openConversation()
    talk.client(query('select 1'))
    talk.session.timeOut?.(1, LATE)
    talk.server(packets(1, err(1317, 'Query execution was interrupted')))
    assert.deepEqual(inWords(talk.toClient()), [
      '1:ERR 1969 70100Query execution was interrupted (max_statement_time exceeded): ' +
        'the grant allows a statement to run for 5 s; ask',
    ])
    const [done] = completions(talk)
    assert.deepEqual([done?.error, done?.limit], ['1317', 'time'])
  })

  test("ends with MySQL's, between rows", () => {
    const talk = openConversation({ catalog: { flavour: 'mysql' } })
    talk.client(query('select 1'))
    const reply = result({ rows: rowsOf(3) })
    talk.server(reply.subarray(0, reply.length - 9))
    talk.session.timeOut?.(1, LATE)
    talk.server(packets(7, err(1317, 'Query execution was interrupted')))
    assert.match(error(talk.toClient()), /^7:ERR 3024 HY000.*maximum statement execution time exceeded: the/)
  })

  test('that ended before the cancel came is told as it ended', () => {
    for (const end of [ok(), err(1062, 'Duplicate entry')]) {
      const talk = openConversation()
      talk.client(query('select 1'))
      talk.session.timeOut?.(1, LATE)
      talk.server(packets(1, end))
      assert.deepEqual(split(talk.toClient())[0]?.body, end)
      assert.equal(completions(talk)[0]?.limit, undefined)
    }
  })

  test('passes its denial on to no other statement', () => {
    const talk = openConversation()
    talk.session.timeOut?.(1, LATE)
    talk.client(Buffer.concat([query('select 1'), query('select 2')]))
    talk.session.timeOut?.(2, LATE)
    talk.server(packets(1, err(1317, 'interrupted')))
    talk.server(packets(1, err(1317, 'interrupted')))
    const theirs = '1:ERR 1317 HY000interrupted'
    assert.deepEqual(inWords(talk.toClient()), [theirs, theirs])
  })
})

describe('a cancel that is on its way', () => {
  /** Plays the server to a cancel up to its statement. */
  function arrive(talk: Conversation): () => void {
    const cancel = talk.backend.cancel()
    assert.ok(cancel)
    return () => {
      cancel.fromServer(serverGreeting())
      cancel.next()
      cancel.fromServer(packets(2, ok()))
      cancel.next()
      assert.match(Buffer.concat(cancel.takeForServer()).toString('latin1'), /KILL QUERY 77$/)
      cancel.fromServer(packets(1, ok()))
      assert.equal(cancel.next()?.kind, 'ready')
    }
  }

  test('lets no statement of the client begin before it has arrived', () => {
    const talk = bounded({ rows: 3 })
    talk.client(Buffer.concat([query('select 1'), query('select 2')]))
    const done = arrive(talk)
    talk.server(result({ rows: rowsOf(9) }))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1'])
    talk.client(Buffer.alloc(0))
    assert.equal(talk.toServer().length, 0)
    done()
    talk.client(Buffer.alloc(0))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 2'])
  })

  test('that has failed is over when its owner says so', () => {
    const talk = openConversation()
    arrive(talk)
    arrive(talk)
    talk.client(query('select 1'))
    assert.equal(talk.toServer().length, 0)
    talk.session.cancelsOver?.()
    talk.client(Buffer.alloc(0))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1'])
  })

  test('holds back what we have to say ourselves, too', () => {
    const talk = openConversation()
    talk.client(command(31))
    const done = arrive(talk)
    talk.server(packets(1, ok()))
    assert.deepEqual(commandsIn(talk.toServer()), ['31'])
    done()
    talk.client(query('select 1'))
    assert.match(commandsIn(talk.toServer()).join(), /^3 SET NAMES/)
    talk.server(packets(1, ok()))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1'])
  })

  test('is over when the server refuses its login', () => {
    const talk = openConversation()
    const cancel = talk.backend.cancel()
    cancel?.fromServer(packets(0, err(1040, 'Too many connections')))
    assert.equal(cancel?.next()?.kind, 'failed')
    talk.client(query('select 1'))
    assert.deepEqual(commandsIn(talk.toServer()), ['3 select 1'])
  })

  test('that hits a statement of our own has it said again', () => {
    const talk = openConversation()
    talk.client(command(31))
    talk.server(packets(1, ok()))
    const [, pin] = commandsIn(talk.toServer())
    assert.match(pin ?? '', /^3 SET NAMES/)
    talk.server(packets(1, err(1317, 'interrupted')))
    assert.deepEqual(commandsIn(talk.toServer()), [pin])
  })
})

test('a bounded reply is cut at the same place however the stream is', () => {
  const reply = fc.record({
    rows: fc.array(fc.string({ maxLength: 9 }), { maxLength: 12 }),
    deprecateEof: fc.boolean(),
    ends: fc.constantFrom('end', 'killed'),
  })
  const bound = fc.record({
    rows: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
    bytes: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
  })
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(reply, bound, cuts, ({ rows, deprecateEof, ends }, limits, sizes) => {
      const whole = result({ rows: rows.map((text) => [text]), deprecateEof })
      const parts = split(whole)
      const stream =
        ends === 'end'
          ? whole
          : packets(1, ...parts.slice(0, -1).map(({ body }) => body), err(1317, 'interrupted'))
      const play = (pieces: readonly number[]): { seen: Buffer; done: Completion[] } => {
        const talk = bounded(limits, deprecateEof ? MODERN : CLASSIC)
        talk.client(query('select 1'))
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = pieces[turn % Math.max(1, pieces.length)] ?? stream.length
          talk.server(Buffer.from(stream.subarray(at, at + size)))
          at += size
        }
        return { seen: talk.toClient(), done: completions(talk) }
      }
      const once = play([])
      assert.deepEqual(play(sizes), once)
      const seen = split(once.seen)
      // In sequence, and within the bounds up to the error.
      assert.deepEqual(
        seen.map(({ sequence }) => sequence),
        seen.map((_, index) => index + 1),
      )
      const [done] = once.done
      assert.ok((done?.rows ?? 0) <= (limits.rows ?? Infinity))
      const total = split(stream).length
      if (done?.limit === undefined) assert.deepEqual(once.seen, stream)
      else assert.ok(seen.length <= total && /ERR 1226/.test(error(once.seen)))
    }),
    { numRuns: Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 300) },
  )
})
