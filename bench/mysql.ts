/** MySQL load: sysbench's point select as text and as a prepared statement, through `mysql2`. */
import { type Connection, createConnection } from 'mysql2/promise'
import type { DatabaseServer } from '../src/demo/servers/server.ts'
import type { Endpoint, Load } from './endpoint.ts'

const CLIENTS = 4
const ROWS = 10_000

const connect = ({ host, port, user, password, database, tls }: Endpoint): Promise<Connection> =>
  createConnection({
    host,
    port,
    user,
    password,
    database,
    ...(tls && { ssl: { rejectUnauthorized: false } }),
  })

export async function seedMysql(server: DatabaseServer, database: string): Promise<void> {
  const client = await connect({ ...server, password: server.password ?? '', database: 'mysql', tls: false })
  await client.query(`create database ${database}`)
  await client.query(`use ${database}`)
  await client.query(
    'create table sbtest1 (id int primary key, k int not null, c char(120) not null, pad char(60) not null)',
  )
  const rows = Array.from({ length: ROWS }, (_, index) => [
    index + 1,
    index % 100,
    'c'.repeat(119),
    'p'.repeat(59),
  ])
  await client.query('insert into sbtest1 values ?', [rows])
  await client.end()
}

export const MYSQL_ALLOW = ['select on sbtest1'] as const

function load(name: string, select: (client: Connection, id: number) => Promise<unknown>): Load {
  return {
    name,
    unit: 'queries/s',
    run: async (endpoint, seconds) => {
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(endpoint)))
      let done = 0
      const endAt = performance.now() + seconds * 1_000
      await Promise.all(
        clients.map(async (client) => {
          while (performance.now() < endAt) {
            await select(client, 1 + (done % ROWS))
            done += 1
          }
          await client.end()
        }),
      )
      return done / seconds
    },
  }
}

export const mysqlLoads: readonly Load[] = [
  load('mysql2: point select, text', (client, id) => client.query(`SELECT c FROM sbtest1 WHERE id=${id}`)),
  load('mysql2: point select, prepared', (client, id) =>
    client.execute('SELECT c FROM sbtest1 WHERE id=?', [id]),
  ),
]
