import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RunToken } from '../../../src/grants/token.ts'
import { RunLedger } from '../../../src/runs/ledger.ts'
import { type LiveSession, Runs } from '../../../src/runs/live.ts'
import { runKey } from '../../../src/runs/run-key.ts'
import { RunState } from '../../../src/runs/state.ts'
import { StatementRates } from '../../../src/runs/statement-rates.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()

const EXPIRES_MS = 1_000_000
let files = 0

function newRuns(): Runs {
  files += 1
  return new Runs(new RunState(join(folder, `${files}.json`), () => 0), new RunLedger())
}

function token(run: string, issuer = 'i', more: Partial<RunToken> = {}): RunToken {
  return {
    issuer,
    agent: 'agent',
    run,
    system: 's',
    grant: 'g',
    jti: `${issuer}-${run}`,
    expiresAtMs: EXPIRES_MS,
    ancestors: [],
    narrowed: [],
    ...more,
  }
}

/** A session that keeps what ended it. */
function session(runs: Runs, of: RunToken, system = 's'): LiveSession & { ended: string[] } {
  const ended: string[] = []
  const live = {
    token: of,
    system,
    entry: runs.ledger.entryOf(of, 0),
    client: '127.0.0.1:1',
    startedAtMs: 0,
    cancelKey: undefined,
    ended,
    end: ({ kind }: { kind: string }) => {
      ended.push(kind)
      runs.remove(live)
    },
    drain: () => undefined,
    regrant: () => undefined,
    cancel: () => undefined,
  }
  return live
}

const R = runKey('i', 'r')

test('a limit on statements outlives the sessions of the run', () => {
  const runs = newRuns()
  for (let connection = 0; connection < 3; connection += 1) {
    const live = session(runs, token('r'))
    runs.add(live)
    assert.equal(runs.countStatement(R, 'g', 1, 1_000), connection === 0)
    runs.remove(live)
  }
})

test('statements under one grant do not count under another', () => {
  const runs = newRuns()
  assert.equal(runs.countStatement(R, 'wide', 2, 0), true)
  assert.equal(runs.countStatement(R, 'wide', 2, 0), true)
  assert.equal(runs.countStatement(R, 'narrow', 1, 0), true)
  assert.equal(runs.countStatement(R, 'narrow', 1, 0), false)
})

test('no 60 s hold more statements than the limit, and one that was refused does not count', () => {
  const rates = new StatementRates()
  const passed: number[] = []
  for (let nowMs = 0; nowMs < 300_000; nowMs += 250) if (rates.count('r g', 10, nowMs)) passed.push(nowMs)
  for (const from of passed) {
    const within = passed.filter((at) => at >= from && at < from + 60_000).length
    assert.ok(within <= 10, `${within} statements in the minute from ${from} ms`)
  }
  assert.ok(passed.length >= 45, 'and the limit can be used up in every minute')
})

test('keys that are silent are forgotten', () => {
  const rates = new StatementRates()
  for (let run = 0; run < 1_000; run += 1) rates.count(`r-${run} g`, 10, 60_000)
  rates.count('later g', 10, 60_000 + 200_000)
  assert.equal(rates.size, 1)
})

test('a session that is about to begin counts once, however often its place is given back', () => {
  const runs = newRuns()
  const release = runs.reserve(R, 's')
  assert.equal(runs.openSessions(R, 's'), 1)
  assert.equal(runs.openSessions(R, 'other'), 0)
  runs.reserve(R, 's')
  release()
  release()
  assert.equal(runs.openSessions(R, 's'), 1)
})

test('a quarantine ends the sessions of the run on every system, and no run of the same name from another issuer', () => {
  const runs = newRuns()
  const here = session(runs, token('r'))
  const there = session(runs, token('r', 'i', { system: 't' }), 't')
  const child = session(runs, token('r.1', 'i', { ancestors: [{ run: 'r', jti: 'i-r' }] }))
  const namesake = session(runs, token('r', 'other'))
  for (const live of [here, there, child, namesake]) runs.add(live)
  runs.quarantine(child.token, { kind: 'decoy', nowMs: 1 }, { kind: 'hop', message: 'hopped' })
  assert.deepEqual([here.ended, there.ended, child.ended, namesake.ended], [['hop'], ['hop'], ['hop'], []])
  assert.equal(runs.state.refusalOf(token('r'))?.cause, 'quarantined')
  assert.equal(runs.state.refusalOf(token('r', 'other')), undefined)
})

test('a narrowed token may not take the name of another run to have that one quarantined', () => {
  const runs = newRuns()
  const victim = session(runs, token('victim'))
  runs.add(victim)
  const impostor = token('victim', 'i', { ancestors: [{ run: 'r', jti: 'i-r' }] })
  runs.quarantine(impostor, { kind: 'decoy', nowMs: 1 }, { kind: 'hop', message: 'hopped' })
  assert.deepEqual(victim.ended, [])
  assert.equal(runs.state.refusalOf(victim.token), undefined)
})

test('the ledger counts sessions and says which systems a run had and which it only tried', async () => {
  const runs = newRuns()
  const live = session(runs, token('r'))
  runs.add(live)
  live.entry.hopped('s')
  live.entry.hopped('elsewhere')
  const empty = runs.empty()
  runs.remove(live)
  runs.remove(live)
  await empty
  const [entry] = runs.ledger.ofRun('r')
  assert.equal(entry?.open, 0)
  assert.equal(entry?.sessions, 1)
  assert.deepEqual(entry?.systemsTouched, ['s'])
  assert.deepEqual(entry?.systemsTried, ['elsewhere'])
})

test('a kill reaches a session of the same run on the same system, and no other', () => {
  const runs = newRuns()
  const cancelled: string[] = []
  const open = (key: string, of: RunToken, system = 's'): LiveSession & { ended: string[] } => {
    const live = { ...session(runs, of, system), cancelKey: key, cancel: () => cancelled.push(key) }
    runs.add(live)
    return live
  }
  const own = open('own', token('r-1'))
  const asking = open('asking', token('r-1'))
  open('elsewhere', token('r-1'), 'other')
  open('foreign', token('r-2'))
  open('namesake', token('r-1', 'another issuer'))
  const keys = ['own', 'asking', 'elsewhere', 'foreign', 'namesake', 'nobody']
  assert.deepEqual(
    keys.filter((key) => runs.isOwn(key, asking)),
    ['own', 'asking'],
  )
  runs.kill({ key: 'own', what: 'statement' })
  runs.kill({ key: 'nobody', what: 'session' })
  assert.deepEqual([cancelled, own.ended], [['own'], []])
  runs.kill({ key: 'own', what: 'session' })
  assert.deepEqual(own.ended, ['revoked'])
})
