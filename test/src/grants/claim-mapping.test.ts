import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import {
  bindingOf,
  claimPattern,
  compileMapping,
  MappingError,
  mappedClaims,
  type WrittenMapping,
} from '../../../src/grants/claim-mapping.ts'
import { matchText } from '../../../src/grants/claim-text.ts'
import { type Issuer, readIssuers } from '../../../src/grants/keys.ts'
import { addNarrowing, confirmationOf, withSeed } from '../../../src/grants/narrowing.ts'
import { newSeed } from '../../../src/grants/one-time-key.ts'
import { type TokenVerdict, tokenId, verifyToken } from '../../../src/grants/token.ts'
import { GITHUB, KUBERNETES, MAPPINGS, SPIFFE } from '../../support/workload-tokens.ts'

const NOW_MS = 1_800_000_000_000
const EXP = NOW_MS / 1_000 + 300

type Pair = Awaited<ReturnType<typeof generateKeyPair>>
let pair: Pair
let issuers: ReadonlyMap<string, Issuer>

/** A mapping of the documentation with its bindings on the system `shop`. */
const written = ({ claims, bind }: (typeof MAPPINGS)[keyof typeof MAPPINGS]): WrittenMapping => ({
  parts: {},
  ...claims,
  bind: bind.map((binding) => ({ ...binding, system: 'shop' })),
})

before(async () => {
  // What all three use: GitHub and Kubernetes sign with RS256, SPIRE with ES256 or RS256.
  pair = await generateKeyPair('RS256', { extractable: true })
  const keys = { kind: 'jwk', text: JSON.stringify(await exportJWK(pair.publicKey)) } as const
  issuers = await readIssuers(
    Object.values(MAPPINGS).map((issuer) => ({
      issuer: issuer.issuer,
      keys,
      grants: 'by-name',
      audience: issuer.audience,
      mapping: written(issuer),
    })),
  )
})

const sign = (claims: JWTPayload): Promise<string> =>
  new SignJWT({ exp: EXP, iat: NOW_MS / 1_000, nbf: NOW_MS / 1_000, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'k-1' })
    .sign(pair.privateKey)

const verify = async (claims: JWTPayload): Promise<TokenVerdict> =>
  verifyToken(await sign(claims), issuers, { nowMs: NOW_MS, clockSkewMs: 5_000 })

const without = (claims: JWTPayload, ...names: string[]): JWTPayload =>
  Object.fromEntries(Object.entries(claims).filter(([name]) => !names.includes(name)))

const good: readonly (readonly [string, JWTPayload, readonly string[]])[] = [
  [
    'a GitHub Actions job',
    GITHUB,
    [
      'octo-org/octo-repo/triage',
      'gh-9876543210.2',
      'shop',
      'triage',
      '5d4bcd0f-9a3c-4b6b-8ab1-3c1f5f0d7a11',
    ],
  ],
  [
    'a Kubernetes pod',
    KUBERNETES,
    [
      'triage',
      'k8s-5e0bd49b-f040-43b0-99b7-22765a53f7f3',
      'shop',
      'triage',
      'ea28ed49-2e11-4280-9ec5-bc3d1d84661a',
    ],
  ],
]
for (const [what, claims, says] of good) {
  test(`a token of ${what} says who runs, where and under which grant`, async () => {
    const verdict = await verify(claims)
    assert.ok(verdict.valid, JSON.stringify(verdict))
    const { agent, run, system, grant, jti } = verdict.token
    assert.deepEqual([agent, run, system, grant, jti], says)
  })
}

test('a SPIFFE token, which has no id, gets one that no other spelling of it changes', async () => {
  const verdict = await verify(SPIFFE)
  assert.ok(verdict.valid, JSON.stringify(verdict))
  const { agent, run, system, grant, jti } = verdict.token
  assert.deepEqual([agent, run, system, grant], ['triage', 'triage.i-42', 'shop', 'triage'])
  assert.match(jti, /^[\w-]{43}$/)
  assert.equal(tokenId(await sign(SPIFFE)), jti, 'it can be revoked by it')
  const again = await verify(SPIFFE)
  const later = await verify({ ...SPIFFE, iat: NOW_MS / 1_000 + 1 })
  assert.equal(again.token?.jti, jti)
  assert.notEqual(later.token?.jti, jti)
})

