/** Bounds on replies: what passes them is swallowed, and an error stands in its place. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { ReplyLimits } from '../../../protocols/session.ts'
import { Conversation } from './conversation.ts'
import { cut, raw, text } from './wire.ts'

const ROWS = '-ERR the reply has a list of more than 3 elements, the limit of the grant|'
const BYTES = '-ERR the reply is longer than 20 bytes, the limit of the grant|'

function bounded(limits: Partial<ReplyLimits>, version: 2 | 3 = 2): Conversation {
  const it = new Conversation(version)
  it.session.limitReplies({ rows: undefined, bytes: undefined, ...limits })
  return it
}

/** Gives the server's bytes in pieces, and what the client gets of them. */
function feed(it: Conversation, pieces: readonly Buffer[]): string {
  const got: Buffer[] = []
  for (const piece of pieces) {
    it.session.fromServer(piece)
    got.push(...it.session.takeForClient())
  }
  return text(got)
}

describe('a reply', () => {
  const cases: [string, Partial<ReplyLimits>, string, string][] = [
    ['of as many elements as are allowed', { rows: 3 }, '*3|:1|:2|:3|', '*3|:1|:2|:3|'],
    ['of one element more', { rows: 3 }, '*4|:1|:2|:3|:4|', ROWS],
    ['that is a set of too many', { rows: 3 }, '~4|:1|:2|:3|:4|', ROWS],
    ['that is a map of too many pairs', { rows: 3 }, '%4|:1|:1|:2|:2|:3|:3|:4|:4|', ROWS],
    ['that is a map of as many pairs', { rows: 3 }, '%3|:1|:1|:2|:2|:3|:3|', '%3|:1|:1|:2|:2|:3|:3|'],
    ['with a long list inside a short one', { rows: 3 }, '*2|$1|0|*4|:1|:2|:3|:4|', ROWS],
    ['with short lists inside', { rows: 3 }, '*2|*3|:1|:2|:3|*3|:1|:2|:3|', '*2|*3|:1|:2|:3|*3|:1|:2|:3|'],
    ['that is null', { rows: 3, bytes: 20 }, '*-1|', '*-1|'],
    [
      'that is one value, as to rows',
      { rows: 3 },
      '$30|123456789012345678901234567890|',
      '$30|123456789012345678901234567890|',
    ],
    ['of as many bytes as are allowed', { bytes: 20 }, '$13|1234567890123|', '$13|1234567890123|'],
    ['of one byte more', { bytes: 20 }, '$14|12345678901234|', BYTES],
    ['whose elements make it too long', { bytes: 20 }, '*2|$5|12345|$5|12345|', BYTES],
    ['whose elements do not', { bytes: 20 }, '*2|$1|1|$1|1|', '*2|$1|1|$1|1|'],
    [
      'that is an error, however long',
      { bytes: 20 },
      '-ERR a sentence of more than twenty bytes|',
      '-ERR a sentence of more than twenty bytes|',
    ],
  ]
  for (const [what, limits, sent, got] of cases) {
    const passes = sent === got
    test(`${what} ${passes ? 'passes' : 'is swallowed'}, however it is cut`, () => {
      for (const size of [1, 2, 3, 1000]) {
        const it = bounded(limits, 3)
        it.client('GET a', 'PING')
        const bytes = raw(`${sent}+PONG|`)
        const answers = feed(it, cut(bytes, new Array(bytes.length).fill(size)))
        assert.equal(answers, `${got}+PONG|`)
        const [first, second] = it.completions()
        assert.equal(first?.limit, passes ? undefined : 'rows' in limits ? 'rows' : 'bytes')
        assert.equal(first?.error, got.startsWith('-') ? 'ERR' : undefined)
        if (!passes) assert.equal(first?.rows, 0)
        assert.deepEqual(second, { statementId: 2, rows: 0, bytes: 7, error: undefined })
        assert.equal(it.session.finished, undefined)
        assert.equal(it.session.takeCancel(), false)
      }
    })
  }

  test('is refused by its header, before its bytes have come', () => {
    const it = bounded({ bytes: 1000, rows: 10 })
    it.client('GET a', 'LRANGE l 0 -1')
    assert.equal(it.server('$536870912|'), '')
    for (let i = 0; i < 8192; i++) it.session.fromServer(Buffer.alloc(65_536))
    assert.match(it.server('|*1000000|'), /^-ERR the reply is longer than 1000 bytes/)
    it.session.fromServer(Buffer.from(':7\r\n'.repeat(1_000_000)))
    assert.match(it.answers, /^-ERR the reply has a list of more than 10 elements/)
  })

  test('of a command sent before the bounds were set is not bounded, and of one sent under others by those', () => {
    const it = new Conversation()
    it.client('LRANGE l 0 -1')
    it.session.limitReplies({ rows: 3, bytes: undefined })
    it.client('LRANGE l 0 -1')
    it.session.limitReplies({ rows: undefined, bytes: undefined })
    it.client('LRANGE l 0 -1')
    const list = '*4|:1|:2|:3|:4|'
    assert.equal(it.server(`${list}${list}${list}`), `${list}${ROWS}${list}`)
  })

  test('too big to be held passes as it comes, and ends the session where it passes its bound', () => {
    const it = bounded({ bytes: 2 * 1024 * 1024, rows: 10_000_000 })
    it.client('LRANGE l 0 -1', 'GET a')
    const element = `$65536|${'x'.repeat(65_536)}|`
    // 26 elements fit and 40 do not: not to be told from the header.
    let got = it.server('*40|')
    assert.equal(got, '')
    for (let i = 0; i < 40 && !it.session.finished; i++) got += it.server(element)
    assert.equal(it.session.finished, 'limit')
    assert.ok(got.length > 1024 * 1024 && got.length <= 2 * 1024 * 1024)
    assert.ok(got.startsWith('*40|$65536|xxx'))
    assert.equal(it.server('$1|a|'), '')
    assert.equal(it.session.next(), undefined)
    assert.deepEqual(
      it.completions().map(({ statementId, limit }) => [statementId, limit]),
      [[1, 'bytes']],
    )
  })

  test('too big to be held that stays within its bound passes whole', () => {
    const it = bounded({ bytes: 4 * 1024 * 1024 })
    it.client('LRANGE l 0 -1', 'PING')
    let got = it.server('*40|')
    for (let i = 0; i < 40; i++) got += it.server(`$65536|${'x'.repeat(65_536)}|`)
    got += it.server('+PONG|')
    assert.equal(got.length, 4 + 40 * (7 + 65_537) + 6)
    assert.deepEqual(
      it.completions().map(({ limit }) => limit),
      [undefined, undefined],
    )
  })

  test('that names another server keeps its place among what is held', () => {
    const it = bounded({ rows: 3 })
    it.client('EVAL x 0')
    assert.equal(
      it.server('*3|:1|-MOVED 1 10.0.0.7:6379|') + it.server(':3|'),
      '*3|:1|-ERR the backend answered with a redirection, which is not followed|:3|',
    )
  })

  test('that is being held when the session ends leaves its place to the last words', () => {
    const it = bounded({ rows: 3 })
    it.client('LRANGE l 0 -1')
    assert.equal(it.server('*3|:1|'), '')
    it.session.end({ kind: 'shutdown', message: 'the proxy shuts down' })
    assert.equal(it.answers, '-ERR the proxy shuts down|')
  })
})

