/** What follows from a hop, and from an inline grant's ceiling. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { importJWK, type JWK, SignJWT } from 'jose'
import { freePort } from '../../src/demo/servers/process.ts'
import { redisClient } from '../support/drivers.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { ownRedisServer } from '../support/servers.ts'

let server: Awaited<ReturnType<typeof ownRedisServer>>
const proxies: TestProxy[] = []
const clients: Redis[] = []

before(async () => {
  server = await ownRedisServer()
})
after(async () => {
  for (const client of clients) client.disconnect()
  for (const proxy of proxies) await proxy.stop()
  await server.stop()
})

/** Two systems in front of one server, with what is given besides. */
async function proxyWith(
  more: Record<string, unknown> = {},
  system: Record<string, unknown> = {},
): Promise<TestProxy> {
  const backend = { url: `redis://:${server.password}@${server.host}:${server.port}/0` }
  const proxy = await startProxy({
    systems: { one: { protocol: 'redis', backend, ...system }, two: { protocol: 'redis', backend } },
    grants: {
      here: { system: 'one', allow: ['+get +set ~k:*'] },
      there: { system: 'two', allow: ['+get ~k:*'] },
    },
    ...more,
  })
  proxies.push(proxy)
  return proxy
}

function connect(proxy: TestProxy, where: string, token: string): Redis {
  const client = redisClient(proxy.address(where), { token })
  clients.push(client)
  return client
}

const gone = (client: Redis): Promise<string> =>
  new Promise((resolve) => client.once('end', () => resolve('gone')))

test('`end_session` ends the session that hopped and no other of the run', async () => {
  const proxy = await proxyWith({ on_hop: { wrong_database: 'end_session' } })
  const hopper = connect(proxy, 'one', await proxy.token('here', 'r-1'))
  const other = connect(proxy, 'two', await proxy.token('there', 'r-1'))
  await Promise.all([hopper.get('k:1'), other.get('k:1')])
  const ended = gone(hopper)
  await assert.rejects(hopper.call('select', '4'))
  assert.equal(await ended, 'gone')
  assert.equal(await other.get('k:1'), null)
})

for (const on_hop of [
  { wrong_database: 'reject', decoy: 'end_session' },
  { wrong_database: 'end_session', decoy: 'reject' },
]) {
  test(`a hop that touches a decoy is both, and the graver consequence follows: ${JSON.stringify(on_hop)}`, async () => {
    const proxy = await proxyWith({ on_hop }, { decoys: ['~bait:*'] })
    const hopper = connect(proxy, 'one', await proxy.token('here', 'r-7'))
    await hopper.get('k:1')
    const ended = gone(hopper)
    await assert.rejects(hopper.call('move', 'bait:1', '4'), /wrong_database/)
    assert.equal(await ended, 'gone')
    const ofHops = proxy.records().filter(({ event }) => event === 'hop')
    assert.deepEqual(
      ofHops.map(({ kind, to }) => [kind, to]),
      [
        ['wrong_database', '4'],
        ['decoy', '~bait:1'],
      ],
    )
    const [statement, ...others] = proxy.records().filter(({ verdict }) => verdict === 'deny')
    assert.equal(statement?.['reason'], 'hop')
    assert.deepEqual(others, [])
  })
}

test('`quarantine` ends every session of the run on every system, and refuses its tokens', async () => {
  const proxy = await proxyWith({ on_hop: 'quarantine' })
  const token = await proxy.token('here', 'r-2')
  const hopper = connect(proxy, 'one', token)
  const other = connect(proxy, 'two', await proxy.token('there', 'r-2'))
  const bystander = connect(proxy, 'two', await proxy.token('there', 'r-3'))
  await Promise.all([hopper.get('k:1'), other.get('k:1'), bystander.get('k:1')])
  const ended = Promise.all([gone(hopper), gone(other)])
  await assert.rejects(hopper.call('migrate', '10.0.0.7', '6379', 'k:1', '0', '10'))
  assert.deepEqual(await ended, ['gone', 'gone'])
  assert.equal(await bystander.get('k:1'), null)
  const again = connect(proxy, 'one', token)
  assert.equal(await gone(again), 'gone')
  const records = proxy.records()
  assert.ok(records.some(({ event, run }) => event === 'quarantine' && run === 'r-2'))
  assert.ok(records.some(({ event, kind }) => event === 'hop' && kind === 'replayed_token'))
})

