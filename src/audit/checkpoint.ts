/**
 * Signed checkpoints: what the chain's head was, said by the holder of a key. The chain alone shows a change in the middle;
 * whoever can write the file can make a whole new chain, but not its signatures. A checkpoint is a JWS (RFC 7515) in compact
 * form with Ed25519 (RFC 8037), made here without a promise, because it must be the last record of a rotated file.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'

/** The type in the header: a checkpoint is never taken for a token of the same issuer, nor a token for a checkpoint. */
const TYPE = 'bulkhead-audit-checkpoint'

/** What a checkpoint says: the record before it, and how many there were since the last checkpoint or the start. */
export type Head = { readonly seq: number; readonly hash: string; readonly count: number }

/** What is wrong with a key for checkpoints. */
export class CheckpointKeyError extends Error {
  readonly code = 'CHECKPOINT_KEY'

  constructor(message: string) {
    super(message)
    this.name = 'CheckpointKeyError'
  }
}

export class CheckpointSigner {
  readonly #key: KeyObject
  readonly #header: string

  /** @param jwk text of a private Ed25519 key as a JSON Web Key. @throws CheckpointKeyError */
  constructor(jwk: string) {
    const written = parseKey(jwk)
    if (written.d === undefined)
      throw new CheckpointKeyError('this is the public key: checkpoints need the private one')
    this.#key = readKey(() => createPrivateKey({ key: written, format: 'jwk' }))
    this.#header = encoded({ alg: 'EdDSA', typ: TYPE, kid: thumbprint(written) })
  }

  sign(head: Head): string {
    const signed = `${this.#header}.${encoded(head)}`
    return `${signed}.${sign(null, Buffer.from(signed), this.#key).toString('base64url')}`
  }
}

export class CheckpointVerifier {
  readonly #keys = new Map<string, KeyObject>()

  /** @param jwks texts of Ed25519 keys as JSON Web Keys; of private ones the public part is used. @throws CheckpointKeyError */
  constructor(jwks: readonly string[]) {
    for (const jwk of jwks) {
      const { d: _, ...written } = parseKey(jwk)
      this.#keys.set(
        thumbprint(written),
        readKey(() => createPublicKey({ key: written, format: 'jwk' })),
      )
    }
  }

  /** What was signed; or what is wrong: `unknown_key` for a signature by a key that is not among ours. */
  verify(jws: string): Head | 'malformed' | 'unknown_key' | 'bad_signature' {
    const [header = '', payload = '', signature = '', ...more] = jws.split('.')
    const { typ, alg, kid } = decoded(header)
    if (typ !== TYPE || alg !== 'EdDSA' || typeof kid !== 'string' || more.length > 0) return 'malformed'
    const key = this.#keys.get(kid)
    if (key === undefined) return 'unknown_key'
    if (!verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) {
      return 'bad_signature'
    }
    const { seq, hash, count } = decoded(payload)
    return typeof seq === 'number' && typeof hash === 'string' && typeof count === 'number'
      ? { seq, hash, count }
      : 'malformed'
  }
}

function parseKey(jwk: string): JsonWebKey {
  let value: JsonWebKey | null
  try {
    value = JSON.parse(jwk) as JsonWebKey | null
  } catch {
    throw new CheckpointKeyError('the key is not a JSON Web Key (RFC 7517)')
  }
  if (value?.crv !== 'Ed25519' || typeof value.x !== 'string')
    throw new CheckpointKeyError('the key is not an Ed25519 key')
  return value
}

function readKey(make: () => KeyObject): KeyObject {
  try {
    return make()
  } catch (error) {
    throw new CheckpointKeyError(`the key cannot be read: ${(error as Error).message}`)
  }
}

/** RFC 7638: the members of the key in the order of their names. */
function thumbprint({ crv, x }: JsonWebKey): string {
  return createHash('sha256')
    .update(JSON.stringify({ crv, kty: 'OKP', x }))
    .digest('base64url')
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function decoded(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
