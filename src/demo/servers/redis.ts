/** Starts a private Redis or Valkey: a password, nothing kept on disk. */
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { makeDataFolder, serverAccount } from './account.ts'
import { freePort, startProcess } from './process.ts'
import { findNewestRedis, findRedis, findValkey, type Programs, SERVER_ENVIRONMENT } from './programs.ts'
import type { DatabaseServer, StartOptions } from './server.ts'

/** The machine's Redis, or its Valkey where only that is there, or the Redis of the machine's Debian suite. */
export function startRedis(options: StartOptions): Promise<DatabaseServer> {
  return start('Redis', findRedis, options)
}

/** @throws ServerUnavailable where there is no Valkey and none can be fetched */
export function startValkey(options: StartOptions): Promise<DatabaseServer> {
  return start('Valkey', findValkey, options)
}

/** @throws ServerUnavailable where Debian's newest Redis cannot be fetched */
export function startNewestRedis(options: StartOptions): Promise<DatabaseServer> {
  return start('Redis', findNewestRedis, options)
}

async function start(name: string, find: typeof findRedis, options: StartOptions): Promise<DatabaseServer> {
  const progress = options.progress ?? (() => {})
  const account = serverAccount('redis')
  const programs: Programs = await find(account, progress)
  progress(`starting ${name}`)
  const data = makeDataFolder(options.folder, account)
  const password = randomBytes(18).toString('base64url')
  try {
    const port = await freePort()
    const command = {
      file: programs.server,
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--requirepass', password, '--dir', data.path],
        ...['--save', '', '--appendonly', 'no', '--daemonize', 'no', '--databases', '16'],
        ...(options.settings ?? []),
      ],
      environment: SERVER_ENVIRONMENT,
      signal: 'TERM',
    } as const
    const facts = {
      host: '127.0.0.1',
      port,
      user: 'default',
      password,
      database: '0',
    } as const
    let info = ''
    const running = await startProcess(command, account, data, async () => {
      const client = new Redis({
        host: facts.host,
        port,
        password,
        lazyConnect: true,
        retryStrategy: () => null,
      })
      // ioredis reports a refused connection twice: by the promise, which counts, and by this event.
      client.on('error', () => {})
      try {
        await client.connect()
        info = await client.info('server')
      } finally {
        client.disconnect()
      }
    })
    const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1]
    const version = valkey ?? /^redis_version:(\S+)/m.exec(info)?.[1] ?? ''
    return {
      kind: valkey === undefined ? 'redis' : 'valkey',
      version,
      ...facts,
      programs: programs.clients,
      ...running,
    }
  } catch (error) {
    data.remove()
    throw error
  }
}
