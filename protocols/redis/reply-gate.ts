/**
 * What becomes of the bytes of the value under way: they pass to the client, are held back, or are dropped.
 *
 * A value that is bounded is held back until it is known to stay within its bounds: mostly its first lines tell. One
 * that passes them is dropped, and an error stands in its place. Of one too big to be held the beginning has gone to
 * the client before its end could be known; where such a value passes its bound no error can stand.
 */
import type { Inbox } from '../inbox.ts'
import { Outbox } from '../outbox.ts'
import type { LimitKind, ReplyLimits } from '../session.ts'
import type { ReplyScanner } from './replies.ts'

/** Bytes of a bounded value that are held back at most, for as long as its end is not known. */
const HELD_BYTES_MAX = 1024 * 1024

export class ReplyGate {
  readonly #inbox: Inbox
  readonly #replies: ReplyScanner
  readonly #outbox = new Outbox()
  #drops = false
  #holds = false
  readonly #held = new Outbox()
  /** The bounds, for as long as the value may pass them. */
  #bounds: ReplyLimits | undefined
  #boundedBytes = 0
  /** What stands in its place. */
  #instead: Buffer | undefined

  constructor(inbox: Inbox, replies: ReplyScanner) {
    this.#inbox = inbox
    this.#replies = replies
  }

  /** True while nothing of the value under way has gone to the client. */
  get keeps(): boolean {
    return this.#holds || this.#drops
  }

  /** Puts bytes of ours behind what has passed. */
  put(bytes: Buffer): void {
    this.passWalked()
    this.#outbox.push(bytes)
  }

  /** Drops the value that begins, and puts `instead` where it was to stand. */
  drop(instead?: Buffer): void {
    this.passWalked()
    this.#drops = true
    this.#instead = instead
  }

  /** Holds the value that begins back until it is known to stay within its bounds. */
  bound(limits: ReplyLimits): void {
    this.passWalked()
    this.#bounds = limits
    this.#boundedBytes = 0
    this.#holds = true
  }

  /**
   * Says that `size` bytes more of the value were walked. Gives the bound that it passes now, if any; whoever is told
   * so calls {@link cut}.
   * @param countsRows whether the bound on rows is about this value
   */
  walked(size: number, countsRows: boolean): Exclude<LimitKind, 'time'> | undefined {
    const bounds = this.#bounds
    if (bounds === undefined) return undefined
    const replies = this.#replies
    const { rows, bytes } = bounds
    this.#boundedBytes += size
    if (rows !== undefined && countsRows && replies.longest > rows) return 'rows'
    if (bytes !== undefined && this.#boundedBytes + replies.leastLeft > bytes) return 'bytes'
    if (replies.sizeIsKnown) this.#bounds = undefined
    if (replies.sizeIsKnown || this.#boundedBytes > HELD_BYTES_MAX) this.#release()
    return undefined
  }

  /** Drops the value under way; false: some of it has passed, so that nothing can stand in its place. */
  cut(instead: Buffer): boolean {
    this.#bounds = undefined
    if (!this.#holds) return false
    this.#holds = false
    this.#held.take()
    this.#drops = true
    this.#instead = instead
    this.#dropWalked()
    return true
  }

  /** The value under way is complete. */
  end(): void {
    this.#bounds = undefined
    this.#release()
    if (this.#drops) this.#dropWalked()
    this.#drops = false
    if (this.#instead !== undefined) this.#outbox.push(this.#instead)
    this.#instead = undefined
  }

  /** Puts `line` where the scanner stands at a line that must not pass. */
  replaceLine(line: Buffer): void {
    this.settleWalked()
    this.#replies.skipLine()
    this.#dropWalked()
    if (this.#drops) return
    if (this.#holds) this.#held.push(line)
    else this.#outbox.push(line)
  }

  /** Moves what was walked over to where it belongs. */
  settleWalked(): void {
    if (this.#drops) this.#dropWalked()
    else this.passWalked()
  }

  passWalked(): void {
    const size = this.#replies.at
    if (size === 0) return
    this.#replies.at = 0
    const bytes = this.#inbox.take(size)
    if (this.#holds) this.#held.push(bytes)
    else this.#outbox.push(bytes)
  }

  #dropWalked(): void {
    this.#inbox.skip(this.#replies.at)
    this.#replies.at = 0
  }

  #release(): void {
    if (!this.#holds) return
    this.#holds = false
    for (const chunk of this.#held.take()) this.#outbox.push(chunk)
  }

  /** What the client gets. */
  take(): readonly Buffer[] {
    return this.#outbox.take()
  }
}
