/**
 * Real servers for live tests. `npm test` starts one of each and names them in the environment; a test file run on
 * its own (`npm run test:one -- file`) starts a private one, which ends with the process.
 *
 * Two variables choose other servers than those of the machine: `BULKHEAD_TEST_POSTGRES_MAJOR=18`, and
 * `BULKHEAD_TEST_REDIS_KIND=newest` or `=valkey`.
 */
import { randomBytes } from 'node:crypto'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { startMariadb } from '../../src/demo/servers/mariadb.ts'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import { startNewestRedis, startRedis, startValkey } from '../../src/demo/servers/redis.ts'
import type { DatabaseServer, StartOptions } from '../../src/demo/servers/server.ts'
import { temporaryFolder } from './folders.ts'

/** The environment variable of each shared server: the JSON of a `DatabaseServer`. */
export const SERVER_VARIABLES = {
  postgres: 'BULKHEAD_TEST_POSTGRES',
  mariadb: 'BULKHEAD_TEST_MARIADB',
  redis: 'BULKHEAD_TEST_REDIS',
} as const

type Starter = (options: StartOptions) => Promise<DatabaseServer>

const REDIS_STARTERS = new Map<string, Starter>([
  ['', startRedis],
  ['newest', startNewestRedis],
  ['valkey', startValkey],
])

/** How a server of each kind is started, as the environment chooses. */
export const STARTERS: Readonly<Record<keyof typeof SERVER_VARIABLES, Starter>> = {
  postgres: (options) => {
    const major = process.env['BULKHEAD_TEST_POSTGRES_MAJOR']
    return startPostgres({ ...options, ...(major !== undefined && { major: Number(major) }) })
  },
  mariadb: startMariadb,
  redis: (options) => {
    const kind = process.env['BULKHEAD_TEST_REDIS_KIND'] ?? ''
    const starter = REDIS_STARTERS.get(kind)
    if (starter === undefined) throw new Error(`BULKHEAD_TEST_REDIS_KIND is newest or valkey, not ${kind}`)
    return starter(options)
  },
}

type SharedKind = keyof typeof SERVER_VARIABLES

const started = new Map<SharedKind, Promise<DatabaseServer>>()

/** Shared with other test files: use `freshPostgresDatabase` and never change server-wide settings. */
export function postgresServer(): Promise<DatabaseServer> {
  return shared('postgres')
}

/** Shared with other test files: use `freshMysqlDatabase` and never change global variables. */
export function mariadbServer(): Promise<DatabaseServer> {
  return shared('mariadb')
}

/** Shared with other test files, without a database of one's own: `ownRedisServer` where keys or users matter. */
export function redisServer(): Promise<DatabaseServer> {
  return shared('redis')
}

/** A Redis for this caller alone; a fraction of a second and a few megabytes. */
export function ownRedisServer(options: Pick<StartOptions, 'settings'> = {}): Promise<DatabaseServer> {
  return STARTERS.redis({ ...options, folder: temporaryFolder() })
}

function shared(kind: SharedKind): Promise<DatabaseServer> {
  const known = started.get(kind) ?? fromEnvironment(kind) ?? STARTERS[kind]({ folder: temporaryFolder() })
  started.set(kind, known)
  return known
}

function fromEnvironment(kind: SharedKind): Promise<DatabaseServer> | undefined {
  const facts = process.env[SERVER_VARIABLES[kind]]
  if (facts === undefined) return undefined
  const server = JSON.parse(facts) as Omit<DatabaseServer, 'stop'>
  // Whoever started it ends it.
  return Promise.resolve({ ...server, stop: () => Promise.resolve() })
}

/** A server, seen through a new and empty database of it. */
export type FreshDatabase = DatabaseServer & { drop(): Promise<void> }

/** An empty, randomly named database on a PostgreSQL server. Call `drop()` when done. */
export async function freshPostgresDatabase(server: DatabaseServer): Promise<FreshDatabase> {
  const database = randomName()
  const administer = async (statement: string): Promise<void> => {
    const client = new pg.Client(connection(server))
    await client.connect()
    await client.query(statement).finally(() => client.end())
  }
  await administer(`create database ${database} template template0`)
  return { ...server, database, drop: () => administer(`drop database if exists ${database} with (force)`) }
}

/** An empty, randomly named utf8mb4 database on a MySQL or MariaDB server. Call `drop()` when done. */
export async function freshMysqlDatabase(server: DatabaseServer): Promise<FreshDatabase> {
  const database = randomName()
  const administer = async (statement: string): Promise<void> => {
    const session = await createConnection(connection(server))
    await session.query(statement).finally(() => session.end())
  }
  await administer(`create database ${database} character set utf8mb4`)
  return { ...server, database, drop: () => administer(`drop database if exists ${database}`) }
}

/** What `pg` and `mysql2` want to know of a server. */
export function connection(server: DatabaseServer): {
  host: string
  port: number
  user: string
  password: string
  database: string
} {
  const { host, port, user, password = '', database } = server
  return { host, port, user, password, database }
}

function randomName(): string {
  return `t_${randomBytes(6).toString('hex')}`
}
