/** Run tokens: what they claim, how they are verified and how the built-in issuer signs them. */
import { createHash } from 'node:crypto'
import {
  decodeJwt,
  errors,
  importJWK,
  type JWK,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  SignJWT,
} from 'jose'
import { z } from 'zod'
import { bindingOf, type ClaimMapping, mappedClaims } from './claim-mapping.ts'
import { type Limits, lowerMetadata, METADATA_LEVELS, type MetadataLevel } from './grant.ts'
import { ALGORITHMS, type Issuer } from './keys.ts'
import { limits, readLimits } from './limits.ts'
import {
  confirmationOf,
  isCanonical,
  type Narrowing,
  partsOf,
  type TokenParts,
  verifyChain,
  withSeed,
} from './narrowing.ts'
import { newSeed } from './one-time-key.ts'

/** Longer texts are refused before anything is parsed. A grant of thirty lines fits several times. */
export const TOKEN_BYTES_MAX = 16_384

/** Keys of one set that are tried with a token which names none: each costs a signature's check, also for who has no token. */
const MATCHING_KEYS_MAX = 8

/** A run id stands in user names, records and errors; MySQL clients cut user names at 96 bytes. */
export const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/

const claims = z.looseObject({
  iss: z.string(),
  sub: z.string().min(1).max(256),
  run: z.string().regex(RUN_ID),
  aud: z.union([z.string().min(1), z.tuple([z.string().min(1)])]),
  grant: z.union([
    z.string().min(1),
    z.strictObject({
      allow: z.array(z.string()).max(1_000),
      metadata: z.enum(METADATA_LEVELS).default('driver'),
      limits: limits.default({}),
    }),
  ]),
  exp: z.number(),
  nbf: z.number().optional(),
  jti: z.string().min(1).max(256),
})

/** What every token has, also one whose other claims are mapped. */
const outsideClaims = z.looseObject({
  aud: claims.shape.aud,
  exp: z.number(),
  jti: z.string().min(1).max(256).optional(),
})

export const AGENT_CHARACTERS_MAX = 256

/** A grant that a token carries. */
type InlineGrant = {
  readonly allow: readonly string[]
  readonly metadata: MetadataLevel
  readonly limits: Limits
}

/** The claims of a token whose signature was verified. */
export type RunToken = {
  readonly issuer: string
  readonly agent: string
  readonly run: string
  /** The one system it is for. */
  readonly system: string
  /** The name of a grant, or the grant itself. */
  readonly grant: string | InlineGrant
  readonly jti: string
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number
  /**
   * The tokens that this one was narrowed from, the first one first; empty for a token as its issuer signed it. What
   * ends one of them ends this one.
   */
  readonly ancestors: readonly { readonly run: string; readonly jti: string }[]
  /** What its narrowings left, one list of allow lines each; see `Grant.narrowed`. */
  readonly narrowed: readonly (readonly string[])[]
  /** How much of the catalog its narrowings left; absent where they said nothing of it. */
  readonly metadataMax?: MetadataLevel
}

/**
 * The run that answers for a token: the one that its issuer named. Limits and quarantines are kept under it, because a
 * narrowed token may choose a run id of its own.
 */
export function rootRun(token: Pick<RunToken, 'run' | 'ancestors'>): string {
  return token.ancestors[0]?.run ?? token.run
}

/** Why a token is refused; a closed list, because it is a metric label. */
export const TOKEN_FAULTS = [
  'missing',
  'too_large',
  'malformed',
  'unknown_issuer',
  'bad_signature',
  'bad_claims',
  'not_bound',
  'bad_chain',
  'not_yet_valid',
  'expired',
  'wrong_user',
  'wrong_system',
  'unknown_grant',
  'inline_not_allowed',
  'quarantined',
  'revoked',
  'keys_unavailable',
] as const
export type TokenFault = (typeof TOKEN_FAULTS)[number]

export type TokenVerdict =
  | { readonly valid: true; readonly token: RunToken }
  /** `token` is there when the signature is good, so that the record can name the run. */
  | { readonly valid: false; readonly fault: TokenFault; readonly token: RunToken | undefined }

/**
 * Verifies signature, issuer, shape, narrowings and times; whether the token fits the user, system and grant is for the
 * caller, who knows them. Never throws.
 */
export async function verifyToken(
  text: string,
  issuers: ReadonlyMap<string, Issuer>,
  times: TokenTimes,
): Promise<TokenVerdict> {
  if (text === '') return refused('missing')
  if (Buffer.byteLength(text) > TOKEN_BYTES_MAX) return refused('too_large')
  const parts = partsOf(text)
  const claimed = claimedIssuer(parts.jwt)
  const issuer = issuers.get(claimed ?? '')
  if (claimed === undefined || !isCanonical(parts.jwt)) return refused('malformed')
  if (issuer === undefined) return refused('unknown_issuer')
  try {
    return await verifyOf(issuer, parts, times)
  } catch (error) {
    return refused(faultOf(error))
  }
}

