/**
 * Narrowing: whoever holds a token can make from it, offline, one that allows less. A token that can be narrowed is
 *
 *     JWT ~ block ~ … ~ block ~ seed
 *
 * The JWT names a one-time public key (`cnf`, RFC 7800). Each block is a JWS by the key named before it; it says what
 * the next holder may do and names that holder's key. The seed at the end is the private half of the key named last, and
 * proves that the one who shows the chain is whom it was made for. A child does not hold the seed of its parent, and so
 * can neither take a block off nor put another in its place.
 */
import { createHash } from 'node:crypto'
import { CompactSign, compactVerify, errors } from 'jose'
import { z } from 'zod'
import { METADATA_LEVELS, type MetadataLevel } from './grant.ts'
import { newSeed, publicKeyOf, signingKey, verifyingKey } from './one-time-key.ts'

/** Stands between the parts: in no JWT, and unreserved in a URL (RFC 3986, section 2.3). */
const SEPARATOR = '~'

/** Narrowings of one token: a chain of agents is short, and each asks one more signature of a login. */
export const NARROWINGS_MAX = 8

/** The `typ` of a block. Issuers sign no such thing, and no block is a token. */
const BLOCK_TYPE = 'bulkhead-narrowing'

/** What `cnf` says in a token that can be narrowed. Another `cnf` names a proof that is not known here. */
const confirmation = z.object({
  jwk: z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() }),
})

const block = z.strictObject({
  /** SHA-256 of all that stands before, so that a block fits one token only. */
  after: z.string(),
  run: z.string(),
  jti: z.string().min(1).max(256),
  allow: z.array(z.string().max(8_192)).max(1_000),
  metadata: z.enum(METADATA_LEVELS).optional(),
  /** Seconds since the epoch. */
  exp: z.int().min(0).optional(),
  /** The public key of whom it is for. */
  key: z.string(),
})

/** What one narrowing says. */
export type Narrowing = {
  readonly run: string
  readonly jti: string
  readonly allow: readonly string[]
  readonly metadata: MetadataLevel | undefined
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number | undefined
}

/** The parts of a token as it is shown. */
export type TokenParts = {
  readonly jwt: string
  readonly blocks: readonly string[]
  readonly seed: string | undefined
}

/** Cuts a token; never fails. */
export function partsOf(token: string): TokenParts {
  const [jwt = '', ...rest] = token.split(SEPARATOR)
  return { jwt, blocks: rest.slice(0, -1), seed: rest.at(-1) }
}

/** The claim that makes a JWT one that can be narrowed. @param seed of {@link newSeed} */
export function confirmationOf(seed: string): {
  readonly jwk: { readonly x: string } & Record<string, string>
} {
  const x = publicKeyOf(seed)
  if (x === undefined) throw new RangeError('not the seed of an Ed25519 key')
  return { jwk: { kty: 'OKP', crv: 'Ed25519', x } }
}

/** A token with the seed that it must be shown with. */
export function withSeed(jwt: string, seed: string): string {
  return `${jwt}${SEPARATOR}${seed}`
}

/**
 * Reads the chain after a JWT whose signature holds.
 * @param cnf the claim of the JWT, of any shape
 * @returns what each narrowing says, the first one first; `undefined` where the chain does not hold or proves nothing
 */
export async function verifyChain(
  { jwt, blocks, seed }: TokenParts,
  cnf: unknown,
): Promise<readonly Narrowing[] | undefined> {
  if (cnf === undefined) return seed === undefined ? [] : undefined
  const confirmed = confirmation.safeParse(cnf)
  if (!confirmed.success || seed === undefined || blocks.length > NARROWINGS_MAX) return undefined
  let key = confirmed.data.jwk.x
  const keys = new Set([key])
  const narrowings: Narrowing[] = []
  let before = jwt
  for (const text of blocks) {
    const read = await readBlock(text, key)
    if (read === undefined || read.after !== digest(before)) return undefined
    key = read.key
    // A key that comes again is held by an earlier holder's child too, who could then take blocks off.
    if (keys.has(key)) return undefined
    keys.add(key)
    before += SEPARATOR + text
    narrowings.push(read.narrowing)
  }
  return verifyingKey(key) !== undefined && publicKeyOf(seed) === key ? narrowings : undefined
}

async function readBlock(
  text: string,
  signer: string,
): Promise<{ readonly narrowing: Narrowing; readonly after: string; readonly key: string } | undefined> {
  const verifying = verifyingKey(signer)
  if (verifying === undefined || !isCanonical(text)) return undefined
  try {
    const { payload, protectedHeader } = await compactVerify(text, verifying, { algorithms: ['EdDSA'] })
    if (protectedHeader.typ !== BLOCK_TYPE) return undefined
    const parsed = block.safeParse(JSON.parse(Buffer.from(payload).toString('utf8')))
    if (!parsed.success) return undefined
    const { after, key, run, jti, allow, metadata, exp } = parsed.data
    const expiresAtMs = exp === undefined ? undefined : exp * 1_000
    return { narrowing: { run, jti, allow, metadata, expiresAtMs }, after, key }
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof SyntaxError) return undefined
    throw error
  }
}

/**
 * Adds a narrowing to a token.
 * @param token one that ends with its seed
 * @throws RangeError where it does not
 */
export async function addNarrowing(token: string, narrowing: Narrowing): Promise<string> {
  const { jwt, blocks, seed } = partsOf(token)
  if (seed === undefined) throw new RangeError('the token carries no key to narrow it with')
  const before = [jwt, ...blocks].join(SEPARATOR)
  const next = newSeed()
  const { run, jti, allow, metadata, expiresAtMs } = narrowing
  const claims = {
    after: digest(before),
    run,
    jti,
    allow,
    ...(metadata !== undefined && { metadata }),
    ...(expiresAtMs !== undefined && { exp: Math.floor(expiresAtMs / 1_000) }),
    key: confirmationOf(next).jwk.x,
  }
  const signed = await new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', typ: BLOCK_TYPE })
    .sign(signingKey(seed))
  return [before, signed, next].join(SEPARATOR)
}

/**
 * True where each part of a JWS is written in the one way that its bytes are: readers of base64url overlook spare bits,
 * other alphabets and blanks, and a token must not have two spellings.
 */
export function isCanonical(jws: string): boolean {
  return jws.split('.').every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
