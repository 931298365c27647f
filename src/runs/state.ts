/** What is known of runs beyond this process: who is revoked or quarantined, and who proves itself by a secret. */
import { type RunToken, rootRun } from '../grants/token.ts'
import { type RegisteredSecret, type Revocation, readState, type Target, writeState } from './state-file.ts'

/** Secrets at once. Each is written whole with every change of the file. */
const SECRETS_MAX = 10_000

/** What a token says of whose it is. */
export type Claims = Pick<RunToken, 'issuer' | 'run' | 'jti' | 'ancestors'> & {
  /** Its name, where it has one. */
  readonly grant: string | object
}

export class RunState {
  readonly file: string
  readonly #now: () => number
  /** By {@link keyOf} and cause. */
  readonly #revocations = new Map<string, Revocation>()
  /** By system and run. */
  readonly #secrets = new Map<string, RegisteredSecret>()
  #saved = true

  /**
   * @param now milliseconds since the epoch
   * @throws StateError where the file is there and cannot be used
   */
  constructor(file: string, now: () => number) {
    this.file = file
    this.#now = now
    const { revocations, secrets } = readState(file)
    for (const entry of revocations) this.#revocations.set(entryKey(entry), entry)
    for (const entry of secrets) this.#secrets.set(secretKey(entry.system, entry.run), entry)
    this.#purge()
  }

  /** False while the file does not hold what is in force: it could not be written. */
  get saved(): boolean {
    return this.#saved
  }

  /** Why a token is refused; `undefined`: nothing stands against it. What ends one of its ancestors ends it, too. */
  refusalOf(token: Claims): Revocation | undefined {
    if (this.#revocations.size === 0) return undefined
    for (const target of targetsOf(token)) {
      const key = keyOf(target)
      const found = this.#revocations.get(`revoked ${key}`) ?? this.#revocations.get(`quarantined ${key}`)
      if (found !== undefined && !isOver(found.until, this.#now())) return found
    }
    return undefined
  }

  /** Why a whole run is refused, whatever its token. */
  refusalOfRun(issuer: string, run: string): Revocation | undefined {
    // No token has an empty `jti`, and an inline grant has no name.
    return this.refusalOf({ issuer, run, jti: '', ancestors: [], grant: {} })
  }

  /** True where the run that answers for the token is quarantined, whatever else stands against it. */
  isQuarantined(token: Claims): boolean {
    const target: Target = { kind: 'run', run: rootRun(token), issuer: token.issuer }
    return this.#revocations.has(`quarantined ${keyOf(target)}`)
  }

  /** In force at once. `save()` is for the caller, who first ends what is refused now: a disk may be slow. */
  refuse(revocation: Revocation): void {
    this.#revocations.set(entryKey(revocation), revocation)
  }

  /** Takes back every revocation and quarantine of the target, of every issuer where it names none; gives them. */
  release(target: Target): Revocation[] {
    const released: Revocation[] = []
    for (const [key, entry] of this.#revocations) {
      if (!isSame(entry.target, target)) continue
      this.#revocations.delete(key)
      released.push(entry)
    }
    if (released.length > 0) this.save()
    return released
  }

  /** All that are in force, the oldest first. */
  revocations(): Revocation[] {
    const nowMs = this.#now()
    return [...this.#revocations.values()].filter(({ until }) => !isOver(until, nowMs))
  }

  /** False: as many secrets as there can be are in force. */
  hasRoomFor({ system, run }: RegisteredSecret): boolean {
    this.#purge()
    return this.#secrets.size < SECRETS_MAX || this.#secrets.has(secretKey(system, run))
  }

  /** A run has one secret on a system: a new one takes the place of the old. False: it is in force and could not be saved. */
  register(secret: RegisteredSecret): boolean {
    this.#secrets.set(secretKey(secret.system, secret.run), secret)
    return this.save()
  }

  secretOf(system: string, run: string): RegisteredSecret | undefined {
    const secret = this.#secrets.get(secretKey(system, run))
    return secret === undefined || secret.expires <= this.#now() ? undefined : secret
  }

  /** Writes what is in force; false where it cannot, so that a restart would forget it. */
  save(): boolean {
    this.#purge()
    try {
      writeState(this.file, {
        revocations: [...this.#revocations.values()],
        secrets: [...this.#secrets.values()],
      })
      this.#saved = true
    } catch {
      this.#saved = false
    }
    return this.#saved
  }

  /** Forgets what concerns only tokens that have expired. */
  #purge(): void {
    const nowMs = this.#now()
    for (const [key, { until }] of this.#revocations) if (isOver(until, nowMs)) this.#revocations.delete(key)
    for (const [key, { expires }] of this.#secrets) if (expires <= nowMs) this.#secrets.delete(key)
  }
}

/** Everything under which a token may stand refused. */
function* targetsOf(token: Claims): Iterable<Target> {
  const { issuer } = token
  for (const { run, jti } of [token, ...token.ancestors]) {
    yield { kind: 'run', run }
    yield { kind: 'run', run, issuer }
    yield { kind: 'token', jti }
    yield { kind: 'token', jti, issuer }
  }
  if (typeof token.grant === 'string') yield { kind: 'grant', grant: token.grant }
}

/** True where the asked target means the entry's; without an issuer it means those of all. */
function isSame(entry: Target, asked: Target): boolean {
  if (asked.kind === 'grant' || entry.kind === 'grant' || asked.issuer !== undefined) {
    return keyOf(entry) === keyOf(asked)
  }
  return keyOf({ ...entry, issuer: undefined }) === keyOf(asked)
}

function isOver(until: number | undefined, nowMs: number): boolean {
  return until !== undefined && nowMs >= until
}

function entryKey({ cause, target }: Revocation): string {
  return `${cause} ${keyOf(target)}`
}

function keyOf(target: Target): string {
  switch (target.kind) {
    case 'run':
      return JSON.stringify(['run', target.run, target.issuer])
    case 'token':
      return JSON.stringify(['token', target.jti, target.issuer])
    case 'grant':
      return JSON.stringify(['grant', target.grant])
  }
}

/** No system has a space in its name. */
function secretKey(system: string, run: string): string {
  return `${system} ${run}`
}
