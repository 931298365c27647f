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
import { table } from './table.ts'

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
  printTimeline(timeline)
  process.stdout.write(`\n${table([HEADINGS, ...tallies.all().map(row)])}`)
}

async function* recordsOf(run: string, auditFile: string, narrowed: boolean): AsyncGenerator<AuditRecord> {
  if (!narrowed) {
    yield* readRecords(auditFile, { run })
    return
  }
  const family = new Family(run)
  for await (const record of readRecords(auditFile, { runPrefix: run })) if (family.has(record)) yield record
}

function printTimeline(timeline: Timeline): void {
  const moments = timeline.moments()
  if (timeline.forgotten > 0) process.stdout.write(`… ${timeline.forgotten} earlier (see --last)\n`)
  const runs = new Set(moments.map(({ run }) => run))
  const width = Math.max(...moments.map(({ system }) => system.length))
  const runWidth = runs.size > 1 ? Math.max(...moments.map(({ run }) => run.length)) : 0
  for (const moment of moments) process.stdout.write(`${line(moment, width, runWidth)}\n`)
}

/** @param runWidth 0: all is of one run, which has no column then */
function line({ time, run, system, what, text }: Moment, width: number, runWidth: number): string {
  const word = what.padEnd(10)
  const shown = /^[A-Z ]+$/.test(what) ? colors.red(word) : word
  const who = runWidth === 0 ? '' : `${run.padEnd(runWidth)}  `
  return `${colors.dim(time.slice(0, 23).replace('T', ' '))}  ${who}${system.padEnd(width)}  ${shown}  ${text}`
}

function row({ run, sessions, allowed, wouldDeny, denied, hops }: Tally): string[] {
  return [run, ...[sessions, allowed, wouldDeny, denied, hops].map(String)]
}
