import { HOP_KINDS } from '../../../protocols/analysis.ts'
import type { RecordFilter } from '../../audit/filter.ts'
import { VERDICT_WORDS } from '../../policy/words.ts'
import { momentOption, wordOption } from '../option-values.ts'
import type { LogOptions } from './log-files.ts'

/** As given on the command line. */
export type PeriodOptions = { readonly since?: string; readonly until?: string }

export type FilterOptions = LogOptions &
  PeriodOptions & {
    readonly run?: string
    readonly agent?: string
    readonly system?: string
    readonly session?: string
    readonly event?: string
    readonly kind?: string
    readonly verdict?: string
    readonly reason?: string
    readonly table?: string
    readonly json?: boolean
  }

/** @throws CommandError */
export function filterOf(options: FilterOptions): RecordFilter {
  const { run, agent, system, session, event, kind, verdict, reason, table } = options
  return {
    ...{ run, agent, system, session, event, reason, table },
    ...(kind !== undefined && { kind: wordOption('--kind', kind, HOP_KINDS) }),
    ...(verdict !== undefined && { verdict: wordOption('--verdict', verdict, VERDICT_WORDS) }),
    ...periodOf(options),
  }
}

/** @throws CommandError */
export function periodOf({ since, until }: PeriodOptions): Pick<RecordFilter, 'sinceMs' | 'untilMs'> {
  return {
    ...(since !== undefined && { sinceMs: momentOption('--since', since) }),
    ...(until !== undefined && { untilMs: momentOption('--until', until) }),
  }
}
