/**
 * What operators do to runs while they live: revoke, release, register a secret. Each is recorded before it is done; what gives
 * rights is not done where it cannot be.
 */
import type { AuditLog } from '../audit/log.ts'
import type { Config } from '../config/config.ts'
import type { Runs } from './live.ts'
import { BUILT_IN_ISSUER, newSecret } from './secrets.ts'
import type { RegisteredSecret, Revocation, Target } from './state-file.ts'

/** A token is accepted a little after its end (`tokens.clock_skew`), and clocks may be set. */
const FORGET_AFTER_MS = 3_600_000

const NOT_RECORDED = 'the audit log cannot be written, and this would be on no record: see /readyz'

/** The last moment that the records and the state file can write: in RFC 3339 a year has four digits. */
const TIME_MS_MAX = Date.UTC(9999, 11, 31)

export type Order = {
  readonly target: Target
  readonly why: string
  /** Who asks, as they say. */
  readonly by: string
}

export type ControlParts = {
  readonly runs: Runs
  readonly audit: AuditLog
  /** The configuration as it is now. */
  readonly config: () => Config
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export type SecretOrder = {
  readonly grant: string
  readonly run: string
  readonly agent: string
  readonly ttlMs: number
  readonly by: string
}

/** Why nothing was taken back; for the operator. */
type ReleaseRefused = { readonly done: false; readonly problem: string }
type Released = {
  readonly done: true
  readonly released: readonly Revocation[]
  readonly saved: boolean
}

/** Why a secret was not made; for the operator. */
export type SecretRefused = { readonly made: false; readonly problem: string }
export type SecretMade = {
  readonly made: true
  readonly secret: string
  readonly registered: RegisteredSecret
  readonly saved: boolean
}

export class RunControl {
  readonly #parts: ControlParts

  constructor(parts: ControlParts) {
    this.#parts = parts
  }

  /**
   * Refuses the tokens that are meant from now on and ends their sessions.
   * @param forMs how long; without it as long as the tokens live, where that is known, else until it is released
   */
  revoke(
    order: Order,
    forMs?: number,
  ): { readonly revocation: Revocation; readonly sessions: number; readonly saved: boolean } {
    const { runs } = this.#parts
    const nowMs = this.#parts.now()
    const revocation: Revocation = { cause: 'revoked', ...this.#precise(order, forMs), at: nowMs }
    // What takes rights away is done even where it cannot be recorded.
    this.#record('revoked', { ...targetFields(order), until: timeText(revocation.until) })
    runs.state.refuse(revocation)
    return { revocation, sessions: runs.endRefused(), saved: runs.state.save() }
  }

  /** Takes back revocations and quarantines; those given are no more. */
  release(order: Order): Released | ReleaseRefused {
    const { state } = this.#parts.runs
    if (!this.#record('released', targetFields(order))) return { done: false, problem: NOT_RECORDED }
    const released = state.release(order.target)
    return { done: true, released, saved: state.saved }
  }

  /** Makes a secret for a run under a grant of the configuration. */
  registerSecret({ grant: name, by, ...order }: SecretOrder): SecretMade | SecretRefused {
    const { runs } = this.#parts
    const grant = this.#parts.config().grants.get(name)
    if (grant === undefined) return { made: false, problem: `there is no grant \`${name}\`` }
    const refusal = runs.state.refusalOf({
      issuer: BUILT_IN_ISSUER,
      ...order,
      grant: name,
      jti: '',
      ancestors: [],
    })
    if (refusal !== undefined) {
      return { made: false, problem: `the run or its grant is ${refusal.cause}: release it first` }
    }
    const { secret, registered } = newSecret(
      { ...order, grant: name, system: grant.system },
      this.#parts.now(),
    )
    if (!runs.state.hasRoomFor(registered)) {
      return { made: false, problem: 'there are too many secrets: let some expire' }
    }
    const { system, run, agent, jti, expires } = registered
    const fields = { system, run, agent, grant: name, jti, by, until: timeText(expires) }
    if (!this.#record('secret.registered', fields)) return { made: false, problem: NOT_RECORDED }
    return { made: true, secret, registered, saved: runs.state.register(registered) }
  }

  /** The target as exactly as it is known, and until when it matters. */
  #precise(
    { target, why, by }: Order,
    forMs: number | undefined,
  ): Pick<Revocation, 'target' | 'why' | 'by' | 'until'> {
    if (forMs !== undefined) return { target, why, by, until: writable(this.#parts.now() + forMs) }
    if (target.kind !== 'token') return { target, why, by, until: undefined }
    const token = this.#parts.runs.ledger.tokenOf(target.jti, target.issuer)
    if (token === undefined) return { target, why, by, until: undefined }
    return {
      target: { ...target, issuer: token.issuer },
      why,
      by,
      until: writable(token.expiresAtMs + this.#parts.config().clockSkewMs + FORGET_AFTER_MS),
    }
  }

  /** False: the log does not take it. */
  #record(
    event: 'revoked' | 'released' | 'secret.registered',
    fields: Readonly<Record<string, unknown>>,
  ): boolean {
    const { audit, now } = this.#parts
    // One that failed is tried again first.
    if (!audit.isWritable(now())) return false
    audit.appendEvent(event, undefined, fields)
    return audit.flush(now())
  }
}

function targetFields({ target, why, by }: Order): Readonly<Record<string, unknown>> {
  const { kind, ...named } = target
  return { target: kind, ...named, why, by }
}

/** What would end later than can be written holds until it is released. */
function writable(untilMs: number): number | undefined {
  return untilMs > TIME_MS_MAX ? undefined : untilMs
}

function timeText(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString()
}
