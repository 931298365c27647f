/** What ends a run ends the runs that were narrowed from it, and never the other way round. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import type { Redis } from 'ioredis'
import { decodeJwt } from 'jose'
import { addNarrowing } from '../../src/grants/narrowing.ts'
import { runCli } from '../support/cli.ts'
import { redisClient } from '../support/drivers.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { ownRedisServer } from '../support/servers.ts'

let server: Awaited<ReturnType<typeof ownRedisServer>>
let proxy: TestProxy
const clients: Redis[] = []

before(async () => {
  server = await ownRedisServer()
  const backend = { url: `redis://:${server.password}@${server.host}:${server.port}/0` }
  proxy = await startProxy({
    systems: { carts: { protocol: 'redis', backend } },
    grants: { carts: { system: 'carts', allow: ['+get ~cart:*'], limits: { connections: 4 } } },
    on_hop: { wrong_database: 'quarantine' },
  })
})
after(async () => {
  for (const client of clients) client.disconnect()
  await proxy.stop()
  await server.stop()
})

type Held = { readonly token: string; readonly jti: string; readonly run: string }

async function parent(run: string): Promise<Held> {
  const token = await proxy.token('carts', run, { ttlMs: 600_000, narrowable: true })
  return { token, jti: String(decodeJwt(token).jti), run }
}

async function narrowed(from: Held, name: string): Promise<Held> {
  const jti = randomUUID()
  const run = `${from.run}.${name}`
  const token = await addNarrowing(from.token, {
    run,
    jti,
    allow: ['+get ~cart:1'],
    metadata: undefined,
    expiresAtMs: undefined,
  })
  return { token, jti, run }
}

async function connect({ token, run }: Held): Promise<Redis> {
  const client = redisClient(proxy.address('carts'), { run, token })
  clients.push(client)
  await client.get('cart:1')
  return client
}

const works = async (client: Redis): Promise<void> => assert.equal(await client.get('cart:1'), null)

/** A parent, its child and its grandchild, each with a session. */
async function family(run: string): Promise<{ held: Held[]; sessions: Redis[] }> {
  const root = await parent(run)
  const child = await narrowed(root, 'a')
  const grandchild = await narrowed(child, 'b')
  const held = [root, child, grandchild]
  return { held, sessions: await Promise.all(held.map(connect)) }
}

for (const by of ['run', 'token'] as const) {
  test(`revoking a ${by} in the middle of a chain ends it and what is below, and leaves what is above`, async () => {
    const { held, sessions } = await family(`r-middle-${by}`)
    const [above, ...below] = sessions
    const ended = Promise.all(below.map((client) => once(client, 'end')))
    const { body } = await proxy.api('/v1/revoke', {
      ...(by === 'run' ? { run: held[1]?.run } : { token: held[1]?.jti }),
      why: 'a test',
    })
    assert.equal(body['sessions_ended'], 2)
    await ended
    await works(above as Redis)
    for (const each of held.slice(1)) await assert.rejects(connect(each), each.run)
    await assert.rejects(
      connect(await narrowed(held[1] as Held, 'another')),
      'nor does what is made of it later',
    )
  })
}

test('revoking the first of a chain ends all of it', async () => {
  const { held, sessions } = await family('r-first')
  const ended = Promise.all(sessions.map((client) => once(client, 'end')))
  const { body } = await proxy.api('/v1/revoke', { token: held[0]?.jti, why: 'a test' })
  assert.equal(body['sessions_ended'], 3)
  await ended
})

test('a revocation holds, although a narrowed token of the same name has ended', async () => {
  const root = await parent('r-same-name')
  const session = await connect(root)
  const past: Held = {
    ...root,
    token: await addNarrowing(root.token, {
      ...{ run: 'r-same-name.a', jti: root.jti, allow: [], metadata: undefined },
      expiresAtMs: 0,
    }),
  }
  await assert.rejects(connect(past))
  const ended = once(session, 'end')
  const { body } = await proxy.api('/v1/revoke', { token: root.jti, why: 'a test' })
  assert.equal(body['sessions_ended'], 1)
  await ended
  await assert.rejects(connect(root))
})

test('a hop of the last of a chain quarantines all of it, and the ledger has one run', async () => {
  const { held, sessions } = await family('r-hop')
  const ended = Promise.all(sessions.map((client) => once(client, 'end')))
  await assert.rejects((sessions[2] as Redis).call('select', '3'))
  await ended
  await assert.rejects(connect(held[0] as Held))
  const { body } = await proxy.api('/v1/runs?run=r-hop')
  const [entry, ...others] = body['runs'] as Record<string, unknown>[]
  assert.deepEqual(others, [])
  assert.ok(entry)
  assert.deepEqual([...(entry['narrowed'] as string[])].sort(), ['r-hop.a', 'r-hop.a.b'])
  assert.equal(entry['sessions'], 3)
  assert.equal((entry['refused'] as Record<string, unknown>)['cause'], 'quarantined')
})

test('a run is shown with what was narrowed from it, each by its name, or without', async () => {
  const { held, sessions } = await family('r-shown')
  await assert.rejects((sessions[2] as Redis).get('cart:2'))
  // A revocation is recorded under the name that was revoked, a refused login under that of the token.
  const ended = once(sessions[2] as Redis, 'end')
  await proxy.api('/v1/revoke', { run: 'r-shown.a.b', why: 'a test' })
  await ended
  await assert.rejects(connect(held[2] as Held))
  const shown = async (...more: string[]): Promise<string> => {
    const { code, out, err } = await runCli(['runs', 'show', 'r-shown', ...more], { cwd: proxy.folder })
    assert.equal(code, 0, err)
    return out
  }
  const all = await shown()
  assert.match(all, / {2}r-shown {6}carts {2}session {5}starts under carts/)
  assert.match(all, / {2}r-shown\.a\.b {2}carts {2}DENY {8}get cart:2 /)
  assert.match(all, / {2}r-shown\.a\.b {2}- {6}REVOKED {5}by admin: a test\n/)
  assert.match(all, / {2}r-shown\.a\.b {2}carts {2}REFUSED {5}login: revoked\n/)
  assert.match(all, /\n\nRUN {10}SESSIONS {2}ALLOWED {2}WOULD-DENY {2}DENIED {2}HOPS\nr-shown {6}1 /)
  assert.match(all, /\nr-shown\.a {4}1 .*\nr-shown\.a\.b {2}1 {9}\d+ +0 {11}1 {7}1\n$/)
  const own = await shown('--no-narrowed')
  assert.doesNotMatch(own, /r-shown\.a|cart:2/)
  const runsOf = (text: string): string[] => [
    ...new Set(
      text
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { run: string }).run),
    ),
  ]
  assert.deepEqual(runsOf(await shown('--json')).sort(), ['r-shown', 'r-shown.a', 'r-shown.a.b'])
  assert.deepEqual(runsOf(await shown('--json', '--no-narrowed')), ['r-shown'])
})

test('the connections of a chain are counted together', async () => {
  const { held } = await family('r-many')
  await connect(held[2] as Held)
  await assert.rejects(connect(held[1] as Held))
  await assert.rejects(connect(held[0] as Held))
})
