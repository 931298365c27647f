/** The runs that are live in this process: their sessions, their cancel keys, and which of them are quarantined. */
import type { EndCause } from '../../protocols/session.ts'

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

/** The window of `statements_per_minute`. */
const MINUTE_MS = 60_000

type Run = {
  readonly sessions: Set<LiveSession>
  /** Statements in the current window, and when it began. */
  statements: number
  windowStartMs: number
}

export class Runs {
  readonly #runs = new Map<string, Run>()
  readonly #byCancelKey = new Map<string, LiveSession>()
  readonly #endedKeys = new Set<string>()
  readonly #quarantined = new Set<string>()

  add(session: LiveSession): void {
    this.#of(session.run).sessions.add(session)
    if (session.cancelKey !== undefined) this.#byCancelKey.set(session.cancelKey, session)
  }

  remove(session: LiveSession): void {
    const run = this.#runs.get(session.run)
    run?.sessions.delete(session)
    if (run?.sessions.size === 0) this.#runs.delete(session.run)
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

  /** Sessions that a run has open on a system. */
  openSessions(run: string, system: string): number {
    let open = 0
    for (const session of this.#runs.get(run)?.sessions ?? []) if (session.system === system) open += 1
    return open
  }

  /** Counts a statement; false when the run has sent `limit` in this minute already. */
  countStatement(run: string, limit: number, nowMs: number): boolean {
    const live = this.#of(run)
    if (nowMs - live.windowStartMs >= MINUTE_MS) {
      live.windowStartMs = nowMs
      live.statements = 0
    }
    live.statements += 1
    return live.statements <= limit
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
    for (const session of [...(this.#runs.get(run)?.sessions ?? [])]) session.end(cause)
  }

  /** Ends every session of every run. */
  endAll(cause: EndCause): void {
    for (const { sessions } of [...this.#runs.values()])
      for (const session of [...sessions]) session.end(cause)
  }

  get sessionCount(): number {
    let count = 0
    for (const { sessions } of this.#runs.values()) count += sessions.size
    return count
  }

  #of(run: string): Run {
    let live = this.#runs.get(run)
    if (live === undefined) {
      live = { sessions: new Set(), statements: 0, windowStartMs: 0 }
      this.#runs.set(run, live)
    }
    return live
  }
}
