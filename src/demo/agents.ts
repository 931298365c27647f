/** The scripted agents' side: the three drivers, as any program would use them, and what came back in one shape. */
import { Redis } from 'ioredis'
import { type Connection, createConnection } from 'mysql2/promise'
import pg from 'pg'
import { redisWords } from './accounts.ts'
import type { SystemName } from './configuration.ts'

/** Where an agent connects, and as whom. */
export type Door = {
  readonly system: SystemName | 'payroll'
  readonly host: string
  readonly port: number
  /** PEM of the listener's certificate; `undefined`: no TLS. */
  readonly ca: string | undefined
  /** The user name. */
  readonly run: string
  /** The password. */
  readonly token: string
  readonly database: string
}

/** What an attempt came to: a short form of the result, or the database's own error. */
export type Outcome =
  | { readonly ok: true; readonly shown: string }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint: string | undefined }

export type Agent = {
  /** Never rejects: an error is an outcome. */
  attempt(statement: string, values: readonly (string | number)[]): Promise<Outcome>
  close(): Promise<void>
}

/** A driver that hangs must not hang the demo. */
const CONNECT_MS_MAX = 10_000

/** @throws the driver's error when the login is refused; `outcomeOf` reads it. */
export async function connectPostgres(door: Door): Promise<Agent> {
  const client = new pg.Client({
    ...address(door),
    connectionTimeoutMillis: CONNECT_MS_MAX,
    ...(door.ca === undefined ? {} : { ssl: { ca: door.ca } }),
  })
  // Without a listener an error between statements would end the process; the next statement reports it.
  client.on('error', () => {})
  await client.connect()
  return {
    async attempt(statement, values) {
      try {
        const { rows, rowCount, command } = await client.query({ text: statement, values: [...values] })
        return { ok: true, shown: rows.length > 0 ? rowsShown(rows) : `${command} ${rowCount ?? 0}` }
      } catch (error) {
        return outcomeOf(error)
      }
    },
    close: () => client.end(),
  }
}

/** @throws the driver's error when the login is refused; `outcomeOf` reads it. */
export async function connectMysql(door: Door): Promise<Agent> {
  const connection: Connection = await createConnection({
    ...address(door),
    connectTimeout: CONNECT_MS_MAX,
    ...(door.ca === undefined ? {} : { ssl: { ca: door.ca } }),
  })
  connection.on('error', () => {})
  return {
    async attempt(statement, values) {
      try {
        // With values it goes as a prepared statement, without as text: the demo shows both ways.
        const [result] =
          values.length > 0
            ? await connection.execute(statement, [...values])
            : await connection.query(statement)
        if (Array.isArray(result)) return { ok: true, shown: rowsShown(result) }
        return { ok: true, shown: `OK, ${(result as { affectedRows: number }).affectedRows} affected` }
      } catch (error) {
        return outcomeOf(error)
      }
    },
    close: () => connection.end(),
  }
}

/** @throws the driver's error when the login is refused; `outcomeOf` reads it. */
export async function connectRedis(door: Door): Promise<Agent> {
  const client = new Redis({
    host: door.host,
    port: door.port,
    username: door.run,
    password: door.token,
    connectTimeout: CONNECT_MS_MAX,
    lazyConnect: true,
    retryStrategy: () => null,
    // It would send INFO, which the grant does not hold.
    enableReadyCheck: false,
  })
  let refused: unknown
  client.on('error', (error) => {
    refused ??= error
  })
  try {
    await client.connect()
  } catch (error) {
    client.disconnect()
    throw refused ?? error
  }
  return {
    async attempt(statement) {
      const [command = '', ...args] = redisWords(statement)
      try {
        return { ok: true, shown: replyShown(await client.call(command, ...args)) }
      } catch (error) {
        return outcomeOf(error)
      }
    },
    close: () => {
      client.disconnect()
      return Promise.resolve()
    },
  }
}

/** The driver's error as the database worded it. */
export function outcomeOf(error: unknown): Outcome & { readonly ok: false } {
  if (error instanceof pg.DatabaseError) {
    return { ok: false, code: error.code ?? '', message: error.message, hint: error.hint }
  }
  if (error instanceof Error && 'errno' in error && 'sqlState' in error) {
    return { ok: false, code: String(error.errno), message: error.message, hint: undefined }
  }
  const text = error instanceof Error ? error.message : String(error)
  // Redis begins an error with its code: `NOPERM this user has no permissions …`.
  const [, code = '', message = text] = /^([A-Z]{3,}) (.*)$/s.exec(text) ?? []
  return { ok: false, code, message, hint: undefined }
}

function address(door: Door): {
  host: string
  port: number
  user: string
  password: string
  database: string
} {
  return { host: door.host, port: door.port, user: door.run, password: door.token, database: door.database }
}

function rowsShown(rows: readonly unknown[]): string {
  const [first] = rows
  const values = Object.values((first ?? {}) as Record<string, unknown>).map((value) =>
    value instanceof Date ? value.toISOString().slice(0, 10) : String(value),
  )
  if (rows.length === 0) return '0 rows'
  return rows.length === 1
    ? `1 row: ${values.join(', ')}`
    : `${rows.length} rows, first: ${values.join(', ')}`
}

function replyShown(reply: unknown): string {
  if (Array.isArray(reply)) return `${reply.length} values: ${reply.map(replyShown).join(' ')}`
  return reply === null ? '(nil)' : String(reply)
}
