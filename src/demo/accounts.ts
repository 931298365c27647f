/**
 * Seeds the three private servers and makes the accounts with which the proxy logs in there. Those accounts may do
 * what the shop's staff may do, and not more: the proxy is the first lock, and the backend's own privileges stay
 * the second.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import type { DatabaseServer } from './servers/server.ts'

/** How the proxy logs in to one backend. */
export type BackendAccount = { readonly user: string; readonly password: string; readonly database: string }

const USER = 'bulkhead'

/** A seed file as text; `docker-compose.yml` mounts the same files. */
function seedText(name: 'shop.sql' | 'crm.sql' | 'carts.txt'): string {
  return readFileSync(new URL(`seed/${name}`, import.meta.url), 'utf8')
}

/** The database `shop` with its data. */
export async function seedShop(server: DatabaseServer): Promise<BackendAccount> {
  const password = secret()
  const connect = async (database: string, text: string): Promise<void> => {
    const client = new pg.Client({ ...loginOf(server), database })
    await client.connect()
    await client.query(text).finally(() => client.end())
  }
  await connect(server.database, 'create database shop')
  await connect('shop', seedText('shop.sql'))
  await connect(
    'shop',
    `create role ${USER} login password '${password}';
     grant select, insert, update, delete on all tables in schema public to ${USER};
     grant usage on all sequences in schema public to ${USER}`,
  )
  return { user: USER, password, database: 'shop' }
}

/** The database `crm` with its data. */
export async function seedCrm(server: DatabaseServer): Promise<BackendAccount> {
  const password = secret()
  const session = await createConnection({ ...loginOf(server), multipleStatements: true })
  try {
    await session.query('create database crm character set utf8mb4; use crm')
    await session.query(seedText('crm.sql'))
    await session.query(
      `create user ${USER}@'127.0.0.1' identified by '${password}';
       grant select, insert, update, delete on crm.* to ${USER}@'127.0.0.1'`,
    )
  } finally {
    await session.end()
  }
  return { user: USER, password, database: 'crm' }
}

/** Database 0 with its data. */
export async function seedCarts(server: DatabaseServer): Promise<BackendAccount> {
  const password = secret()
  const client = new Redis({ host: server.host, port: server.port, password: server.password ?? '' })
  try {
    for (const line of seedText('carts.txt').split('\n').filter(Boolean)) {
      const [command = '', ...args] = redisWords(line)
      await client.call(command, ...args)
    }
    // INFO is where the proxy reads the server's version; the other dangerous commands stay out of reach.
    const rules = ['on', `>${password}`, '~*', '&*', '+@all', '-@admin', '-@dangerous', '+info']
    await client.call('ACL', 'SETUSER', USER, ...rules)
  } finally {
    client.disconnect()
  }
  return { user: USER, password, database: '0' }
}

/** The words of a line as `redis-cli` splits it, as far as the demo needs: double quotes and nothing inside them. */
export function redisWords(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '')
}

function loginOf({ host, port, user, password = '' }: DatabaseServer): {
  host: string
  port: number
  user: string
  password: string
} {
  return { host, port, user, password }
}

function secret(): string {
  return randomBytes(18).toString('base64url')
}
