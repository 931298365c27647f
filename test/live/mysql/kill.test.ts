/** KILL through the whole proxy: what a run may end of its own, and what it may not of others. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Connection, createConnection } from 'mysql2/promise'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { connection, type FreshDatabase, freshMysqlDatabase, mariadbServer } from '../../support/servers.ts'

let server: DatabaseServer
let database: FreshDatabase
let direct: Connection
let proxy: TestProxy
const opened: Connection[] = []

before(async () => {
  server = await mariadbServer()
  database = await freshMysqlDatabase(server)
  direct = await createConnection(connection(database))
  await direct.query('create table orders (id int primary key)')
  await direct.query('insert into orders values (1), (2), (3)')
  const url = `mysql://${server.user}:${server.password}@${server.host}:${server.port}/${database.database}`
  const system = { protocol: 'mysql', backend: { url } }
  proxy = await startProxy({
    systems: { shop: system, other: system },
    grants: {
      orders: { system: 'shop', allow: ['select on orders'] },
      elsewhere: { system: 'other', allow: ['select on orders'] },
    },
  })
})

after(async () => {
  for (const each of opened) each.destroy()
  await proxy.stop()
  await direct.end()
  await database.drop()
  await server.stop()
})

async function connect(run: string, grant = 'orders', system = 'shop'): Promise<Connection> {
  const made = await createConnection({
    ...proxy.address(system),
    user: run,
    password: await proxy.token(grant, run),
    database: database.database,
    ssl: { rejectUnauthorized: false },
  })
  made.on('error', () => undefined)
  opened.push(made)
  return made
}

/** What a statement ends with: 0, or the number of its error. */
async function outcome(client: Connection, statement: string): Promise<number> {
  try {
    await client.query(statement)
    return 0
  } catch (error) {
    return (error as { errno?: number }).errno ?? -1
  }
}

/** Runs until it is killed, without any function that no grant gives. */
const ENDLESS = `select count(*) from ${Array.from({ length: 30 }, (_, index) => `orders o${index}`).join(', ')}`

/** Waits until the server has begun that many of them. */
async function untilRunning(count: number): Promise<void> {
  for (;;) {
    const [rows] = await direct.query(
      `select count(*) as count from information_schema.processlist
       where db = '${database.database}' and info like 'select count(*) from orders o0%'`,
    )
    if (Number((rows as { count: number }[])[0]?.count) === count) return
  }
}

test('a run ends a statement of its own by KILL QUERY, and the session serves on', async () => {
  const [busy, other] = [await connect('r-kill'), await connect('r-kill')]
  for (let turn = 0; turn < 3; turn += 1) {
    const answer = outcome(busy, ENDLESS)
    await untilRunning(1)
    assert.equal(await outcome(other, `KILL QUERY ${busy.threadId}`), 0)
    assert.equal(await answer, 1317)
    assert.equal(await outcome(busy, 'select id from orders'), 0)
  }
})

test('a KILL QUERY that comes late ends no statement that was sent after it', async () => {
  const [busy, other] = [await connect('r-kill'), await connect('r-kill')]
  for (let turn = 0; turn < 10; turn += 1) {
    assert.equal(await outcome(other, `kill query ${busy.threadId}`), 0)
    assert.equal(await outcome(busy, 'select id from orders'), 0)
  }
})

test('a run ends a session of its own by KILL', async () => {
  const [ended, other] = [await connect('r-kill'), await connect('r-kill')]
  assert.equal(await outcome(other, `KILL ${ended.threadId}`), 0)
  assert.notEqual(await outcome(ended, 'select id from orders'), 0)
  assert.equal(await outcome(other, 'select id from orders'), 0)
})

test('of another run or on another system nothing ends, and each attempt is a hop', async () => {
  const [victim, elsewhere, stranger] = [
    await connect('r-kill'),
    await connect('r-stranger', 'elsewhere', 'other'),
    await connect('r-stranger'),
  ]
  const answer = outcome(victim, ENDLESS)
  await untilRunning(1)
  // The last is nobody's.
  const ids = [victim.threadId, elsewhere.threadId, 2_000_000_000]
  const hops = (): number =>
    proxy.records().filter(({ event, ...record }) => event === 'hop' && record['kind'] === 'cross_run').length
  for (const id of ids) assert.equal(await outcome(stranger, `kill query ${id}`), 1095)
  assert.equal(await outcome(stranger, `kill ${victim.threadId}`), 1095)
  assert.equal(hops(), ids.length + 1)
  await untilRunning(1)
  assert.equal(await outcome(elsewhere, 'select id from orders'), 0)
  const own = await connect('r-kill')
  assert.equal(await outcome(own, `kill query ${victim.threadId}`), 0)
  assert.equal(await answer, 1317)
})
