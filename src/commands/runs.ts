import { type RunSummary, runsAnswer } from '../admin/schemas.ts'
import { readRecords } from '../audit/read.ts'
import { loadConfig } from '../config/load.ts'
import { RUN_ID } from '../grants/token.ts'
import { type Moment, Timeline } from '../runs/timeline.ts'
import { runningProxy } from './admin-client.ts'
import { colors } from './colors.ts'
import { CommandError, EXIT } from './exit.ts'
import { countOption } from './option-values.ts'

export type RunsOptions = { readonly config: string; readonly live?: true; readonly json?: true }
export type ShowOptions = { readonly config: string; readonly last: string; readonly json?: true }

const HEADINGS = [
  'RUN',
  'AGENT',
  'GRANT',
  'SYSTEMS',
  'TRIED',
  'SESSIONS',
  'ALLOWED',
  'DENIED',
  'HOPS',
  'EXPIRES',
  'STATE',
]

/** Lists the runs that the proxy has seen, the last seen first. @throws ConfigError, CommandError */
export async function runs(options: RunsOptions): Promise<void> {
  const client = runningProxy(options.config)
  const answer = await client.get(`/v1/runs${options.live === true ? '?live=true' : ''}`, runsAnswer)
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`)
    return
  }
  if (answer.runs.length === 0) process.stdout.write('no run has been seen since the proxy started\n')
  else process.stdout.write(table([HEADINGS, ...answer.runs.map(row)]))
}

/** Prints what a run did, over all systems, from the audit log; the proxy need not run. @throws ConfigError, CommandError */
export async function showRun(run: string, options: ShowOptions): Promise<void> {
  if (!RUN_ID.test(run)) throw new CommandError(`\`${run}\` is no run id`)
  const last = countOption('--last', options.last)
  const { config } = loadConfig(options.config, { environment: process.env, secrets: 'optional' })
  const timeline = new Timeline(last)
  let found = false
  for await (const record of readRecords(config.auditFile, { run })) {
    found = true
    if (options.json === true) process.stdout.write(`${JSON.stringify(record)}\n`)
    else timeline.add(record)
  }
  if (!found) {
    throw new CommandError(`the audit log ${config.auditFile} knows no run ${run}`, EXIT.notFound)
  }
  if (options.json === true) return
  const moments = timeline.moments()
  if (timeline.forgotten > 0) process.stdout.write(`… ${timeline.forgotten} earlier (see --last)\n`)
  const width = Math.max(...moments.map(({ system }) => system.length))
  for (const moment of moments) process.stdout.write(`${line(moment, width)}\n`)
}

function line({ time, system, what, text }: Moment, width: number): string {
  const word = what.padEnd(10)
  const shown = /^[A-Z ]+$/.test(what) ? colors.red(word) : word
  return `${colors.dim(time.slice(0, 23).replace('T', ' '))}  ${system.padEnd(width)}  ${shown}  ${text}`
}

function row(run: RunSummary): string[] {
  return [
    run.run,
    run.agents.join(','),
    run.grants.join(','),
    run.systems_touched.join(',') || '-',
    run.systems_tried.join(',') || '-',
    `${run.sessions_open}/${run.sessions}`,
    String(run.statements_allowed),
    String(run.statements_denied),
    String(run.hops),
    run.expires_at.slice(0, 19).replace('T', ' '),
    run.refused?.cause ?? (run.sessions_open > 0 ? 'live' : 'ended'),
  ]
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)))
  return rows
    .map((cells) => cells.map((cell) => cell.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')))
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((text) => `${text}\n`)
    .join('')
}
