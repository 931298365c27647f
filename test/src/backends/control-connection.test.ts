/** What all control connections do alike, with a clock of the test's own and links that do as they are told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Analyser } from '../../../protocols/protocol.ts'
import type { BackendNotice } from '../../../src/backends/backend.ts'
import {
  ControlConnection,
  type ControlLink,
  type Learned,
  type Timing,
  UnusableServer,
} from '../../../src/backends/control-connection.ts'
import { offlineRedisAnalyser } from '../../../src/backends/redis.ts'

const ANALYSER: Analyser = await offlineRedisAnalyser({
  ...{ host: '', port: 0, user: '', password: undefined, database: '0', schema: '', tls: 'disable' },
  ca: undefined,
})

class Clock {
  nowMs = 0
  #timers: { readonly atMs: number; readonly then: () => void }[] = []

  readonly timing: Timing = {
    now: () => this.nowMs,
    after: (delayMs, then) => {
      const timer = { atMs: this.nowMs + delayMs, then }
      this.#timers.push(timer)
      return () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      }
    },
    // In the middle of the disorder: three quarters of the backoff.
    random: () => 0.5,
  }

  /** Lets time pass, timer by timer, and whatever follows from each. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    for (;;) {
      await settled()
      const next = this.#timers.sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined || next.atMs > endMs) break
      this.nowMs = next.atMs
      this.#timers.shift()
      next.then()
    }
    this.nowMs = endMs
  }
}

/** Every promise that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

type Outcome = 'good' | 'refused' | 'silent' | 'unusable' | 'unreadable'

/** A backend of which the test says how it is. */
function setting() {
  const clock = new Clock()
  const notices: BackendNotice[] = []
  const world = {
    outcome: 'good' as Outcome,
    fingerprint: 'first',
    server: 'test 1.0',
    /** When each try to connect and each reading was begun, and with which fingerprint. */
    connects: [] as number[],
    reads: [] as { atMs: number; fingerprint: string }[],
    destroyed: 0,
    ended: 0,
    readMs: 0,
    lose: (_: string): void => undefined,
  }
  const link = (lost: (why: string) => void): ControlLink<Analyser> => {
    world.lose = lost
    let reject: (error: Error) => void = () => undefined
    const never = <Result>(): Promise<Result> =>
      new Promise((_, rejected) => {
        reject = rejected
      })
    return {
      connect() {
        world.connects.push(clock.nowMs)
        if (world.outcome === 'refused') return Promise.reject(new Error('refused'))
        return world.outcome === 'silent' ? never() : Promise.resolve()
      },
      async read(fingerprint): Promise<Learned<Analyser> | undefined> {
        world.reads.push({ atMs: clock.nowMs, fingerprint })
        if (world.outcome === 'silent') return never()
        if (world.outcome === 'unreadable') throw new Error('no answer')
        if (world.outcome === 'unusable') throw new UnusableServer('it is a cluster')
        const read = { fingerprint: world.fingerprint, server: world.server }
        if (world.readMs > 0) await new Promise<void>((done) => clock.timing.after(world.readMs, done))
        if (read.fingerprint === fingerprint) return undefined
        return { knowledge: Object.create(ANALYSER) as Analyser, ...read, warnings: [] }
      },
      async end() {
        world.ended += 1
        if (world.outcome === 'silent') await never()
      },
      destroy() {
        world.destroyed += 1
        reject(new Error('destroyed'))
      },
    }
  }
  const backend = new ControlConnection({
    open: link,
    notice: (notice) => notices.push(notice),
    timing: clock.timing,
  })
  return { clock, notices, world, backend }
}

const words = (notices: readonly BackendNotice[]): string[] =>
  notices.map(({ level, message }) => `${level}: ${message}`)

test('it is reachable and knows the server when it has started', async () => {
  const { backend, notices } = setting()
  await backend.start()
  assert.equal(backend.reachable, true)
  assert.ok(backend.knowledge.current)
  assert.deepEqual(words(notices), ['info: reached test 1.0'])
})

