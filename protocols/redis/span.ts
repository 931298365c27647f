/** Neighbouring bytes of one buffer that leave as one piece; no view is made until they do. */
export class Span {
  #buffer: Buffer | undefined
  #start = 0
  #end = 0

  begin(buffer: Buffer, start: number, size: number): void {
    this.#buffer = buffer
    this.#start = start
    this.#end = start + size
  }

  /** Takes in the bytes that follow directly; false: they do not. */
  extend(buffer: Buffer, start: number, size: number): boolean {
    if (buffer !== this.#buffer || start !== this.#end) return false
    this.#end += size
    return true
  }

  take(): Buffer | undefined {
    const bytes = this.#buffer?.subarray(this.#start, this.#end)
    this.#buffer = undefined
    return bytes
  }
}
