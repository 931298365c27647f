/** Which records are asked for. Most lines are told apart by their bytes, and only what is left is parsed. */

import type { RecordedAccess } from './accesses.ts'
import { escaped } from './escape.ts'
import type { AuditRecord } from './record.ts'

/** All that is given must hold; nothing given: every record. */
export type RecordFilter = {
  readonly run?: string | undefined
  /** Runs whose id begins so. */
  readonly runPrefix?: string | undefined
  readonly agent?: string | undefined
  readonly system?: string | undefined
  readonly session?: string | undefined
  readonly event?: string | undefined
  /** Of a hop. */
  readonly kind?: string | undefined
  readonly verdict?: string | undefined
  readonly reason?: string | undefined
  /** A relation, with its schema or without, or a key; as the record writes it. */
  readonly table?: string | undefined
  /** Milliseconds since the epoch; records at or after it. */
  readonly sinceMs?: number | undefined
  /** Milliseconds since the epoch; records before it. */
  readonly untilMs?: number | undefined
}

/** Fields whose filter is the field itself. */
const EXACT = ['event', 'run', 'agent', 'system', 'session', 'kind', 'verdict', 'reason'] as const

/** `{"time":"` stands before the time in every line, `2026-11-23T16:36:00.000000Z` has 27 characters. */
const TIME_FROM = 9
const TIME_TO = 36

const NEWLINE = 0x0a

export class Matching {
  readonly #filter: RecordFilter
  readonly #since: string | undefined
  readonly #until: string | undefined
  /** Bytes that every matching line holds, the rarest first as far as one can tell: its run, its table. */
  readonly #needles: readonly Buffer[]

  constructor(filter: RecordFilter) {
    this.#filter = filter
    this.#since = filter.sinceMs === undefined ? undefined : timeOf(filter.sinceMs)
    this.#until = filter.untilMs === undefined ? undefined : timeOf(filter.untilMs)
    const { table, runPrefix, run, session, kind, reason, agent, event, verdict, system } = filter
    const members = { run, session, kind, reason, agent, event, verdict, system }
    this.#needles = [
      ...(table === undefined ? [] : [escaped(JSON.stringify(table).slice(1, -1))]),
      ...(runPrefix === undefined ? [] : [`"run":${escaped(JSON.stringify(runPrefix)).slice(0, -1)}`]),
      ...Object.entries(members).flatMap(([name, value]) =>
        value === undefined ? [] : [`"${name}":${escaped(JSON.stringify(value))}`],
      ),
    ].map((needle) => Buffer.from(needle))
  }

  /** Calls back with each line of whole lines that may match: its start and its end, without the line's end. */
  candidates(bytes: Buffer, found: (start: number, end: number) => void): void {
    const [first, ...others] = this.#needles
    for (let start = 0; start < bytes.length; ) {
      if (first !== undefined) {
        const hit = bytes.indexOf(first, start)
        if (hit === -1) return
        // The hit may lie lines further on; the line it is in begins behind the last line end before it.
        start = Math.max(start, bytes.lastIndexOf(NEWLINE, hit) + 1)
      }
      const end = bytes.indexOf(NEWLINE, start)
      if (end === -1) return
      if (this.#inTime(bytes, start) && others.every((needle) => within(bytes, needle, start, end)))
        found(start, end)
      start = end + 1
    }
  }

  #inTime(bytes: Buffer, start: number): boolean {
    if (this.#since === undefined && this.#until === undefined) return true
    const time = bytes.toString('latin1', start + TIME_FROM, start + TIME_TO)
    return (
      (this.#since === undefined || time >= this.#since) && (this.#until === undefined || time < this.#until)
    )
  }

  /** The exact answer for a parsed record. */
  matches(record: AuditRecord): boolean {
    for (const field of EXACT) {
      const wanted = this.#filter[field]
      if (wanted !== undefined && record[field] !== wanted) return false
    }
    if (this.#since !== undefined && record.time < this.#since) return false
    if (this.#until !== undefined && record.time >= this.#until) return false
    const { table, runPrefix } = this.#filter
    if (runPrefix !== undefined && record.run?.startsWith(runPrefix) !== true) return false
    return table === undefined || touches(record, table)
  }
}

function within(bytes: Buffer, needle: Buffer, start: number, end: number): boolean {
  // Bounded to the line: without the cut a line that has it not would have the rest of the block searched.
  return bytes.subarray(start, end).includes(needle)
}

function touches({ accesses, missing }: AuditRecord, table: string): boolean {
  const names = (access: RecordedAccess): boolean => namesTable(access.resource, table)
  return accesses?.some(names) === true || missing?.some(names) === true
}

/** True for `public.orders(id,total)` and `orders`, `public.orders`; for `R~cart:7 W~cart:8` and `cart:8`. */
function namesTable(resource: string, table: string): boolean {
  const paren = resource.endsWith(')') ? resource.lastIndexOf('(') : -1
  const object = paren === -1 ? resource : resource.slice(0, paren)
  if (object === table || object.endsWith(`.${table}`) || object.endsWith(` ${table}`)) return true
  return resource.split(' ').some((word) => word.slice(word.indexOf('~') + 1) === table)
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z')
}
