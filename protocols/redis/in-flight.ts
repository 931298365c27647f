/**
 * What the server owes: one entry for each command that was sent to it or answered here, in order. Replies carry no
 * number, so that their place is all that tells which command they answer.
 */

import type { ReplyLimits } from '../session.ts'

/** Verbs that are answered once for each channel, as arrays in RESP2 and as pushes in RESP3. */
export type SubscriptionVerb =
  | 'subscribe'
  | 'psubscribe'
  | 'ssubscribe'
  | 'unsubscribe'
  | 'punsubscribe'
  | 'sunsubscribe'

export type Owed =
  | Reply
  /** The answer is ours and waits for its turn. */
  | { readonly kind: 'answer'; readonly statementId: number | undefined; readonly bytes: Buffer }
  /** The server's complaint about `poison` is replaced with the denial. */
  | { readonly kind: 'denied'; readonly poison: string; readonly bytes: Buffer }
  /** The server's greeting is replaced with ours, unless it is an error. */
  | { readonly kind: 'hello'; readonly statementId: number; readonly version: 2 | 3; readonly bytes: Buffer }
  | Confirmations

/** One reply, passed on. */
export type Reply = {
  readonly kind: 'reply'
  readonly statementId: number
  /** Bounds that hold for it; `undefined`: none. */
  readonly limits: ReplyLimits | undefined
  /**
   * `queued`: of a command inside MULTI, which says only that it waits. `batch`: of EXEC, whose elements are replies, each
   * with these bounds.
   */
  readonly to: 'command' | 'queued' | 'batch'
  /** What stands in its place, once its time has run out. */
  late: Buffer | undefined
}

/** Confirmations of a (un)subscription. */
export type Confirmations = {
  readonly kind: 'confirmations'
  readonly statementId: number
  readonly verb: SubscriptionVerb
  /** How many are still to come; 0: as many as there are subscriptions, known when the first one comes. */
  left: number
}

/** Shifting is done in steps of this size, so that the cost for each entry is constant. */
const COMPACT_AT = 1024

/** A pipeline deeper than this waits in the client's socket. */
const ENTRIES_MAX = 100_000

/** So does one with so many bytes of our own answers in it: a denial may be a hundred times as long as its command. */
const BYTES_MAX = 1024 * 1024

/** A first-in-first-out queue. */
export class InFlight {
  readonly #entries: Owed[] = []
  #head = 0
  /** Bytes of the answers of ours that are in it. */
  #bytes = 0

  /** True where nothing more should be judged before something has left. */
  get isFull(): boolean {
    return this.length >= ENTRIES_MAX || this.#bytes >= BYTES_MAX
  }

  get length(): number {
    return this.#entries.length - this.#head
  }

  get first(): Owed | undefined {
    return this.#entries[this.#head]
  }

  /** The reply that a statement waits for. */
  replyOf(statementId: number): Reply | undefined {
    for (let at = this.#head; at < this.#entries.length; at++) {
      const entry = this.#entries[at]
      if (entry?.kind === 'reply' && entry.statementId === statementId) return entry
    }
    return undefined
  }

  push(entry: Owed): void {
    this.#entries.push(entry)
    if ('bytes' in entry) this.#bytes += entry.bytes.length
  }

  shift(): void {
    const { first } = this
    if (first !== undefined && 'bytes' in first) this.#bytes -= first.bytes.length
    this.#head += 1
    if (this.#head === this.#entries.length) {
      this.#entries.length = 0
      this.#head = 0
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#entries.length) {
      this.#entries.splice(0, this.#head)
      this.#head = 0
    }
  }
}