test('a start resolves after one try, and tries follow with backoff for ever', async () => {
  const { backend, clock, notices, world } = setting()
  world.outcome = 'refused'
  await backend.start()
  assert.equal(backend.reachable, false)
  await clock.pass(60_000)
  const pauses = world.connects.slice(1).map((atMs, i) => atMs - (world.connects[i] ?? 0))
  assert.deepEqual(pauses.slice(0, 8), [187.5, 375, 750, 1_500, 3_000, 6_000, 7_500, 7_500])
  assert.deepEqual(words(notices), ['error: the catalog cannot be read: refused'], 'a repetition is no news')

  world.outcome = 'good'
  await clock.pass(10_000)
  assert.equal(backend.reachable, true)
  assert.deepEqual(words(notices).slice(1), [
    'info: reached test 1.0',
    'info: the control connection is back',
  ])
})

test('the backoff begins anew after a connection that worked', async () => {
  const { backend, clock, world } = setting()
  world.outcome = 'refused'
  await backend.start()
  await clock.pass(30_000)
  world.outcome = 'good'
  await clock.pass(10_000)
  assert.equal(backend.reachable, true)
  world.outcome = 'refused'
  world.connects.length = 0
  const lostAtMs = clock.nowMs
  world.lose('gone')
  await clock.pass(1_000)
  assert.equal((world.connects[0] ?? 0) - lostAtMs, 187.5)
})

test('a server that says nothing is left after ten seconds, and its connection is destroyed', async () => {
  const { backend, clock, notices, world } = setting()
  world.outcome = 'silent'
  const started = backend.start()
  await clock.pass(9_999)
  assert.equal(world.destroyed, 0)
  await clock.pass(1)
  await started
  assert.equal(world.destroyed, 1)
  assert.deepEqual(words(notices), ['error: the catalog cannot be read: no login within 10 s'])
})

test('a server that stops to answer is lost after half a minute, and what was known of it is kept', async () => {
  const { backend, clock, notices, world } = setting()
  await backend.start()
  const known = backend.knowledge.current
  world.outcome = 'silent'
  await clock.pass(5_000 + 29_999)
  assert.equal(backend.reachable, true)
  await clock.pass(1)
  assert.equal(backend.reachable, false)
  assert.equal(backend.knowledge.current, known)
  assert.deepEqual(words(notices).slice(1), [
    'warning: the control connection is lost: no answer within 30 s',
  ])
})

test('a loss is told once, and an end of a connection that was left already is not one', async () => {
  const { backend, clock, notices, world } = setting()
  await backend.start()
  const loseFirst = world.lose
  loseFirst('gone')
  loseFirst('gone again')
  assert.equal(backend.reachable, false)
  await clock.pass(1_000)
  assert.equal(backend.reachable, true)
  loseFirst('late')
  assert.equal(backend.reachable, true)
  assert.deepEqual(words(notices).slice(1), [
    'warning: the control connection is lost: gone',
    'info: the control connection is back',
  ])
})

test('a connection that ends while the server is read for the first time does not count', async () => {
  const { backend, clock, world } = setting()
  world.readMs = 100
  const started = backend.start()
  await clock.pass(50)
  world.lose('gone')
  await clock.pass(50)
  await started
  assert.equal(backend.reachable, false)
  await clock.pass(1_000)
  assert.equal(backend.reachable, true)
})

test('it looks for changes every five seconds, and keeps what it knows while there is none', async () => {
  const { backend, clock, world } = setting()
  await backend.start()
  const known = backend.knowledge.current
  await clock.pass(10_000)
  assert.deepEqual(
    world.reads.map(({ atMs }) => atMs),
    [0, 5_000, 10_000],
  )
  assert.equal(backend.knowledge.current, known)
  world.fingerprint = 'second'
  await clock.pass(5_000)
  assert.notEqual(backend.knowledge.current, known)
})

