import { type RunSummary, runsAnswer } from '../../admin/schemas.ts'
import { runningProxy } from '../admin-client.ts'
import { table } from './table.ts'

export type RunsOptions = { readonly config: string; readonly live?: true; readonly json?: true }

const HEADINGS = [
  'RUN',
  'AGENT',
  'GRANT',
  'SYSTEMS',
  'TRIED',
  'SESSIONS',
  'ALLOWED',
  'WOULD-DENY',
  'DENIED',
  'HOPS',
  'EXPIRES',
  'STATE',
]

/** Lists the runs that the proxy has seen, the last seen first. @throws ConfigError, CommandError */
export async function listRuns(options: RunsOptions): Promise<void> {
  const client = runningProxy(options.config)
  const answer = await client.get(`/v1/runs${options.live === true ? '?live=true' : ''}`, runsAnswer)
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`)
    return
  }
  if (answer.runs.length === 0)
    process.stdout.write(
      `no run ${options.live === true ? 'has a session open' : 'has been seen since the proxy started'}\n`,
    )
  else process.stdout.write(table([HEADINGS, ...answer.runs.map(row)]))
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
    String(run.statements_would_deny),
    String(run.statements_denied),
    String(run.hops),
    run.expires_at.slice(0, 19).replace('T', ' '),
    run.refused?.cause ?? (run.sessions_open > 0 ? 'live' : 'ended'),
  ]
}
