/** Limits as they are written, in the configuration and in grants that tokens carry. */
import { z } from 'zod'
import type { Limits } from './grant.ts'

const DURATION_UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `5s`, `30m`; milliseconds. At least 1 ms; at most 365 days, so that no timer overflows a date. */
export const duration = z.string().transform((text, context) => {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  const unit = match?.[2] as keyof typeof DURATION_UNITS_MS | undefined
  const ms = unit === undefined ? 0 : Number(match?.[1]) * DURATION_UNITS_MS[unit]
  if (ms < 1 || ms > 365 * DURATION_UNITS_MS.d) {
    context.addIssue({
      code: 'custom',
      message: 'write a number and a unit, such as `500ms`, `5s`, `30m`, `1h`, `7d`',
    })
    return z.NEVER
  }
  return ms
})

/** Milliseconds as {@link duration} reads them, in the largest unit that says them whole: `5s`. */
export function durationText(ms: number): string {
  return inUnits(ms, DURATION_UNITS_MS)
}

const BYTE_UNITS = {
  '': 1,
  kB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1 << 10,
  MiB: 1 << 20,
  GiB: 1 << 30,
}

/** `10MB`, `64KiB`, `4096`; bytes, from 1. */
export const bytes = z.union([z.int().min(1), z.string()]).transform((written, context) => {
  if (typeof written === 'number') return written
  const match = /^(\d{1,9})(kB|MB|GB|KiB|MiB|GiB|)$/.exec(written)
  const size = Number(match?.[1]) * BYTE_UNITS[(match?.[2] ?? '') as keyof typeof BYTE_UNITS]
  if (match === null || size < 1) {
    context.addIssue({
      code: 'custom',
      message: 'write a number and a unit, such as `4096`, `64KiB`, `10MB`',
    })
    return z.NEVER
  }
  return size
})

/** As {@link bytes} reads them, in the largest unit that says them whole: `10MB`, `64KiB`. */
export function bytesText(size: number): string {
  return inUnits(size, BYTE_UNITS)
}

function inUnits(value: number, units: Readonly<Record<string, number>>): string {
  const [unit, size] = Object.entries(units)
    .sort(([, a], [, b]) => b - a)
    .find(([, each]) => value % each === 0) ?? ['', 1]
  return `${value / size}${unit}`
}

/** The keys of `limits`. */
export const limits = z.strictObject({
  rows: z.int().min(1).optional(),
  bytes: bytes.optional(),
  statement_timeout: duration.optional(),
  statements_per_minute: z.int().min(1).optional(),
  session: duration.optional(),
  idle: duration.optional(),
  connections: z.int().min(1).optional(),
})

/** A limit that is not written does not bound. */
export function readLimits(written: z.output<typeof limits>): Limits {
  return {
    rows: written.rows,
    bytes: written.bytes,
    statementMs: written.statement_timeout,
    statementsPerMinute: written.statements_per_minute,
    sessionMs: written.session,
    idleMs: written.idle,
    connections: written.connections,
  }
}

/** Limits as they are written. */
export function limitsText(written: z.output<typeof limits>): Readonly<Record<string, unknown>> {
  const { bytes: size, statement_timeout, session, idle } = written
  return {
    ...written,
    ...(size !== undefined && { bytes: bytesText(size) }),
    ...(statement_timeout !== undefined && { statement_timeout: durationText(statement_timeout) }),
    ...(session !== undefined && { session: durationText(session) }),
    ...(idle !== undefined && { idle: durationText(idle) }),
  }
}

/** Of each limit the lower one. */
export function lowerLimits(a: Limits, b: Limits): Limits {
  return {
    rows: lower(a.rows, b.rows),
    bytes: lower(a.bytes, b.bytes),
    statementMs: lower(a.statementMs, b.statementMs),
    statementsPerMinute: lower(a.statementsPerMinute, b.statementsPerMinute),
    sessionMs: lower(a.sessionMs, b.sessionMs),
    idleMs: lower(a.idleMs, b.idleMs),
    connections: lower(a.connections, b.connections),
  }
}

function lower(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return Math.min(a, b)
}
