/**
 * The client's side of RESP: commands, as arrays of bulk strings (https://redis.io/docs/latest/develop/reference/protocol-spec/):
 *
 *     *2\r\n$3\r\nGET\r\n$6\r\ncart:7\r\n
 *
 * or inline, as words on one line. Only the canonical form of each is read: servers differ in what else they accept
 * (`*01`, `$+4`, a lone LF, quotes in an inline command), and two parsers that differ are a way past this one. What
 * has been read may be relayed byte for byte.
 */
import { ProtocolError } from '../errors.ts'
import type { Inbox } from '../inbox.ts'
import { Args } from './args.ts'
import { splitLine } from './command-line.ts'

/** What a client may send; smaller before login, as on the server. */
export type RequestLimits = {
  /** Arguments of one command with its name. */
  readonly argsMax: number
  /** Bytes of one argument. */
  readonly argBytesMax: number
  /** Bytes of one command with its frame, where it is held until it is whole, because its keys may stand anywhere. */
  readonly commandBytesMax: number
  /** Bytes of a last argument that need not be whole to be judged. */
  readonly streamedBytesMax: number
  /** Beginning of the sentences about the first two, as the server words them. */
  readonly who: 'unauthenticated' | 'invalid'
}

/** The server's own limits before login (`networking.c`: 10 arguments, 16384 bytes), and a total. */
export const LIMITS_BEFORE_LOGIN: RequestLimits = {
  argsMax: 10,
  argBytesMax: 16_384,
  commandBytesMax: 65_536,
  streamedBytesMax: 0,
  who: 'unauthenticated',
}

/**
 * A million arguments, 64 MiB: below the server's, because a command is held in memory until it is whole. What is not held
 * may be as big as the server takes it (`proto-max-bulk-len`, 512 MiB unless it is configured otherwise).
 */
export const LIMITS: RequestLimits = {
  argsMax: 1_048_576,
  argBytesMax: 64 * 1024 * 1024,
  commandBytesMax: 64 * 1024 * 1024,
  streamedBytesMax: 512 * 1024 * 1024,
  who: 'invalid',
}

/** An inline command longer than this is refused; the server takes 64 KiB. */
const INLINE_BYTES_MAX = 4096

/** `*1048576\r\n`, `$67108864\r\n`: a header line is never longer. */
const HEADER_BYTES_MAX = 16

/** Below this an argument is not worth an allocation of its own size, nor is it passed on in pieces. */
const BIG_BYTES_MIN = 65_536

/** A big argument is judged once this much of it has come: more of it no record shows. */
const BEGINNING_BYTES = 1024

const CR = 0x0d
const LF = 0x0a
const STAR = 0x2a
const DOLLAR = 0x24
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

/** As Valkey 9.1 says it, the first of the servers that looks at both bytes. */
export const NO_CRLF = 'invalid CRLF in request'

/** A header that has not wholly arrived. */
const INCOMPLETE = -2

/** Finds the commands in what a client has sent. */
export class RequestScanner {
  readonly #inbox: Inbox
  #limits: RequestLimits
  /** The arguments of the command found by `next()`; valid until it is called again. */
  readonly args = new Args()
  /** Bytes of that command, from the inbox's start. */
  size = 0
  /** True where it came as a line, and so cannot be relayed as it is. */
  inline = false
  /**
   * Bytes of the last argument with its line end that are still to come behind `size`: it was big, and did not matter. The
   * caller takes them as they come; 0: the command is whole.
   */
  streamed = 0
  readonly #mayStream: ((args: Args) => boolean) | undefined
  /** Arguments still to come; -1 before the header of a command. */
  #argsLeft = -1
  /** Offset from the inbox's start of the next byte to read. */
  #at = 0

  /**
   * @param mayStream whether a command of these arguments and one more can be judged without that one; never, where there
   *   is no such function
   */
  constructor(inbox: Inbox, limits: RequestLimits, mayStream?: (args: Args) => boolean) {
    this.#inbox = inbox
    this.#limits = limits
    this.#mayStream = mayStream
  }

  /** Takes other limits for what comes next. */
  limit(limits: RequestLimits): void {
    this.#limits = limits
  }