type TokenTimes = { readonly nowMs: number; readonly clockSkewMs: number }

/** @throws what jose throws */
async function verifyOf(issuer: Issuer, parts: TokenParts, times: TokenTimes): Promise<TokenVerdict> {
  const { payload, early } = await signedPayload(issuer, parts.jwt, times)
  const { root, fault } = rootOf(issuer, payload, parts.jwt)
  if (root === undefined) return refused(fault)
  const narrowings = await verifyChain(parts, payload['cnf'])
  const token = narrowings?.reduce<RunToken | undefined>(narrowedBy, root)
  if (token === undefined) return refused('bad_chain')
  if (fault !== undefined) return refused(fault, token)
  if (early) return refused('not_yet_valid', token)
  if (times.nowMs - times.clockSkewMs >= token.expiresAtMs) return refused('expired', token)
  if (typeof token.grant !== 'string' && issuer.grants !== 'inline')
    return refused('inline_not_allowed', token)
  return { valid: true, token }
}

/** The claims of a JWT whose signature holds, also of one that has expired: the record shall name its run. */
async function signedPayload(
  issuer: Issuer,
  jwt: string,
  { nowMs, clockSkewMs }: TokenTimes,
): Promise<{ readonly payload: JWTPayload; readonly early: boolean }> {
  try {
    const payload = await verifiedBy(issuer, jwt, {
      algorithms: [...ALGORITHMS],
      issuer: issuer.issuer,
      clockTolerance: clockSkewMs / 1_000,
      currentDate: new Date(nowMs),
      requiredClaims: ['exp', 'aud'],
    })
    return { payload, early: false }
  } catch (error) {
    if (error instanceof errors.JWTExpired) return { payload: error.payload, early: false }
    if (error instanceof errors.JWTClaimValidationFailed && isEarly(error)) {
      return { payload: error.payload, early: true }
    }
    throw error
  }
}

