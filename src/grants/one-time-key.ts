/**
 * The Ed25519 keys (RFC 8032) of a chain of narrowings: each is used by one holder of a token. Private keys are their
 * seeds and public keys their points, 32 bytes each, written in base64url (43 characters).
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto'

const KEY_BYTES = 32

/** What stands before the seed in an Ed25519 private key in PKCS #8 (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** The prime 2^255 - 19 of the curve's field. */
const FIELD = 2n ** 255n - 19n

/**
 * The y-coordinates of the points of small order. Under such a public key anybody can make a signature that OpenSSL takes for
 * good, because it verifies without the cofactor and does not look at the order of the key.
 */
const SMALL_ORDER: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  FIELD - 1n,
  // Order 8: the two roots of the curve's equation for doubling to a point of order 4, as in libsodium's `ge25519_has_small_order`.
  fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
  fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
])

/** A fresh private key. */
export function newSeed(): string {
  return randomBytes(KEY_BYTES).toString('base64url')
}

/** The key that signs with a seed. @throws RangeError where it is no seed */
export function signingKey(seed: string): KeyObject {
  const bytes = bytesOf(seed)
  if (bytes === undefined) throw new RangeError('not the seed of an Ed25519 key')
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, bytes]), format: 'der', type: 'pkcs8' })
}

/** The public key of a seed; `undefined` where it is no seed. */
export function publicKeyOf(seed: string): string | undefined {
  if (bytesOf(seed) === undefined) return undefined
  return createPublicKey(signingKey(seed)).export({ format: 'jwk' }).x
}

/** The key that verifies; `undefined` for what is no public key, and for those that bind nobody. */
export function verifyingKey(point: string): KeyObject | undefined {
  const bytes = bytesOf(point)
  if (bytes === undefined) return undefined
  const y = littleEndian(bytes) & (2n ** 255n - 1n)
  if (y >= FIELD || SMALL_ORDER.has(y)) return undefined
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: point }, format: 'jwk' })
  } catch {
    return undefined
  }
}

/** The bytes of a key; `undefined` unless it is written in the one way that 32 bytes are. */
function bytesOf(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === KEY_BYTES && bytes.toString('base64url') === text ? bytes : undefined
}

function littleEndian(bytes: Buffer): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}

function fromHex(hex: string): bigint {
  return littleEndian(Buffer.from(hex, 'hex'))
}