test('a login that waits for the backend while its run is quarantined does not become a session', async () => {
  let hold = false
  const held: (() => void)[] = []
  const door = createServer((socket) => {
    const enter = (): void => {
      const through = connectTcp(server.port, server.host)
      for (const side of [socket, through]) side.on('error', () => side.destroy())
      socket.pipe(through).pipe(socket)
    }
    if (hold) held.push(enter)
    else enter()
  })
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  const { port } = door.address() as AddressInfo
  const backend = { url: `redis://:${server.password}@127.0.0.1:${port}/0` }
  const proxy = await proxyWith({ on_hop: 'quarantine' }, { backend })
  const token = await proxy.token('here', 'r-7')
  const hopper = connect(proxy, 'one', token)
  await hopper.set('k:7', '0')
  hold = true
  const late = connect(proxy, 'one', token)
  const outcome = late.incr('k:7').then(
    () => 'a session',
    () => 'refused',
  )
  while (held.length === 0) await sleep(5)
  await assert.rejects(hopper.call('select', '4'))
  for (const enter of held) enter()
  assert.equal(await outcome, 'refused')
  assert.ok(proxy.records().some(({ event, reason }) => event === 'auth.failure' && reason === 'quarantined'))
  door.close()
})

test('sessions opened at the same moment are counted against the limit of the grant', async () => {
  const proxy = await proxyWith({
    grants: { few: { system: 'one', allow: ['+get ~k:*'], limits: { connections: 2 } } },
  })
  const token = await proxy.token('few', 'r-8')
  const burst = async (): Promise<number> => {
    const all = Array.from({ length: 12 }, () => connect(proxy, 'one', token))
    const outcomes = await Promise.allSettled(all.map((client) => client.get('k:8')))
    for (const client of all) client.disconnect()
    while (((await proxy.api('/v1/sessions')).body['sessions'] as unknown[]).length > 0) await sleep(10)
    return outcomes.filter(({ status }) => status === 'fulfilled').length
  }
  assert.equal(await burst(), 2)
  assert.equal(await burst(), 2, 'and their places are given back')
})

test('a command of very many keys leaves one record of bounded size', async () => {
  const proxy = await proxyWith()
  const client = connect(proxy, 'one', await proxy.token('here', 'r-9'))
  const keys = Array.from({ length: 100_000 }, (_, number) => `secret:${number}`)
  await assert.rejects(client.call('del', ...keys), /NOPERM/)
  const record = proxy
    .records()
    .find(({ run, statement }) => run === 'r-9' && /^del /.test(String(statement)))
  assert.equal(record?.['verdict'], 'deny')
  const text = JSON.stringify(record)
  assert.match(text, /… \d+ more/)
  assert.ok(text.length < 1 << 19, `${text.length} characters`)
})

test('a proxy that cannot open every listener opens none', async () => {
  const first = await proxyWith()
  const { port } = first.address('one')
  const free = await freePort()
  await assert.rejects(
    startProxy({
      systems: {
        free: { protocol: 'redis', decoy: true, listen: `127.0.0.1:${free}` },
        taken: { protocol: 'redis', decoy: true, listen: `127.0.0.1:${port}` },
      },
      grants: {},
    }),
    /EADDRINUSE/,
  )
  await assert.rejects(fetch(`http://127.0.0.1:${free}/`), 'its listeners are closed again')
})

test('a token shown at another system quarantines its run where the configuration says so', async () => {
  const proxy = await proxyWith({ on_hop: { wrong_system: 'quarantine' } })
  const token = await proxy.token('here', 'r-4')
  const client = connect(proxy, 'one', token)
  await client.get('k:1')
  const ended = gone(client)
  assert.equal(await gone(connect(proxy, 'two', token)), 'gone')
  assert.equal(await ended, 'gone')
})

test('a grant that a token carries never exceeds the ceiling of the system', async () => {
  const inline = async (proxy: TestProxy, allow: string[]): Promise<string> => {
    const jwk = JSON.parse(readFileSync(join(proxy.folder, 'keys', 'issuer.jwk'), 'utf8')) as JWK
    return new SignJWT({ run: 'r-5', grant: { allow } })
      .setProtectedHeader({ alg: 'EdDSA' })
      .setIssuer('planner')
      .setSubject('agent')
      .setAudience('one')
      .setJti(randomUUID())
      .setExpirationTime('5m')
      .sign(await importJWK(jwk, 'EdDSA'))
  }
  const proxy = await proxyWith(
    { issuers: [{ issuer: 'planner', key: './keys/issuer.pub.jwk', grants: 'inline' }] },
    { ceiling: ['+@read ~k:*'] },
  )
  const client = connect(proxy, 'one', await inline(proxy, ['allcommands allkeys']))
  assert.equal(await client.get('k:1'), null)
  await assert.rejects(client.set('k:1', 'x'), /NOPERM/)
  await assert.rejects(client.get('other'), /NOPERM/)
  const wrong = connect(proxy, 'one', await inline(proxy, ['+nonsense']))
  assert.equal(await gone(wrong), 'gone')
})

/** The descriptor under which this process has a file open. */
