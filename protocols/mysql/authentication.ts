/**
 * Proofs of a password: what a client answers to a server's scramble, per plugin, and how a server reads a password
 * that was sent whole.
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods.html
 * https://mariadb.com/kb/en/authentication-plugin-ed25519/
 */
import {
  constants,
  createHash,
  createPublicKey,
  privateDecrypt,
  publicEncrypt,
  timingSafeEqual,
} from 'node:crypto'
import type { Random } from '../login.ts'
import type { SecretVerifier } from '../secret.ts'
import { ed25519Sign } from './ed25519.ts'

/** Length of the scramble that a server sends, without the NUL that follows it on the wire. */
export const SCRAMBLE_BYTES = 20
/** `client_ed25519` signs a longer one. */
const ED25519_SCRAMBLE_BYTES = 32

export const PLUGINS = {
  native: 'mysql_native_password',
  sha2: 'caching_sha2_password',
  sha256: 'sha256_password',
  clear: 'mysql_clear_password',
  ed25519: 'client_ed25519',
} as const

/** `caching_sha2_password` messages after the first answer, as the server and the client number them. */
export const SHA2 = { REQUEST_PUBLIC_KEY: 0x02, FAST_OK: 0x03, FULL: 0x04 } as const
/** `sha256_password` asks for the key with another number. */
export const SHA256_REQUEST_PUBLIC_KEY = 0x01

function sha1(...parts: readonly Buffer[]): Buffer {
  return digest('sha1', parts)
}

function sha256(...parts: readonly Buffer[]): Buffer {
  return digest('sha256', parts)
}

function digest(algorithm: string, parts: readonly Buffer[]): Buffer {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** `key` is repeated over `bytes`. */
function xor(bytes: Buffer, key: Buffer): Buffer {
  const result = Buffer.allocUnsafe(bytes.length)
  for (const [index, byte] of bytes.entries()) result[index] = byte ^ key.readUInt8(index % key.length)
  return result
}

/** A scramble of printable characters, as servers make them: clients read it as a NUL-terminated string. */
export function makeScramble(random: Random): Buffer {
  // From ! to }, without $, which separates the fields of a stored hash.
  return Buffer.from(random(SCRAMBLE_BYTES).map((byte) => (byte % 93 === 3 ? 0x7e : 0x21 + (byte % 93))))
}

/** The answer of `mysql_native_password`: 20 bytes, or none for no password. */
export function nativePassword(password: string, scramble: Buffer): Buffer {
  if (password === '') return Buffer.alloc(0)
  const once = sha1(Buffer.from(password))
  return xor(once, sha1(scramble.subarray(0, SCRAMBLE_BYTES), sha1(once)))
}

/** The first answer of `caching_sha2_password`: 32 bytes, or none for no password. */
export function sha2Password(password: string, scramble: Buffer): Buffer {
  if (password === '') return Buffer.alloc(0)
  const once = sha256(Buffer.from(password))
  return xor(once, sha256(sha256(once), scramble.subarray(0, SCRAMBLE_BYTES)))
}

/** The plugins by which a client proves a run secret. */
export type ProofPlugin = typeof PLUGINS.sha2 | typeof PLUGINS.native

/**
 * Whether an answer to our scramble, as {@link sha2Password} and {@link nativePassword} make it, proves the secret of
 * which this is kept. The answer is the once hashed secret under a mask that whoever has the twice hashed one can make.
 */
export function provesSecret(
  plugin: ProofPlugin,
  answer: Buffer,
  scramble: Buffer,
  verifier: SecretVerifier,
): boolean {
  const { sha256Twice, sha1Twice } = verifier
  const [hash, twice, mask] =
    plugin === PLUGINS.sha2
      ? [sha256, sha256Twice, sha256(sha256Twice, scramble)]
      : [sha1, sha1Twice, sha1(scramble, sha1Twice)]
  return answer.length === twice.length && timingSafeEqual(hash(xor(answer, mask)), twice)
}

/** The answer of `client_ed25519`: a signature of the scramble by a key that is derived from the password. */
export function ed25519Password(password: string, scramble: Buffer): Buffer {
  return ed25519Sign(Buffer.from(password), scramble.subarray(0, ED25519_SCRAMBLE_BYTES))
}

/** A password as `caching_sha2_password`, `sha256_password` and `mysql_clear_password` send it over TLS. */
export function wholePassword(password: string): Buffer {
  return Buffer.from(`${password}\0`)
}

/**
 * A password for a server that has shown its RSA key.
 *
 * @throws where the key is no RSA key or too short for the password
 */
export function encryptPassword(password: string, scramble: Buffer, publicKeyPem: string): Buffer {
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const key = scramble.subarray(0, SCRAMBLE_BYTES)
  return publicEncrypt({ key: publicKeyPem, padding }, xor(wholePassword(password), key))
}

/**
 * The reverse of {@link encryptPassword}, on the server's side.
 *
 * @returns the password, or `undefined` where the bytes are not one encrypted by this key for this scramble
 */
export function decryptPassword(cipher: Buffer, scramble: Buffer, privateKeyPem: string): string | undefined {
  try {
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    return readWholePassword(xor(privateDecrypt({ key: privateKeyPem, padding }, cipher), scramble))
  } catch {
    return undefined
  }
}

/** The password up to the NUL that ends it; `undefined` where it is not ended by its only NUL. */
export function readWholePassword(bytes: Buffer): string | undefined {
  if (bytes.length === 0 || bytes.indexOf(0) !== bytes.length - 1) return undefined
  return bytes.toString('utf8', 0, bytes.length - 1)
}

/** The PEM of the public half, as clients expect it. */
export function publicKeyOf(privateKeyPem: string): Buffer {
  return Buffer.from(createPublicKey(privateKeyPem).export({ type: 'spki', format: 'pem' }))
}
