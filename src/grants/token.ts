/** Run tokens: what they claim, how they are verified and how the built-in issuer signs them. */
import { decodeJwt, errors, importJWK, type JWK, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import { ALGORITHMS, type Issuer } from './keys.ts'

/** Longer texts are refused before anything is parsed. A grant of thirty lines fits several times. */
export const TOKEN_BYTES_MAX = 16_384

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
      metadata: z.enum(['none', 'driver', 'introspect']).default('driver'),
    }),
  ]),
  exp: z.number(),
  nbf: z.number().optional(),
  jti: z.string().min(1).max(256),
})

/** The claims of a token whose signature was verified. */
export type RunToken = {
  readonly issuer: string
  readonly agent: string
  readonly run: string
  /** The one system it is for. */
  readonly system: string
  /** The name of a grant, or the grant itself. */
  readonly grant:
    | string
    | { readonly allow: readonly string[]; readonly metadata: 'none' | 'driver' | 'introspect' }
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
  'not_yet_valid',
  'expired',
  'wrong_user',
  'wrong_system',
  'unknown_grant',
  'inline_not_allowed',
  'quarantined',
  'keys_unavailable',
] as const
export type TokenFault = (typeof TOKEN_FAULTS)[number]

export type TokenVerdict =
  | { readonly valid: true; readonly token: RunToken }
  /** `token` is there when the signature is good, so that the record can name the run. */
  | { readonly valid: false; readonly fault: TokenFault; readonly token: RunToken | undefined }

/**
 * Verifies signature, issuer, shape and times; whether the token fits the user, system and grant is for the
 * caller, who knows them. Never throws.
 */
export async function verifyToken(
  text: string,
  issuers: ReadonlyMap<string, Issuer>,
  options: { readonly nowMs: number; readonly clockSkewMs: number },
): Promise<TokenVerdict> {
  if (text === '') return refused('missing')
  if (Buffer.byteLength(text) > TOKEN_BYTES_MAX) return refused('too_large')
  const issuer = issuers.get(claimedIssuer(text) ?? '')
  if (issuer === undefined) return refused(claimedIssuer(text) === undefined ? 'malformed' : 'unknown_issuer')
  try {
    const { payload } = await jwtVerify(text, issuer.key, {
      algorithms: [...ALGORITHMS],
      issuer: issuer.issuer,
      clockTolerance: options.clockSkewMs / 1_000,
      currentDate: new Date(options.nowMs),
      requiredClaims: ['exp', 'aud', 'sub', 'run', 'grant', 'jti'],
    })
    const token = readClaims(payload)
    if (token === undefined) return refused('bad_claims')
    if (typeof token.grant !== 'string' && issuer.grants !== 'inline')
      return refused('inline_not_allowed', token)
    return { valid: true, token }
  } catch (error) {
    return faultOf(error)
  }
}

function claimedIssuer(text: string): string | undefined {
  try {
    return decodeJwt(text).iss
  } catch {
    return undefined
  }
}

function readClaims(payload: JWTPayload): RunToken | undefined {
  const parsed = claims.safeParse(payload)
  if (!parsed.success) return undefined
  const { iss, sub, run, aud, grant, exp, jti } = parsed.data
  return {
    issuer: iss,
    agent: sub,
    run,
    system: typeof aud === 'string' ? aud : aud[0],
    grant,
    jti,
    expiresAtMs: exp * 1_000,
    ancestors: [],
    narrowed: [],
  }
}

function faultOf(error: unknown): TokenVerdict {
  if (error instanceof errors.JWTExpired) return refused('expired', readClaims(error.payload))
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.claim === 'nbf' ? refused('not_yet_valid', readClaims(error.payload)) : refused('bad_claims')
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed) {
    return refused('bad_signature')
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refused('bad_signature')
  if (error instanceof errors.JWKSTimeout) return refused('keys_unavailable')
  if (error instanceof errors.JOSEError && error.code.startsWith('ERR_JW')) return refused('malformed')
  // Fetching a key set fails with whatever `fetch` throws; nothing else is left.
  return refused('keys_unavailable')
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
}

/** Signs a run token with the built-in issuer's private key (a JWK with Ed25519, as `bulkhead init` makes it). */
export async function signToken(request: TokenRequest, privateKey: JWK): Promise<string> {
  const issuedAt = Math.floor(request.nowMs / 1_000)
  return new SignJWT({ run: request.run, grant: request.grant })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT' })
    .setIssuer(request.issuer)
    .setSubject(request.agent)
    .setAudience(request.system)
    .setJti(request.jti)
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(issuedAt + Math.floor(request.ttlMs / 1_000))
    .sign(await importJWK(privateKey, 'EdDSA'))
}
