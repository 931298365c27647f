import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { NO_LIMITS } from '../../../src/grants/grant.ts'
import { type Issuer, KeyError, readIssuers } from '../../../src/grants/keys.ts'
import { signToken, TOKEN_BYTES_MAX, verifyToken } from '../../../src/grants/token.ts'

const NOW_MS = 1_800_000_000_000
const options = { nowMs: NOW_MS, clockSkewMs: 5_000 }

type Pair = Awaited<ReturnType<typeof generateKeyPair>>
let pair: Pair
let stranger: Pair
let issuers: ReadonlyMap<string, Issuer>
let privateJwk: JWK

before(async () => {
  pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  stranger = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  privateJwk = await exportJWK(pair.privateKey)
  const text = JSON.stringify(await exportJWK(pair.publicKey))
  issuers = await readIssuers([
    { issuer: 'bulkhead', keys: { kind: 'jwk', text }, grants: 'by-name' },
    { issuer: 'planner', keys: { kind: 'jwk', text }, grants: 'inline' },
  ])
})

const good: JWTPayload = {
  iss: 'bulkhead',
  sub: 'triage',
  run: 'r-42',
  aud: 'shop',
  grant: 'read',
  jti: 'j-1',
  nbf: NOW_MS / 1_000,
  exp: NOW_MS / 1_000 + 60,
}

const sign = (claims: JWTPayload, key: Pair = pair): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA' }).sign(key.privateKey)

/** The claims with some replaced; `undefined` removes one. */
const but = (changes: Record<string, unknown>): JWTPayload =>
  JSON.parse(JSON.stringify({ ...good, ...changes })) as JWTPayload

test('a token of the built-in issuer verifies, and says who, where and until when', async () => {
  const token = await signToken(
    {
      issuer: 'bulkhead',
      agent: 'triage',
      run: 'r-42',
      system: 'shop',
      grant: 'read',
      jti: 'j-1',
      nowMs: NOW_MS,
      ttlMs: 60_000,
    },
    privateJwk,
  )
  const verdict = await verifyToken(token, issuers, options)
  assert.ok(verdict.valid)
  assert.deepEqual(verdict.token, {
    issuer: 'bulkhead',
    agent: 'triage',
    run: 'r-42',
    system: 'shop',
    grant: 'read',
    jti: 'j-1',
    expiresAtMs: NOW_MS + 60_000,
    ancestors: [],
    narrowed: [],
  })
})

const faults: readonly {
  readonly when: string
  readonly token: () => Promise<string> | string
  readonly fault: string
}[] = [
  { when: 'there is none', token: () => '', fault: 'missing' },
  { when: 'it is longer than any token', token: () => 'a'.repeat(TOKEN_BYTES_MAX + 1), fault: 'too_large' },
  { when: 'it is no JWT', token: () => 'hello', fault: 'malformed' },
  { when: 'its parts are no base64', token: () => '%.%.%', fault: 'malformed' },
  {
    when: 'its header asks for what nobody here knows',
    token: async () => {
      const [, ...rest] = (await sign(good)).split('.')
      const header = { alg: 'EdDSA', crit: ['x'], x: 1 }
      return [Buffer.from(JSON.stringify(header)).toString('base64url'), ...rest].join('.')
    },
    fault: 'malformed',
  },
  { when: 'its issuer is not trusted', token: () => sign(but({ iss: 'mallory' })), fault: 'unknown_issuer' },
  { when: 'it has no issuer', token: () => sign(but({ iss: undefined })), fault: 'malformed' },
  { when: 'another key signed it', token: () => sign(good, stranger), fault: 'bad_signature' },
  { when: 'it expired a minute ago', token: () => sign(but({ exp: NOW_MS / 1_000 - 60 })), fault: 'expired' },
  {
    when: 'it is not valid yet',
    token: () => sign(but({ nbf: NOW_MS / 1_000 + 60 })),
    fault: 'not_yet_valid',
  },
  { when: 'it never expires', token: () => sign(but({ exp: undefined })), fault: 'bad_claims' },
  { when: 'it is for two systems', token: () => sign(but({ aud: ['shop', 'crm'] })), fault: 'bad_claims' },
  { when: 'it is for no system', token: () => sign(but({ aud: undefined })), fault: 'bad_claims' },
  { when: 'it names no run', token: () => sign(but({ run: undefined })), fault: 'bad_claims' },
  { when: 'its run id could break a record', token: () => sign(but({ run: 'r\n42' })), fault: 'bad_claims' },
  { when: 'it names no agent', token: () => sign(but({ sub: undefined })), fault: 'bad_claims' },
  { when: 'it has no id', token: () => sign(but({ jti: undefined })), fault: 'bad_claims' },
  { when: 'it names no grant', token: () => sign(but({ grant: undefined })), fault: 'bad_claims' },
  {
    when: 'it carries a grant, and its issuer may only name them',
    token: () => sign(but({ grant: { allow: ['select on t'] } })),
    fault: 'inline_not_allowed',
  },
]
for (const { when, token, fault } of faults) {
  test(`a token is refused when ${when}: ${fault}`, async () => {
    const verdict = await verifyToken(await token(), issuers, options)
    assert.equal(verdict.valid ? 'valid' : verdict.fault, fault)
  })
}