  /**
   * Finds the next command; false: more bytes are needed. The caller takes `size` bytes, and what is `streamed`, from the
   * inbox before it asks again. @throws ProtocolError in the server's words
   */
  next(): boolean {
    if (this.#argsLeft === -1 && !this.#begin()) return false
    if (this.inline) return true
    while (this.#argsLeft > 0) {
      if (!this.#readArgument()) return false
      this.#argsLeft -= 1
    }
    this.#argsLeft = -1
    this.size = this.#at
    this.#point()
    return true
  }

  /** The inbox may have moved what waits since the offsets were taken. */
  #point(): void {
    this.args.buffer = this.#inbox.buffer
    this.args.base = this.#inbox.start
  }

  /** Reads the header of a command; empty ones get no answer from a server and are dropped. */
  #begin(): boolean {
    const inbox = this.#inbox
    for (;;) {
      this.args.clear()
      this.inline = false
      this.streamed = 0
      this.#at = 0
      if (inbox.length === 0) return false
      const first = inbox.buffer[inbox.start]
      if (first !== STAR) {
        if (!this.#readInline()) return false
        if (this.args.count > 0) return true
        inbox.skip(this.size)
        continue
      }
      const count = this.#readHeader('multibulk')
      if (count === INCOMPLETE) return false
      if (count > this.#limits.argsMax) fail(`${this.#limits.who} multibulk length`)
      if (count > 0) {
        this.#argsLeft = count
        return true
      }
      inbox.skip(this.#at)
    }
  }

  #readArgument(): boolean {
    const inbox = this.#inbox
    const from = this.#at
    if (inbox.length === from) return false
    const first = inbox.buffer[inbox.start + from] ?? 0
    if (first !== DOLLAR) fail(`expected '$', got '${printable(first)}'`)
    const size = this.#readHeader('bulk')
    if (size === INCOMPLETE) {
      this.#at = from
      return false
    }
    const start = this.#at
    const end = start + size
    const isTooBig = size > this.#limits.argBytesMax || end + 2 > this.#limits.commandBytesMax
    if ((isTooBig || inbox.length < end + 2) && this.#streams(start, size)) {
      this.#at = from
      if (inbox.length < start + BEGINNING_BYTES) return false
      this.args.add(start, end)
      this.streamed = size + 2
      this.#at = start
      return true
    }
    if (isTooBig) fail(`${this.#limits.who} bulk length`)
    if (inbox.length < end + 2) {
      if (size >= BIG_BYTES_MIN) inbox.expect(end + 2)
      this.#at = from
      return false
    }
    const base = inbox.start
    if (inbox.buffer[base + end] !== CR || inbox.buffer[base + end + 1] !== LF) fail(NO_CRLF)
    this.args.add(start, end)
    this.#at = end + 2
    return true
  }

  /** True where the argument of `size` bytes at `start` is to be passed on as it comes. */
  #streams(start: number, size: number): boolean {
    if (size < BIG_BYTES_MIN || size > this.#limits.streamedBytesMax) return false
    if (this.#argsLeft !== 1 || start > this.#limits.commandBytesMax) return false
    this.#point()
    return this.#mayStream?.(this.args) ?? false
  }

  /**
   * Reads `*n\r\n` or `$n\r\n` at `#at` and stands behind it. `*-n` is an empty command; no other sign, and no
   * leading zero.
   */
  #readHeader(what: 'multibulk' | 'bulk'): number {
    const { buffer, start, end } = this.#inbox
    let at = start + this.#at + 1
    const limit = Math.min(end, at + HEADER_BYTES_MAX)
    const negative = at < limit && buffer[at] === MINUS
    if (negative) at += 1
    const digits = at
    let value = 0
    for (; at < limit; at++) {
      const byte = buffer[at] ?? 0
      if (byte < ZERO || byte > NINE) break
      value = value * 10 + (byte - ZERO)
    }
    if (at === end) return this.#incomplete(at, what)
    if (buffer[at] !== CR || at === digits) fail(`invalid ${what} length`)
    if (at + 1 === end) return INCOMPLETE
    if (buffer[at + 1] !== LF) fail(NO_CRLF)
    if (buffer[digits] === ZERO && (at - digits > 1 || negative)) fail(`invalid ${what} length`)
    if (negative && what === 'bulk') fail(`invalid ${what} length`)
    this.#at = at + 2 - start
    return negative ? 0 : value
  }

  #incomplete(at: number, what: string): number {
    if (at - this.#inbox.start - this.#at >= HEADER_BYTES_MAX) fail(`invalid ${what} length`)
    return INCOMPLETE
  }

  /**
   * Reads a line of words. Only plain words between single or more spaces: quotes and escapes are read differently
   * by different servers, and end the connection when their line has come, as unbalanced ones do there.
   */
  #readInline(): boolean {
    const { buffer, start, end } = this.#inbox
    const found = buffer.indexOf(LF, start)
    const line = found === -1 || found >= end ? -1 : found
    if ((line === -1 ? end : line) - start > INLINE_BYTES_MAX) fail('too big inline request')
    if (line === -1) {
      // A CR at the very end may be the line's.
      this.#checkInline(start, buffer[end - 1] === CR ? end - 1 : end)
      return false
    }
    const stop = line > start && buffer[line - 1] === CR ? line - 1 : line
    this.#checkInline(start, stop)
    this.#checkQuotes(start, stop)
    this.#splitInline(start, stop)
    this.size = line + 1 - start
    this.inline = this.args.count > 0
    this.#point()
    return true
  }

  #checkInline(from: number, to: number): void {
    const { buffer } = this.#inbox
    for (let at = from; at < to; at++) {
      const byte = buffer[at] ?? 0
      if (byte < 0x20 || byte > 0x7e) fail('an inline command with bytes that are not printable')
    }
  }

  #checkQuotes(from: number, to: number): void {
    const line = this.#inbox.buffer.toString('latin1', from, to)
    if (!/["'\\]/.test(line)) return
    fail(
      splitLine(line) === undefined
        ? 'unbalanced quotes in request'
        : 'an inline command with quotes or escapes',
    )
  }

  #splitInline(from: number, to: number): void {
    const { buffer, start } = this.#inbox
    let at = from
    while (at < to) {
      while (at < to && buffer[at] === 0x20) at += 1
      const word = at
      while (at < to && buffer[at] !== 0x20) at += 1
      if (at > word) this.args.add(word - start, at - start)
    }
    if (this.args.count > this.#limits.argsMax) fail(`${this.#limits.who} multibulk length`)
    // A browser made to speak to this port: the server ends such a connection too.
    const name =
      this.args.count === 0 ? undefined : buffer.toString('latin1', from, to).trimStart().toLowerCase()
    if (name?.startsWith('post') || name?.startsWith('host:')) fail('possible cross-protocol request')
  }
}

function printable(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?'
}

function fail(message: string): never {
  throw new ProtocolError('redis', 'client', message)
}

/** The canonical form of an inline command, for the server. */
export function encodeCommand(words: readonly (Buffer | string)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`, 'latin1')]
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word, 'utf8') : word
    parts.push(Buffer.from(`$${bytes.length}\r\n`, 'latin1'), bytes, Buffer.from('\r\n', 'latin1'))
  }
  return Buffer.concat(parts)
}
