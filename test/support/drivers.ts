/** The drivers that agents use, as a run, through a proxy. None tries again: what a test sees comes of one attempt. */
import { Redis, type RedisOptions } from 'ioredis'
import { type Connection, type ConnectionOptions, createConnection } from 'mysql2/promise'
import pg from 'pg'
import type { Address } from '../../src/config/config.ts'

export type RunLogin = {
  readonly run: string
  /** A token, or a run secret. */
  readonly token: string
}

export type RedisSettings = Pick<RedisOptions, 'lazyConnect' | 'enableReadyCheck' | 'disableClientInfo'>

type WithDatabase = RunLogin & { readonly database: string }

/** The certificate of a test's proxy is its own. */
const ANY_CERTIFICATE = { rejectUnauthorized: false }

/** In clear text, unless the options have `ssl`. Rejects as `pg` does. */
export async function connectPg(
  { host, port }: Address,
  { run, token, database }: WithDatabase,
  options: pg.ClientConfig = {},
): Promise<pg.Client> {
  const client = new pg.Client({ host, port, user: run, password: token, database, ...options })
  await client.connect()
  return client
}

/** Over TLS. Rejects as `mysql2` does. */
export function connectMysql(
  { host, port }: Address,
  { run, token, database }: WithDatabase,
  options: ConnectionOptions = {},
): Promise<Connection> {
  return createConnection({
    ...{ host, port, user: run, password: token, database, ssl: ANY_CERTIFICATE },
    ...options,
  })
}

/** In clear text; it connects by itself, and commands reject where it cannot. Redis takes a token without a run, too. */
export function redisClient(
  { host, port }: Address,
  { run, token }: Omit<RunLogin, 'run'> & Partial<RunLogin>,
  options: RedisSettings = {},
): Redis {
  const client = new Redis({
    ...{ host, port, password: token, retryStrategy: () => null, maxRetriesPerRequest: 0 },
    ...(run !== undefined && { username: run }),
    ...options,
  })
  // ioredis reports a refused connection twice: by the command, which counts, and by this event.
  client.on('error', () => undefined)
  return client
}