test('the id of a token without one does not depend on its signature, which with ES256 has two spellings', async () => {
  const own = await generateKeyPair('ES256', { extractable: true })
  const trusted = await readIssuers([
    {
      issuer: MAPPINGS.spiffe.issuer,
      keys: { kind: 'jwk', text: JSON.stringify(await exportJWK(own.publicKey)) },
      grants: 'by-name',
      audience: MAPPINGS.spiffe.audience,
      mapping: written(MAPPINGS.spiffe),
    },
  ])
  const token = await new SignJWT({ ...SPIFFE, exp: EXP })
    .setProtectedHeader({ alg: 'ES256' })
    .sign(own.privateKey)
  const at = token.lastIndexOf('.') + 1
  const signature = Buffer.from(token.slice(at), 'base64url')
  // ECDSA: (r, n - s) is good where (r, s) is. The order of P-256, from FIPS 186-4, D.1.2.3.
  const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const s = order - BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const other = Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
  ])
  const ids: (string | undefined)[] = []
  for (const text of [token, token.slice(0, at) + other.toString('base64url')]) {
    const verdict = await verifyToken(text, trusted, { nowMs: NOW_MS, clockSkewMs: 0 })
    assert.ok(verdict.valid)
    ids.push(verdict.token.jti)
  }
  assert.equal(ids[0], ids[1])
})

const bad: readonly { readonly what: string; readonly claims: JWTPayload; readonly fault: string }[] = [
  { what: 'another repository', claims: { ...GITHUB, repository: 'mallory/octo-repo' }, fault: 'not_bound' },
  { what: 'another branch', claims: { ...GITHUB, ref: 'refs/heads/main2' }, fault: 'not_bound' },
  { what: 'a missing claim of a condition', claims: without(GITHUB, 'ref'), fault: 'not_bound' },
  {
    what: 'an audience for another service',
    claims: { ...GITHUB, aud: 'sts.amazonaws.com' },
    fault: 'wrong_system',
  },
  { what: 'an audience that reads like a system', claims: { ...GITHUB, aud: 'shop' }, fault: 'wrong_system' },
  { what: 'two audiences', claims: { ...GITHUB, aud: [String(GITHUB.aud), 'other'] }, fault: 'bad_claims' },
  { what: 'no audience', claims: without(GITHUB, 'aud'), fault: 'bad_claims' },
  { what: 'an empty list of audiences', claims: { ...GITHUB, aud: [] }, fault: 'bad_claims' },
  { what: 'no claim to name the run', claims: without(GITHUB, 'run_id'), fault: 'bad_claims' },
  { what: 'an empty claim to name the run', claims: { ...GITHUB, run_id: '' }, fault: 'bad_claims' },
  { what: 'a run id that could break a record', claims: { ...GITHUB, run_id: '1\n2' }, fault: 'bad_claims' },
  { what: 'a run id that is too long', claims: { ...GITHUB, run_id: '1'.repeat(64) }, fault: 'bad_claims' },
  { what: 'an object where a text should be', claims: { ...GITHUB, run_id: { id: 1 } }, fault: 'bad_claims' },
  { what: 'no end', claims: { ...GITHUB, exp: 'never' } as unknown as JWTPayload, fault: 'bad_claims' },
  {
    what: 'a stranger and an end that is past',
    claims: { ...GITHUB, repository: 'a/b', exp: EXP - 900 },
    fault: 'not_bound',
  },
  { what: 'an end that is past', claims: { ...GITHUB, exp: EXP - 900 }, fault: 'expired' },
  {
    what: 'another service account',
    claims: { ...KUBERNETES, sub: 'system:serviceaccount:agents:triage2' },
    fault: 'not_bound',
  },
  {
    what: 'a SPIFFE id with a segment more',
    claims: { ...SPIFFE, sub: 'spiffe://example.org/agent/triage/i/42' },
    fault: 'bad_claims',
  },
  {
    what: 'a SPIFFE id of another trust domain',
    claims: { ...SPIFFE, sub: 'spiffe://example.com/agent/triage/i-42' },
    fault: 'bad_claims',
  },
  {
    what: 'another agent',
    claims: { ...SPIFFE, sub: 'spiffe://example.org/agent/billing/i-42' },
    fault: 'not_bound',
  },
  { what: 'a proof that cannot be checked', claims: { ...GITHUB, cnf: { jkt: 'x' } }, fault: 'bad_chain' },
]
for (const { what, claims, fault } of bad) {
  test(`a workload token is refused that has ${what}: ${fault}`, async () => {
    const verdict = await verify(claims)
    assert.equal(verdict.valid ? 'valid' : verdict.fault, fault)
  })
}

