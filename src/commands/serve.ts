import { NotAnAuditFile } from '../audit/audit-file.ts'
import { AuditLocked } from '../audit/lock.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { Gateway, type Started } from '../gateway.ts'
import { StateError } from '../runs/state-file.ts'
import { addressText } from './address.ts'
import { CommandError } from './exit.ts'

/**
 * Runs the proxy. SIGHUP reads the configuration anew; SIGTERM and SIGINT drain and end it, a second of them at once.
 * @throws ConfigError, KeyError, CommandError
 */
export async function serve(options: { readonly config: string }): Promise<void> {
  const { config } = loadConfig(options.config, { environment: process.env, secrets: 'required' })
  const notice = (line: string): void => {
    process.stderr.write(`${new Date().toISOString()} ${line}\n`)
  }
  const gateway = await Gateway.build(config, { notice }).catch((error: unknown) =>
    startFailed(error, config),
  )
  const ended = new Promise<void>((resolve) => {
    const signals = ['SIGTERM', 'SIGINT'] as const
    const first = (): void => {
      for (const signal of signals) {
        process.off(signal, first)
        process.on(signal, resolve)
      }
      notice('info: stopping: sessions end when they are idle; a second signal ends them now')
      gateway.drain().then(resolve, resolve)
    }
    for (const signal of signals) process.on(signal, first)
    process.on('SIGHUP', () => void gateway.reload())
  })
  const started = await gateway.start().catch((error: unknown) => startFailed(error, config))
  announce(started, config, notice)
  await ended
  await gateway.stop()
  notice('info: stopped')
}

function announce(started: Started, config: Config, notice: (line: string) => void): void {
  for (const [name, address] of started.systems) {
    const { protocol, decoy } = config.systems.get(name) ?? {}
    notice(`info: system ${name}: ${protocol}${decoy ? ' (decoy)' : ''} on ${addressText(address)}`)
  }
  const { admin } = started
  const { socket, token } = config.admin
  const doors = [
    ...(admin === undefined ? [] : [`http://${addressText(admin)}`]),
    ...(socket === undefined ? [] : [socket]),
  ]
  notice(
    `info: admin on ${doors.join(' and ')}${token === undefined ? ' (health and metrics only: no `admin.token`)' : ''}`,
  )
  notice(`info: audit in ${config.auditFile}, state in ${config.stateFile}`)
}

/** A port that is taken or a file that cannot be opened is the operator's to mend, not a bug. */
function startFailed(error: unknown, { auditFile }: Config): never {
  const mendable =
    error instanceof StateError || error instanceof AuditLocked || error instanceof NotAnAuditFile
  if (!mendable && !(error instanceof Error && 'syscall' in error)) throw error
  // Its lock stands beside it, and is made first.
  const isOfLog = 'path' in error && String(error.path).startsWith(auditFile)
  throw new CommandError(
    isOfLog
      ? `cannot start: the audit log ${auditFile} cannot be written: ${error.message}`
      : `cannot start: ${error.message}`,
  )
}
