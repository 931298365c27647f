import { loadConfig } from '../config/load.ts'
import { Gateway } from '../gateway.ts'
import { CommandError } from './exit.ts'

/** Runs the proxy until SIGTERM or SIGINT. @throws ConfigError, KeyError, CommandError */
export async function serve(options: { readonly config: string }): Promise<void> {
  const { config } = loadConfig(options.config, { environment: process.env, secrets: 'required' })
  const notice = (line: string): void => {
    process.stderr.write(`${new Date().toISOString()} ${line}\n`)
  }
  const gateway = await Gateway.build(config, { notice }).catch(startFailed)
  const started = await gateway.start().catch(startFailed)
  for (const [name, { host, port }] of started.systems) {
    const { protocol, decoy } = config.systems.get(name) ?? {}
    notice(`info: system ${name}: ${protocol}${decoy ? ' (decoy)' : ''} on ${host}:${port}`)
  }
  notice(
    `info: metrics on http://${started.admin.host}:${started.admin.port}/metrics, audit in ${config.auditFile}`,
  )
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
  notice('info: stopping')
  await gateway.stop()
}

/** A port that is taken or a file that cannot be opened is the operator's to mend, not a bug. */
function startFailed(error: unknown): never {
  if (error instanceof Error && 'syscall' in error) throw new CommandError(`cannot start: ${error.message}`)
  throw error
}