describe('in a transaction', () => {
  test('each result of EXEC is bounded by itself, and an error stands where one was too big', () => {
    for (const size of [1, 3, 1000]) {
      const it = bounded({ rows: 3 })
      it.client('MULTI', 'LRANGE l 0 -1', 'GET a', 'LRANGE m 0 -1', 'INCR n', 'EXEC', 'PING')
      const bytes = raw('+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|*4|:1|:2|:3|:4|$1|a|*2|:1|:2|-ERR x|+PONG|')
      const answers = feed(it, cut(bytes, new Array(bytes.length).fill(size)))
      assert.equal(answers, `+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|${ROWS}$1|a|*2|:1|:2|-ERR x|+PONG|`)
      const exec = it.completions().find(({ statementId }) => statementId === 6)
      assert.equal(exec?.limit, 'rows')
      assert.equal(exec?.rows, 4)
      assert.equal(exec?.error, undefined)
      assert.equal(exec?.bytes, raw('*4|*4|:1|:2|:3|:4|$1|a|*2|:1|:2|-ERR x|').length)
    }
  })
  test('an EXEC of more commands than a list may have elements passes', () => {
    const it = bounded({ rows: 1 })
    it.client('MULTI', 'INCR n', 'INCR n', 'EXEC')
    assert.equal(it.server('+OK|+QUEUED|+QUEUED|*2|:1|:2|'), '+OK|+QUEUED|+QUEUED|*2|:1|:2|')
  })
  test('an EXEC that is aborted, empty or refused is passed on', () => {
    for (const reply of ['*-1|', '*0|', '-EXECABORT Transaction discarded because of previous errors.|']) {
      const it = bounded({ rows: 1, bytes: 10 })
      it.client('MULTI', 'EXEC', 'PING')
      assert.equal(it.server(`+OK|${reply}+PONG|`), `+OK|${reply}+PONG|`)
    }
  })
})

