/**
 * The three systems of the contract: a real server each, an ordinary driver each, and the words in which a case is
 * said there. What differs between protocols stands here, not in the cases.
 */
import { Redis } from 'ioredis'
import { type Connection, createConnection } from 'mysql2/promise'
import pg from 'pg'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { Address } from '../../src/config/config.ts'
import type { DatabaseServer } from '../../src/demo/servers/server.ts'
import {
  connection,
  freshMysqlDatabase,
  freshPostgresDatabase,
  mariadbServer,
  ownRedisServer,
  postgresServer,
} from '../support/servers.ts'

/** What came of one statement: its first value, or the database's own error code. */
export type Outcome = { readonly value: unknown } | { readonly error: string; readonly message: string }

export type Agent = {
  run(statement: string): Promise<Outcome>
  /** All at once, without waiting for replies in between, where the driver and protocol can. */
  pipeline(statements: readonly string[]): Promise<Outcome[]>
  /** Resolves with what the driver was told when the session ended. */
  readonly ended: Promise<string>
  close(): Promise<void>
}

export type ContractSystem = {
  readonly protocol: ProtocolName
  readonly server: DatabaseServer
  /** `backend` and `allow` of the configuration. */
  readonly backendUrl: string
  readonly allow: readonly string[]
  /** Gives the value 1, or 'one'. */
  readonly allowed: string
  readonly allowedValue: unknown
  /** Reads what the grant does not cover. */
  readonly denied: string
  readonly deniedError: string
  /** Writes where the grant only reads; its effect can be seen with `effect`. */
  readonly deniedWrite: string
  /** Cannot be read by anyone. */
  readonly nonsense: string
  readonly hop: { readonly statement: string; readonly kind: string }
  /** What no grant allows, and touches the decoy. */
  readonly forbidden: string
  /** What shows a limit: the error codes are the database's own. */
  readonly bounded: {
    readonly allow: readonly string[]
    /** Brings back 1,000 rows of one number each. */
    readonly many: string
    readonly tooMany: string
    /** Runs for an hour if nobody cancels it. */
    readonly slow: string
    readonly tooSlow: string
  }
  /** What `denied` touches, as a decoy is written. */
  readonly decoy: string
  /** What a login that is refused is told. */
  readonly authenticationError: string
  /** Runs until it is cancelled or some seconds have passed. */
  connect(address: Address, run: string, token: string): Promise<Agent>
  /** Ends every connection that the proxy has open to the backend, as an operator there would. */
  killConnections(): Promise<void>
  /** True while the slow statement of `bounded` runs there for anybody. */
  isRunning(): Promise<boolean>
  /** True while the denied write has had no effect, seen directly on the server. */
  untouched(): Promise<boolean>
  stop(): Promise<void>
}

const outcomeOf = async (work: () => Promise<unknown>): Promise<Outcome> => {
  try {
    return { value: await work() }
  } catch (error) {
    const { code, errno, message } = error as Error & { code?: string; errno?: number }
    // ioredis has no code: the first word of a Redis error is one.
    return { error: code ?? errno?.toString() ?? message.split(' ')[0] ?? '', message }
  }
}

async function postgresSystem(): Promise<ContractSystem> {
  const server = await freshPostgresDatabase(await postgresServer())
  const direct = new pg.Client(connection(server))
  await direct.connect()
  await direct.query('create table open (id int); insert into open values (1); create table closed (id int)')
  await direct.query('insert into closed values (7)')
  return {
    protocol: 'postgres',
    server,
    backendUrl: `postgres://${server.user}:${server.password}@${server.host}:${server.port}/${server.database}`,
    allow: ['select on open'],
    allowed: 'select id from open',
    allowedValue: 1,
    denied: 'select id from closed',
    deniedError: '42501',
    deniedWrite: 'insert into open values (2)',
    nonsense: 'selec id from open',
    hop: { statement: 'set role postgres', kind: 'identity_switch' },
    forbidden: 'select pg_sleep(1) from closed',
    bounded: {
      allow: [],
      many: 'select g from generate_series(1, 1000) g',
      tooMany: '53400',
      slow: 'select count(*) from generate_series(1, 100000000000) g',
      tooSlow: '57014',
    },
    decoy: 'closed',
    authenticationError: '28P01',
    async connect({ host, port }, run, token) {
      const client = new pg.Client({
        host,
        port,
        user: run,
        password: token,
        database: server.database,
        ssl: { rejectUnauthorized: false },
      })
      const ended = new Promise<string>((resolve) => client.on('error', (error) => resolve(error.message)))
      await client.connect()
      const one = (statement: string): Promise<Outcome> =>
        outcomeOf(async () => {
          const { rows } = await client.query<Record<string, unknown>>({ text: statement, values: [] })
          return Object.values(rows[0] ?? {})[0]
        })
      return {
        run: one,
        pipeline: (statements) => Promise.all(statements.map(one)),
        ended,
        close: () => client.end().catch(() => undefined),
      }
    },
    isRunning: async () => {
      const { rows } = await direct.query(
        "select from pg_stat_activity where datname = current_database() and state = 'active' and query like '%100000000000%' and pid <> pg_backend_pid()",
      )
      return rows.length > 0
    },
    untouched: async () => (await direct.query('select count(*)::int as n from open')).rows[0].n === 1,
    async killConnections() {
      await direct.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'bulkhead%'",
      )
    },
    async stop() {
      await direct.end()
      await server.drop()
    },
  }
}

