/**
 * Bytes waiting to be written to one side. Neighbouring views of one buffer are joined, so that a run of
 * untouched messages leaves as one span.
 */
export class Outbox {
  #chunks: Buffer[] = []
  #length = 0

  /** How many bytes are waiting. */
  get length(): number {
    return this.#length
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#length += chunk.length
    const last = this.#chunks.length - 1
    const previous = this.#chunks[last]
    if (
      previous !== undefined &&
      previous.buffer === chunk.buffer &&
      previous.byteOffset + previous.length === chunk.byteOffset
    ) {
      this.#chunks[last] = Buffer.from(previous.buffer, previous.byteOffset, previous.length + chunk.length)
      return
    }
    this.#chunks.push(chunk)
  }

  /** Removes everything that is waiting and gives it in order. */
  take(): readonly Buffer[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#length = 0
    return chunks
  }
}
