import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunToken } from '../../../src/grants/token.ts'
import { RunLedger } from '../../../src/runs/ledger.ts'

const token = (run: string, more: Partial<RunToken> = {}): RunToken => ({
  issuer: 'i',
  agent: 'agent',
  run,
  system: 's',
  grant: 'g',
  jti: `j-${run}`,
  expiresAtMs: 1_000,
  ancestors: [],
  narrowed: [],
  ...more,
})

test('the ledger remembers 10,000 runs, forgets the quiet ones first and none with a session', () => {
  const ledger = new RunLedger()
  ledger.entryOf(token('busy'), 0).open = 1
  ledger.entryOf(token('seen-again'), 0)
  for (let run = 0; run < 9_998; run += 1) ledger.entryOf(token(`r-${run}`), 1)
  ledger.entryOf(token('seen-again'), 2)
  for (let run = 0; run < 5_000; run += 1) ledger.entryOf(token(`later-${run}`), 3)
  assert.equal(ledger.size, 10_000)
  assert.equal(ledger.ofRun('busy').length, 1)
  assert.equal(ledger.ofRun('seen-again').length, 1)
  assert.equal(ledger.ofRun('r-4999').length, 0)
  assert.equal(ledger.ofRun('r-5000').length, 1)
  assert.equal(ledger.entries()[0]?.run, 'later-4999')
})

test('a narrowed run counts as the one that it came from, and is found by its own name', () => {
  const ledger = new RunLedger()
  const root = ledger.entryOf(token('r'), 0)
  const child = ledger.entryOf(token('r.1', { ancestors: [{ run: 'r', jti: 'j-r' }] }), 1)
  assert.equal(child, root)
  assert.deepEqual(root.narrowed, ['r.1'])
  assert.deepEqual(ledger.ofRun('r.1'), [root])
})

test('two issuers with the same run are two runs', () => {
  const ledger = new RunLedger()
  assert.notEqual(ledger.entryOf(token('r'), 0), ledger.entryOf(token('r', { issuer: 'k' }), 0))
  assert.equal(ledger.ofRun('r').length, 2)
})

test('what a run may choose itself is kept up to a bound', () => {
  const ledger = new RunLedger()
  for (let number = 0; number < 1_000; number += 1) {
    const ancestors = [{ run: 'r', jti: 'j' }]
    ledger.entryOf(token(`r.${number}`, { ancestors, agent: `a${number}` }), 0).hopped(`t${number}`)
  }
  const [entry] = ledger.entries()
  assert.equal(entry?.hops, 1_000)
  for (const names of [entry?.narrowed, entry?.agents, entry?.systemsTried]) assert.equal(names?.length, 64)
})

test('the end of a token is known while its issuer is the only one to use its name', () => {
  const ledger = new RunLedger()
  ledger.entryOf(token('r', { jti: 'j', expiresAtMs: 5 }), 0)
  assert.deepEqual(ledger.tokenOf('j', undefined), { issuer: 'i', expiresAtMs: 5 })
  ledger.entryOf(token('r', { jti: 'j', expiresAtMs: 9, issuer: 'k' }), 0)
  assert.equal(ledger.tokenOf('j', undefined), undefined)
  assert.deepEqual(ledger.tokenOf('j', 'k'), { issuer: 'k', expiresAtMs: 9 })
})

test('of a narrowed token no end is known: whoever narrowed it has chosen its name', () => {
  const ledger = new RunLedger()
  ledger.entryOf(token('r', { jti: 'j', expiresAtMs: 9 }), 0)
  const ancestors = [{ run: 'r', jti: 'j' }]
  for (const jti of ['j', 'k']) ledger.entryOf(token('r.1', { jti, expiresAtMs: 1, ancestors }), 0)
  assert.deepEqual(ledger.tokenOf('j', undefined), { issuer: 'i', expiresAtMs: 9 })
  assert.equal(ledger.tokenOf('k', undefined), undefined)
  assert.equal(ledger.entries()[0]?.expiresAtMs, 9)
})