test('claims of Bulkhead in a token of another issuer mean nothing', async () => {
  const verdict = await verify({ ...GITHUB, run: 'r-1', grant: 'everything', sub: 'root' })
  assert.ok(verdict.valid)
  assert.deepEqual([verdict.token.run, verdict.token.grant], ['gh-9876543210.2', 'triage'])
})

test('an outside token with a key of its holder can be narrowed', async () => {
  const seed = newSeed()
  const token = withSeed(await sign({ ...GITHUB, cnf: confirmationOf(seed) }), seed)
  const child = await addNarrowing(token, {
    run: 'gh-9876543210.2.sub',
    jti: 'j',
    allow: ['select on orders'],
    metadata: undefined,
    expiresAtMs: undefined,
  })
  const verdict = await verifyToken(child, issuers, { nowMs: NOW_MS, clockSkewMs: 0 })
  assert.ok(verdict.valid)
  assert.equal(verdict.token.ancestors[0]?.run, 'gh-9876543210.2')
})

const mapping = (more: Partial<WrittenMapping>): ReturnType<typeof compileMapping> =>
  compileMapping({ parts: {}, agent: 'sub', run: 'run', bind: [], ...more })

test('the first binding for the system of the audience holds; one for another system does not', () => {
  const { bind } = mapping({
    bind: [
      { when: { team: 'a' }, grant: 'one', system: 'crm' },
      { when: { team: 'a', role: 'admin' }, grant: 'two', system: 'shop' },
      { when: { team: ['a', 'b'] }, grant: 'three', system: 'shop' },
    ],
  })
  const of = (claims: Record<string, unknown>, system: string | undefined): unknown => {
    const found = bindingOf({ ...mapping({}), bind }, claims, system)
    return typeof found === 'object' ? found.grant : found
  }
  assert.equal(of({ team: 'a' }, 'crm'), 'one')
  assert.equal(of({ team: 'a', role: 'admin' }, 'shop'), 'two')
  assert.equal(of({ team: 'a' }, 'shop'), 'three')
  assert.equal(of({ team: 'b' }, 'shop'), 'three')
  assert.equal(of({ team: 'b' }, 'crm'), 'elsewhere')
  assert.equal(of({ team: 'c' }, 'shop'), undefined)
  assert.equal(of({ team: 'a' }, undefined), 'elsewhere')
})

test('a condition on a list holds when one of its members does, and compares numbers and truths as text', () => {
  const bound = (when: WrittenMapping['bind'][number]['when'], claims: Record<string, unknown>): boolean =>
    bindingOf(mapping({ bind: [{ when, grant: 'g', system: 's' }] }), claims, 's') !== undefined
  assert.equal(bound({ groups: 'dba' }, { groups: ['dev', 'dba'] }), true)
  assert.equal(bound({ groups: 'dba' }, { groups: ['dev', 'dbas'] }), false)
  assert.equal(bound({ id: 7 }, { id: '7' }), true)
  assert.equal(bound({ id: '7' }, { id: 7 }), true)
  assert.equal(bound({ protected: true }, { protected: 'true' }), true)
  assert.equal(bound({ id: '9007199254740992' }, { id: 2 ** 53 }), false, 'a number that JSON cannot carry')
  assert.equal(bound({ toString: 'x' }, {}), false)
  assert.equal(bound({ '/a.b/c~1d/e': 'x' }, { 'a.b': { 'c/d': { e: 'x' } } }), true)
  assert.equal(bound({ 'https://example.com/team': 'x' }, { 'https://example.com/team': 'x' }), true)
})

const patterns: readonly (readonly [string, string, boolean])[] = [
  ['octo/app', 'octo/app', true],
  ['octo/app', 'octo/app2', false],
  ['octo/app', 'Octo/app', false],
  ['octo/*', 'octo/app', true],
  ['octo/*', 'octo/app/x', false],
  ['octo/*', 'octopus/app', false],
  ['octo/**', 'octo/app/x', true],
  ['refs/heads/*', 'refs/heads/a/b', false],
  ['refs/heads/release-*', 'refs/heads/release-1.2', true],
  ['a.c', 'abc', false],
  ['a+*', 'aab', false],
  ['[ab]*', 'a', false],
  ['repo:octo/*:ref:**', 'repo:octo/app:ref:refs/heads/main', true],
  ['octo/*', 'octo/\n', true],
]
for (const [pattern, text, matches] of patterns) {
  test(`\`${pattern}\` ${matches ? 'is met by' : 'is not met by'} ${JSON.stringify(text)}`, () => {
    assert.equal(claimPattern(pattern)(text), matches)
  })
}

