import type { Denial, LimitKind, ReplyLimits } from '../session.ts'
import { errorResponse } from './errors.ts'
import { CLIENT, frame } from './frames.ts'
import type { Sent } from './sent.ts'

/**
 * Statements that pass a bound of the grant: how they are cancelled, and what the client is told in the place where
 * their end was to stand.
 *
 *     rows   D D D (D D D)         the frames in parentheses are dropped, a cancel is asked for
 *     end    E(57014) Z(E)    ─▶   E(53400) Z(E)      the server was cancelled in time
 *            C Z(I)           ─▶   E(53400) Z(I)      it had ended before
 *            C Z(T)           ─▶   E(53400) Z(E)      so too, but the error must abort the transaction: see ABORT
 *
 * A cancel hits whatever runs when its signal arrives. While one is under way nothing new is sent; what was sent
 * before it and is hit by mistake is told so.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */

/** SQLSTATE `configuration_limit_exceeded`. */
const LIMIT_CODE = '53400'

/** SQLSTATE `query_canceled`. */
export const CANCELED_CODE = '57014'

/** Fails when it is parsed, and so aborts a transaction whose client has been told of an error. */
export const ABORT = frame(CLIENT.query, 'bulkhead_passed_a_limit\0')

/** Ends a copy that the client would not: it was never told of it, or it takes its time. */
export const COPY_FAIL = frame(CLIENT.copyFail, 'a limit was passed\0')

/** What is under way to cancel statements of one session. */
export class Cancels {
  #wanted = false
  #underWay = false
  /** Why there is or was a cancel that may hit another statement than it was meant for. */
  blame: string | undefined

  /** True while a statement that was sent now might be hit. */
  get waits(): boolean {
    return this.#wanted || this.#underWay
  }

  /** The statement that runs must be cancelled. */
  want(why: string): void {
    this.#wanted = true
    this.blame = why
  }

  /** It has ended by itself; nobody has been asked yet, or the one asked comes late. */
  withdraw(): void {
    this.#wanted = false
  }

  /** True once for each cancel that is wanted. */
  take(): boolean {
    const wanted = this.#wanted
    this.#wanted = false
    if (wanted) this.#underWay = true
    return wanted
  }

  /** Someone else cancels. */
  began(why: string): void {
    this.#underWay = true
    this.blame = why
  }

  over(): void {
    this.#underWay = false
  }

  /** Everything that could have been hit is answered. */
  forget(): void {
    if (!this.waits) this.blame = undefined
  }
}

/** Bounds that bound something. */
export function boundsOf(limits: ReplyLimits): ReplyLimits | undefined {
  return limits.rows === undefined && limits.bytes === undefined ? undefined : limits
}

/** The bound that a message of `size` bytes passes as a part of the entry's reply. */
export function passedBy(entry: Sent, size: number, isRow: boolean): LimitKind | undefined {
  const { bounds } = entry
  if (bounds === undefined) return undefined
  if (isRow && bounds.rows !== undefined && entry.rowsGiven >= bounds.rows) return 'rows'
  return bounds.bytes !== undefined && entry.bytes + size > bounds.bytes ? 'bytes' : undefined
}

/** The SQLSTATE with which the entry's end reaches the client. */
export function limitCode(entry: Sent): string {
  return entry.limit === 'time' ? CANCELED_CODE : LIMIT_CODE
}

/**
 * The end of a statement that has passed a bound.
 * @param hadEnded the server had completed it before a cancel reached it
 */
export function limitResponse(entry: Sent, hadEnded: boolean): Buffer {
  const hint =
    entry.timedOut?.hint ?? (entry.limit === 'time' ? undefined : 'ask for less, with WHERE or LIMIT')
  return errorResponse({
    severity: 'ERROR',
    code: limitCode(entry),
    message: `canceling statement due to ${limitWords(entry.limit, entry.bounds, entry.timedOut)}`,
    ...(hadEnded && {
      detail: 'It had ended on the server before: what it changed is kept unless rolled back.',
    }),
    ...(hint !== undefined && { hint }),
  })
}

/** What a statement is told that was hit by the cancel of another one. */
export function lateCancelResponse(blame: string): Buffer {
  return errorResponse({
    severity: 'ERROR',
    code: CANCELED_CODE,
    message: `canceling statement due to user request: meant for another statement, ${blame}`,
    hint: 'send it again',
  })
}

/** The last words where an error in its place would not say what has happened on the server. */
export function limitFatal(entry: Sent): Buffer {
  return errorResponse({
    severity: 'FATAL',
    code: limitCode(entry),
    message: `terminating connection due to ${limitWords(entry.limit, entry.bounds, entry.timedOut)}`,
    detail: 'Later statements of the same transaction had been sent and may have run.',
    hint: 'wait for the answer of a statement that brings many rows before sending the next',
  })
}

export function limitWords(
  limit: LimitKind | undefined,
  bounds: ReplyLimits | undefined,
  timedOut: Denial | undefined,
): string {
  switch (limit) {
    case 'rows':
      return `row limit: the grant allows ${bounds?.rows} rows a statement`
    case 'bytes':
      return `size limit: the grant allows ${bounds?.bytes} bytes of reply a statement`
    default:
      return `statement timeout${timedOut === undefined ? '' : `: ${timedOut.message}`}`
  }
}
