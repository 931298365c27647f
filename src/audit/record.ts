/** An audit record as it is read back. */
import type { RecordedAccess } from './accesses.ts'
import type { AuditContext, AuditEvent } from './event.ts'

/** The fields that every event may be asked for; the others of an event stand beside them as they were written. */
export type AuditRecord = Partial<Omit<AuditContext, 'protocol'>> & {
  /** RFC 3339 with microseconds, UTC. */
  readonly time: string
  readonly seq: number
  readonly event: AuditEvent
  readonly prev: string
  readonly hash: string
  readonly protocol?: string
  /** Of a `statement` and its `result`: the number of the statement within its session. */
  readonly id?: number
  readonly statement?: string
  readonly action?: string
  readonly accesses?: readonly RecordedAccess[]
  readonly missing?: readonly RecordedAccess[]
  readonly verdict?: string
  readonly reason?: string
  readonly why?: string
  readonly rules?: readonly string[]
  readonly rows?: number
  readonly bytes?: number
  readonly duration_us?: number
  readonly error?: string
  /** Of a `hop`: its kind, and what it aimed at. */
  readonly kind?: string
  readonly to?: string
  readonly cause?: string
  readonly [field: string]: unknown
}

/** The record of a line; `undefined` for one that is none. */
export function parseRecord(line: string): AuditRecord | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (value === null || typeof value !== 'object') return undefined
  const { time, seq, event, accesses, missing } = value as Partial<AuditRecord>
  return typeof time === 'string' &&
    typeof seq === 'number' &&
    typeof event === 'string' &&
    areAccesses(accesses) &&
    areAccesses(missing)
    ? (value as AuditRecord)
    : undefined
}

function areAccesses(value: unknown): boolean {
  return (
    value === undefined ||
    (Array.isArray(value) &&
      value.every(
        (access: Partial<RecordedAccess> | null) =>
          typeof access?.action === 'string' && typeof access.resource === 'string',
      ))
  )
}
