/**
 * A run secret as it is kept: what checks each protocol's proof of it, and from which it cannot be had back. The secret
 * itself is made of at least 128 random bits, so that no verifier can be searched.
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'

/** What is stored of a run secret. */
export type SecretVerifier = {
  /** SCRAM-SHA-256 (RFC 5802, section 3; RFC 7677): PostgreSQL. */
  readonly scramSha256: {
    readonly salt: Buffer
    readonly iterations: number
    readonly storedKey: Buffer
    readonly serverKey: Buffer
  }
  /** SHA256(SHA256(secret)): MySQL's `caching_sha2_password`. */
  readonly sha256Twice: Buffer
  /** SHA1(SHA1(secret)): `mysql_native_password`. */
  readonly sha1Twice: Buffer
  /** {@link sentSecretDigest}: a secret that is sent as it is (Redis `AUTH`). */
  readonly sha256: Buffer
}

/** PostgreSQL's `scram_iterations` (default 4096); the secret is random, so that more would protect nothing. */
const SCRAM_ITERATIONS = 4_096

/** Bytes of a SCRAM salt (PostgreSQL: `SCRAM_DEFAULT_SALT_LEN`). */
export const SCRAM_SALT_BYTES = 16

/**
 * @param secret printable ASCII, so that SASLprep (RFC 4013) leaves it as it is
 * @param salt {@link SCRAM_SALT_BYTES} random bytes
 */
export function secretVerifier(secret: string, salt: Buffer): SecretVerifier {
  const salted = pbkdf2Sync(secret, salt, SCRAM_ITERATIONS, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  const serverKey = createHmac('sha256', salted).update('Server Key').digest()
  return {
    scramSha256: { salt, iterations: SCRAM_ITERATIONS, storedKey: hash('sha256', clientKey), serverKey },
    sha256Twice: hash('sha256', hash('sha256', Buffer.from(secret))),
    sha1Twice: hash('sha1', hash('sha1', Buffer.from(secret))),
    sha256: sentSecretDigest(Buffer.from(secret)),
  }
}

/**
 * What is compared of a secret that is sent as it is. Not its plain SHA-256: from that, whoever reads what is kept could
 * compute an answer to any scramble of `caching_sha2_password`.
 */
export function sentSecretDigest(secret: Buffer): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from('bulkhead sent secret\0'), secret]))
}

function hash(algorithm: 'sha256' | 'sha1', bytes: Buffer): Buffer {
  return createHash(algorithm).update(bytes).digest()
}
