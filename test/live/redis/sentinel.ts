/** A master, its replica and a sentinel that watches them, as real servers. */
import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { makeDataFolder, serverAccount } from '../../../src/demo/servers/account.ts'
import { freePort, startProcess } from '../../../src/demo/servers/process.ts'
import { findRedis, SERVER_ENVIRONMENT } from '../../../src/demo/servers/programs.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { ownRedisServer } from '../../support/servers.ts'

/** The name of the master at the sentinel. */
export const MASTER = 'carts'
const SENTINEL_PASSWORD = 'of-the-sentinel'

export type Watched = {
  /** Of both servers. */
  readonly password: string
  readonly sentinel: { readonly port: number; readonly password: string }
  /** The master first, as long as there was no failover. */
  readonly servers: readonly [Redis, Redis]
  /** Makes the other server the master; resolves when the sentinel says so. */
  failover(): Promise<void>
  stopSentinel(): Promise<void>
  stop(): Promise<void>
}

function client(port: number, password: string): Redis {
  const made = new Redis({ host: '127.0.0.1', port, password, protocol: 2, replyMapping: 'legacy' })
  made.on('error', () => undefined)
  return made
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let waitedMs = 0; !(await holds()); waitedMs += 50) {
    if (waitedMs > 30_000) throw new Error(`not in time: ${what}`)
    await sleep(50)
  }
}

export async function watchedServers(): Promise<Watched> {
  // A replica is sent the data at once, and not in the company of others after five seconds.
  const settings = ['--repl-diskless-sync-delay', '0']
  const processes: DatabaseServer[] = [await ownRedisServer({ settings }), await ownRedisServer({ settings })]
  const [first, second] = processes
  if (first?.password === undefined || second?.password === undefined)
    throw new Error('servers have passwords')
  const { password } = first
  const master = client(first.port, password)
  const asItWas = client(second.port, second.password)
  await master.config('SET', 'masterauth', password)
  await asItWas.config('SET', 'masterauth', password, 'requirepass', password)
  asItWas.disconnect()
  const replica = client(second.port, password)
  await replica.replicaof('127.0.0.1', first.port)
  await until(
    async () => (await replica.info('replication')).includes('master_link_status:up'),
    'the replica follows',
  )
  const sentinel = await startSentinel(first.port, password)
  const asked = client(sentinel.port, SENTINEL_PASSWORD)
  await until(
    async () => ((await asked.call('SENTINEL', 'replicas', MASTER)) as unknown[]).length === 1,
    'the sentinel knows the replica',
  )
  let isStopped = false
  const stopSentinel = async (): Promise<void> => {
    if (isStopped) return
    isStopped = true
    asked.disconnect()
    await sentinel.stop()
  }
  return {
    password,
    sentinel: { port: sentinel.port, password: sentinel.password },
    servers: [master, replica],
    async failover() {
      const listener = client(sentinel.port, SENTINEL_PASSWORD)
      await listener.subscribe('+switch-master')
      const switched = new Promise((resolve) => listener.once('message', resolve))
      await asked.call('SENTINEL', 'failover', MASTER)
      await switched
      listener.disconnect()
    },
    stopSentinel,
    async stop() {
      await stopSentinel()
      // A server that was told to be another's replica has let its clients go.
      for (const one of [master, replica]) one.disconnect()
      await Promise.all(processes.map((one) => one.stop()))
    },
  }
}

/** Files of a certificate, its key, and the certificates to trust; readable by the server's account. */
export type TlsFiles = { readonly cert: string; readonly key: string; readonly ca: string }

export type Sentinel = { readonly port: number; readonly password: string; stop(): Promise<void> }

/** @param tls speaks TLS alone, and with its master too; `masterPort` is then the one for TLS */
export async function startSentinel(
  masterPort: number,
  masterPassword: string,
  tls?: TlsFiles,
): Promise<Sentinel> {
  const account = serverAccount('redis')
  const programs = await findRedis(account, () => undefined)
  const data = makeDataFolder(temporaryFolder(), account)
  const port = await freePort()
  // A sentinel writes what it learns into its own file.
  const file = join(data.path, 'sentinel.conf')
  const lines = [
    ...[tls === undefined ? `port ${port}` : `port 0\ntls-port ${port}`, 'bind 127.0.0.1'],
    ...[`dir ${data.path}`, `requirepass ${SENTINEL_PASSWORD}`],
    ...(tls === undefined
      ? []
      : [
          ...[`tls-cert-file ${tls.cert}`, `tls-key-file ${tls.key}`, `tls-ca-cert-file ${tls.ca}`],
          ...['tls-auth-clients no', 'tls-replication yes'],
        ]),
    `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} 1`,
    `sentinel auth-pass ${MASTER} ${masterPassword}`,
    `sentinel down-after-milliseconds ${MASTER} 1000`,
    `sentinel failover-timeout ${MASTER} 10000`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  if (account !== undefined) chownSync(file, account.uid, account.gid)
  const command = {
    file: programs.server,
    args: [file, '--sentinel'],
    environment: SERVER_ENVIRONMENT,
    signal: 'TERM',
  } as const
  const running = await startProcess(command, account, data, async () => {
    const probe = new Redis({
      ...{ host: '127.0.0.1', port, password: SENTINEL_PASSWORD, lazyConnect: true },
      ...(tls !== undefined && { tls: { rejectUnauthorized: false } }),
      retryStrategy: () => null,
    })
    probe.on('error', () => undefined)
    try {
      await probe.connect()
    } finally {
      probe.disconnect()
    }
  })
  return { port, password: SENTINEL_PASSWORD, stop: running.stop }
}
