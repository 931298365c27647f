/** Attacks on a session as such, through a whole proxy: other sessions' cancel keys, and a token that ends in mid-portal. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { Client } from 'pg'
import { cancelRequest } from '../../../protocols/postgres/cancel.ts'
import { bind, execute, flush, parse, query, sync } from '../../protocols/postgres/messages.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import {
  connection,
  type FreshDatabase,
  freshPostgresDatabase,
  postgresServer,
} from '../../support/servers.ts'
import { RawClient } from './raw-client.ts'

let database: FreshDatabase
let proxy: TestProxy
let aheadMs = 0

before(async () => {
  database = await freshPostgresDatabase(await postgresServer())
  const administrator = new Client(connection(database))
  await administrator.connect()
  await administrator.query('create table numbers as select n from generate_series(1, 100) n')
  await administrator.query(`create function slow(float8) returns int language plpgsql as
    $$ begin perform pg_sleep($1); return 1; end $$`)
  await administrator.end()
  const { host, port, user, password = '' } = database
  proxy = await startProxy({
    systems: {
      shop: {
        protocol: 'postgres',
        tls: undefined,
        backend: { url: `postgres://${user}@${host}:${port}/${database.database}`, password, tls: 'prefer' },
      },
    },
    grants: { agent: { system: 'shop', allow: ['select on numbers', 'execute on function slow'] } },
    now: () => Date.now() + aheadMs,
  })
})
after(async () => {
  await proxy?.stop()
  await database?.drop()
})

async function login(run: string, version?: number): Promise<RawClient> {
  const password = await proxy.token('agent', run, { nowMs: Date.now() + aheadMs })
  const { port } = proxy.address('shop')
  return RawClient.login(port, {
    user: run,
    password,
    database: database.database,
    ...(version !== undefined && { version }),
  })
}

/** Sends a CancelRequest and waits until the proxy has closed the connection. */
async function cancel(key: Buffer): Promise<void> {
  const socket = connect(proxy.address('shop').port, '127.0.0.1')
  socket.write(cancelRequest(key.readUInt32BE(0), key.subarray(4)))
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
}

test('a cancel key that is no session of ours cancels nothing, and is a hop', async () => {
  for (const version of [0x0003_0000, 0x0003_0002]) {
    const mine = await login('r-mine', version)
    mine.send(query('select slow(0.5)'))
    const hops = (): number => proxy.records().filter(({ event }) => event === 'hop').length
    const before = hops()
    const flipped = Buffer.from(mine.key)
    flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1)
    const shorter = mine.key.subarray(0, 8)
    const longer = Buffer.concat([mine.key, Buffer.alloc(4)])
    const guesses = version === 0x0003_0000 ? [flipped, longer] : [flipped, shorter, longer]
    for (const guess of guesses) await cancel(guess)
    assert.equal(await mine.read(), 'T D C(SELECT 1) Z(I)')
    assert.equal(hops(), before + guesses.length)
    mine.end()
  }
})

test('a portal that is half read gives nothing more when the token has expired', async () => {
  const client = await login('r-portal')
  client.send(
    query('begin'),
    parse('select n from numbers order by n', 's'),
    bind('s', 'p'),
    execute('p', 2),
    flush,
  )
  assert.equal(await client.read('s'), 'C(BEGIN) Z(T) 1 2 D D s')
  aheadMs += 600_000
  client.send(execute('p', 2), sync)
  const reply = await client.read('nothing more')
  assert.match(reply, /^E\(28000\)/)
  assert.ok(!reply.includes('D'), reply)
  assert.match(reply, /end$/)
})

test('a cursor that is only explained leaves no name behind that would stand for another statement', async () => {
  const client = await login('r-explains')
  client.send(query('prepare q as select n from numbers where n = 1'))
  await client.read('Z')
  client.send(
    query('explain declare c cursor for select 1; deallocate q; prepare q as select slow(0)'),
    query('execute q'),
  )
  await client.read('Z')
  await client.read('Z')
  const last = proxy.records().findLast((record) => record['statement'] === 'execute q')
  assert.deepEqual(last?.['accesses'], [{ action: 'execute', resource: 'routine public.slow' }])
  client.end()
})