test('the clock may be off by the skew and no more', async () => {
  const late = await sign(but({ exp: NOW_MS / 1_000 - 4 }))
  assert.equal((await verifyToken(late, issuers, options)).valid, true)
  assert.equal((await verifyToken(late, issuers, { ...options, clockSkewMs: 3_000 })).valid, false)
})

test('an expired token still tells whose it was, for the record', async () => {
  const verdict = await verifyToken(await sign(but({ exp: NOW_MS / 1_000 - 60 })), issuers, options)
  assert.equal(verdict.token?.run, 'r-42')
})

test('a forged token tells nothing: its claims are not believed', async () => {
  const verdict = await verifyToken(await sign(good, stranger), issuers, options)
  assert.equal(verdict.token, undefined)
})

test('`alg: none` and an HMAC made with the public key are refused', async () => {
  const [, payload] = (await sign(good)).split('.') as [string, string, string]
  const header = (alg: string): string => Buffer.from(JSON.stringify({ alg })).toString('base64url')
  assert.equal((await verifyToken(`${header('none')}.${payload}.`, issuers, options)).valid, false)
  const jwk = JSON.stringify(await exportJWK(pair.publicKey))
  const hmac = await new SignJWT(good).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(jwk))
  const verdict = await verifyToken(hmac, issuers, options)
  assert.equal(verdict.valid ? 'valid' : verdict.fault, 'bad_signature')
})

test('an issuer that may define grants carries one in the token', async () => {
  const verdict = await verifyToken(
    await sign(but({ iss: 'planner', grant: { allow: ['select on t'] } })),
    issuers,
    options,
  )
  assert.ok(verdict.valid)
  assert.deepEqual(verdict.token.grant, { allow: ['select on t'], metadata: 'driver', limits: NO_LIMITS })
})

const keys: readonly {
  readonly when: string
  readonly text: () => Promise<string> | string
  readonly says: RegExp
}[] = [
  { when: 'it is no JSON', text: () => 'pem?', says: /not a JSON Web Key/ },
  { when: 'it is the private key', text: async () => JSON.stringify(privateJwk), says: /private key/ },
  {
    when: 'it is a shared secret',
    text: () => JSON.stringify({ kty: 'oct', k: 'AAAA' }),
    says: /not accepted/,
  },
  {
    when: 'its curve is unknown',
    text: () => JSON.stringify({ kty: 'EC', crv: 'P-521', x: 'a', y: 'b' }),
    says: /`P-521` are not accepted/,
  },
]
for (const { when, text, says } of keys) {
  test(`an issuer key is refused when ${when}`, async () => {
    const keyText = await text()
    await assert.rejects(
      readIssuers([{ issuer: 'x', keys: { kind: 'jwk', text: keyText }, grants: 'by-name' }]),
      (error) => error instanceof KeyError && says.test(error.message),
    )
  })
}

test('ES256 and RS256 keys verify their own algorithm only', async () => {
  for (const alg of ['ES256', 'RS256']) {
    const own = await generateKeyPair(alg, { extractable: true })
    const text = JSON.stringify(await exportJWK(own.publicKey))
    const trusted = await readIssuers([
      { issuer: 'bulkhead', keys: { kind: 'jwk', text }, grants: 'by-name' },
    ])
    const token = await new SignJWT(good).setProtectedHeader({ alg }).sign(own.privateKey)
    assert.equal((await verifyToken(token, trusted, options)).valid, true, alg)
    assert.equal((await verifyToken(await sign(good), trusted, options)).valid, false, alg)
  }
})
