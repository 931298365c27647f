/** The admin API from outside: who may use it, what it refuses, what it says of itself. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { loadConfig } from '../../../src/config/load.ts'
import { Gateway } from '../../../src/gateway.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'

let proxy: TestProxy
let token: string

before(async () => {
  proxy = await startProxy({ systems: { trap: { protocol: 'redis', decoy: true } }, grants: {} })
  token = readFileSync(join(proxy.folder, 'keys', 'admin.token'), 'utf8').trim()
})
after(() => proxy.stop())

type Asked = {
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly socketPath?: string
}

/** As a program that may send any header asks. */
function ask({
  path,
  method = 'GET',
  headers = {},
  body,
  socketPath,
}: Asked): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const where = socketPath === undefined ? { host: '127.0.0.1', port: proxy.admin.port } : { socketPath }
    const sent = request({ ...where, path, method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const bearer = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` })

const refused: { when: string; headers: () => Record<string, string>; status: number }[] = [
  { when: 'there is no token', headers: () => ({}), status: 401 },
  { when: 'the token is another', headers: () => bearer('x'.repeat(43)), status: 401 },
  { when: 'the token is a part of it', headers: () => bearer(token.slice(0, -1)), status: 401 },
  { when: 'more follows the token', headers: () => bearer(`${token}x`), status: 401 },
  {
    when: 'the token comes as a password',
    headers: () => ({ authorization: `Basic ${token}` }),
    status: 401,
  },
  {
    when: 'a name was pointed here',
    headers: () => ({ ...bearer(token), host: 'evil.example' }),
    status: 403,
  },
  {
    when: 'a name begins like ours',
    headers: () => ({ ...bearer(token), host: 'localhost.evil.example' }),
    status: 403,
  },
  {
    when: 'a web page asks',
    headers: () => ({ ...bearer(token), origin: 'http://evil.example' }),
    status: 403,
  },
  {
    when: 'a browser says so',
    headers: () => ({ ...bearer(token), 'sec-fetch-site': 'cross-site' }),
    status: 403,
  },
]
for (const { when, headers, status } of refused) {
  test(`nothing of the API is answered when ${when}: ${status}`, async () => {
    for (const path of ['/v1/runs', '/v1/sessions', '/v1/revocations', '/openapi.json', '/v1/nothing']) {
      assert.equal((await ask({ path, headers: headers() })).status, status, path)
    }
    for (const path of ['/v1/revoke', '/v1/release', '/v1/secrets', '/v1/reload']) {
      const asked = {
        path,
        method: 'POST',
        headers: { ...headers(), 'content-type': 'application/json' },
        body: '{}',
      }
      assert.equal((await ask(asked)).status, status, path)
    }
  })
}

test('the token opens it under every name of this machine', async () => {
  for (const host of [
    '127.0.0.1',
    `127.0.0.1:${proxy.admin.port}`,
    'localhost:1',
    '[::1]:9464',
    'LOCALHOST',
  ]) {
    assert.equal((await ask({ path: '/v1/runs', headers: { ...bearer(token), host } })).status, 200, host)
  }
})

test('health and metrics need no token', async () => {
  for (const path of ['/healthz', '/readyz', '/metrics'])
    assert.equal((await ask({ path })).status, 200, path)
})

test('a health check that speaks HTTP/1.0 without a host is answered, and nothing of the API', async () => {
  const statusOf = async (path: string): Promise<string | undefined> => {
    const socket = connect(proxy.admin.port, '127.0.0.1')
    socket.end(`GET ${path} HTTP/1.0\r\nAuthorization: Bearer ${token}\r\n\r\n`)
    return (await text(socket)).split(' ')[1]
  }
  assert.equal(await statusOf('/healthz'), '200')
  assert.equal(await statusOf('/v1/runs'), '403')
})

const wrong: { when: string; path: string; body: string; type?: string; status: number }[] = [
  { when: 'nothing is named', path: '/v1/revoke', body: '{"why":"x"}', status: 400 },
  {
    when: 'two things are named',
    path: '/v1/revoke',
    body: '{"run":"r","grant":"g","why":"x"}',
    status: 400,
  },
  { when: 'no reason is given', path: '/v1/revoke', body: '{"run":"r"}', status: 400 },
  { when: 'a key is not known', path: '/v1/revoke', body: '{"run":"r","why":"x","whom":"y"}', status: 400 },
  { when: 'the run is none', path: '/v1/revoke', body: '{"run":"a b","why":"x"}', status: 400 },
  { when: 'it is no JSON', path: '/v1/revoke', body: '{', status: 400 },
  {
    when: 'it is a form',
    path: '/v1/revoke',
    body: 'run=r&why=x',
    type: 'application/x-www-form-urlencoded',
    status: 415,
  },
  {
    when: 'it is plain text',
    path: '/v1/revoke',
    body: '{"run":"r","why":"x"}',
    type: 'text/plain',
    status: 415,
  },
  {
    when: 'it is too large',
    path: '/v1/revoke',
    body: `{"run":"r","why":"${'x'.repeat(20_000)}"}`,
    status: 413,
  },
  {
    when: 'the grant is not known',
    path: '/v1/secrets',
    body: '{"grant":"g","run":"r","ttl_ms":1000}',
    status: 409,
  },
  {
    when: 'a secret would be for good',
    path: '/v1/secrets',
    body: '{"grant":"g","run":"r","ttl_ms":1e13}',
    status: 400,
  },
]
for (const { when, path, body, type = 'application/json', status } of wrong) {
  test(`a request is refused with ${status} when ${when}, and says why`, async () => {
    const answer = await ask({
      path,
      method: 'POST',
      headers: { ...bearer(token), 'content-type': type },
      body,
    })
    assert.equal(answer.status, status, answer.text)
    assert.deepEqual((await proxy.api('/v1/revocations')).body, { revocations: [] })
  })
}

test('a revocation that would outlast every calendar holds until it is released, also after a restart', async () => {
  for (const [run, for_ms] of [
    ['r-8', 3e14],
    ['r-9', Number.MAX_SAFE_INTEGER],
  ] as const) {
    const { status, body } = await proxy.api('/v1/revoke', { run, why: 'for good', for_ms })
    assert.equal(status, 200)
    assert.equal((body['revocation'] as Record<string, unknown>)['until'], undefined)
  }
  await proxy.restart()
  for (const run of ['r-8', 'r-9']) {
    const { body } = await proxy.api('/v1/release', { run, why: 'a test' })
    assert.equal((body['released'] as unknown[]).length, 1)
  }
})

test('a revocation is listed until its time is over, and a release of nothing releases nothing', async () => {
  await proxy.api('/v1/revoke', { run: 'r-1', why: 'a while', for_ms: 60_000 })
  const { body } = await proxy.api('/v1/revocations')
  const [entry] = body['revocations'] as Record<string, unknown>[]
  assert.equal(entry?.['run'], 'r-1')
  assert.ok(Date.parse(String(entry?.['until'])) > Date.now())
  assert.deepEqual((await proxy.api('/v1/release', { run: 'r-2', why: 'no' })).body, {
    released: [],
    saved: true,
  })
  assert.equal(
    ((await proxy.api('/v1/release', { run: 'r-1', why: 'yes' })).body['released'] as unknown[]).length,
    1,
  )
})

test('the OpenAPI document names every endpoint, its schemas and the token', async () => {
  const { body } = await proxy.api('/openapi.json')
  assert.equal(body['openapi'], '3.1.0')
  assert.deepEqual(Object.keys(body['paths'] as object).sort(), [
    '/v1/release',
    '/v1/reload',
    '/v1/revocations',
    '/v1/revoke',
    '/v1/runs',
    '/v1/secrets',
    '/v1/sessions',
  ])
  assert.deepEqual(body['security'], [{ token: [] }])
  const { schemas } = body['components'] as { schemas: Record<string, { required?: string[] }> }
  assert.deepEqual(schemas['RevokeRequest']?.required, ['why'])
})

test('a proxy without an admin token has no API, only health and metrics', async () => {
  const other = await startProxy({ systems: { trap: { protocol: 'redis', decoy: true } }, grants: {} })
  const bare = readFileSync(join(other.folder, 'bulkhead.yaml'), 'utf8').replace(/^ {2}token: .*$/m, '')
  await other.stop()
  const file = join(proxy.folder, 'bare.yaml')
  writeFileSync(file, `${bare}audit: { file: ./bare.jsonl }\n`)
  const gateway = await Gateway.build(loadConfig(file, { environment: {}, secrets: 'required' }).config, {
    notice: () => undefined,
  })
  const { admin } = await gateway.start()
  const at = (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${admin?.port}${path}`, { headers: bearer(token) })
  assert.equal((await at('/v1/runs')).status, 403)
  assert.equal((await at('/metrics')).status, 200)
  await gateway.stop()
})

