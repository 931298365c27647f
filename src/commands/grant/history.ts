/** What runs needed, as the audit log has it, for proposals of what they should be granted. */
import type { Access } from '../../../protocols/access.ts'
import type { Naming } from '../../../protocols/naming.ts'
import { PROTOCOL_NAMES, type ProtocolName } from '../../../protocols/protocol.ts'
import { COMMANDS } from '../../../protocols/redis/index.ts'
import { parseAccesses } from '../../audit/parse-accesses.ts'
import { readRecords } from '../../audit/read.ts'
import type { AuditRecord } from '../../audit/record.ts'
import { type Done, type Granted, grantedBy } from '../../grants/done.ts'
import { type PeriodOptions, periodOf } from '../audit/filter-options.ts'
import { RecordedJudges } from '../audit/judges.ts'
import { CommandError } from '../exit.ts'

/** Different accesses that are kept in memory; more are no history to make a grant of. */
const DIFFERENT_MAX = 500_000

export type HistoryFilter = PeriodOptions & {
  /** A run, with those that were narrowed from it. */
  readonly run?: string
  readonly grant?: string
  /** True: also what was refused for want of an allow line. */
  readonly denied?: boolean
  /** True: what was done under different grants is kept apart. */
  readonly byGrant: boolean
}

/** What was done on one system. */
export type History = {
  readonly system: string
  readonly protocol: ProtocolName
  /** Of the newest record that says it; `undefined`: none does. */
  naming: Naming | undefined
  readonly done: Done[]
  readonly runs: Set<string>
  /** Statements that are counted in; those that no line of their grant covered; those that the log has in part only. */
  statements: number
  uncovered: number
  cut: number
  /** Of the first and the last of them. */
  readonly from: string
  to: string
}

/** Under which name a history is found. */
export function historyKey(system: string, grant?: string): string {
  return grant === undefined ? system : `${system} ${grant}`
}

/** By system, or by system and grant; see {@link historyKey}. @throws CommandError for a moment that is none, or a log that cannot be read */
export async function readHistory(
  auditFile: string,
  filter: HistoryFilter,
): Promise<ReadonlyMap<string, History>> {
  const { sinceMs, untilMs } = periodOf(filter)
  try {
    const reader = new HistoryReader(filter)
    // A session may have begun before the time that is asked for.
    for (const event of ['session.start', 'session.regrant']) {
      for await (const record of readRecords(auditFile, { event })) reader.judged(record)
    }
    for await (const record of readRecords(auditFile, { event: 'statement', sinceMs, untilMs }))
      reader.statement(record)
    return reader.histories
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
    throw new CommandError(`cannot read the log ${auditFile}: ${error.message}`)
  }
}

class HistoryReader {
  readonly histories = new Map<string, History>()
  readonly #filter: HistoryFilter
  readonly #judges = new RecordedJudges()
  readonly #granted = new Map<string, Granted | undefined>()
  readonly #seen = new Set<string>()

  constructor(filter: HistoryFilter) {
    this.#filter = filter
  }

  judged(record: AuditRecord): void {
    this.#judges.add(record['judged_by'], record.grant_sha256 ?? '')
  }

  statement(record: AuditRecord): void {
    const { run, grant, denied } = this.#filter
    if (run !== undefined && record.run !== run && record['root_run'] !== run) return
    if (grant !== undefined && record.grant !== grant) return
    const { verdict, reason } = record
    if (verdict === 'deny' && !(denied === true && reason === 'not_granted')) return
    const history = this.#historyOf(record)
    if (history === undefined) return
    history.statements += 1
    if (verdict !== 'allow') history.uncovered += 1
    history.to = record.time
    history.runs.add(record.run ?? '')
    const sha = record.grant_sha256 ?? ''
    const granted = this.#grantedBy(sha, history.protocol)
    history.naming = granted?.naming ?? history.naming
    const accesses = parseAccesses(record.accesses ?? [], (command) => COMMANDS.get(command)?.grantCategories)
    if (accesses === undefined) history.cut += 1
    else for (const access of accesses) this.#add(history, sha, { access, granted })
  }

  #historyOf({ system, grant, protocol, time }: AuditRecord): History | undefined {
    const key = historyKey(system ?? '', this.#filter.byGrant ? grant : undefined)
    const known = this.histories.get(key)
    const name = PROTOCOL_NAMES.find((one) => one === protocol)
    if (known !== undefined || name === undefined || system === undefined) return known
    const counts = { statements: 0, uncovered: 0, cut: 0, from: time, to: time }
    const history: History = {
      system,
      protocol: name,
      naming: undefined,
      done: [],
      runs: new Set(),
      ...counts,
    }
    this.histories.set(key, history)
    return history
  }

  #grantedBy(sha: string, protocol: ProtocolName): Granted | undefined {
    if (!this.#granted.has(sha)) {
      const judge = this.#judges.get(sha)
      this.#granted.set(sha, judge && grantedBy(judge.grant.allow, protocol, judge.naming))
    }
    return this.#granted.get(sha)
  }

  /** Once for each grant: what a run does a thousand times needs one line. */
  #add(history: History, sha: string, done: Done): void {
    const key = `${history.system} ${sha} ${keyOf(done.access)}`
    if (this.#seen.has(key)) return
    if (this.#seen.size >= DIFFERENT_MAX) {
      throw new CommandError(`more than ${DIFFERENT_MAX} different accesses: ask for a shorter time`)
    }
    this.#seen.add(key)
    history.done.push(done)
  }
}

function keyOf(access: Access): string {
  // The categories of a command follow from its name.
  return JSON.stringify(access.kind === 'command' ? { ...access, categories: undefined } : access)
}
