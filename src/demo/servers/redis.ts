/** Starts a private Redis or Valkey: a password, nothing kept on disk. */
import { Redis } from 'ioredis'
import { type Login, launch } from './launch.ts'
import { findNewestRedis, findRedis, findValkey } from './programs.ts'
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

function start(name: string, find: typeof findRedis, options: StartOptions): Promise<DatabaseServer> {
  return launch(
    {
      ...{ name, account: 'redis', user: 'default', database: '0', signal: 'TERM' },
      find,
      args: ({ data, password }, port, settings) => [
        ...['--port', String(port), '--bind', '127.0.0.1', '--requirepass', password, '--dir', data.path],
        ...['--save', '', '--appendonly', 'no', '--daemonize', 'no', '--databases', '16'],
        ...settings,
      ],
      ask,
    },
    options,
  )
}

async function ask({ host, port, password }: Login): Promise<{ kind: 'redis' | 'valkey'; version: string }> {
  const client = new Redis({ host, port, password, lazyConnect: true, retryStrategy: () => null })
  // ioredis reports a refused connection twice: by the promise, which counts, and by this event.
  client.on('error', () => {})
  try {
    await client.connect()
    const info = await client.info('server')
    const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1]
    const version = valkey ?? /^redis_version:(\S+)/m.exec(info)?.[1] ?? ''
    return { kind: valkey === undefined ? 'redis' : 'valkey', version }
  } finally {
    client.disconnect()
  }
}
