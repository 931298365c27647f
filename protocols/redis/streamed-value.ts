/**
 * The last argument of a command that was judged without it, because it is big and nothing of it matters to the verdict.
 * It passes as it comes, or is dropped, and is never held.
 */
import { ProtocolError } from '../errors.ts'
import type { Inbox } from '../inbox.ts'
import type { Outbox } from '../outbox.ts'
import { NO_CRLF } from './frames.ts'

const LINE_END_BYTES = 2
const CR = 0x0d
const LF = 0x0a

export class StreamedValue {
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  /** Bytes still to come, with the line end. */
  #left = 0
  #drops = false

  constructor(inbox: Inbox, outbox: Outbox) {
    this.#inbox = inbox
    this.#outbox = outbox
  }

  get isUnderWay(): boolean {
    return this.#left > 0
  }

  /** @param size bytes of the value with its line end; 0: there is none */
  begin(size: number, drops: boolean): void {
    this.#left = size
    this.#drops = drops
  }

  /** Moves what has come of it; true: all of it. @throws ProtocolError where its end is not where it must be */
  move(): boolean {
    const inbox = this.#inbox
    const size = Math.min(this.#left - LINE_END_BYTES, inbox.length)
    if (size > 0) {
      this.#moveBytes(size)
      this.#left -= size
    }
    if (this.#left > LINE_END_BYTES || inbox.length < LINE_END_BYTES) return false
    if (inbox.buffer[inbox.start] !== CR || inbox.buffer[inbox.start + 1] !== LF) {
      // The server never sees the end of the command, and so does not carry it out.
      throw new ProtocolError('redis', 'client', NO_CRLF)
    }
    this.#moveBytes(LINE_END_BYTES)
    this.#left = 0
    return true
  }

  #moveBytes(size: number): void {
    if (this.#drops) this.#inbox.skip(size)
    else this.#outbox.push(this.#inbox.take(size))
  }
}