test('a catalog that takes long to read is read for a twentieth of the time', async () => {
  const { backend, clock, world } = setting()
  world.readMs = 1_000
  const started = backend.start()
  await clock.pass(1_000)
  await started
  await clock.pass(30_000)
  assert.deepEqual(
    world.reads.map(({ atMs }) => atMs),
    [0, 21_000],
  )
})

test('wishes to know more are one reading, and at most one a second', async () => {
  const { backend, clock, world } = setting()
  await backend.start()
  const wish = backend.refresh()
  assert.equal(backend.refresh(), wish)
  await clock.pass(999)
  assert.equal(world.reads.length, 1)
  await clock.pass(1)
  await wish
  assert.equal(world.reads.length, 2)
})

test('a wish that comes during a reading, and may be too late for it, has another one follow', async () => {
  const { backend, clock, world } = setting()
  await backend.start()
  await clock.pass(2_000)
  world.readMs = 100
  const early = backend.refresh()
  await clock.pass(50)
  world.fingerprint = 'second'
  const known = backend.knowledge.current
  const late = backend.refresh()
  assert.equal(late, early)
  await clock.pass(50)
  await late
  assert.equal(backend.knowledge.current, known)
  await clock.pass(1_100)
  assert.notEqual(backend.knowledge.current, known)
})

test('a wish while there is no connection makes one, at most once a second', async () => {
  const { backend, clock, world } = setting()
  world.outcome = 'refused'
  await backend.start()
  await clock.pass(20_000)
  const before = world.connects.length
  const atMs = clock.nowMs
  world.outcome = 'good'
  const wishes = [backend.refresh(), backend.refresh()]
  await clock.pass(1_000)
  await Promise.all(wishes)
  assert.equal(backend.reachable, true)
  assert.equal(world.connects.length, before + 1)
  assert.ok((world.connects.at(-1) ?? 0) - atMs <= 1_000)
})

test('whoever answers after a loss is read whole, even where it looks the same', async () => {
  const { backend, clock, world } = setting()
  await backend.start()
  const known = backend.knowledge.current
  world.lose('gone')
  await clock.pass(1_000)
  assert.deepEqual(
    world.reads.map(({ fingerprint }) => fingerprint),
    ['', ''],
  )
  assert.notEqual(backend.knowledge.current, known)
})

test('a server that must not be used is forgotten, and one that cannot be read is not', async () => {
  const { backend, clock, world } = setting()
  await backend.start()
  world.outcome = 'unreadable'
  await clock.pass(10_000)
  assert.equal(backend.reachable, false)
  assert.ok(backend.knowledge.current)
  world.outcome = 'unusable'
  await clock.pass(10_000)
  assert.equal(backend.reachable, false)
  assert.equal(backend.knowledge.current, undefined)
})

test('another server under the same address is told', async () => {
  const { backend, clock, notices, world } = setting()
  await backend.start()
  world.server = 'test 2.0'
  world.lose('gone')
  await clock.pass(1_000)
  assert.ok(words(notices).includes('info: reached test 2.0'))
})

test('a close takes leave, waits a second at most, and nothing follows', async () => {
  const { backend, clock, notices, world } = setting()
  await backend.start()
  world.outcome = 'silent'
  const closed = backend.close()
  await clock.pass(1_000)
  await closed
  assert.deepEqual([world.ended, world.destroyed], [1, 1])
  await backend.refresh()
  await clock.pass(60_000)
  assert.equal(world.connects.length, 1)
  assert.equal(world.reads.length, 1)
  assert.equal(notices.length, 1)
})

test('a close ends a try that is under way, without a word', async () => {
  const { backend, clock, notices, world } = setting()
  world.outcome = 'silent'
  const started = backend.start()
  await settled()
  await backend.close()
  await started
  await clock.pass(60_000)
  assert.equal(world.connects.length, 1)
  assert.deepEqual(notices, [])
})
