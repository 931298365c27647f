import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditRecord } from '../../../src/audit/record.ts'
import { Family } from '../../../src/runs/family.ts'
import { Tallies } from '../../../src/runs/tally.ts'

const record = (run: string | undefined, more: Partial<AuditRecord> = {}): AuditRecord => ({
  ...{ time: '2026-11-23T12:00:00.000000Z', seq: 1, event: 'statement', prev: '', hash: '' },
  ...(run !== undefined && { run }),
  ...more,
})

test('a family is a run and what was narrowed from it, however often', () => {
  const family = new Family('r')
  assert.equal(family.has(record('r')), true)
  assert.equal(family.has(record('r.a', { root_run: 'r' })), true)
  assert.equal(family.has(record('r.a.b', { root_run: 'r' })), true)
  assert.equal(family.has(record('other', { root_run: 'other-root' })), false)
  assert.equal(family.has(record(undefined)), false)
})

test('a run that its issuer has called like a child is none', () => {
  const family = new Family('r')
  assert.equal(family.has(record('r.1')), false)
  assert.equal(family.has(record('r1', { root_run: 'r' })), false)
  assert.equal(family.has(record('r.1.2', { root_run: 'r.1' })), false)
})

test('a run in the middle of a chain has those below it, and neither the one above nor its siblings', () => {
  const family = new Family('r.a')
  assert.equal(family.has(record('r.a', { root_run: 'r' })), true)
  assert.equal(family.has(record('r.a.b', { root_run: 'r' })), true)
  assert.equal(family.has(record('r')), false)
  assert.equal(family.has(record('r.b', { root_run: 'r' })), false)
  assert.equal(family.has(record('r.ab', { root_run: 'r' })), false)
})

test('what is done to a child by its name belongs to it, once it was seen', () => {
  const family = new Family('r')
  const revoked = record('r.a', { event: 'revoked', target: 'run' })
  assert.equal(family.has(revoked), false)
  assert.equal(family.has(record('r.a', { root_run: 'r' })), true)
  assert.equal(family.has(revoked), true)
})

test('statements are counted by verdict, and what a grant only observed is neither allowed nor denied', () => {
  const tallies = new Tallies()
  tallies.of('r')
  tallies.add(record('r.a', { event: 'session.start' }))
  for (const verdict of ['allow', 'allow', 'would_deny', 'deny']) tallies.add(record('r.a', { verdict }))
  tallies.add(record('r.a', { event: 'hop' }))
  tallies.add(record('r.a', { event: 'result' }))
  assert.deepEqual(tallies.all(), [
    { run: 'r', sessions: 0, allowed: 0, wouldDeny: 0, denied: 0, hops: 0 },
    { run: 'r.a', sessions: 1, allowed: 2, wouldDeny: 1, denied: 1, hops: 1 },
  ])
})
