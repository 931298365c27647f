/** The packets of one judged command on their way out of the client's inbox. */
import type { Inbox } from '../inbox.ts'
import type { Outbox } from '../outbox.ts'
import { BODY_BYTES_MAX, HEADER_BYTES, outOfOrder } from './frames.ts'

export class Transfer {
  readonly #to: 'server' | 'nowhere'
  /** Takes the place of the first bytes. */
  #head: Buffer | undefined
  /** Bytes of the running packet still to move; `undefined` before its header. */
  #left: number | undefined
  #continues = true
  /** The sequence id that comes after the last header seen: that of the reply, once the transfer is done. */
  sequence = 0

  constructor(to: 'server' | 'nowhere', head: Buffer | undefined) {
    this.#to = to
    this.#head = head
  }

  /** @returns true when the whole command has moved */
  move(inbox: Inbox, server: Outbox): boolean {
    for (;;) {
      if (this.#left === undefined) {
        if (!this.#continues) return true
        if (inbox.length < HEADER_BYTES) return false
        this.#header(inbox)
      }
      this.#replaceHead(inbox, server)
      const left = this.#left ?? 0
      const part = Math.min(left, inbox.length)
      const bytes = inbox.take(part)
      if (this.#to === 'server') server.push(bytes)
      this.#left = left - part
      if (this.#left > 0) return false
      this.#left = undefined
    }
  }

  #header(inbox: Inbox): void {
    const length = inbox.buffer.readUIntLE(inbox.start, 3)
    const sequence = inbox.buffer.readUInt8(inbox.start + 3)
    if (sequence !== this.sequence) throw outOfOrder('client', this.sequence, sequence)
    this.sequence = (sequence + 1) & 0xff
    this.#left = HEADER_BYTES + length
    this.#continues = length === BODY_BYTES_MAX
  }

  /** INVARIANT: the bytes that a head replaces have arrived; they were read to make it. */
  #replaceHead(inbox: Inbox, server: Outbox): void {
    const head = this.#head
    if (head === undefined) return
    inbox.skip(head.length)
    server.push(head)
    this.#left = (this.#left ?? 0) - head.length
    this.#head = undefined
  }
}
