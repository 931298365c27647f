const EMPTY = Buffer.alloc(0)

/**
 * Bytes that have arrived and are not yet understood.
 *
 * A chunk that arrives while nothing is waiting is adopted, not copied. Bytes once handed out as views stay
 * valid for ever: the inbox never moves or overwrites a byte that it has shown.
 */
export class Inbox {
  /** Read-only for callers: the bytes from `start` to `end` are waiting. */
  buffer: Buffer = EMPTY
  start = 0
  end = 0
  #owned = false
  #expected = 0

  /** How many bytes are waiting. */
  get length(): number {
    return this.end - this.start
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    if (this.start === this.end) {
      this.buffer = chunk
      this.start = 0
      this.end = chunk.length
      this.#owned = false
      this.#expected = 0
      return
    }
    const length = this.end - this.start
    if (!this.#owned || this.buffer.length - this.end < chunk.length) {
      // Doubling keeps the cost of many small chunks linear. A new allocation, never a move in place: views
      // into the old one may still be waiting in an outbox.
      const needed = length + chunk.length
      const expected = Math.min(this.#expected, 4 * needed)
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * length, needed, expected, 4096))
      this.buffer.copy(grown, 0, this.start, this.end)
      this.buffer = grown
      this.start = 0
      this.end = length
      this.#owned = true
    }
    chunk.copy(this.buffer, this.end)
    this.end += chunk.length
  }

  /**
   * Says that a message of `total` bytes is arriving, so that fewer and bigger buffers are made for it. Never more than
   * four times what has arrived: a peer that only announces bytes costs nothing.
   */
  expect(total: number): void {
    this.#expected = total
  }

  /** Drops the first `size` waiting bytes. */
  skip(size: number): void {
    if (size > this.end - this.start) throw new RangeError('skip past the end of the inbox')
    this.start += size
  }

  /** Removes the first `size` waiting bytes and gives them as a view. */
  take(size: number): Buffer {
    if (size > this.end - this.start) throw new RangeError('take past the end of the inbox')
    const view = this.buffer.subarray(this.start, this.start + size)
    this.start += size
    return view
  }

  /** Removes all waiting bytes and gives them as a view. */
  takeAll(): Buffer {
    return this.take(this.end - this.start)
  }
}