test('a value without a star is met by itself alone, whatever characters it has', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (value, text) => {
      fc.pre(!value.includes('*'))
      assert.equal(claimPattern(value)(text), value === text)
      assert.equal(claimPattern(value)(value), true)
    }),
  )
})

test('a value that somebody chose for it takes no longer to match than another', () => {
  const names = [...'abcdefgh']
  const { parts } = compileMapping({
    parts: { sub: names.map((name) => `{${name}}`).join('-') },
    agent: '{a}',
    run: '{b}',
    bind: [],
  })
  const [part] = parts
  // A regular expression would try some 10^14 ways.
  assert.equal(matchText(part?.pieces ?? [], `${'-'.repeat(255)}/`), undefined)
  assert.deepEqual(matchText(part?.pieces ?? [], '1-2-3-4-5-6-7-8'), [...'12345678'])
})

test('a text is matched as a regular expression of the same pieces would match it', () => {
  const wildcard = fc.record({ min: fc.constantFrom(0 as const, 1 as const), slashes: fc.boolean() })
  const letters = (lengths: fc.StringConstraints): fc.Arbitrary<string> =>
    fc.string({ ...lengths, unit: fc.constantFrom('a', '-', '/') })
  const pieces = fc.array(fc.oneof(wildcard, letters({ minLength: 1, maxLength: 2 })), { maxLength: 6 })
  fc.assert(
    fc.property(pieces, letters({ maxLength: 12 }), (some, text) => {
      const source = some.map((piece) =>
        typeof piece === 'string'
          ? piece
          : `(${piece.slashes ? '[^]' : '[^/]'}${piece.min === 0 ? '*' : '+'}?)`,
      )
      const match = new RegExp(`^${source.join('')}$`).exec(text)
      assert.deepEqual(matchText(some, text), match === null ? undefined : match.slice(1))
    }),
    { numRuns: 2_000 },
  )
})

test('a part is cut out of a claim whole, and never across a `/`', () => {
  const segment = fc
    .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 })
    .filter((text) => !text.includes('/'))
  const compiled = mapping({ parts: { sub: 'spiffe://d/{a}/{b}' }, agent: '{a}', run: 'x-{b}' })
  fc.assert(
    fc.property(segment, segment, (a, b) => {
      assert.deepEqual(mappedClaims(compiled, { sub: `spiffe://d/${a}/${b}` }), { agent: a, run: `x-${b}` })
      assert.equal(mappedClaims(compiled, { sub: `spiffe://d/${a}/${b}/c` }), undefined)
    }),
  )
})

const mistakes: readonly (readonly [string, Partial<WrittenMapping>, RegExp])[] = [
  ['an open brace', { run: 'gh-{run_id' }, /a brace has no partner/],
  ['braces in the wrong order', { run: '}run_id{' }, /a brace has no partner/],
  ['empty braces', { run: 'gh-{}' }, /the name of a claim is missing/],
  ['a wrong escape in a pointer', { run: '/a~2b' }, /`~` is written `~0`/],
  ['no part in the parts', { parts: { sub: 'spiffe://d/x' } }, /name the parts in braces/],
  ['the same part twice', { parts: { sub: '{a}/{a}' } }, /a part is named once/],
  ['parts with nothing between them', { parts: { sub: '{a}{b}' } }, /side by side/],
  ['three stars', { bind: [{ when: { a: 'x***' }, grant: 'g', system: 's' }] }, /at most 4 stars/],
  ['five stars', { bind: [{ when: { a: 'a*b*c*d*e*' }, grant: 'g', system: 's' }] }, /at most 4 stars/],
]
for (const [what, more, says] of mistakes) {
  test(`a mapping with ${what} is told in a sentence`, () => {
    assert.throws(
      () => mapping(more),
      (error) => error instanceof MappingError && says.test(error.message),
    )
  })
}
