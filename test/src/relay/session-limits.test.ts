import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import type { Denial, Session } from '../../../protocols/session.ts'
import { type Limits, NO_LIMITS } from '../../../src/grants/grant.ts'
import { Running } from '../../../src/relay/running.ts'
import { SessionLimits } from '../../../src/relay/session-limits.ts'

/** A session under limits, on a clock that only moves when told to. */
function bounded(limits: Partial<Limits>, expiresAtMs = 1e12) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 })
  const events: string[] = []
  const running = new Running()
  const session: Pick<Session, 'limitReplies' | 'timeOut'> = {
    limitReplies: ({ rows, bytes }) => events.push(`replies ${rows} ${bytes}`),
    timeOut: (id, { message }: Denial) => events.push(`time out ${id}: ${message}`),
  }
  const bounds = new SessionLimits({
    session: session as Session,
    running,
    now: Date.now,
    clock: Date.now,
    expiresAtMs,
    denial: (message) => ({ reason: 'limit', message }),
    cancel: () => events.push('cancel'),
    end: ({ kind, message }) => {
      events.push(`${Date.now()} ms: ${kind}: ${message}`)
      bounds.clear()
    },
  })
  bounds.set({ ...NO_LIMITS, ...limits })
  const since = (): string[] => events.splice(0)
  assert.deepEqual(since(), [`replies ${limits.rows} ${limits.bytes}`])
  return { bounds, running, since, pass: (ms: number) => mock.timers.tick(ms) }
}

test.afterEach(() => mock.timers.reset())

test('a session ends with its token', () => {
  const { pass, since } = bounded({}, 60_000)
  pass(59_999)
  assert.deepEqual(since(), [])
  pass(1)
  assert.deepEqual(since(), ['60000 ms: token_expired: the token of this run has expired'])
})

test('a token that lives longer than a timer can wait is no reason to end', () => {
  const { pass, since } = bounded({}, 4e9)
  pass(2_147_483_647)
  pass(1e9)
  assert.deepEqual(since(), [])
  pass(852_516_353)
  assert.deepEqual(since(), ['4000000000 ms: token_expired: the token of this run has expired'])
})

test('a session ends when it has lived as long as the grant allows', () => {
  const { pass, since } = bounded({ sessionMs: 1_800_000 })
  pass(1_800_000)
  assert.deepEqual(since(), ['1800000 ms: limit: the grant allows sessions of 30m'])
})

test('an idle session ends, and one that works does not', () => {
  const { bounds, running, pass, since } = bounded({ idleMs: 10_000 })
  pass(9_000)
  bounds.active()
  pass(9_000)
  running.left(1, Date.now())
  pass(60_000)
  assert.deepEqual(since(), [])
  running.ended(1, Date.now())
  bounds.active()
  pass(9_999)
  assert.deepEqual(since(), [])
  pass(10_000)
  assert.match(since().join(), /^\d+ ms: limit: the grant allows a session to be idle for 10s$/)
})

test('a statement over its time is cancelled on the backend, and the session lives on', () => {
  const { running, pass, since } = bounded({ statementMs: 5_000 })
  pass(3_000)
  running.left(1, Date.now())
  pass(4_999)
  assert.deepEqual(since(), [])
  pass(1)
  assert.deepEqual(since(), ['time out 1: the grant allows a statement to run for 5s', 'cancel'])
  running.ended(1, Date.now())
  pass(20_000)
  assert.deepEqual(since(), [])
})

test('a backend that does not heed the cancellation loses the session', () => {
  const { running, pass, since } = bounded({ statementMs: 1_000 })
  running.left(1, Date.now())
  pass(1_000)
  assert.deepEqual(since(), ['time out 1: the grant allows a statement to run for 1s', 'cancel'])
  pass(5_000)
  assert.deepEqual(since(), ['6000 ms: limit: the grant allows a statement to run for 1s'])
})

test('in a pipeline each statement has its own time, from the end of the one before', () => {
  const { running, pass, since } = bounded({ statementMs: 1_000 })
  running.left(1, Date.now())
  running.left(2, Date.now())
  pass(900)
  running.ended(1, Date.now())
  pass(900)
  assert.deepEqual(since(), [])
  pass(100)
  assert.deepEqual(since(), ['time out 2: the grant allows a statement to run for 1s', 'cancel'])
})

test('the next statement is not spared because one was cancelled just before', () => {
  const { running, pass, since } = bounded({ statementMs: 1_000 })
  running.left(1, Date.now())
  pass(1_000)
  since()
  running.ended(1, Date.now())
  running.left(2, Date.now())
  pass(1_000)
  assert.deepEqual(since(), ['time out 2: the grant allows a statement to run for 1s', 'cancel'])
})

test('other limits count what the session has lived already', () => {
  const { bounds, pass, since } = bounded({ sessionMs: 60_000 })
  pass(30_000)
  bounds.set({ ...NO_LIMITS, rows: 7, sessionMs: 40_000 })
  assert.deepEqual(since(), ['replies 7 undefined'])
  pass(10_000)
  assert.deepEqual(since(), ['40000 ms: limit: the grant allows sessions of 40s'])
})
