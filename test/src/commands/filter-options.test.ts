import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterOf } from '../../../src/commands/audit/filter-options.ts'

const options = { config: './bulkhead.yaml' }

test('words that records have are taken', () => {
  const asked = { event: 'auth.failure', kind: 'decoy', verdict: 'would_deny', reason: 'bad_signature' }
  const { event, kind, verdict, reason } = filterOf({ ...options, ...asked })
  assert.deepEqual({ event, kind, verdict, reason }, asked)
  assert.equal(filterOf({ ...options, reason: 'not_granted' }).reason, 'not_granted')
})

for (const [option, word, known] of [
  ['event', 'statements', 'session.start'],
  ['kind', 'decoys', 'decoy'],
  ['verdict', 'denied', 'deny'],
  ['reason', 'notgranted', 'not_granted'],
  ['reason', 'expire', 'expired'],
] as const) {
  test(`--${option} ${word}, which no record has, is refused with the words that there are`, () => {
    assert.throws(
      () => filterOf({ ...options, [option]: word }),
      (error: Error) =>
        error.message.startsWith(`--${option} is one of `) &&
        error.message.includes(known) &&
        error.message.includes(`not \`${word}\``),
    )
  })
}

test('a period that ends before it begins is refused', () => {
  const period = { since: '2026-11-24', until: '2026-11-20' }
  assert.throws(() => filterOf({ ...options, ...period }), /^CommandError: --until is not after --since/)
  const { sinceMs, untilMs } = filterOf({ ...options, since: period.until, until: period.since })
  assert.equal((untilMs ?? 0) - (sinceMs ?? 0), 4 * 86_400_000)
})
