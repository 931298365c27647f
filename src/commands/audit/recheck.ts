import { open } from 'node:fs/promises'
import type { Analysis, StatementAction } from '../../../protocols/analysis.ts'
import { COMMANDS } from '../../../protocols/redis/index.ts'
import { readBlocks } from '../../audit/blocks.ts'
import { parseAccesses } from '../../audit/parse-accesses.ts'
import { type AuditRecord, parseRecord } from '../../audit/record.ts'
import type { Judge } from '../../policy/judge.ts'
import { colors } from '../colors.ts'
import { counted } from '../counted.ts'
import { CommandError, EXIT } from '../exit.ts'
import { RecordedJudges } from './judges.ts'
import { filesOf, type LogOptions, sizeOf } from './log-files.ts'
import { Progress } from './progress.ts'

export type RecheckOptions = LogOptions & { readonly json?: boolean }

/** Every record begins with its time. */
const RECORD_START = '{"time":"'

/** Differences that are printed, and kept for `--json`. */
const SHOWN_MAX = 100

/** Reasons that do not follow from grant and accesses: the statement's text, time, or the proxy's state decided. */
const OTHER_REASONS = new Set([
  'not_understood',
  'readers_disagree',
  'forbidden',
  'hop',
  'token_expired',
  'grant_removed',
  'limit',
  'audit_unavailable',
])

type Outcome =
  /** Decided again, and the same. */
  | 'same'
  | 'different'
  /** Decided by something else than the grant, see {@link OTHER_REASONS}. */
  | 'not_by_grant'
  /** The record keeps a part of the accesses only, or has them in the words of another version. */
  | 'cut'
  /** The record of the session, which has the grant, is not in these files, or is of another version. */
  | 'unknown_grant'

type Difference = {
  readonly file: string
  readonly line: number
  readonly seq: number
  readonly recorded: string
  readonly decided: string
}

/** Decides every recorded statement again; exit 0 where all verdicts are the same, 1 where one differs. @throws CommandError */
export async function auditRecheck(named: readonly string[], options: RecheckOptions): Promise<void> {
  const files = filesOf(named, options)
  const progress = new Progress(files.reduce((total, file) => total + sizeOf(file), 0))
  const recheck = new Recheck(progress)
  for (const file of files) await recheck.file(file)
  progress.end()
  const { counts, differences } = recheck
  process.exitCode = counts.different === 0 ? EXIT.ok : EXIT.denied
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ...counts, differences })}\n`
      : `${words(counts, differences).join('\n')}\n`,
  )
}

class Recheck {
  readonly counts: Record<Outcome, number> = {
    same: 0,
    different: 0,
    not_by_grant: 0,
    cut: 0,
    unknown_grant: 0,
  }
  readonly differences: Difference[] = []
  readonly #judges = new RecordedJudges()
  readonly #progress: Progress
  #bytes = 0

  constructor(progress: Progress) {
    this.#progress = progress
  }

  /** @throws CommandError where no line of the file is a record */
  async file(file: string): Promise<void> {
    const handle = await open(file, 'r')
    let line = 0
    let isLog = false
    try {
      for await (const { bytes } of readBlocks(handle)) {
        for (const text of bytes.toString('utf8').split('\n').slice(0, -1)) {
          line += 1
          isLog ||= text.startsWith(RECORD_START)
          // The records of results, about half of a log, hold nothing to decide.
          if (text.includes('"event":"statement"') || text.includes('"judged_by":'))
            this.#record(text, file, line)
        }
        this.#bytes += bytes.length
        this.#progress.show(this.#bytes)
      }
    } finally {
      await handle.close()
    }
    if (line > 0 && !isLog) throw new CommandError(`${file} is no audit log: none of its lines is a record`)
  }

  #record(text: string, file: string, line: number): void {
    const record = parseRecord(text)
    if (record?.event === 'session.start' || record?.event === 'session.regrant') {
      this.#judges.add(record['judged_by'], record.grant_sha256 ?? '')
    } else if (record?.event === 'statement') {
      const judge = this.#judges.get(record.grant_sha256 ?? '')
      const decided = judge === undefined ? 'unknown_grant' : decideAgain(record, judge)
      if (typeof decided === 'string') {
        this.counts[decided] += 1
        return
      }
      this.counts.different += 1
      if (this.differences.length < SHOWN_MAX) {
        this.differences.push({ file, line, seq: record.seq, ...decided })
      }
    }
  }
}

/** The outcome, or how what was recorded differs from what is decided now. */
function decideAgain(
  record: AuditRecord,
  judge: Judge,
): Exclude<Outcome, 'different' | 'unknown_grant'> | { readonly recorded: string; readonly decided: string } {
  const accesses = parseAccesses(record.accesses ?? [], (command) => COMMANDS.get(command)?.grantCategories)
  if (accesses === undefined) return 'cut'
  const recorded = verdictOf(record)
  const action = (record.action ?? 'unknown') as StatementAction
  const possible: Analysis[] = [{ outcome: 'accesses', action, accesses }]
  // A statement that names what does not exist is decided in its own way; the record does not say that it was one.
  if (record.verdict !== 'allow') possible.push({ outcome: 'unknown_object', action, why: '', accesses })
  let decided = ''
  for (const analysis of possible) {
    const again = decidedMembers(judge, analysis)
    if (again === recorded) return 'same'
    decided ||= again
  }
  const { verdict, reason = '' } = record
  // A grant that observes lets a statement pass a limit, too.
  const observed = verdict === 'would_deny' && reason === 'limit' && judge.grant.observe
  return observed || (verdict === 'deny' && OTHER_REASONS.has(reason))
    ? 'not_by_grant'
    : { recorded, decided }
}

/** What of a verdict follows from grant and accesses, as one text. */
function verdictOf({ verdict, rules, reason, missing }: AuditRecord): string {
  return JSON.stringify(verdict === 'allow' ? { verdict, rules } : { verdict, reason, missing })
}

function decidedMembers(judge: Judge, analysis: Analysis): string {
  return verdictOf(JSON.parse(`{${judge.judge(analysis).members}}`) as AuditRecord)
}

function words(counts: Recheck['counts'], differences: readonly Difference[]): string[] {
  const lines = differences.flatMap(({ file, line, seq, recorded, decided }) => [
    `${colors.red('✗')} ${file}:${line} (record ${seq})`,
    `    recorded ${recorded}`,
    `    decided  ${decided}`,
  ])
  const { same, different, not_by_grant: other, cut, unknown_grant: unknown } = counts
  if (different > differences.length) lines.push(`  and ${different - differences.length} more`)
  lines.push(
    `${different === 0 ? colors.green('the same') : colors.red(`${different} DIFFERENT`)}: ${counted(same, 'verdict')} decided again as recorded`,
  )
  if (other > 0)
    lines.push(`not by the grant: ${counted(other, 'denial')}; the statement itself, time or a limit decided`)
  if (cut > 0)
    lines.push(
      colors.yellow(
        `cannot be decided again: ${counted(cut, 'verdict')}; the accesses are not recorded whole`,
      ),
    )
  if (unknown > 0)
    lines.push(
      colors.yellow(
        `cannot be decided again: ${counted(unknown, 'verdict')}; the start of the session is not in these files`,
      ),
    )
  return lines
}
