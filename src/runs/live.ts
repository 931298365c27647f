/** The runs that are live in this process: their sessions, their cancel keys, and what is done to all of a run's at once. */
import type { HopKind } from '../../protocols/analysis.ts'
import type { EndCause, KillRequest } from '../../protocols/session.ts'
import type { Grant } from '../grants/grant.ts'
import { type RunToken, rootRun } from '../grants/token.ts'
import type { RunEntry, RunLedger } from './ledger.ts'
import { type RunKey, runKeyOf } from './run-key.ts'
import type { RunState } from './state.ts'
import type { Revocation } from './state-file.ts'
import { StatementRates } from './statement-rates.ts'

/** A session as the registry sees it. */
export interface LiveSession {
  readonly token: RunToken
  readonly system: string
  /** Its run's line in the ledger. */
  readonly entry: RunEntry
  /** `address:port`. */
  readonly client: string
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number
  readonly cancelKey: string | undefined
  end(cause: EndCause): void
  /** Ends it at its next idle moment. */
  drain(cause: EndCause): void
  /** The configuration was read anew: another grant holds from the next statement on, or (`undefined`) none. */
  regrant(grant: Grant | undefined): void
  /** Cancels what runs on the backend for this session. */
  cancel(): void
}

/** How many keys of ended sessions are remembered: a cancel request that comes a moment late is no attack. */
const ENDED_KEYS_MAX = 4_096

export class Runs {
  readonly state: RunState
  readonly ledger: RunLedger
  readonly #runs = new Map<RunKey, Set<LiveSession>>()
  /** Logins that were admitted and are not yet sessions, by run and system: each will be one. */
  readonly #opening = new Map<string, number>()
  readonly #rates = new StatementRates()
  readonly #byCancelKey = new Map<string, LiveSession>()
  readonly #endedKeys = new Set<string>()
  #sessionCount = 0
  #onEmpty: (() => void)[] = []

  constructor(state: RunState, ledger: RunLedger) {
    this.state = state
    this.ledger = ledger
  }

  add(session: LiveSession): void {
    const key = runKeyOf(session.token)
    const sessions = this.#runs.get(key)
    if (sessions === undefined) this.#runs.set(key, new Set([session]))
    else sessions.add(session)
    this.#sessionCount += 1
    session.entry.open += 1
    session.entry.sessions += 1
    session.entry.touched(session.system)
    if (session.cancelKey !== undefined) this.#byCancelKey.set(session.cancelKey, session)
  }

  remove(session: LiveSession): void {
    const key = runKeyOf(session.token)
    const sessions = this.#runs.get(key)
    if (sessions?.delete(session) === true) {
      this.#sessionCount -= 1
      session.entry.open -= 1
    }
    if (sessions?.size === 0) this.#runs.delete(key)
    if (session.cancelKey !== undefined) this.#forgetKey(session.cancelKey)
    if (this.#sessionCount > 0) return
    const waiting = this.#onEmpty
    this.#onEmpty = []
    for (const resolve of waiting) resolve()
  }

  /** Sessions that a run has open on a system, and those that it is about to have. */
  openSessions(run: RunKey, system: string): number {
    let open = this.#opening.get(pair(run, system)) ?? 0
    for (const session of this.#runs.get(run) ?? []) if (session.system === system) open += 1
    return open
  }

  /** Counts a session that is about to begin; the function given ends that, and may be called more than once. */
  reserve(run: RunKey, system: string): () => void {
    const key = pair(run, system)
    this.#opening.set(key, (this.#opening.get(key) ?? 0) + 1)
    let released = false
    return () => {
      if (released) return
      released = true
      const left = (this.#opening.get(key) ?? 1) - 1
      if (left === 0) this.#opening.delete(key)
      else this.#opening.set(key, left)
    }
  }

  /** Counts a statement; false, and not counted, when the run has sent `limit` under the grant in the last minute. */
  countStatement(run: RunKey, grant: string, limit: number, nowMs: number): boolean {
    return this.#rates.count(pair(run, grant), limit, nowMs)
  }

  /** `foreign`: no session of this process ever had this key. */
  cancel(key: string): 'done' | 'ended' | 'foreign' {
    const session = this.#byCancelKey.get(key)
    if (session === undefined) return this.#endedKeys.has(key) ? 'ended' : 'foreign'
    session.cancel()
    return 'done'
  }

  /** Whether this is the cancel key of an open session of the same run on the same system. */
  isOwn(key: string, { token, system }: Pick<LiveSession, 'token' | 'system'>): boolean {
    const named = this.#byCancelKey.get(key)
    return named !== undefined && named.system === system && runKeyOf(named.token) === runKeyOf(token)
  }

  /** Does what a session of the same run asks for; nothing where the other has ended meanwhile. */
  kill({ key, what }: KillRequest): void {
    const session = this.#byCancelKey.get(key)
    if (what === 'statement') session?.cancel()
    else session?.end({ kind: 'revoked', message: 'a session of the same run has killed this one' })
  }

  /**
   * What a hop leads to where the configuration says so: the run's sessions end on every system, and its tokens are
   * refused from now on.
   */
  quarantine(
    token: RunToken,
    hop: { readonly kind: HopKind; readonly nowMs: number },
    cause: EndCause,
  ): void {
    const isNew = !this.state.isQuarantined(token)
    if (isNew) {
      this.state.refuse({
        cause: 'quarantined',
        target: { kind: 'run', run: rootRun(token), issuer: token.issuer },
        why: `hop: ${hop.kind}`,
        by: 'on_hop',
        at: hop.nowMs,
        until: undefined,
      })
    }
    for (const session of [...(this.#runs.get(runKeyOf(token)) ?? [])]) session.end(cause)
    // One that is quarantined already is not written again: a run cannot keep the disk busy by hopping on.
    if (isNew) this.state.save()
  }

  /** Ends every session whose token is refused by now; gives how many. */
  endRefused(): number {
    let ended = 0
    for (const session of this.sessions()) {
      const refusal = this.state.refusalOf(session.token)
      if (refusal === undefined) continue
      session.end({ kind: 'revoked', message: refusalWords(refusal) })
      ended += 1
    }
    return ended
  }

  /** A copy, so that sessions may end while one goes through it. */
  sessions(): LiveSession[] {
    return [...this.#runs.values()].flatMap((sessions) => [...sessions])
  }

  get sessionCount(): number {
    return this.#sessionCount
  }

  /** Resolves when no session is open. */
  empty(): Promise<void> {
    if (this.#sessionCount === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onEmpty.push(resolve))
  }

  #forgetKey(cancelKey: string): void {
    this.#byCancelKey.delete(cancelKey)
    this.#endedKeys.add(cancelKey)
    if (this.#endedKeys.size <= ENDED_KEYS_MAX) return
    for (const oldest of this.#endedKeys) {
      this.#endedKeys.delete(oldest)
      return
    }
  }
}

/** What the agent is told. Why an operator did it is for the record. */
function refusalWords({ cause, target }: Revocation): string {
  if (cause === 'quarantined') return 'this run is quarantined'
  return target.kind === 'grant' ? 'the grant of this run was revoked' : 'this run was revoked'
}

/** One key of two names: no system or grant has a space in it. */
function pair(run: RunKey, other: string): string {
  return `${other} ${run}`
}
