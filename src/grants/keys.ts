/** The public keys of issuers, and the algorithms they may sign with. */
import { type CryptoKey, createLocalJWKSet, errors, importJWK, type JWK, type JWTVerifyGetKey } from 'jose'
import type { IssuerConfig } from '../config/config.ts'
import { type ClaimMapping, compileMapping } from './claim-mapping.ts'
import { RemoteKeySet, readKeySet } from './key-set.ts'

/**
 * EdDSA with Ed25519 (RFC 8037, RFC 9864), ECDSA P-256, RSA PKCS#1 with SHA-256 (RFC 7518). No symmetric algorithm: the proxy
 * holds nothing that could sign. `none` does not exist here.
 */
export const ALGORITHMS = ['EdDSA', 'Ed25519', 'ES256', 'RS256'] as const

/** The curve or key type of each algorithm. */
const ALGORITHM_OF_KEY: Readonly<Record<string, string>> = {
  Ed25519: 'EdDSA',
  'P-256': 'ES256',
  RSA: 'RS256',
}

/** An RSA key below this is not accepted (RFC 7518, section 3.3). */
const RSA_BITS_MIN = 2048

/** What is wrong with an issuer's key. */
export class KeyError extends Error {
  readonly code = 'KEY'
  readonly issuer: string

  constructor(issuer: string, message: string) {
    super(`issuer \`${issuer}\`: ${message}`)
    this.name = 'KeyError'
    this.issuer = issuer
  }
}

export type Issuer = {
  readonly issuer: string
  readonly grants: 'by-name' | 'inline'
  readonly key: JWTVerifyGetKey
  /** The system of each audience; `undefined`: an audience is the name of a system. */
  readonly audience: ReadonlyMap<string, string> | undefined
  /** How its claims are read; `undefined`: they are Bulkhead's own. */
  readonly mapping: ClaimMapping | undefined
}

/**
 * @param now milliseconds that only ever grow: a clock that was set back would keep keys that their issuer took back
 * @throws KeyError
 */
export async function readIssuers(
  configs: readonly IssuerConfig[],
  now: () => number = () => performance.now(),
): Promise<ReadonlyMap<string, Issuer>> {
  const issuers = new Map<string, Issuer>()
  for (const { issuer, keys, grants, audience, mapping } of configs) {
    const key =
      keys.kind === 'jwk' ? await localKeys(issuer, keys.text) : new RemoteKeySet({ ...keys, now }).key
    issuers.set(issuer, {
      issuer,
      grants,
      key,
      audience: audience && new Map(Object.entries(audience)),
      mapping: mapping && compileMapping(mapping),
    })
  }
  return issuers
}

/** A file holds one key, or a set of them. */
async function localKeys(issuer: string, text: string): Promise<JWTVerifyGetKey> {
  if (!isSet(text)) return localKey(issuer, text)
  try {
    return createLocalJWKSet({ keys: [...readKeySet(text)] })
  } catch (error) {
    throw new KeyError(issuer, (error as Error).message)
  }
}

function isSet(text: string): boolean {
  try {
    return Object.hasOwn(Object(JSON.parse(text)) as object, 'keys')
  } catch {
    return false
  }
}

async function localKey(issuer: string, text: string): Promise<JWTVerifyGetKey> {
  const { key, algorithm } = await readPublicKey(issuer, text)
  return async (header) => {
    // The key decides the algorithm, never the token.
    if (header.alg !== algorithm && !(header.alg === 'Ed25519' && algorithm === 'EdDSA')) {
      throw new errors.JOSEAlgNotAllowed('the algorithm does not fit the key')
    }
    return key
  }
}

async function readPublicKey(
  issuer: string,
  text: string,
): Promise<{ readonly key: CryptoKey; readonly algorithm: string }> {
  const jwk = parseJwk(issuer, text)
  if (jwk.d !== undefined) {
    throw new KeyError(
      issuer,
      'this is the private key: name the public one, and keep the private one elsewhere',
    )
  }
  const algorithm = ALGORITHM_OF_KEY[jwk.crv ?? jwk.kty ?? '']
  if (algorithm === undefined) {
    throw new KeyError(
      issuer,
      `keys of type \`${jwk.crv ?? jwk.kty}\` are not accepted: use Ed25519, P-256 or RSA`,
    )
  }
  try {
    const key = await importJWK(jwk, algorithm)
    if (key instanceof Uint8Array) throw new KeyError(issuer, 'a shared secret is no issuer key')
    const { algorithm: details } = key
    if ('modulusLength' in details && Number(details.modulusLength) < RSA_BITS_MIN) {
      throw new KeyError(issuer, `the RSA key has fewer than ${RSA_BITS_MIN} bits`)
    }
    return { key, algorithm }
  } catch (error) {
    if (error instanceof KeyError) throw error
    throw new KeyError(issuer, `the key cannot be read: ${(error as Error).message}`)
  }
}

function parseJwk(issuer: string, text: string): JWK {
  try {
    const value: unknown = JSON.parse(text)
    if (value !== null && typeof value === 'object' && 'kty' in value) return value as JWK
  } catch {
    // Told below, in one sentence for both mistakes.
  }
  throw new KeyError(issuer, 'the key file is not a JSON Web Key (RFC 7517)')
}
