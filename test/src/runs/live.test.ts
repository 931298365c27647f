import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LiveSession, Runs } from '../../../src/runs/live.ts'
import { StatementRates } from '../../../src/runs/statement-rates.ts'

const session = (run: string, system: string): LiveSession => ({
  run,
  system,
  cancelKey: undefined,
  end: () => undefined,
  cancel: () => undefined,
})

test('a limit on statements outlives the sessions of the run', () => {
  const runs = new Runs()
  for (let connection = 0; connection < 3; connection += 1) {
    const live = session('r', 's')
    runs.add(live)
    assert.equal(runs.countStatement('r', 'g', 1, 1_000), connection === 0)
    runs.remove(live)
  }
})

test('statements under one grant do not count under another', () => {
  const runs = new Runs()
  assert.equal(runs.countStatement('r', 'wide', 2, 0), true)
  assert.equal(runs.countStatement('r', 'wide', 2, 0), true)
  assert.equal(runs.countStatement('r', 'narrow', 1, 0), true)
  assert.equal(runs.countStatement('r', 'narrow', 1, 0), false)
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
  const runs = new Runs()
  const release = runs.reserve('r', 's')
  assert.equal(runs.openSessions('r', 's'), 1)
  assert.equal(runs.openSessions('r', 'other'), 0)
  runs.reserve('r', 's')
  release()
  release()
  assert.equal(runs.openSessions('r', 's'), 1)
})
