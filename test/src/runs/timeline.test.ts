import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditRecord } from '../../../src/audit/record.ts'
import { Timeline } from '../../../src/runs/timeline.ts'

let seq = 0
const record = (event: AuditRecord['event'], more: Partial<AuditRecord> = {}): AuditRecord => {
  seq += 1
  return {
    time: '2026-11-23T12:00:00.000000Z',
    seq,
    event,
    prev: '',
    hash: '',
    system: 'shop',
    session: 's',
    ...more,
  }
}

function shown(...records: AuditRecord[]): string[] {
  const timeline = new Timeline(100)
  for (const each of records) timeline.add(each)
  return timeline.moments().map(({ what, text }) => `${what}: ${text}`)
}

test('a statement stands with its result, a denial with what was missing, and hops in capitals', () => {
  assert.deepEqual(
    shown(
      record('session.start', { grant: 'g', client: '127.0.0.1:1' }),
      record('statement', { id: 1, statement: 'select 1', verdict: 'allow' }),
      record('statement', {
        id: 2,
        statement: 'select\n  2',
        verdict: 'deny',
        reason: 'not_granted',
        missing: [{ action: 'select', resource: 'public.a' }],
      }),
      record('result', { id: 1, rows: 1, duration_us: 1_500 }),
      record('statement', { id: 3, statement: 'select 3', verdict: 'would_deny' }),
      record('result', { id: 3, rows: 0, duration_us: 0, error: '42P01' }),
      record('hop', { kind: 'wrong_database', to: 'payroll' }),
      record('quarantine', { kind: 'wrong_database' }),
      record('session.end', { cause: 'hop' }),
      record('auth.failure', { reason: 'quarantined' }),
      record('revoked', { why: 'odd', by: 'root' }),
    ),
    [
      'session: starts under g from 127.0.0.1:1',
      'allow: select 1  [1 row, 1.5 ms]',
      'DENY: select 2  [not_granted: select on public.a]',
      'WOULD DENY: select 3  [error 42P01, 0.0 ms]',
      'HOP: wrong_database to payroll',
      'QUARANTINE: after a hop: wrong_database',
      'session: ends: hop',
      'REFUSED: login: quarantined',
      'REVOKED: by root: odd',
    ],
  )
})

test('results of two sessions with the same numbers are not mixed up', () => {
  assert.deepEqual(
    shown(
      record('statement', { id: 1, statement: 'a', verdict: 'allow', session: 'x' }),
      record('statement', { id: 1, statement: 'b', verdict: 'allow', session: 'y' }),
      record('result', { id: 1, rows: 2, duration_us: 0, session: 'y' }),
    ),
    ['allow: a', 'allow: b  [2 rows, 0.0 ms]'],
  )
})

test('nothing of a record reaches a terminal as more than text', () => {
  const [line] = shown(
    record('statement', { id: 1, statement: 'select \u001b[2J\u202e\u0007', verdict: 'allow' }),
  )
  assert.equal(line, 'allow: select ?[2J??')
})

test('the last moments are kept, and it is said how many came before', () => {
  const timeline = new Timeline(10)
  for (let id = 1; id <= 1_000; id += 1)
    timeline.add(record('statement', { id, statement: `s${id}`, verdict: 'allow' }))
  const moments = timeline.moments()
  assert.equal(moments.length, 10)
  assert.equal(moments.at(-1)?.text, 's1000')
  assert.equal(timeline.forgotten, 990)
})
