/** Records as the proxy writes them, for the exporters' tests. */
import { createHash } from 'node:crypto'
import type { AuditRecord } from '../../../src/audit/record.ts'

const CONTEXT = {
  system: 'shop',
  protocol: 'postgres',
  run: 'r-42',
  agent: 'triage-agent',
  grant: 'triage-orders',
  grant_sha256: 'ab'.repeat(32),
  jti: '0f9f',
  session: 'aa11bb22cc33dd44',
  client: '127.0.0.1:50412',
}

export function record(event: AuditRecord['event'], seq: number, fields: object = {}): AuditRecord {
  const hash = createHash('sha256').update(`${event}${seq}`).digest('hex')
  return {
    time: '2026-11-23T10:15:30.123456Z',
    seq,
    event,
    ...CONTEXT,
    ...fields,
    prev: '0'.repeat(64),
    hash,
  } as AuditRecord
}

export const ALLOWED = record('statement', 7, {
  id: 3,
  statement: 'select id from orders',
  action: 'select',
  accesses: [{ action: 'select', resource: 'public.orders(id)' }],
  verdict: 'allow',
  rules: ['select on orders'],
})

export const DENIED = record('statement', 8, {
  id: 4,
  statement: 'select * from a, b',
  action: 'select',
  accesses: [
    { action: 'select', resource: 'public.a' },
    { action: 'select', resource: 'public.b' },
  ],
  verdict: 'deny',
  reason: 'not_granted',
  missing: [{ action: 'select', resource: 'public.b' }],
})

export const RESULT = record('result', 9, { id: 3, rows: 12, bytes: 480, duration_us: 2_600, error: '57014' })

export const HOP = record('hop', 10, { kind: 'wrong_system', from: 'crm', to: 'shop' })

/** About what a line of these takes in the file. */
export const LINE_BYTES = 700
