/**
 * The file that keeps what must survive a restart: revocations, quarantines and the verifiers of run secrets. It is
 * written whole beside itself, synced and renamed, so that a crash leaves the old one or the new one. A file that
 * cannot be read stops the start: whoever was revoked must not come back because a file was lost.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { SecretVerifier } from '../../protocols/secret.ts'
import { RUN_ID } from '../grants/token.ts'

/** Written into the file; another number is another program's. */
const VERSION = 1

/** The file cannot be used; the message names it and what to do. */
export class StateError extends Error {
  readonly code = 'STATE'

  constructor(file: string, problem: string) {
    super(
      `the state file ${file} ${problem}: it says which runs are revoked, so Bulkhead does not start without it. Restore it, or remove it to begin with no revocation, no quarantine and no run secret`,
    )
    this.name = 'StateError'
  }
}

const runId = z.string().regex(RUN_ID)

/** Times are written as people read them, and kept as milliseconds since the epoch. */
const instant = z.iso.datetime({ precision: 3 }).transform((text) => Date.parse(text))

const bytes = (size: number) =>
  z
    .base64()
    .transform((text) => Buffer.from(text, 'base64'))
    .refine((buffer) => buffer.length === size, `not ${size} bytes`)

const target = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('run'), run: runId, issuer: z.string().optional() }),
  z.strictObject({ kind: z.literal('token'), jti: z.string().min(1), issuer: z.string().optional() }),
  z.strictObject({ kind: z.literal('grant'), grant: z.string().min(1) }),
])

const revocation = z.strictObject({
  cause: z.enum(['revoked', 'quarantined']),
  target,
  why: z.string(),
  by: z.string(),
  at: instant,
  until: instant.optional(),
})

/** Bytes of SHA-256 and of SHA-1. */
const SHA256_BYTES = 32
const SHA1_BYTES = 20

const secret = z.strictObject({
  system: z.string(),
  run: runId,
  agent: z.string(),
  grant: z.string(),
  jti: z.string(),
  at: instant,
  expires: instant,
  verifier: z.strictObject({
    scram_sha_256: z.strictObject({
      salt: z.base64().transform((text) => Buffer.from(text, 'base64')),
      iterations: z.int().min(1),
      stored_key: bytes(SHA256_BYTES),
      server_key: bytes(SHA256_BYTES),
    }),
    sha256_twice: bytes(SHA256_BYTES),
    sha1_twice: bytes(SHA1_BYTES),
    sha256: bytes(SHA256_BYTES),
  }),
})

const stateFile = z.strictObject({
  version: z.literal(VERSION),
  revocations: z.array(revocation),
  secrets: z.array(secret),
})

/** Which tokens are meant: of a run and what was narrowed from it, one token and its narrowings, or all under a grant. */
export type Target =
  /** Without an issuer: whoever issued it. */
  | { readonly kind: 'run'; readonly run: string; readonly issuer?: string | undefined }
  | { readonly kind: 'token'; readonly jti: string; readonly issuer?: string | undefined }
  | { readonly kind: 'grant'; readonly grant: string }

/** Why tokens are refused. Times are milliseconds since the epoch. */
export type Revocation = {
  readonly cause: 'revoked' | 'quarantined'
  readonly target: Target
  readonly why: string
  /** Who asked for it, as they said; `on_hop` where the proxy did. */
  readonly by: string
  readonly at: number
  /** When every token that is meant has expired; `undefined`: not known, so that it holds until it is released. */
  readonly until: number | undefined
}

/** A run that proves itself by a secret instead of a token. Times are milliseconds since the epoch. */
export type RegisteredSecret = {
  readonly system: string
  readonly run: string
  readonly agent: string
  readonly grant: string
  /** The name of this registration, as if it were a token. */
  readonly jti: string
  readonly at: number
  readonly expires: number
  readonly verifier: SecretVerifier
}

export type StateContents = {
  readonly revocations: readonly Revocation[]
  readonly secrets: readonly RegisteredSecret[]
}

/** @throws StateError where there is a file and it cannot be used */
export function readState(file: string): StateContents {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return { revocations: [], secrets: [] }
    throw new StateError(file, `cannot be read (${code ?? message})`)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new StateError(file, 'is not JSON')
  }
  const parsed = stateFile.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new StateError(file, `is broken at \`${issue?.path.join('.') ?? ''}\` (${issue?.message})`)
  }
  return {
    revocations: parsed.data.revocations.map((entry) => ({ ...entry, until: entry.until })),
    secrets: parsed.data.secrets.map(({ verifier, ...entry }) => ({
      ...entry,
      verifier: {
        scramSha256: {
          salt: verifier.scram_sha_256.salt,
          iterations: verifier.scram_sha_256.iterations,
          storedKey: verifier.scram_sha_256.stored_key,
          serverKey: verifier.scram_sha_256.server_key,
        },
        sha256Twice: verifier.sha256_twice,
        sha1Twice: verifier.sha1_twice,
        sha256: verifier.sha256,
      },
    })),
  }
}

/** Returns when the contents are on the device. @throws the file system's error; the old file is then as it was */
export function writeState(file: string, contents: StateContents): void {
  const temporary = `${file}.${process.pid}.new`
  // What a crash left behind is not written through: whoever put it there may have made it a link.
  removeQuietly(temporary)
  try {
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(fd, `${JSON.stringify(written(contents), undefined, 1)}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, file)
  } catch (error) {
    removeQuietly(temporary)
    throw error
  }
  syncFolder(dirname(file))
}

function written({ revocations, secrets }: StateContents): unknown {
  const time = (ms: number): string => new Date(ms).toISOString()
  const base64 = (buffer: Buffer): string => buffer.toString('base64')
  return {
    version: VERSION,
    revocations: revocations.map(({ at, until, ...entry }) => ({
      ...entry,
      at: time(at),
      ...(until !== undefined && { until: time(until) }),
    })),
    secrets: secrets.map(({ at, expires, verifier, ...entry }) => ({
      ...entry,
      at: time(at),
      expires: time(expires),
      verifier: {
        scram_sha_256: {
          salt: base64(verifier.scramSha256.salt),
          iterations: verifier.scramSha256.iterations,
          stored_key: base64(verifier.scramSha256.storedKey),
          server_key: base64(verifier.scramSha256.serverKey),
        },
        sha256_twice: base64(verifier.sha256Twice),
        sha1_twice: base64(verifier.sha1Twice),
        sha256: base64(verifier.sha256),
      },
    })),
  }
}

/** The rename itself must survive a power cut. Some file systems cannot sync a folder; then it was said to the kernel. */
function syncFolder(folder: string): void {
  let fd: number | undefined
  try {
    fd = openSync(folder, 'r')
    fsyncSync(fd)
  } catch {
    // Nothing more can be done, and the new file is in place.
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file)
  } catch {
    // It was not made, or is gone.
  }
}
