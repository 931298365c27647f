/** The places of a bigger command are given back when it is done. */
const KEPT_ARGUMENTS_MAX = 4096

/**
 * The arguments of one command as spans of the bytes received (`argv[0]` is the command's name). Nothing is copied
 * and no string is made until somebody asks for one.
 *
 * The server compares names and options with C string functions, so that a NUL would end them early there and not
 * here. Whoever reads a word asks {@link Args.isPlain} first, or uses a reader that does.
 */
export class Args {
  /** The bytes that the offsets below point into. */
  buffer: Buffer = Buffer.alloc(0)
  /** Where the command begins in `buffer`; offsets count from here, because the inbox may move what waits. */
  base = 0
  /** How many arguments there are. */
  count = 0
  readonly #starts: number[] = []
  readonly #ends: number[] = []

  clear(): void {
    this.count = 0
    if (this.#starts.length > KEPT_ARGUMENTS_MAX) {
      this.#starts.length = 0
      this.#ends.length = 0
    }
  }

  /** Adds an argument by its offsets from `base`. */
  add(start: number, end: number): void {
    this.#starts[this.count] = start
    this.#ends[this.count] = end
    this.count += 1
  }

  /** Index into `buffer` of the first byte of argument `i`. */
  start(i: number): number {
    const start = this.#starts[i]
    if (start === undefined || i >= this.count) throw new RangeError('no such argument')
    return this.base + start
  }

  /** Index into `buffer` behind the last byte of argument `i`. */
  end(i: number): number {
    const end = this.#ends[i]
    if (end === undefined || i >= this.count) throw new RangeError('no such argument')
    return this.base + end
  }

  /** Size of argument `i` in bytes. */
  size(i: number): number {
    return this.end(i) - this.start(i)
  }

  /** One character a byte, so that comparison is exact on bytes. */
  latin1(i: number): string {
    return this.buffer.toString('latin1', this.start(i), this.end(i))
  }

  /** True where every byte is printable ASCII without a space: the only form a name or an option may have. */
  isPlain(i: number): boolean {
    const end = this.end(i)
    for (let at = this.start(i); at < end; at++) {
      const byte = this.buffer[at] ?? 0
      if (byte < 0x21 || byte > 0x7e) return false
    }
    return true
  }

  /** The word in lower case (ASCII folding), or `undefined` where it is not plain or longer than `sizeMax`. */
  word(i: number, sizeMax = 64): string | undefined {
    if (this.size(i) > sizeMax || !this.isPlain(i)) return undefined
    return this.latin1(i).toLowerCase()
  }

  /**
   * The integer as the server's `string2ll` reads it: no sign but `-`, no leading zero, no space. `undefined` for
   * anything else and for numbers of more than 15 digits.
   */
  integer(i: number): number | undefined {
    const size = this.size(i)
    if (size === 0 || size > 16) return undefined
    const text = this.latin1(i)
    return /^(?:0|-?[1-9][0-9]{0,14})$/.test(text) ? Number(text) : undefined
  }

  /** True where argument `i` has the byte `byte`. */
  includes(i: number, byte: number): boolean {
    const at = this.buffer.indexOf(byte, this.start(i))
    return at !== -1 && at < this.end(i)
  }

  /** For texts and tests: the arguments of a command that was not read from the wire. */
  static of(words: readonly (Buffer | string)[]): Args {
    const args = new Args()
    const parts = words.map((word) => (typeof word === 'string' ? Buffer.from(word) : word))
    args.buffer = Buffer.concat(parts)
    let at = 0
    for (const part of parts) {
      args.add(at, at + part.length)
      at += part.length
    }
    return args
  }
}
