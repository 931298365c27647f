/** Workload tokens of an issuer that knows nothing of Bulkhead, from its key set's address to a driver's first answer. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import type { Redis } from 'ioredis'
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { redisClient } from '../support/drivers.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { ownRedisServer } from '../support/servers.ts'
import { GITHUB, KUBERNETES, MAPPINGS } from '../support/workload-tokens.ts'

let server: Awaited<ReturnType<typeof ownRedisServer>>
let proxy: TestProxy
let keyServer: Server
let keys: Awaited<ReturnType<typeof generateKeyPair>>
const clients: Redis[] = []

before(async () => {
  keys = await generateKeyPair('RS256', { extractable: true })
  const jwk: JWK = { ...(await exportJWK(keys.publicKey)), kid: 'k-1', use: 'sig', alg: 'RS256' }
  keyServer = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })))
  await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve))
  const jwks = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/jwks`
  server = await ownRedisServer()
  const backend = { url: `redis://:${server.password}@${server.host}:${server.port}/0` }
  proxy = await startProxy({
    systems: { shop: { protocol: 'redis', backend }, vault: { protocol: 'redis', decoy: true } },
    on_hop: { decoy: 'quarantine' },
    grants: { triage: { system: 'shop', allow: ['+get +set ~job:*'] } },
    issuers: [MAPPINGS.github, MAPPINGS.kubernetes].map((issuer) => ({ ...issuer, jwks })),
  })
})
after(async () => {
  for (const client of clients) client.disconnect()
  await proxy.stop()
  await server.stop()
  keyServer.closeAllConnections()
  keyServer.close()
})

const sign = (claims: JWTPayload): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', kid: 'k-1' })
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(keys.privateKey)

function connect(username: string, password: string, system = 'shop'): Redis {
  const client = redisClient(proxy.address(system), { run: username, token: password })
  clients.push(client)
  return client
}

test('a job of GitHub Actions does what its grant allows and no more, under the run that its claims name', async () => {
  const client = connect('gh-9876543210.2', await sign(GITHUB))
  assert.equal(await client.set('job:1', 'done'), 'OK')
  await assert.rejects(client.get('other'), /NOPERM/)
  const record = proxy.records().find(({ event, run }) => event === 'statement' && run === 'gh-9876543210.2')
  assert.deepEqual(
    [record?.['agent'], record?.['grant'], record?.['jti']],
    ['octo-org/octo-repo/triage', 'triage', GITHUB.jti],
  )
})

test('a pod of a cluster logs in with its projected token', async () => {
  const client = connect('k8s-5e0bd49b-f040-43b0-99b7-22765a53f7f3', await sign(KUBERNETES))
  assert.equal(await client.get('job:1'), 'done')
})

const refused: readonly (readonly [string, string, JWTPayload, string, boolean])[] = [
  [
    'a job of another repository',
    'gh-9876543210.2',
    { ...GITHUB, repository: 'mallory/app' },
    'not_bound',
    false,
  ],
  ['a job under the name of another', 'gh-1.1', GITHUB, 'wrong_user', false],
  [
    'a job whose token is for another service',
    'gh-9876543210.2',
    { ...GITHUB, aud: 'sts.amazonaws.com' },
    'wrong_system',
    true,
  ],
]
for (const [what, user, claims, reason, isHop] of refused) {
  test(`${what} gets no session: ${reason}`, async () => {
    const before = proxy.records().length
    await assert.rejects(connect(user, await sign(claims)).get('job:1'))
    const records = proxy.records().slice(before)
    assert.ok(records.some((record) => record.event === 'auth.failure' && record['reason'] === reason))
    assert.equal(
      records.some(({ event }) => event === 'hop'),
      isHop,
    )
    assert.ok(!records.some(({ event }) => event === 'session.start'))
  })
}

test('a token that is bound to nothing here touches a decoy for nobody, whatever run it names', async () => {
  const stranger = await sign({ ...GITHUB, repository: 'mallory/app' })
  const before = proxy.records().length
  await assert.rejects(connect('gh-9876543210.2', stranger, 'vault').get('job:1'))
  const records = proxy.records().slice(before)
  assert.deepEqual(
    records.filter(({ event }) => event === 'hop').map(({ kind, run }) => [kind, run]),
    [['decoy', undefined]],
  )
  const client = connect('gh-9876543210.2', await sign(GITHUB))
  assert.equal(await client.get('job:1'), 'done', 'the run of that name is not quarantined')
})