describe('a message', () => {
  test('is not bounded in elements, and one within the bytes passes', () => {
    for (const version of [2, 3] as const) {
      const it = bounded({ rows: 1, bytes: 60 }, version)
      const mark = version === 3 ? '>' : '*'
      it.client('SUBSCRIBE c')
      const bytes = `${mark}3|$9|subscribe|$1|c|:1|${mark}3|$7|message|$1|c|$2|hi|`
      assert.equal(it.server(bytes), bytes)
    }
  })
  test('that is too big ends the session, because no error can stand in its place', () => {
    for (const version of [2, 3] as const) {
      const it = bounded({ bytes: 60 }, version)
      const mark = version === 3 ? '>' : '*'
      it.client('SUBSCRIBE c')
      const confirmed = `${mark}3|$9|subscribe|$1|c|:1|`
      assert.equal(it.server(`${confirmed}${mark}3|$7|message|$1|c|$70|x`), confirmed)
      assert.equal(it.session.finished, 'limit')
    }
  })
})

describe('a statement whose time is up', () => {
  const denial = { reason: 'limit', message: 'the grant allows a statement to run for 5 s' } as const
  const SAID = '-ERR the grant allows a statement to run for 5 s|'

  test('is answered with the denial, whatever the server says then', () => {
    for (const reply of ['-UNBLOCKED client unblocked via CLIENT UNBLOCK|', '*2|$1|l|$1|x|', '*-1|']) {
      const it = new Conversation()
      it.client('BLPOP l 0', 'PING')
      it.session.timeOut(1, denial)
      assert.equal(it.answers, '')
      assert.equal(it.server(`${reply}+PONG|`), `${SAID}+PONG|`)
      const [first] = it.completions()
      assert.equal(first?.limit, 'time')
      assert.equal(first?.error, 'ERR')
    }
  })
  test('lets nothing new through until no cancel can come late', () => {
    const it = new Conversation()
    it.client('BLPOP l 0')
    it.session.timeOut(1, denial)
    assert.equal(it.client('BLPOP m 0'), '')
    assert.equal(it.server('-UNBLOCKED client unblocked via CLIENT UNBLOCK|'), SAID)
    it.session.cancelsOver()
    it.judge()
    assert.equal(text(it.session.takeForServer()), '*3|$5|BLPOP|$1|m|$1|0|')
  })
  test('is left alone where its reply has begun to pass, or has passed', () => {
    const it = new Conversation()
    it.client('GET a', 'GET b')
    assert.equal(it.server('$5|ab'), '$5|ab')
    it.session.timeOut(1, denial)
    assert.equal(it.server('cde|'), 'cde|')
    it.session.timeOut(1, denial)
    assert.equal(it.server('$1|b|'), '$1|b|')
    assert.ok(it.completions().every(({ limit }) => limit === undefined))
  })
  test('and that is queued in a transaction is left alone: EXEC carries it out', () => {
    const it = new Conversation()
    it.client('MULTI', 'GET a', 'EXEC')
    it.session.timeOut(2, denial)
    it.session.timeOut(3, denial)
    assert.equal(it.server('+OK|+QUEUED|*1|$1|a|'), `+OK|+QUEUED|${SAID}`)
  })
})

test('under any bounds every statement has one answer in its place: the reply, or the error', () => {
  const value = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.nat(99).map((n) => `:${n}|`),
      fc.string({ maxLength: 9, unit: fc.constantFrom('a', 'b') }).map((s) => `$${s.length}|${s}|`),
      fc.array(tie('value'), { maxLength: 5 }).map((all) => `*${all.length}|${all.join('')}`),
    ),
  })).value
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 8 }),
      fc.record({
        rows: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
        bytes: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
      }),
      fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 }),
      (replies, limits, sizes) => {
        const it = new Conversation()
        it.session.limitReplies(limits)
        it.client(...replies.map(() => 'GET a'))
        const got = feed(it, cut(raw(replies.join('')), sizes))
        let expected = ''
        for (const reply of replies) {
          const longest = Math.max(0, ...[...reply.matchAll(/\*(\d+)/g)].map((m) => Number(m[1])))
          const isLong = limits.rows !== undefined && longest > limits.rows
          const isBig = limits.bytes !== undefined && raw(reply).length > limits.bytes
          expected += isLong || isBig ? 'E' : reply
        }
        assert.equal(got.replaceAll(/-ERR [^|]*\|/g, 'E'), expected)
        assert.equal(it.session.finished, undefined)
      },
    ),
    { numRuns: 2_000 },
  )
})
