import { HOP_KINDS } from '../../../protocols/analysis.ts'
import { DENY_REASONS } from '../../../protocols/session.ts'
import { AUDIT_EVENTS } from '../../audit/event.ts'
import type { RecordFilter } from '../../audit/filter.ts'
import { LOGIN_FAULTS } from '../../grants/login-faults.ts'
import { VERDICT_WORDS } from '../../policy/words.ts'
import { CommandError } from '../exit.ts'
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
    ...{ run, agent, system, session, table },
    ...(event !== undefined && { event: wordOption('--event', event, AUDIT_EVENTS) }),
    ...(kind !== undefined && { kind: wordOption('--kind', kind, HOP_KINDS) }),
    ...(verdict !== undefined && { verdict: wordOption('--verdict', verdict, VERDICT_WORDS) }),
    ...(reason !== undefined && { reason: wordOption('--reason', reason, REASONS) }),
    ...periodOf(options),
  }
}

/** Of statements, and of logins. */
const REASONS = [...new Set([...DENY_REASONS, ...LOGIN_FAULTS])]

/** @throws CommandError */
export function periodOf({ since, until }: PeriodOptions): Pick<RecordFilter, 'sinceMs' | 'untilMs'> {
  const sinceMs = since === undefined ? undefined : momentOption('--since', since)
  const untilMs = until === undefined ? undefined : momentOption('--until', until)
  if (sinceMs !== undefined && untilMs !== undefined && untilMs <= sinceMs) {
    throw new CommandError('--until is not after --since: no record is between them')
  }
  return { ...(sinceMs !== undefined && { sinceMs }), ...(untilMs !== undefined && { untilMs }) }
}