test('on a unix socket it is for its owner alone, and one that a crash left is taken over', async () => {
  const socketPath = join(proxy.folder, 'admin.sock')
  const file = join(proxy.folder, 'socket.yaml')
  const text = readFileSync(join(proxy.folder, 'bulkhead.yaml'), 'utf8').replace(
    /^admin:\n {2}listen: .*$/m,
    'admin:\n  socket: ./admin.sock',
  )
  writeFileSync(file, `${text}audit: { file: ./socket.jsonl }\n`)
  const { config } = loadConfig(file, { environment: {}, secrets: 'required' })
  const options = { notice: () => undefined }
  const gateway = await Gateway.build(config, options)
  assert.equal((await gateway.start()).admin, undefined)
  assert.equal(statSync(socketPath).mode & 0o777, 0o600)
  assert.equal(
    (await ask({ path: '/v1/runs', headers: { ...bearer(token), host: 'localhost' }, socketPath })).status,
    200,
  )
  assert.equal((await ask({ path: '/v1/runs', headers: { host: 'localhost' }, socketPath })).status, 401)
  await gateway.stop()
  // A server that closes removes the name that it was given: under another one its socket stays, as after a crash.
  const crashed = createServer().listen(`${socketPath}.old`)
  await once(crashed, 'listening')
  renameSync(`${socketPath}.old`, socketPath)
  const taken = await Gateway.build(config, options)
  await assert.rejects(taken.start(), /EADDRINUSE/, 'a socket at which somebody answers is not taken over')
  crashed.close()
  await once(crashed, 'close')
  assert.ok(existsSync(socketPath))
  const again = await Gateway.build(config, options)
  await again.start()
  assert.equal((await ask({ path: '/healthz', headers: { host: 'x' }, socketPath })).status, 200)
  await again.stop()
})
