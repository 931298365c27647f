/** A system whose master the sentinels name: sessions go where it is now, and follow it when it is another. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import type { BackendNotice, BackendTarget } from '../../../src/backends/backend.ts'
import { openRedisBackend } from '../../../src/backends/redis.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { RawClient } from './raw-client.ts'
import { MASTER, type Watched, watchedServers } from './sentinel.ts'

let watched: Watched
let proxy: TestProxy
let token: string

/** Takes connections and never says a word, as a sentinel that hangs. */
const silent = createServer((socket) => socket.on('error', () => undefined))

before(async () => {
  watched = await watchedServers()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { password, sentinel } = watched
  proxy = await startProxy({
    systems: {
      carts: {
        protocol: 'redis',
        backend: {
          url: `redis://:${password}@${MASTER}/0`,
          tls: 'disable',
          // Nobody listens on the first.
          sentinel: {
            addresses: ['127.0.0.1:1', `127.0.0.1:${sentinel.port}`],
            password: sentinel.password,
          },
        },
      },
    },
    grants: { open: { system: 'carts', allow: ['+@all ~open:*'] } },
  })
  token = await proxy.token('open', 'r-42')
})

after(async () => {
  silent.close()
  await proxy.stop()
  await watched.stop()
})

async function agent(): Promise<{ client: RawClient; greeting: string }> {
  const client = await RawClient.open(proxy.address('carts'))
  const [greeting = ''] = await client.ask(`HELLO 2 AUTH r-42 ${token}`)
  return { client, greeting }
}

async function open(target: Partial<BackendTarget>) {
  const notices: BackendNotice[] = []
  const backend = openRedisBackend(
    {
      ...{ host: MASTER, port: 6379, user: '', password: watched.password, database: '0', schema: '' },
      ...{ tls: 'disable', ca: undefined },
      ...target,
    },
    (notice) => notices.push(notice),
  )
  await backend.start()
  return { backend, notices }
}

test('a sentinel that hangs, and one that does not know the master, are passed over', async () => {
  const address = silent.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const { sentinel } = watched
  const addresses = [port, sentinel.port].map((one) => ({ host: '127.0.0.1', port: one }))
  const target = { addresses, user: undefined, password: sentinel.password, tls: 'disable' } as const
  const known = await open({ sentinel: target })
  assert.deepEqual(await known.backend.locate?.(), {
    host: '127.0.0.1',
    port: watched.servers[0].options.port,
  })
  assert.equal(known.backend.reachable, true)
  await known.backend.close()

  const other = await open({ host: 'nosuch', sentinel: { ...target, addresses: addresses.slice(1) } })
  await assert.rejects(
    other.backend.locate?.() ?? Promise.resolve(),
    /^Error: no sentinel says where `nosuch` is: 127\.0\.0\.1:\d+: it does not know a master of that name$/,
  )
  assert.equal(other.backend.reachable, false)
  await other.backend.close()
})

test('a wrong password of the sentinels is told to operators, without the password', async () => {
  const addresses = [{ host: '127.0.0.1', port: watched.sentinel.port }]
  const { backend, notices } = await open({
    sentinel: { addresses, user: undefined, password: 'hunter2', tls: 'disable' },
  })
  await assert.rejects(backend.locate?.() ?? Promise.resolve(), /WRONGPASS/)
  assert.doesNotMatch(JSON.stringify(notices), /hunter2/)
  await backend.close()
})

test('sessions go to the master, and after a failover to the new one; no answer names either', async () => {
  const [first, second] = watched.servers
  const before = await agent()
  assert.deepEqual(await before.client.ask('SET open:1 one'), ['+OK\r\n'])
  assert.equal(await first.get('open:1'), 'one')

  await watched.failover()
  const after = await agent()
  assert.deepEqual(await after.client.ask('SET open:2 two'), ['+OK\r\n'])
  assert.equal(await second.get('open:2'), 'two')

  const told = [
    before.greeting,
    after.greeting,
    ...(await after.client.ask(
      'INFO',
      'ROLE',
      'CLIENT INFO',
      'CLUSTER SLOTS',
      'SENTINEL masters',
      'CLUSTER NODES',
    )),
  ].join('')
  for (const server of watched.servers) assert.ok(!told.includes(String(server.options.port)))
  before.client.close()
  after.client.close()
})

test('while no sentinel answers there is no session, and the client is told nothing of them', async () => {
  await watched.stopSentinel()
  const { client, greeting } = await agent()
  assert.match(greeting, /^-ERR /)
  assert.ok(!greeting.includes('sentinel'))
  client.close()
  const told = proxy.records().filter((record) => JSON.stringify(record).includes('no sentinel says where'))
  assert.equal(told.length, 1, JSON.stringify(proxy.records().slice(-3)))
})
