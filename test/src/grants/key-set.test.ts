import assert from 'node:assert/strict'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, mock, test } from 'node:test'
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from 'jose'
import { readKeySet } from '../../../src/grants/key-set.ts'
import { type Issuer, readIssuers } from '../../../src/grants/keys.ts'
import { verifyToken } from '../../../src/grants/token.ts'

type Signer = { readonly kid: string; readonly jwk: JWK; readonly privateKey: CryptoKey }
type CryptoKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey']

const servers: Server[] = []
let old: Signer
let fresh: Signer

before(async () => {
  ;[old, fresh] = await Promise.all([signer('old'), signer('new')])
})
after(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

async function signer(kid: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  return { kid, jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'ES256' }, privateKey }
}

/** An issuer whose key set a test serves as it likes, on a clock of its own. */
async function issuerOf(answer: RequestListener): Promise<{
  readonly fault: (by: Signer, more?: Record<string, unknown>) => Promise<string>
  readonly asked: () => number
  readonly pass: (ms: number) => void
}> {
  let asked = 0
  const server = createServer((request, response) => {
    asked += 1
    answer(request, response)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  let nowMs = Date.now()
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`)
  const issuers: ReadonlyMap<string, Issuer> = await readIssuers(
    [{ issuer: 'https://idp', keys: { kind: 'jwks', url }, grants: 'by-name' }],
    () => nowMs,
  )
  return {
    asked: () => asked,
    pass: (ms) => {
      nowMs += ms
    },
    fault: async (by, more = {}) => {
      const token = await new SignJWT({
        iss: 'https://idp',
        sub: 'a',
        run: 'r',
        aud: 's',
        grant: 'g',
        jti: 'j',
        ...more,
      })
        .setProtectedHeader({ alg: 'ES256', kid: by.kid })
        .setExpirationTime(Math.floor(nowMs / 1_000) + 60)
        .sign(by.privateKey)
      const verdict = await verifyToken(token, issuers, { nowMs, clockSkewMs: 0 })
      return verdict.valid ? 'valid' : verdict.fault
    },
  }
}

const serving =
  (keys: () => readonly unknown[]): RequestListener =>
  (_request, response) =>
    response.end(JSON.stringify({ keys: keys() }))

const MINUTE_MS = 60_000

test('the set is fetched once for many logins, also for those that come together', async () => {
  const { fault, asked } = await issuerOf(serving(() => [old.jwk]))
  assert.deepEqual(await Promise.all([1, 2, 3, 4].map(() => fault(old))), Array(4).fill('valid'))
  assert.equal(await fault(old), 'valid')
  assert.equal(asked(), 1)
})

test('a key that the issuer has added is found as soon as a token names it, but not sooner than the cooldown', async () => {
  let keys = [old.jwk]
  const { fault, asked, pass } = await issuerOf(serving(() => keys))
  assert.equal(await fault(old), 'valid')
  keys = [fresh.jwk, old.jwk]
  assert.equal(await fault(fresh), 'bad_signature')
  assert.equal(asked(), 1, 'strangers can name keys as they like')
  pass(31_000)
  assert.equal(await fault(fresh), 'valid')
  assert.equal(await fault(old), 'valid')
  assert.equal(asked(), 2)
})

test('a key that the issuer took back is forgotten when the set is fetched again', async () => {
  let keys = [old.jwk, fresh.jwk]
  const { fault, pass } = await issuerOf(serving(() => keys))
  assert.equal(await fault(old), 'valid')
  keys = [fresh.jwk]
  pass(61 * MINUTE_MS)
  assert.equal(await fault(old), 'bad_signature')
  assert.equal(await fault(fresh), 'valid')
})

test('an old set is fetched again behind the login that meets it', async () => {
  let keys = [old.jwk]
  let answered: () => void = () => undefined
  const { fault, asked, pass } = await issuerOf((request, response) => {
    response.on('finish', () => answered())
    serving(() => keys)(request, response)
  })
  assert.equal(await fault(old), 'valid')
  keys = [fresh.jwk]
  pass(11 * MINUTE_MS)
  const again = new Promise<void>((resolve) => {
    answered = resolve
  })
  assert.equal(await fault(old), 'valid', 'it does not wait')
  await again
  assert.equal(asked(), 2)
  while ((await fault(fresh)) !== 'valid') await new Promise(setImmediate)
})

test('while the endpoint fails, keys that are known go on for an hour, and then no longer', async () => {
  let works = true
  const { fault, pass } = await issuerOf((request, response) => {
    if (works) serving(() => [old.jwk])(request, response)
    else response.writeHead(503).end()
  })
  assert.equal(await fault(old), 'valid')
  works = false
  pass(30 * MINUTE_MS)
  assert.equal(await fault(old), 'valid')
  pass(31 * MINUTE_MS)
  assert.equal(await fault(old), 'keys_unavailable')
  works = true
  pass(2 * MINUTE_MS)
  assert.equal(await fault(old), 'valid')
})

test('an endpoint that fails is asked less and less often, and costs the logins between nothing', async () => {
  const { fault, asked, pass } = await issuerOf((_request, response) => response.writeHead(500).end())
  assert.equal(await fault(old), 'keys_unavailable')
  assert.equal(await fault(old), 'keys_unavailable')
  assert.equal(asked(), 1)
  for (const [waitMs, total] of [
    [1_000, 2],
    [1_000, 2],
    [1_000, 3],
    [3_000, 3],
    [1_000, 4],
    [60_000, 5],
    [60_000, 6],
    [60_000, 7],
    [59_000, 7],
  ] as const) {
    pass(waitMs)
    assert.equal(await fault(old), 'keys_unavailable')
    assert.equal(asked(), total)
  }
})

test('an endpoint that hangs holds the logins that wait for it three seconds, once', async () => {
  const { fault, asked } = await issuerOf(() => undefined)
  const startedAt = performance.now()
  const faults = await Promise.all([fault(old), fault(old), fault(old)])
  const heldMs = performance.now() - startedAt
  assert.deepEqual(faults, ['keys_unavailable', 'keys_unavailable', 'keys_unavailable'])
  assert.ok(heldMs > 2_000 && heldMs < 10_000, `${heldMs} ms`)
  const againAt = performance.now()
  assert.equal(await fault(old), 'keys_unavailable')
  assert.ok(performance.now() - againAt < 2_500)
  assert.equal(asked(), 1)
})

const answers: readonly { readonly what: string; readonly answer: RequestListener }[] = [
  { what: 'no JSON', answer: (_request, response) => response.end('<html>') },
  { what: 'no set', answer: (_request, response) => response.end('{"kty":"EC"}') },
  { what: 'null', answer: (_request, response) => response.end('null') },
  { what: 'no key', answer: serving(() => []) },
  { what: 'only a shared secret', answer: serving(() => [{ kty: 'oct', k: 'AAAA', kid: 'old' }]) },
  { what: 'a private key', answer: serving(() => [{ ...old.jwk, d: 'AAAA' }]) },
  { what: 'keys for encryption', answer: serving(() => [{ ...old.jwk, use: 'enc' }]) },
  {
    what: 'a way elsewhere',
    answer: (request, response) => {
      if (request.url === '/jwks') response.writeHead(302, { location: '/elsewhere' }).end()
      else response.end(JSON.stringify({ keys: [old.jwk] }))
    },
  },
  {
    what: 'more than any set',
    answer: (_request, response) =>
      response.end(JSON.stringify({ keys: [old.jwk], pad: 'x'.repeat(2 << 20) })),
  },
  { what: 'nothing but the end of the connection', answer: (request) => request.socket.destroy() },
]
for (const { what, answer } of answers) {
  test(`an endpoint that answers ${what} gives no key`, async () => {
    const { fault } = await issuerOf(answer)
    assert.equal(await fault(old), 'keys_unavailable')
  })
}

test('a key is used with its own algorithm alone', async () => {
  const rsa = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(rsa.publicKey)), kid: 'old' }
  const { fault } = await issuerOf(serving(() => [jwk]))
  assert.equal(await fault(old), 'bad_signature')
})

test('an RSA key of fewer than 2048 bits verifies nothing', async () => {
  const { createSign, generateKeyPairSync } = await import('node:crypto')
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const text = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k' }] })
  const issuers = await readIssuers([{ issuer: 'i', keys: { kind: 'jwk', text }, grants: 'by-name' }])
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg: 'RS256', kid: 'k' })}.${part({ iss: 'i', sub: 'a', run: 'r', aud: 's', grant: 'g', jti: 'j', exp: 4e9 })}`
  const token = `${input}.${createSign('RSA-SHA256').update(input).sign(privateKey, 'base64url')}`
  assert.equal((await verifyToken(token, issuers, { nowMs: Date.now(), clockSkewMs: 0 })).valid, false)
})

test('a set in a file holds several keys, and those of a SPIFFE bundle are told apart', async () => {
  const bundle = JSON.stringify({
    keys: [
      { ...old.jwk, use: 'x509-svid' },
      { ...fresh.jwk, use: 'jwt-svid' },
    ],
  })
  assert.deepEqual(
    readKeySet(bundle).map(({ kid, use }) => [kid, use]),
    [['new', 'sig']],
  )
  const issuers = await readIssuers([{ issuer: 'i', keys: { kind: 'jwk', text: bundle }, grants: 'by-name' }])
  for (const [by, valid] of [
    [fresh, true],
    [old, false],
  ] as const) {
    const token = await new SignJWT({ iss: 'i', sub: 'a', run: 'r', aud: 's', grant: 'g', jti: 'j' })
      .setProtectedHeader({ alg: 'ES256', kid: by.kid })
      .setExpirationTime('1m')
      .sign(by.privateKey)
    assert.equal(
      (await verifyToken(token, issuers, { nowMs: Date.now(), clockSkewMs: 0 })).valid,
      valid,
      by.kid,
    )
  }
})

/** Whether a token is good under a key set of a file. */
async function faultUnder(
  keys: readonly JWK[],
  header: JWTHeaderParameters,
  { privateKey }: Signer,
): Promise<string> {
  const text = JSON.stringify({ keys })
  const issuers = await readIssuers([{ issuer: 'i', keys: { kind: 'jwk', text }, grants: 'by-name' }])
  const token = await new SignJWT({ iss: 'i', sub: 'a', run: 'r', aud: 's', grant: 'g', jti: 'j' })
    .setProtectedHeader(header)
    .setExpirationTime('1m')
    .sign(privateKey)
  const verdict = await verifyToken(token, issuers, { nowMs: Date.now(), clockSkewMs: 0 })
  return verdict.valid ? 'valid' : verdict.fault
}

test('a token that does not tell which key of a set is its own is good under any of them, and no other', async () => {
  const stranger = await signer('old')
  const { kid: _old, ...oldJwk } = old.jwk
  const { kid: _fresh, ...freshJwk } = fresh.jwk
  for (const by of [old, fresh]) {
    assert.equal(await faultUnder([oldJwk, freshJwk], { alg: 'ES256' }, by), 'valid')
  }
  assert.equal(await faultUnder([oldJwk, freshJwk], { alg: 'ES256' }, stranger), 'bad_signature')
  const namesakes = [old.jwk, stranger.jwk]
  assert.equal(await faultUnder(namesakes, { alg: 'ES256', kid: 'old' }, stranger), 'valid')
  assert.equal(await faultUnder(namesakes, { alg: 'ES256', kid: 'old' }, fresh), 'bad_signature')
})

test('no more keys of a set are tried than a login may cost', async () => {
  const { kid: _, ...jwk } = fresh.jwk
  const others = await Promise.all(Array.from({ length: 8 }, async () => (await signer('x')).jwk))
  const keys = [...others.map(({ kid: _kid, ...other }) => other), jwk]
  assert.equal(await faultUnder(keys, { alg: 'ES256' }, fresh), 'bad_signature')
  assert.equal(await faultUnder(keys.slice(1), { alg: 'ES256' }, fresh), 'valid')
})

test('a clock that is set back does not keep a new key from being found', async () => {
  let keys = [old.jwk]
  const server = createServer(serving(() => keys))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`)
  const issuers = await readIssuers([{ issuer: 'i', keys: { kind: 'jwks', url }, grants: 'by-name' }])
  const nowMs = Date.now()
  const isGood = async ({ kid, privateKey }: Signer): Promise<boolean> => {
    const token = await new SignJWT({ iss: 'i', sub: 'a', run: 'r', aud: 's', grant: 'g', jti: 'j' })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setExpirationTime(Math.floor(nowMs / 1_000) + 60)
      .sign(privateKey)
    return (await verifyToken(token, issuers, { nowMs, clockSkewMs: 0 })).valid
  }
  assert.equal(await isGood(old), true)
  keys = [fresh.jwk]
  const passedMs = performance.now() + 31_000
  const clocks = [
    mock.method(Date, 'now', () => nowMs - 3_600_000),
    mock.method(performance, 'now', () => passedMs),
  ]
  try {
    assert.equal(await isGood(fresh), true)
  } finally {
    for (const clock of clocks) clock.mock.restore()
  }
})
