/** The runs that are live in this process: their sessions, their cancel keys, and which of them are quarantined. */
import type { EndCause } from '../../protocols/session.ts'
import { StatementRates } from './statement-rates.ts'

/** A session as the registry sees it. */
export interface LiveSession {
  readonly run: string
  readonly system: string
  readonly cancelKey: string | undefined
  end(cause: EndCause): void
  /** Cancels what runs on the backend for this session. */
  cancel(): void
}

/** How many keys of ended sessions are remembered: a cancel request that comes a moment late is no attack. */
const ENDED_KEYS_MAX = 4_096

export class Runs {
  readonly #runs = new Map<string, Set<LiveSession>>()
  /** Logins that were admitted and are not yet sessions, by run and system: each will be one. */
  readonly #opening = new Map<string, number>()
  readonly #rates = new StatementRates()
  readonly #byCancelKey = new Map<string, LiveSession>()
  readonly #endedKeys = new Set<string>()
  readonly #quarantined = new Set<string>()

  add(session: LiveSession): void {
    const sessions = this.#runs.get(session.run)
    if (sessions === undefined) this.#runs.set(session.run, new Set([session]))
    else sessions.add(session)
    if (session.cancelKey !== undefined) this.#byCancelKey.set(session.cancelKey, session)
  }

  remove(session: LiveSession): void {
    const sessions = this.#runs.get(session.run)
    sessions?.delete(session)
    if (sessions?.size === 0) this.#runs.delete(session.run)
    if (session.cancelKey === undefined) return
    this.#byCancelKey.delete(session.cancelKey)
    this.#endedKeys.add(session.cancelKey)
    if (this.#endedKeys.size > ENDED_KEYS_MAX) {
      for (const oldest of this.#endedKeys) {
        this.#endedKeys.delete(oldest)
        break
      }
    }
  }

  /** Sessions that a run has open on a system, and those that it is about to have. */
  openSessions(run: string, system: string): number {
    let open = this.#opening.get(pair(run, system)) ?? 0
    for (const session of this.#runs.get(run) ?? []) if (session.system === system) open += 1
    return open
  }

  /** Counts a session that is about to begin; the function given ends that, and may be called more than once. */
  reserve(run: string, system: string): () => void {
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
  countStatement(run: string, grant: string, limit: number, nowMs: number): boolean {
    return this.#rates.count(pair(run, grant), limit, nowMs)
  }

  /** `foreign`: no session of this process ever had this key. */
  cancel(key: string): 'done' | 'ended' | 'foreign' {
    const session = this.#byCancelKey.get(key)
    if (session === undefined) return this.#endedKeys.has(key) ? 'ended' : 'foreign'
    session.cancel()
    return 'done'
  }

  isQuarantined(run: string): boolean {
    return this.#quarantined.has(run)
  }

  /** Ends the run's sessions on every system; its tokens are refused from now on. */
  quarantine(run: string, cause: EndCause): void {
    this.#quarantined.add(run)
    for (const session of [...(this.#runs.get(run) ?? [])]) session.end(cause)
  }

  /** Ends every session of every run. */
  endAll(cause: EndCause): void {
    for (const sessions of [...this.#runs.values()]) for (const session of [...sessions]) session.end(cause)
  }

  get sessionCount(): number {
    let count = 0
    for (const sessions of this.#runs.values()) count += sessions.size
    return count
  }
}

/** One key of two names: no run, system or grant has a space in it. */
function pair(run: string, other: string): string {
  return `${run} ${other}`
}
