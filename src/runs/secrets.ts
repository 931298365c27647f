/** Run secrets: a short password for drivers and connections that cannot carry a token. */
import { randomBytes, randomUUID } from 'node:crypto'
import { SCRAM_SALT_BYTES, secretVerifier } from '../../protocols/secret.ts'
import type { RunToken } from '../grants/token.ts'
import type { RegisteredSecret } from './state-file.ts'

/** The issuer whose key `bulkhead init` makes, and under which runs with a secret stand. */
export const BUILT_IN_ISSUER = 'bulkhead'

/** 192 random bits, 32 characters: every client takes a password of that length, and no dictionary holds it. */
const SECRET_BYTES = 24

export type SecretRequest = {
  readonly system: string
  readonly run: string
  readonly agent: string
  readonly grant: string
  readonly ttlMs: number
}

/** Makes a secret: its text is for the caller alone, and what is kept cannot give it back. */
export function newSecret(
  { ttlMs, ...request }: SecretRequest,
  nowMs: number,
): { readonly secret: string; readonly registered: RegisteredSecret } {
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  return {
    secret,
    registered: {
      ...request,
      jti: randomUUID(),
      at: nowMs,
      expires: nowMs + ttlMs,
      verifier: secretVerifier(secret, randomBytes(SCRAM_SALT_BYTES)),
    },
  }
}

/** What the holder of a secret would have been given as a token. */
export function tokenOfSecret(secret: RegisteredSecret): RunToken {
  const { run, agent, system, grant, jti, expires } = secret
  return {
    issuer: BUILT_IN_ISSUER,
    agent,
    run,
    system,
    grant,
    jti,
    expiresAtMs: expires,
    ancestors: [],
    narrowed: [],
  }
}
