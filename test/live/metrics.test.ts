/** Labels stay bounded whatever agents send: through a live proxy, with names that nobody has seen before. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { parseExposition } from '../../src/demo/exposition.ts'
import { redisClient } from '../support/drivers.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type FreshDatabase, freshPostgresDatabase, postgresServer, redisServer } from '../support/servers.ts'

let database: FreshDatabase
let proxy: TestProxy

before(async () => {
  database = await freshPostgresDatabase(await postgresServer())
  const redis = await redisServer()
  const { user, password, host, port } = database
  proxy = await startProxy({
    systems: {
      shop: {
        protocol: 'postgres',
        backend: { url: `postgres://${user}:${password}@${host}:${port}/${database.database}` },
      },
      carts: {
        protocol: 'redis',
        backend: { url: `redis://:${redis.password}@${redis.host}:${redis.port}/0` },
      },
    },
    grants: {
      anything: { system: 'shop', allow: ['all on public.*'] },
      keys: { system: 'carts', allow: ['+@read ~k:*', '+set ~k:*'] },
      little: { system: 'shop', allow: [], limits: { rows: 2, connections: 1 } },
      seldom: { system: 'carts', allow: ['+@read ~k:*'], limits: { statements_per_minute: 3, idle: '50ms' } },
    },
  })
})

after(async () => {
  await proxy.stop()
  await database.drop()
})

/** Every series but those of Node itself, whose garbage collector has kinds that come with time. */
async function series(): Promise<readonly string[]> {
  return parseExposition(await proxy.metrics())
    .filter(({ name }) => name.startsWith('bulkhead_'))
    .map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`)
    .sort()
}

async function talkToShop(run: string, password: string, statements: readonly string[]): Promise<void> {
  const { host, port } = proxy.address('shop')
  const client = new pg.Client({ host, port, user: run, password, database: run })
  client.on('error', () => undefined)
  await client.connect()
  for (const statement of statements) await client.query(statement).catch(() => undefined)
  await client.end()
}

async function talkToCarts(run: string, password: string, commands: readonly string[][]): Promise<void> {
  const client = redisClient(proxy.address('carts'), { run, token: password }, { enableReadyCheck: false })
  for (const [command = '', ...args] of commands) await client.call(command, ...args).catch(() => undefined)
  client.disconnect()
}

test('runs, users, tables, columns, commands, keys, databases and error codes add no series', async () => {
  const before = await series()
  // Few: a name that is not known has the catalog read anew, once a second.
  for (let n = 0; n < 2; n += 1) {
    const shop = await proxy.token('anything', `r-${n}`)
    await talkToShop(`r-${n}`, shop, [
      `create table t_${n} (c_${n} int)`,
      `select c_${n} from t_${n}`,
      `select * from absent_${n}`,
      `select ${n} / 0`,
      `slect ${n}`,
      `select * from other_database_${n}.public.t`,
      `set role "someone_${n}"`,
    ])
  }
  for (let n = 0; n < 20; n += 1) {
    const run = `r-${n}-${'x'.repeat(n)}`
    const shop = await proxy.token('anything', run)
    const carts = await proxy.token('keys', run)
    await talkToCarts(run, carts, [
      ['get', `k:${n}`],
      ['get', `other:${n}`],
      ['set', `k:${n}`, 'text'],
      ['lrange', `k:${n}`, '0', '-1'],
      [`nocommand${n}`, 'x'],
      ['select', String(n + 1)],
    ])
    // Logins that fail: a token of another system, another user, no token at all.
    await talkToShop(run, carts, []).catch(() => undefined)
    await talkToShop(`user-${n}`, shop, []).catch(() => undefined)
    await talkToShop(run, `password-${n}`, []).catch(() => undefined)
    await talkToCarts(run, shop, [['get', 'k:1']])
  }
  assert.deepEqual(await series(), before)

  const text = await proxy.metrics()
  const count = (name: string, labels: Record<string, string>): number =>
    parseExposition(text)
      .filter((sample) => sample.name === name)
      .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
      .reduce((sum, sample) => sum + sample.value, 0)
  // It did happen: what is counted is there, only not by name.
  assert.ok(count('bulkhead_statements_total', { system: 'shop', verdict: 'allow' }) >= 2)
  assert.ok(count('bulkhead_denied_total', { system: 'shop' }) >= 2)
  assert.ok(count('bulkhead_denied_total', { system: 'carts', reason: 'not_granted' }) >= 20)
  assert.ok(count('bulkhead_hop_attempts_total', { system: 'carts', kind: 'wrong_database' }) >= 20)
  assert.ok(count('bulkhead_hop_attempts_total', { system: 'shop', kind: 'wrong_system' }) >= 20)
  assert.ok(count('bulkhead_auth_failures_total', { system: 'shop' }) >= 60)
  for (const word of ['r-3-xxx', 't_1', 'c_1', 'absent_1', 'k:3', 'nocommand3', 'someone_1', 'user-3']) {
    assert.ok(!text.includes(word), word)
  }
})

test('a limit that stops something is counted by its name, at its system', async () => {
  const reached = async (system: string): Promise<Record<string, number>> =>
    Object.fromEntries(
      parseExposition(await proxy.metrics())
        .filter(({ name, labels }) => name === 'bulkhead_limits_reached_total' && labels['system'] === system)
        .map(({ labels, value }) => [labels['limit'], value]),
    )
  const { host, port } = proxy.address('shop')
  const password = await proxy.token('little', 'r-limits')
  const client = new pg.Client({ host, port, user: 'r-limits', password, database: 'r-limits' })
  client.on('error', () => undefined)
  await client.connect()
  await assert.rejects(client.query('values (1), (2), (3)'))
  await assert.rejects(talkToShop('r-limits', password, []))
  await client.end()
  assert.deepEqual(await reached('shop'), {
    ...{ rows: 1, bytes: 0, time: 0, statements: 0, session: 0, connections: 1 },
  })

  const login = { run: 'r-limits', token: await proxy.token('seldom', 'r-limits') }
  // It would tell its name and version, which are statements too.
  const settings = { enableReadyCheck: false, disableClientInfo: true }
  const carts = redisClient(proxy.address('carts'), login, settings)
  const ended = new Promise<void>((resolve) => carts.once('end', resolve))
  await carts.get('k:1')
  await assert.rejects(Promise.all(['k:2', 'k:3', 'k:4'].map((key) => carts.get(key))))
  await ended
  const { statements = 0, ...others } = await reached('carts')
  assert.ok(statements >= 1)
  assert.deepEqual(others, { rows: 0, bytes: 0, time: 0, session: 1, connections: 0 })
})
