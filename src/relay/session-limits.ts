/** What bounds one session and the statements in it: the grant's limits, and the token's end. */
import type { Denial, EndCause, Session } from '../../protocols/session.ts'
import type { Limits } from '../grants/grant.ts'
import { durationWords } from '../policy/words.ts'
import { Deadlines } from './deadlines.ts'
import type { Running } from './running.ts'

/** How long a backend may take to end what was cancelled there; then the session ends instead. */
const CANCEL_MS = 5_000

export const EXPIRED: EndCause = { kind: 'token_expired', message: 'the token of this run has expired' }

type SessionLimitsParts = {
  readonly session: Session
  readonly running: Running
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds that only ever grow, as those of `performance`; the same that {@link Running} is told. */
  readonly clock: () => number
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number
  /** Words a limit as a denial. */
  readonly denial: (why: string) => Denial
  /** Cancels what runs on the backend. */
  readonly cancel: () => void
  readonly end: (cause: EndCause) => void
}

export class SessionLimits {
  readonly #parts: SessionLimitsParts
  readonly #deadlines = new Deadlines()
  /** Milliseconds since the epoch. */
  readonly #begunAtMs: number
  /** When a byte last passed, by the clock. */
  #activeAtMs: number
  /** The statement that is being cancelled because its time was up, and since when. */
  #cancelled = { statementId: 0, atMs: 0 }

  constructor(parts: SessionLimitsParts) {
    this.#parts = parts
    this.#begunAtMs = parts.now()
    this.#activeAtMs = parts.clock()
  }

  /** These hold from now on, in place of others. What a session has lived already counts. */
  set({ rows, bytes, sessionMs, idleMs, statementMs }: Limits): void {
    this.#parts.session.limitReplies({ rows, bytes })
    this.#deadlines.clear()
    this.#endAt(this.#parts.expiresAtMs, EXPIRED)
    if (sessionMs !== undefined) {
      const message = `the grant allows sessions of ${durationWords(sessionMs)}`
      this.#endAt(this.#begunAtMs + sessionMs, { kind: 'limit', message })
    }
    if (idleMs !== undefined) this.#deadlines.watch(idleMs, () => this.#endIdle(idleMs))
    if (statementMs !== undefined) this.#deadlines.watch(statementMs, () => this.#endStatement(statementMs))
  }

  /** A byte has passed. */
  active(): void {
    this.#activeAtMs = this.#parts.clock()
  }

  clear(): void {
    this.#deadlines.clear()
  }

  #endAt(timeMs: number, cause: EndCause): void {
    const { now, end } = this.#parts
    this.#deadlines.watch(timeMs - now(), () => {
      const leftMs = timeMs - now()
      if (leftMs > 0) return leftMs
      end(cause)
      return undefined
    })
  }

  #endIdle(idleMs: number): number | undefined {
    const { running, clock, end } = this.#parts
    const leftMs = running.isEmpty ? idleMs - (clock() - this.#activeAtMs) : idleMs
    if (leftMs > 0) return leftMs
    end({ kind: 'limit', message: `the grant allows a session to be idle for ${durationWords(idleMs)}` })
    return undefined
  }

  /** Cancels the statement that the backend is at when its time is up; ends the session where that does not help. */
  #endStatement(statementMs: number): number | undefined {
    const { running, session, clock, denial, cancel, end } = this.#parts
    const { first } = running
    if (first === undefined) return statementMs
    const nowMs = clock()
    const isCancelled = first === this.#cancelled.statementId
    const leftMs = isCancelled
      ? CANCEL_MS - (nowMs - this.#cancelled.atMs)
      : statementMs - running.firstMs(nowMs)
    if (leftMs > 0) return Math.min(leftMs, statementMs)
    const why = `the grant allows a statement to run for ${durationWords(statementMs)}`
    if (isCancelled) {
      end({ kind: 'limit', message: why })
      return undefined
    }
    this.#cancelled = { statementId: first, atMs: nowMs }
    session.timeOut(first, denial(why))
    cancel()
    return Math.min(CANCEL_MS, statementMs)
  }
}
