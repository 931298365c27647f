/**
 * One server process under a small supervisor, so that it cannot outlive us however we end.
 *
 * The supervisor is a shell that holds the reading end of a pipe whose writing end only this process has. When the
 * pipe closes, because `stop()` closed it or because this process died, it ends the server, waits for it and removes
 * the data. It is the server's parent, hence the process id that it signals can belong to nobody else.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { createServer, Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Account, DataFolder } from './account.ts'

/** Ten seconds for an orderly end, then SIGKILL: the data is thrown away in any case. */
const SUPERVISOR = `
signal=$1; folder=$2; shift 2
exec 3<&0
"$@" </dev/null >&2 3<&- &
server=$!
echo "$server"
exec 1>&2
(
  cat <&3 >/dev/null
  kill -"$signal" "$server"
  tries=0
  while [ $tries -lt 100 ] && kill -0 "$server"; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$server"
) 2>/dev/null &
reader=$!
wait "$server"
code=$?
kill "$reader" 2>/dev/null
cd / && rm -rf "$folder" 2>/dev/null
exit $code
`

export type ServerCommand = {
  readonly file: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** What asks this server for a quick, orderly end. */
  readonly signal: 'INT' | 'TERM'
}

export type ServerProcess = {
  readonly pid: number
  /** Ends the server and removes its data folder. */
  stop(): Promise<void>
}

/** How long a server may take until it accepts a connection; a busy two-core machine needs some seconds. */
const READY_MS_MAX = 60_000

/**
 * Starts the server and waits until `connect` succeeds. Throws with the server's last log lines when it ends
 * before that or is not ready in time.
 */
export async function startProcess(
  command: ServerCommand,
  account: Account | undefined,
  data: DataFolder,
  connect: () => Promise<void>,
): Promise<ServerProcess> {
  const log = openSync(join(data.path, 'server.log'), 'a+')
  const supervisor = spawn(
    '/bin/sh',
    ['-c', SUPERVISOR, 'sh', command.signal, data.path, command.file, ...command.args],
    {
      ...account,
      cwd: data.path,
      // A session of its own: Ctrl-C reaches us, and we end the servers in order.
      detached: true,
      env: { ...command.environment },
      stdio: ['pipe', 'pipe', log],
    },
  )
  const ended = once(supervisor, 'exit')
  const stop = async (): Promise<void> => {
    supervisor.ref()
    supervisor.stdin?.end()
    if (supervisor.exitCode === null && supervisor.signalCode === null) await ended
    data.remove()
  }
  try {
    const pid = await serverPid(supervisor)
    await untilReady(supervisor, connect)
    letProcessEnd(supervisor)
    return { pid, stop }
  } catch (error) {
    await stop()
    throw new Error(`${command.file} did not start: ${String(error)}\n${lastLines(log)}`)
  } finally {
    closeSync(log)
  }
}

async function serverPid(supervisor: ChildProcess): Promise<number> {
  if (supervisor.stdout === null) throw new Error('no pipe from the supervisor')
  const [line] = await Promise.race([once(supervisor.stdout, 'data'), once(supervisor, 'exit')])
  const pid = Number(String(line).trim())
  if (!Number.isSafeInteger(pid) || pid <= 1) throw new Error('the supervisor ended at once')
  return pid
}

async function untilReady(supervisor: ChildProcess, connect: () => Promise<void>): Promise<void> {
  const giveUpAt = Date.now() + READY_MS_MAX
  for (let wait = 20; ; wait = Math.min(wait * 1.5, 250)) {
    try {
      return await connect()
    } catch (error) {
      if (supervisor.exitCode !== null) throw new Error(`it ended with code ${supervisor.exitCode}`)
      if (Date.now() > giveUpAt) throw error
    }
    await delay(wait)
  }
}

/** A server alone must not keep this process running; when the process ends, the supervisor's pipe closes. */
function letProcessEnd(supervisor: ChildProcess): void {
  supervisor.unref()
  supervisor.stdout?.destroy()
  // The pipe is a socket, which `Writable` does not tell.
  if (supervisor.stdin instanceof Socket) supervisor.stdin.unref()
}

/** The end of a log, read through its descriptor: the supervisor may have removed the file with the data. */
function lastLines(log: number): string {
  const tail = Buffer.alloc(Math.min(fstatSync(log).size, 4_096))
  readSync(log, tail, 0, tail.length, fstatSync(log).size - tail.length)
  return tail.toString('utf8').trimEnd().split('\n').slice(-12).join('\n')
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const port = await bind(0)
  if (port === undefined) throw new Error('no loopback port could be bound')
  return port
}

/** Whether a loopback port was free a moment ago. */
export async function isFree(port: number): Promise<boolean> {
  return (await bind(port)) !== undefined
}

async function bind(port: number): Promise<number | undefined> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
  } catch {
    return undefined
  }
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  return address === null || typeof address === 'string' ? undefined : address.port
}
