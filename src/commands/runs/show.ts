import { escaped } from '../../audit/escape.ts'
import { readRecords } from '../../audit/read.ts'
import type { AuditRecord } from '../../audit/record.ts'
import { loadConfig } from '../../config/load.ts'
import { RUN_ID } from '../../grants/token.ts'
import { Family } from '../../runs/family.ts'
import { Tallies, type Tally } from '../../runs/tally.ts'
import { type Moment, Timeline } from '../../runs/timeline.ts'
import { Printer } from '../audit/printer.ts'
import { colors } from '../colors.ts'
import { CommandError, EXIT } from '../exit.ts'
import { countOption } from '../option-values.ts'
import { table, widest } from './table.ts'

export type ShowOptions = {
  readonly config: string
  readonly last: string
  /** False: without the runs that were narrowed from it. */
  readonly narrowed?: boolean
  readonly json?: true
}

const HEADINGS = ['RUN', 'SESSIONS', 'ALLOWED', 'WOULD-DENY', 'DENIED', 'HOPS']

/**
 * Prints what a run did and what was done by those that were narrowed from it, over all systems, from the audit log; the
 * proxy need not run. @throws ConfigError, CommandError
 */
export async function showRun(run: string, options: ShowOptions): Promise<void> {
  if (!RUN_ID.test(run)) throw new CommandError(`\`${run}\` is no run id`)
  const last = countOption('--last', options.last)
  const { config } = loadConfig(options.config, { environment: process.env, secrets: 'optional' })
  const timeline = new Timeline(last)
  const tallies = new Tallies()
  tallies.of(run)
  const printer = new Printer(true)
  let found = false
  for await (const record of recordsOf(run, config.auditFile, options.narrowed !== false)) {
    found = true
    if (options.json === true) await printer.print(escaped(JSON.stringify(record)))
    else timeline.add(record)
    tallies.add(record)
    if (printer.isClosed) return
  }
  await printer.end()
  if (!found) {
    throw new CommandError(`the audit log ${config.auditFile} knows no run ${run}`, EXIT.notFound)
  }
  if (options.json === true) return
  const counts = tallies.all()
  printTimeline(timeline, counts.length > 1)
  process.stdout.write(`\n${table([HEADINGS, ...counts.map(row)])}`)
}

async function* recordsOf(run: string, auditFile: string, narrowed: boolean): AsyncGenerator<AuditRecord> {
  if (!narrowed) {
    yield* readRecords(auditFile, { run })
    return
  }
  const family = new Family(run)
  for await (const record of readRecords(auditFile, { runPrefix: run })) if (family.has(record)) yield record
}

/** @param withRuns false: all is of one run, which needs no column */
function printTimeline(timeline: Timeline, withRuns: boolean): void {
  const moments = timeline.moments()
  if (timeline.forgotten > 0) process.stdout.write(`… ${timeline.forgotten} earlier (see --last)\n`)
  const width = widest(moments.map(({ system }) => system))
  const runWidth = withRuns ? widest(moments.map(({ run }) => run)) : 0
  for (const moment of moments) process.stdout.write(`${line(moment, width, runWidth)}\n`)
}

/** @param runWidth 0: no column */
function line({ time, run, system, what, text }: Moment, width: number, runWidth: number): string {
  const word = what.padEnd(10)
  const shown = /^[A-Z ]+$/.test(what) ? colors.red(word) : word
  const who = runWidth === 0 ? '' : `${run.padEnd(runWidth)}  `
  return `${colors.dim(time.slice(0, 23).replace('T', ' '))}  ${who}${system.padEnd(width)}  ${shown}  ${text}`
}

function row({ run, sessions, allowed, wouldDeny, denied, hops }: Tally): string[] {
  return [run, ...[sessions, allowed, wouldDeny, denied, hops].map(String)]
}
