/** Starts a private Redis (or Valkey, where only that is on the machine): a password, nothing kept on disk. */
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { makeDataFolder, serverAccount } from './account.ts'
import { freePort, startProcess } from './process.ts'
import { findRedis, type Programs, SERVER_ENVIRONMENT } from './programs.ts'
import type { DatabaseServer, StartOptions } from './server.ts'

export async function startRedis(options: StartOptions): Promise<DatabaseServer> {
  const progress = options.progress ?? (() => {})
  const programs = await findRedis(serverAccount('redis'), progress)
  progress('starting Redis')
  return startRedisFrom(programs, options)
}

/** The same for any server that speaks Redis' configuration language. */
export async function startRedisFrom(programs: Programs, options: StartOptions): Promise<DatabaseServer> {
  const account = serverAccount('redis')
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
