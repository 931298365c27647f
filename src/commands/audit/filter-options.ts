import type { RecordFilter } from '../../audit/filter.ts'
import { duration } from '../../grants/limits.ts'
import { CommandError } from '../exit.ts'
import type { LogOptions } from './log-files.ts'

/** As given on the command line. */
export type FilterOptions = LogOptions & {
  readonly run?: string
  readonly agent?: string
  readonly system?: string
  readonly session?: string
  readonly event?: string
  readonly kind?: string
  readonly verdict?: string
  readonly reason?: string
  readonly table?: string
  readonly since?: string
  readonly until?: string
  readonly json: boolean
}

/** @throws CommandError */
export function filterOf(options: FilterOptions): RecordFilter {
  const { run, agent, system, session, event, kind, verdict, reason, table, since, until } = options
  return {
    ...{ run, agent, system, session, event, kind, verdict, reason, table },
    sinceMs: momentOf('--since', since),
    untilMs: momentOf('--until', until),
  }
}

/** A date (`2026-11-23`, `2026-11-23T16:35:00Z`), or a time ago (`15m`). */
function momentOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ago = duration.safeParse(text)
  if (ago.success) return Date.now() - ago.data
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(date)) {
    throw new CommandError(`${name} is a date (\`2026-11-23T16:35:00Z\`) or a time ago (\`15m\`, \`2h\`)`)
  }
  return date
}
