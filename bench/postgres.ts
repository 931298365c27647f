/** PostgreSQL load: pgbench's select-only script where pgbench is to be had, else the same statement through `pg`. */
import { join } from 'node:path'
import pg from 'pg'
import type { DatabaseServer } from '../src/demo/servers/server.ts'
import { output } from './command.ts'
import type { Endpoint, Load } from './endpoint.ts'

const CLIENTS = 4
const ROWS = 100_000

/** The table that pgbench's built-in scripts read, made without pgbench. */
export async function seedPostgres(server: DatabaseServer): Promise<void> {
  const { host, port, user, password, database } = server
  const client = new pg.Client({ host, port, user, database, ...(password !== undefined && { password }) })
  await client.connect()
  await client.query(`
    create table pgbench_branches (bid int primary key, bbalance int, filler char(88));
    create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84));
    create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84));
    create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
    insert into pgbench_branches values (1, 0, '');
    insert into pgbench_tellers select n, 1, 0, '' from generate_series(1, 10) n;
    insert into pgbench_accounts select n, 1, 0, '' from generate_series(1, ${ROWS}) n;
    analyze`)
  await client.end()
}

/** What those loads need. */
export const POSTGRES_ALLOW = ['select on pgbench_accounts', 'select on pgbench_branches'] as const

export function postgresLoads(programs: string | undefined): readonly Load[] {
  const modes = ['simple', 'extended', 'prepared'] as const
  if (programs === undefined) return [driverLoad]
  return modes.map((mode) => ({
    name: `pgbench -S -M ${mode}`,
    unit: 'tps',
    run: async ({ host, port, user, password, database, tls }, seconds) => {
      const args = [
        '-S',
        '-n',
        '-M',
        mode,
        '-c',
        String(CLIENTS),
        '-T',
        String(seconds),
        '-h',
        host,
        '-p',
        String(port),
      ]
      const printed = await output(join(programs, 'pgbench'), [...args, '-U', user, database], {
        PGPASSWORD: password,
        PGSSLMODE: tls ? 'require' : 'disable',
      })
      const tps = /tps = ([\d.]+)/.exec(printed)?.[1]
      if (tps === undefined) throw new Error(`pgbench printed no figure: ${printed}`)
      return Number(tps)
    },
  }))
}

const driverLoad: Load = {
  name: 'pg: select by key',
  unit: 'queries/s',
  run: async ({ host, port, user, password, database, tls }: Endpoint, seconds) => {
    const ssl = tls ? { rejectUnauthorized: false } : false
    const clients = Array.from(
      { length: CLIENTS },
      () => new pg.Client({ host, port, user, password, database, ssl }),
    )
    await Promise.all(clients.map((client) => client.connect()))
    let done = 0
    const endAt = performance.now() + seconds * 1_000
    await Promise.all(
      clients.map(async (client) => {
        while (performance.now() < endAt) {
          const aid = 1 + (done % ROWS)
          await client.query('select abalance from pgbench_accounts where aid = $1', [aid])
          done += 1
        }
        await client.end()
      }),
    )
    return done / seconds
  },
}