async function mysqlSystem(): Promise<ContractSystem> {
  const server = await freshMysqlDatabase(await mariadbServer())
  const direct = await createConnection(connection(server))
  await direct.query('create table open (id int)')
  await direct.query('insert into open values (1)')
  await direct.query('create table closed (id int)')
  await direct.query('insert into closed values (7)')
  await direct.query('create table numbers as select seq as n from seq_1_to_1000')
  return {
    protocol: 'mysql',
    server,
    backendUrl: `mysql://${server.user}:${server.password}@${server.host}:${server.port}/${server.database}`,
    allow: ['select on open'],
    allowed: 'select id from open',
    allowedValue: 1,
    denied: 'select * from closed',
    deniedError: 'ER_TABLEACCESS_DENIED_ERROR',
    deniedWrite: 'insert into open values (2)',
    nonsense: 'selec id from open',
    hop: { statement: 'select * from mysql.user', kind: 'wrong_database' },
    forbidden: 'select sleep(1) from closed',
    bounded: {
      allow: ['select on numbers'],
      many: 'select n from numbers',
      tooMany: 'ER_USER_LIMIT_REACHED',
      slow: 'select count(*) from numbers a, numbers b, numbers c, numbers d',
      // ER_STATEMENT_TIMEOUT, which is MariaDB's own: mysql2 has no word for it.
      tooSlow: '1969',
    },
    decoy: 'closed',
    authenticationError: 'ER_ACCESS_DENIED_ERROR',
    async connect({ host, port }, run, token) {
      const client: Connection = await createConnection({
        host,
        port,
        user: run,
        password: token,
        database: server.database,
        ssl: { rejectUnauthorized: false },
      })
      const ended = new Promise<string>((resolve) =>
        client.on('error', (error: Error) => resolve(error.message)),
      )
      const one = (statement: string): Promise<Outcome> =>
        outcomeOf(async () => {
          const [rows] = await client.query(statement)
          return Object.values((rows as Record<string, unknown>[])[0] ?? {})[0]
        })
      return {
        run: one,
        pipeline: (statements) => Promise.all(statements.map(one)),
        ended,
        close: () => client.end().catch(() => undefined),
      }
    },
    isRunning: async () => {
      const [rows] = await direct.query(
        "select id from information_schema.processlist where db = database() and info like '%numbers d%' and id <> connection_id()",
      )
      return (rows as unknown[]).length > 0
    },
    untouched: async () => {
      const [rows] = await direct.query('select count(*) as n from open')
      return (rows as { n: number }[])[0]?.n === 1
    },
    async killConnections() {
      const [rows] = await direct.query(
        'select id from information_schema.processlist where db = database() and id <> connection_id()',
      )
      for (const { id } of rows as { id: number }[]) await direct.query(`kill ${id}`).catch(() => undefined)
    },
    async stop() {
      await direct.end()
      await server.drop()
    },
  }
}

async function redisSystem(): Promise<ContractSystem> {
  const server = await ownRedisServer()
  const direct = new Redis({ host: server.host, port: server.port, password: server.password ?? '' })
  await direct.set('open:1', 'one')
  await direct.set('closed:1', 'secret')
  await direct.rpush('numbers', ...Array.from({ length: 1_000 }, (_, index) => index))
  const words = (statement: string): [string, ...string[]] => statement.split(' ') as [string, ...string[]]
  return {
    protocol: 'redis',
    server,
    backendUrl: `redis://:${server.password}@${server.host}:${server.port}/0`,
    allow: ['+get ~open:*', '+ping +multi +exec'],
    allowed: 'get open:1',
    allowedValue: 'one',
    denied: 'get closed:1',
    deniedError: 'NOPERM',
    deniedWrite: 'set open:1 two',
    nonsense: 'frobnicate open:1',
    hop: { statement: 'select 3', kind: 'wrong_database' },
    forbidden: 'pfdebug getreg closed:1',
    bounded: {
      allow: ['+lrange +blpop ~numbers ~never'],
      many: 'lrange numbers 0 -1',
      tooMany: 'ERR',
      slow: 'blpop never 3600',
      tooSlow: 'ERR',
    },
    decoy: '~closed:*',
    authenticationError: 'WRONGPASS',
    async connect({ host, port }, run, token) {
      const client = new Redis({
        host,
        port,
        username: run,
        password: token,
        lazyConnect: true,
        retryStrategy: () => null,
        maxRetriesPerRequest: 0,
      })
      let lastError = ''
      client.on('error', (error: Error) => {
        lastError = error.message
      })
      const ended = new Promise<string>((resolve) => client.on('end', () => resolve(lastError)))
      await client.connect().catch((error: Error) => {
        // ioredis says why by an event, and here only that it is over.
        throw new Error(lastError === '' ? error.message : lastError)
      })
      const one = (statement: string): Promise<Outcome> => outcomeOf(() => client.call(...words(statement)))
      return {
        run: one,
        pipeline: (statements) => Promise.all(statements.map(one)),
        ended,
        close: async () => client.disconnect(),
      }
    },
    isRunning: async () => String(await direct.client('LIST')).includes('cmd=blpop'),
    untouched: async () => (await direct.get('open:1')) === 'one',
    async killConnections() {
      await direct.call('client', 'kill', 'type', 'normal', 'skipme', 'yes')
    },
    async stop() {
      direct.disconnect()
      await server.stop()
    },
  }
}

/** How each of the three starts. */
export const SYSTEMS = { postgres: postgresSystem, mysql: mysqlSystem, redis: redisSystem } as const
