import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { CompactSign, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { SystemConfig } from '../../../src/config/config.ts'
import { type Grant, METADATA_LEVELS, NO_LIMITS } from '../../../src/grants/grant.ts'
import { type Issuer, readIssuers } from '../../../src/grants/keys.ts'
import {
  addNarrowing,
  confirmationOf,
  NARROWINGS_MAX,
  type Narrowing,
  partsOf,
} from '../../../src/grants/narrowing.ts'
import { newSeed, publicKeyOf, signingKey } from '../../../src/grants/one-time-key.ts'
import { grantOfToken } from '../../../src/grants/resolve.ts'
import { signToken, type TokenVerdict, tokenId, verifyToken } from '../../../src/grants/token.ts'
import { Judge } from '../../../src/policy/judge.ts'
import { allowLine, anyAccess, NAMINGS } from '../../support/grants.ts'

const NOW_MS = 1_800_000_000_000
const TTL_MS = 60_000

let issuers: ReadonlyMap<string, Issuer>
let privateJwk: JWK
let parent: string

before(async () => {
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  privateJwk = await exportJWK(pair.privateKey)
  const text = JSON.stringify(await exportJWK(pair.publicKey))
  issuers = await readIssuers([{ issuer: 'bulkhead', keys: { kind: 'jwk', text }, grants: 'by-name' }])
  parent = await issued()
})

const issued = (jti = 'j-1', system = 'shop'): Promise<string> =>
  signToken(
    {
      issuer: 'bulkhead',
      agent: 'a',
      run: 'r-42',
      system,
      grant: 'g',
      jti,
      nowMs: NOW_MS,
      ttlMs: TTL_MS,
      narrowable: true,
    },
    privateJwk,
  )

const verify = (token: string, nowMs = NOW_MS): Promise<TokenVerdict> =>
  verifyToken(token, issuers, { nowMs, clockSkewMs: 0 })

const faultOf = async (token: string, nowMs = NOW_MS): Promise<string> => {
  const verdict = await verify(token, nowMs)
  return verdict.valid ? 'valid' : verdict.fault
}

const less = (more: Partial<Narrowing> = {}): Narrowing => ({
  run: 'r-42.1',
  jti: 'j-1.1',
  allow: ['select on orders'],
  metadata: undefined,
  expiresAtMs: undefined,
  ...more,
})

/** A block with whatever claims, signed by a seed. */
const blockOf = (seed: string, claims: unknown, header: Record<string, unknown> = {}): Promise<string> =>
  new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', typ: 'bulkhead-narrowing', ...header })
    .sign(signingKey(seed))

/** The claims of the last block of a token. */
const lastClaims = (token: string): Record<string, unknown> =>
  JSON.parse(
    Buffer.from(partsOf(token).blocks.at(-1)?.split('.')[1] ?? '', 'base64url').toString(),
  ) as Record<string, unknown>

const seedOf = (token: string): string => partsOf(token).seed ?? ''
const keyOf = (seed: string): string => publicKeyOf(seed) ?? ''

test('a token as it was issued is its own root', async () => {
  const verdict = await verify(parent)
  assert.ok(verdict.valid)
  assert.deepEqual([verdict.token.run, verdict.token.ancestors, verdict.token.narrowed], ['r-42', [], []])
})

test('a child keeps system, grant and agent, and says whom it came from', async () => {
  const child = await addNarrowing(parent, less())
  const grandchild = await addNarrowing(
    child,
    less({ run: 'r-42.1.2', jti: 'j-1.1.2', allow: ['select (id) on orders'] }),
  )
  const verdict = await verify(grandchild)
  assert.ok(verdict.valid)
  const { token } = verdict
  assert.deepEqual(
    [token.run, token.jti, token.agent, token.system, token.grant],
    ['r-42.1.2', 'j-1.1.2', 'a', 'shop', 'g'],
  )
  assert.deepEqual(token.ancestors, [
    { run: 'r-42', jti: 'j-1' },
    { run: 'r-42.1', jti: 'j-1.1' },
  ])
  assert.deepEqual(token.narrowed, [['select on orders'], ['select (id) on orders']])
})

test('a child lives as long as its parent, or shorter, never longer', async () => {
  const endOf = async (token: string): Promise<number | undefined> => (await verify(token)).token?.expiresAtMs
  const shorter = await addNarrowing(parent, less({ expiresAtMs: NOW_MS + 10_000 }))
  assert.equal(await endOf(shorter), NOW_MS + 10_000)
  const longer = await addNarrowing(parent, less({ expiresAtMs: NOW_MS + 10 * TTL_MS }))
  assert.equal(await endOf(longer), NOW_MS + TTL_MS)
  const grandchild = await addNarrowing(shorter, less({ run: 'r-42.1.1', expiresAtMs: NOW_MS + 30_000 }))
  assert.equal(await endOf(grandchild), NOW_MS + 10_000)
})

test('an expired child, and a child of an expired parent, are refused and still tell whose they are', async () => {
  const shorter = await addNarrowing(parent, less({ expiresAtMs: NOW_MS + 10_000 }))
  for (const [token, nowMs] of [
    [shorter, NOW_MS + 10_000],
    [await addNarrowing(parent, less()), NOW_MS + TTL_MS],
  ] as const) {
    const verdict = await verify(token, nowMs)
    assert.equal(verdict.valid ? 'valid' : verdict.fault, 'expired')
    assert.equal(verdict.token?.run, 'r-42.1')
  }
})

test('the id of a token that is to be revoked is that of its last narrowing, and not that of its parent', async () => {
  assert.equal(tokenId(parent), 'j-1')
  const child = await addNarrowing(parent, less())
  assert.equal(tokenId(child), 'j-1.1')
  assert.equal(tokenId(await addNarrowing(child, less({ run: 'r-42.1.1', jti: 'j-1.1.1' }))), 'j-1.1.1')
  assert.equal(tokenId('0e5c'), undefined)
})

test('a token without a key cannot be narrowed by whoever holds it', async () => {
  const plain = await new SignJWT({
    run: 'r-42',
    grant: 'g',
    iss: 'bulkhead',
    sub: 'a',
    aud: 'shop',
    jti: 'j',
  })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT' })
    .setExpirationTime(NOW_MS / 1_000 + 60)
    .sign(signingKey(privateJwk.d ?? ''))
  assert.equal(await faultOf(plain), 'valid')
  const seed = newSeed()
  assert.equal(await faultOf(`${plain}~${seed}`), 'bad_chain')
  assert.equal(await faultOf(await addNarrowing(`${plain}~${seed}`, less())), 'bad_chain')
})

const attacks: readonly { readonly what: string; readonly token: () => Promise<string> }[] = [
  { what: 'the bare JWT of a token that has a key', token: async () => partsOf(parent).jwt },
  { what: "the JWT with a seed of one's own", token: async () => `${partsOf(parent).jwt}~${newSeed()}` },
  {
    what: 'a child whose own block was taken off',
    token: async () => `${partsOf(parent).jwt}~${seedOf(await addNarrowing(parent, less()))}`,
  },
  {
    what: 'a grandchild whose last block was taken off',
    token: async () => {
      const child = await addNarrowing(parent, less())
      const grandchild = await addNarrowing(child, less({ run: 'r-42.1.1' }))
      return [partsOf(child).jwt, ...partsOf(child).blocks, seedOf(grandchild)].join('~')
    },
  },
  {
    what: 'a grandchild whose first block was taken out',
    token: async () => {
      const child = await addNarrowing(parent, less())
      const { jwt, blocks, seed } = partsOf(await addNarrowing(child, less({ run: 'r-42.1.1' })))
      return [jwt, blocks[1], seed].join('~')
    },
  },
  {
    what: 'two blocks in the wrong order',
    token: async () => {
      const child = await addNarrowing(parent, less())
      const { jwt, blocks, seed } = partsOf(await addNarrowing(child, less({ run: 'r-42.1.1' })))
      return [jwt, ...[...blocks].reverse(), seed].join('~')
    },
  },
  {
    what: 'a chain without its seed',
    token: async () => (await addNarrowing(parent, less())).replace(/~[^~]*$/, ''),
  },
  {
    what: 'a chain with its seed left empty',
    token: async () => (await addNarrowing(parent, less())).replace(/~[^~]*$/, '~'),
  },
  {
    what: 'the seed of a sibling',
    token: async () => {
      const [one, other] = [await addNarrowing(parent, less()), await addNarrowing(parent, less())]
      return one.replace(/~[^~]*$/, `~${seedOf(other)}`)
    },
  },
  {
    what: 'a block made for another token of the same key',
    token: async () => {
      // Two JWTs with one key: an issuer that names the holder's own long-lived key does so.
      const seed = newSeed()
      const jwt = (jti: string): Promise<string> =>
        new SignJWT({
          run: 'r-42',
          grant: 'g',
          iss: 'bulkhead',
          sub: 'a',
          aud: 'shop',
          jti,
          cnf: confirmationOf(seed),
        })
          .setProtectedHeader({ alg: 'EdDSA' })
          .setExpirationTime(NOW_MS / 1_000 + 60)
          .sign(signingKey(privateJwk.d ?? ''))
      const [one, other] = [await jwt('j-1'), await jwt('j-2')]
      const child = await addNarrowing(`${one}~${seed}`, less())
      assert.equal(await faultOf(child), 'valid')
      return [other, ...partsOf(child).blocks, seedOf(child)].join('~')
    },
  },
  {
    what: "a child whose key is its parent's",
    token: async () => {
      const seed = seedOf(parent)
      const claims = { ...lastClaims(await addNarrowing(parent, less())), key: keyOf(seed) }
      return [partsOf(parent).jwt, await blockOf(seed, claims), seed].join('~')
    },
  },
  {
    what: 'a block that names a key of small order',
    token: async () => {
      const point = Buffer.alloc(32)
      point[0] = 1
      const claims = { ...lastClaims(await addNarrowing(parent, less())), key: point.toString('base64url') }
      const first = await blockOf(seedOf(parent), claims)
      // Under that key, this is a signature of any text: R is the neutral element and S is zero.
      const next = newSeed()
      const header = Buffer.from(JSON.stringify({ alg: 'EdDSA', typ: 'bulkhead-narrowing' })).toString(
        'base64url',
      )
      const { createHash } = await import('node:crypto')
      const after = createHash('sha256')
        .update(`${partsOf(parent).jwt}~${first}`)
        .digest('base64url')
      const payload = Buffer.from(
        JSON.stringify({ ...claims, run: 'r-42.1.1', after, key: keyOf(next) }),
      ).toString('base64url')
      const forged = Buffer.concat([point, Buffer.alloc(32)]).toString('base64url')
      return [partsOf(parent).jwt, first, `${header}.${payload}.${forged}`, next].join('~')
    },
  },
  {
    what: 'a block of another type',
    token: async () => {
      const next = newSeed()
      const claims = { ...lastClaims(await addNarrowing(parent, less())), key: keyOf(next) }
      return [partsOf(parent).jwt, await blockOf(seedOf(parent), claims, { typ: 'JWT' }), next].join('~')
    },
  },
  {
    what: 'a block with a claim that is not known',
    token: async () => {
      const next = newSeed()
      const claims = { ...lastClaims(await addNarrowing(parent, less())), key: keyOf(next), limits: {} }
      return [partsOf(parent).jwt, await blockOf(seedOf(parent), claims), next].join('~')
    },
  },
  {
    what: 'a block without `alg`',
    token: async () => {
      const next = newSeed()
      const payload = Buffer.from(
        JSON.stringify({ ...lastClaims(await addNarrowing(parent, less())), key: keyOf(next) }),
      ).toString('base64url')
      const header = Buffer.from(JSON.stringify({ alg: 'none', typ: 'bulkhead-narrowing' })).toString(
        'base64url',
      )
      return [partsOf(parent).jwt, `${header}.${payload}.`, next].join('~')
    },
  },
  { what: "a child that takes another run's name", token: () => addNarrowing(parent, less({ run: 'r-43' })) },
  { what: "a child that takes its parent's name", token: () => addNarrowing(parent, less({ run: 'r-42' })) },
  {
    what: "a child whose name only begins like its parent's",
    token: () => addNarrowing(parent, less({ run: 'r-421' })),
  },
  {
    what: 'a child whose name could break a record',
    token: () => addNarrowing(parent, less({ run: 'r-42.\n' })),
  },
  {
    what: 'more narrowings than there may be',
    token: async () => {
      let token = parent
      for (let count = 1; count <= NARROWINGS_MAX + 1; count += 1) {
        assert.equal(await faultOf(token), 'valid')
        token = await addNarrowing(token, less({ run: `r-42${'.1'.repeat(count)}` }))
      }
      return token
    },
  },
]
for (const { what, token } of attacks) {
  test(`refused: ${what}`, async () => {
    const verdict = await verify(await token())
    assert.equal(verdict.valid ? 'valid' : verdict.fault, 'bad_chain')
    assert.equal(verdict.token, undefined, 'and nothing follows for the run that it names')
  })
}

test('a `cnf` that names another kind of proof is refused, because it cannot be checked here', async () => {
  for (const cnf of [{ jkt: 'x' }, { jwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' } }, {}, 'x', null]) {
    const jwt = await new SignJWT({
      run: 'r',
      grant: 'g',
      iss: 'bulkhead',
      sub: 'a',
      aud: 'shop',
      jti: 'j',
      cnf,
    })
      .setProtectedHeader({ alg: 'EdDSA' })
      .setExpirationTime(NOW_MS / 1_000 + 60)
      .sign(signingKey(privateJwk.d ?? ''))
    assert.equal(await faultOf(jwt), 'bad_chain', JSON.stringify(cnf))
    assert.equal(await faultOf(`${jwt}~${newSeed()}`), 'bad_chain', JSON.stringify(cnf))
  }
})

test('a token that is longer than any is refused before anything is read, narrowed or not', async () => {
  const allow = Array.from({ length: 900 }, (_, index) => `select on a_rather_long_name_${index}`)
  assert.equal(await faultOf(await addNarrowing(parent, less({ allow }))), 'too_large')
})

test('no change of a single character of a chain is let through', async () => {
  const child = await addNarrowing(parent, less())
  const grandchild = await addNarrowing(child, less({ run: 'r-42.1.1' }))
  assert.equal(await faultOf(grandchild), 'valid')
  const characters = 'ABCDXYZabcdwxyz0189-_.~=+/ %\n'
  await fc.assert(
    fc.asyncProperty(
      fc.nat(grandchild.length - 1),
      fc.constantFrom(...characters),
      fc.constantFrom('replace', 'insert', 'remove'),
      async (at, character, how) => {
        const kept = how === 'insert' ? at : at + 1
        const changed = grandchild.slice(0, at) + (how === 'remove' ? '' : character) + grandchild.slice(kept)
        fc.pre(changed !== grandchild)
        assert.notEqual(await faultOf(changed), 'valid')
      },
    ),
    { numRuns: 400 },
  )
})

test('no last character of a signature, where spare bits are, can be another', async () => {
  for (const [token, parts] of [
    [parent, 2],
    [await addNarrowing(parent, less()), 3],
  ] as const) {
    const ends = [...token.matchAll(/[A-Za-z0-9_-](?=~|$)/g)].map(({ index }) => index)
    assert.equal(ends.length, parts)
    for (const at of ends) {
      for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
        if (token[at] === character) continue
        assert.notEqual(await faultOf(token.slice(0, at) + character + token.slice(at + 1)), 'valid')
      }
    }
  }
})

const SYSTEM: SystemConfig = {
  name: 'shop',
  protocol: 'postgres',
  listen: { host: '127.0.0.1', port: 0 },
  backend: undefined,
  decoy: false,
  tls: undefined,
  allowCleartextPassword: false,
  rsaPrivateKey: undefined,
  ceiling: undefined,
  ceilingMetadata: undefined,
  limits: NO_LIMITS,
  observe: false,
  decoys: [],
}

for (const protocol of ['postgres', 'mysql', 'redis'] as const) {
  test(`no child ever allows what its parent denies: ${protocol}`, async () => {
    const system = { ...SYSTEM, protocol }
    const metadata = fc.constantFrom(...METADATA_LEVELS)
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          allow: fc.array(allowLine(protocol), { maxLength: 4 }),
          metadata,
          observe: fc.boolean(),
          steps: fc.array(
            fc.record({
              allow: fc.array(allowLine(protocol), { maxLength: 3 }),
              metadata: fc.option(metadata, { nil: undefined }),
            }),
            { minLength: 1, maxLength: 2 },
          ),
          statements: fc.array(fc.array(anyAccess(protocol), { minLength: 1, maxLength: 2 }), {
            minLength: 12,
            maxLength: 12,
          }),
          catalog: fc.constantFrom('driver' as const, 'introspect' as const),
        }),
        async ({ allow, metadata: level, observe, steps, statements, catalog }) => {
          const grant: Grant = {
            name: 'g',
            system: 'shop',
            allow,
            metadata: level,
            limits: NO_LIMITS,
            observe,
            narrowed: [],
          }
          const grants = new Map([['g', grant]])
          let token = parent
          const judges: Judge[] = []
          for (let depth = 0; depth <= steps.length; depth += 1) {
            const verdict = await verify(token)
            assert.ok(verdict.valid)
            const own = grantOfToken(verdict.token, system, grants)
            assert.ok(own)
            judges.push(new Judge(own, system, NAMINGS[protocol]))
            const step = steps[depth]
            if (step !== undefined) {
              token = await addNarrowing(token, less({ ...step, run: `${verdict.token.run}.1` }))
            }
          }
          const needs = [
            ...statements,
            [{ kind: 'metadata' as const, level: catalog, name: 'pg_catalog.pg_class' }],
          ]
          for (const accesses of needs) {
            const words = judges.map(
              (judge) => judge.judge({ outcome: 'accesses', action: 'select', accesses }).word,
            )
            for (const [depth, word] of words.entries()) {
              const above = words[depth - 1]
              assert.ok(
                above !== 'deny' || word === 'deny',
                `${words.join(', ')} for ${JSON.stringify(accesses)}`,
              )
              assert.ok(
                above !== 'would_deny' || word !== 'allow',
                `${words.join(', ')} for ${JSON.stringify(accesses)}`,
              )
            }
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  test(`a child allows what its parent and its own lines both allow: ${protocol}`, () => {
    fc.assert(
      fc.property(
        fc.array(allowLine(protocol), { minLength: 1, maxLength: 4 }),
        fc.array(allowLine(protocol), { minLength: 1, maxLength: 3 }),
        fc.array(anyAccess(protocol), { minLength: 20, maxLength: 20 }),
        (allow, lines, accesses) => {
          const judgeOf = (own: readonly string[], narrowed: readonly (readonly string[])[]): Judge =>
            new Judge(
              {
                name: 'g',
                system: 'shop',
                allow: own,
                metadata: 'none',
                limits: NO_LIMITS,
                observe: false,
                narrowed,
              },
              { ...SYSTEM, protocol },
              NAMINGS[protocol],
            )
          const [whole, part, child] = [judgeOf(allow, []), judgeOf(lines, []), judgeOf(allow, [lines])]
          for (const access of accesses) {
            const allowed = (judge: Judge): boolean =>
              judge.judge({ outcome: 'accesses', action: 'select', accesses: [access] }).verdict.allowed
            assert.equal(allowed(child), allowed(whole) && allowed(part))
          }
        },
      ),
      { numRuns: 200 },
    )
  })
}

test("a child whose allow lines nobody can read has no grant, rather than all of its parent's", async () => {
  const grant: Grant = {
    name: 'g',
    system: 'shop',
    allow: ['select on orders'],
    metadata: 'none',
    limits: NO_LIMITS,
    observe: false,
    narrowed: [],
  }
  const verdict = await verify(await addNarrowing(parent, less({ allow: ['selct on orders'] })))
  assert.ok(verdict.valid)
  assert.equal(grantOfToken(verdict.token, SYSTEM, new Map([['g', grant]])), undefined)
})

test('a child that may read less of the catalog does so, also where its grant only observes', async () => {
  const grant: Grant = {
    name: 'g',
    system: 'shop',
    allow: [],
    metadata: 'introspect',
    limits: NO_LIMITS,
    observe: true,
    narrowed: [],
  }
  const verdict = await verify(await addNarrowing(parent, less({ metadata: 'none' })))
  assert.ok(verdict.valid)
  const own = grantOfToken(verdict.token, SYSTEM, new Map([['g', grant]]))
  assert.ok(own)
  const judge = new Judge(own, SYSTEM, NAMINGS.postgres)
  const accesses = [{ kind: 'metadata' as const, level: 'driver' as const, name: 'pg_catalog.pg_type' }]
  assert.equal(judge.judge({ outcome: 'accesses', action: 'select', accesses }).word, 'deny')
})