/** @throws what jose throws */
async function verifiedBy({ key }: Issuer, jwt: string, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(jwt, key, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // An issuer changes its keys, and the token does not tell which of them is its own.
    let tries = 0
    for await (const candidate of error) {
      tries += 1
      if (tries > MATCHING_KEYS_MAX) break
      try {
        return (await jwtVerify(jwt, candidate, options)).payload
      } catch (failed) {
        if (!(failed instanceof errors.JWSSignatureVerificationFailed)) throw failed
      }
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

/** `nbf` may also be of a wrong type: that is no matter of time. */
function isEarly(error: errors.JWTClaimValidationFailed): boolean {
  return error.claim === 'nbf' && error.reason === 'check_failed'
}

/** A child keeps the system and the grant of its parent, is named after it, and does not outlive it. */
function narrowedBy(parent: RunToken | undefined, narrowing: Narrowing): RunToken | undefined {
  if (parent === undefined) return undefined
  const { run, jti, allow, metadata, expiresAtMs } = narrowing
  if (!RUN_ID.test(run) || !run.startsWith(childPrefix(parent.run))) return undefined
  const metadataMax = lowerMetadata(parent.metadataMax, metadata)
  return {
    ...parent,
    run,
    jti,
    expiresAtMs: Math.min(parent.expiresAtMs, expiresAtMs ?? Number.POSITIVE_INFINITY),
    ancestors: [...parent.ancestors, { run: parent.run, jti: parent.jti }],
    narrowed: [...parent.narrowed, allow],
    ...(metadataMax !== undefined && { metadataMax }),
  }
}

/**
 * The id that a token has for revocation, without believing it: a narrowed one has that of its last narrowing.
 * `undefined`: this is no token.
 */
export function tokenId(text: string): string | undefined {
  const { jwt, blocks } = partsOf(text)
  const last = blocks.at(-1)
  try {
    return decodeJwt(last ?? jwt).jti ?? (last === undefined ? derivedId(jwt) : undefined)
  } catch {
    return undefined
  }
}

/** What the run ids of narrowed tokens begin with, so that none can pass for the run of another. */
export function childPrefix(run: string): string {
  return `${run}.`
}

function claimedIssuer(text: string): string | undefined {
  try {
    return decodeJwt(text).iss
  } catch {
    return undefined
  }
}

/** What a token says as its issuer signed it; `fault` with it where that is of no use here. */
type Root =
  | { readonly root: RunToken; readonly fault: 'wrong_system' | 'not_bound' | undefined }
  | { readonly root: undefined; readonly fault: 'bad_claims' }

const UNREADABLE: Root = { root: undefined, fault: 'bad_claims' }

function rootOf(issuer: Issuer, payload: JWTPayload, jwt: string): Root {
  return issuer.mapping === undefined
    ? ownRoot(issuer, payload)
    : mappedRoot(issuer, issuer.mapping, payload, jwt)
}

function ownRoot(issuer: Issuer, payload: JWTPayload): Root {
  const parsed = claims.safeParse(payload)
  if (!parsed.success) return UNREADABLE
  const { sub, run, aud, grant, exp, jti } = parsed.data
  const system = systemOf(issuer, aud)
  const root = {
    issuer: issuer.issuer,
    agent: sub,
    run,
    system: system ?? foreign(aud),
    grant: typeof grant === 'string' ? grant : { ...grant, limits: readLimits(grant.limits) },
    jti,
    expiresAtMs: exp * 1_000,
    ancestors: [],
    narrowed: [],
  }
  return { root, fault: system === undefined ? 'wrong_system' : undefined }
}

function mappedRoot(issuer: Issuer, mapping: ClaimMapping, payload: JWTPayload, jwt: string): Root {
  const parsed = outsideClaims.safeParse(payload)
  const mapped = mappedClaims(mapping, payload)
  if (!parsed.success || mapped === undefined) return UNREADABLE
  if (!RUN_ID.test(mapped.run) || mapped.agent.length > AGENT_CHARACTERS_MAX) return UNREADABLE
  const { aud, exp, jti } = parsed.data
  const system = systemOf(issuer, aud)
  const binding = bindingOf(mapping, payload, system)
  const bound = typeof binding === 'object'
  const root = {
    issuer: issuer.issuer,
    ...mapped,
    system: system ?? foreign(aud),
    grant: bound ? binding.grant : '',
    jti: jti ?? derivedId(jwt),
    expiresAtMs: exp * 1_000,
    ancestors: [],
    narrowed: [],
  }
  // Anybody may be able to get a token of such an issuer: only one that is bound to something here can leave its system.
  if (binding === undefined) return { root, fault: 'not_bound' }
  return { root, fault: bound && system !== undefined ? undefined : 'wrong_system' }
}

type Audience = z.output<typeof claims>['aud']

function systemOf({ audience }: Issuer, aud: Audience): string | undefined {
  const [name] = [aud].flat()
  return audience === undefined ? name : audience.get(name ?? '')
}

/** An audience that is not ours is no name of a system of ours, whatever it reads like: those have no blanks. */
function foreign(aud: Audience): string {
  return `audience ${[aud].flat().join()}`
}

/** The id of a token that has none: of what was signed, because some signatures can be written in another way. */
function derivedId(jwt: string): string {
  return createHash('sha256')
    .update(jwt.slice(0, jwt.lastIndexOf('.')))
    .digest('base64url')
}

function faultOf(error: unknown): TokenFault {
  if (error instanceof errors.JWTClaimValidationFailed) return 'bad_claims'
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed) {
    return 'bad_signature'
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'bad_signature'
  // Its header has `crit`.
  if (error instanceof errors.JOSENotSupported) return 'malformed'
  if (error instanceof errors.JWKSTimeout) return 'keys_unavailable'
  if (error instanceof errors.JOSEError && error.code.startsWith('ERR_JW')) return 'malformed'
  // Fetching a key set fails with whatever `fetch` throws; nothing else is left.
  return 'keys_unavailable'
}

function refused(fault: TokenFault, token?: RunToken): TokenVerdict {
  return { valid: false, fault, token }
}

export type TokenRequest = {
  readonly issuer: string
  readonly agent: string
  readonly run: string
  readonly system: string
  readonly grant: string
  readonly jti: string
  readonly nowMs: number
  readonly ttlMs: number
  /** Whether its holder can narrow it; costs some 170 characters. */
  readonly narrowable?: boolean
}

/** Signs a run token with the built-in issuer's private key (a JWK with Ed25519, as `bulkhead init` makes it). */
export async function signToken(request: TokenRequest, privateKey: JWK): Promise<string> {
  const issuedAt = Math.floor(request.nowMs / 1_000)
  const seed = request.narrowable === true ? newSeed() : undefined
  const confirmation = seed === undefined ? {} : { cnf: confirmationOf(seed) }
  const jwt = await new SignJWT({ run: request.run, grant: request.grant, ...confirmation })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT' })
    .setIssuer(request.issuer)
    .setSubject(request.agent)
    .setAudience(request.system)
    .setJti(request.jti)
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(issuedAt + Math.floor(request.ttlMs / 1_000))
    .sign(await importJWK(privateKey, 'EdDSA'))
  return seed === undefined ? jwt : withSeed(jwt, seed)
}
