/**
 * The server's side of RESP, as boundaries only: where one reply ends and the next begins. Values are counted, not
 * decoded, and a big one passes in the pieces that it arrives in.
 *
 *     +OK  -ERR …  :1  $5 hello  *2 …  _  #t  ,1.5  (123  =7 txt:abc  %2 …  ~2 …  >3 …
 *
 * Refused, because no server sends them to a client that could not have asked for them: attributes (`|`), streamed
 * values (`$?`, `*?`) and blob errors (`!`).
 */
import { ProtocolError } from '../errors.ts'
import type { Inbox } from '../inbox.ts'

/** The first bytes of replies. */
export const REPLY = {
  simple: 0x2b,
  error: 0x2d,
  integer: 0x3a,
  bulk: 0x24,
  array: 0x2a,
  nothing: 0x5f,
  boolean: 0x23,
  double: 0x2c,
  bigNumber: 0x28,
  verbatim: 0x3d,
  map: 0x25,
  set: 0x7e,
  push: 0x3e,
} as const

/** Longer than any line of a server: simple strings and errors hold no values. */
const LINE_BYTES_MAX = 65_536

/** `proto-max-bulk-len` may be set to more, but a length is no excuse for anything. */
const BULK_BYTES_MAX = 8 * 1024 ** 3

const COUNT_MAX = 2 ** 32

/** The first word of a push: `subscribe`, `message`, `invalidate`. */
const WORD_BYTES_MAX = 32

/** The shortest value: `_\r\n`. */
const VALUE_BYTES_MIN = 3

const CR = 0x0d
const LF = 0x0a
const MINUS = 0x2d
const ZERO = 0x30

/** What ended a step through a reply. */
export type Walked =
  /** The reply is complete, and `at` stands behind it. */
  | 'done'
  /** All that has arrived belongs to it. */
  | 'more'
  /** `at` stands at an error line that names another server; `skipLine()` goes past it. */
  | 'redirection'

/** Walks through the replies in what a server has sent. */
export class ReplyScanner {
  readonly #inbox: Inbox
  /** Offset from the inbox's start of the next byte to look at; what lies before it can be taken. */
  at = 0
  /** First byte of the reply that `begin()` found. */
  type = 0
  /** Its number: bytes of a bulk string, elements of an array, pairs of a map; -1 for RESP2's nulls. */
  count = 0
  /** The last integer line passed: a subscription's confirmation ends in one. */
  lastInteger = 0
  /** Elements of the longest list of the reply so far, at whatever depth; pairs of a map. */
  longest = 0
  /** Offset behind the line at `at`, after `#line()`. */
  #lineEnd = 0
  /** Values still to come of the reply under way. Counted, not recursed into: depth costs nothing. */
  #owed = 0
  /** True until the first line of the reply is passed: only there may it be a push. */
  #atTop = false
  /** Bytes still to come of a bulk string under way, with its line end. */
  #bulkLeft = 0

  constructor(inbox: Inbox) {
    this.#inbox = inbox
  }

  /** The fewest bytes that the rest of the reply under way can have. */
  get leastLeft(): number {
    return this.#bulkLeft + VALUE_BYTES_MIN * this.#owed
  }

  /** True once {@link leastLeft} is exact: nothing but the rest of one string is to come. */
  get sizeIsKnown(): boolean {
    return this.#owed === 0
  }

  /**
   * Looks at the next reply without going into it; false: its first line has not wholly arrived.
   * @param nested true for an element of a list that was entered by {@link enterList}
   */
  begin(nested = false): boolean {
    if (!this.#line(this.at)) return false
    const byte = this.#byte(this.at)
    this.type = byte
    this.count = hasCount(byte) ? this.#count(this.at) : 0
    this.longest = 0
    this.#owed = 1
    this.#atTop = !nested
    return true
  }

  /** Goes past the header of the list that `begin()` found, whose elements are walked one by one; gives its bytes. */
  enterList(): number {
    const size = this.#lineEnd - this.at
    this.#owed = 0
    this.at = this.#lineEnd
    return size
  }

  /** The text of the line at `at`, without its type. */
  line(): string {
    const { buffer, start } = this.#inbox
    return buffer.toString('utf8', start + this.at + 1, start + this.#lineEnd - 2)
  }

  /**
   * The first element of the array or push that `begin()` found, where it is a short bulk string; `''` where it is
   * not, `undefined` where it has not wholly arrived.
   */
  firstWord(): string | undefined {
    if (this.count < 1) return ''
    const from = this.#lineEnd
    if (!this.#line(from)) {
      this.#line(this.at)
      return undefined
    }
    const body = this.#lineEnd
    const size = this.#byte(from) === REPLY.bulk ? this.#count(from) : -1
    this.#line(this.at)
    if (size < 0 || size > WORD_BYTES_MAX) return ''
    const { buffer, start, end } = this.#inbox
    if (end - start < body + size) return undefined
    return buffer.toString('latin1', start + body, start + body + size)
  }

  /** Goes on through the reply that `begin()` found. */
  walk(): Walked {
    while (this.#bulkLeft > 0 || this.#owed > 0) {
      if (this.#bulkLeft > 0) {
        if (!this.#walkBulk()) return 'more'
        continue
      }
      if (!this.#line(this.at)) return 'more'
      const byte = this.#byte(this.at)
      if (byte === REPLY.error && this.#isRedirection()) return 'redirection'
      this.#enter(byte)
      this.#atTop = false
      this.at = this.#lineEnd
    }
    return 'done'
  }

  /** Goes past the error line at which `walk()` stopped. */
  skipLine(): void {
    this.#owed -= 1
    // What lay before it has been taken meanwhile, so that the offsets have moved.
    this.#line(this.at)
    this.at = this.#lineEnd
  }

  #walkBulk(): boolean {
    const { buffer, start, end } = this.#inbox
    const here = Math.min(this.#bulkLeft, end - start - this.at)
    this.at += here
    this.#bulkLeft -= here
    if (this.#bulkLeft > 0) return false
    if (buffer[start + this.at - 1] !== LF) fail('a string that is longer than it says')
    return true
  }

  /** Counts what the line at `at` announces. */
  #enter(byte: number): void {
    this.#owed -= 1
    switch (byte) {
      case REPLY.simple:
      case REPLY.error:
      case REPLY.nothing:
      case REPLY.boolean:
      case REPLY.double:
      case REPLY.bigNumber:
        return
      case REPLY.integer:
        this.lastInteger = Number(this.line())
        return
      case REPLY.bulk:
      case REPLY.verbatim: {
        const size = this.#count(this.at)
        if (size >= 0) this.#bulkLeft = size + 2
        return
      }
      case REPLY.array:
      case REPLY.set:
        this.#list(1)
        return
      case REPLY.push:
        if (!this.#atTop) fail('a push inside a reply')
        this.#list(1)
        return
      case REPLY.map:
        this.#list(2)
        return
      default:
        fail('a reply of a type that is not known')
    }
  }

  #list(valuesEach: number): void {
    const count = this.#count(this.at)
    if (count <= 0) return
    if (count > this.longest) this.longest = count
    this.#owed += valuesEach * count
  }

  #byte(offset: number): number {
    return this.#inbox.buffer[this.#inbox.start + offset] ?? 0
  }

  /** Finds the end of the line at `offset`; false: it has not arrived. */
  #line(offset: number): boolean {
    const { buffer, start, end } = this.#inbox
    const from = start + offset
    // Headers are short: a loop finds their end sooner than `indexOf` would be called.
    const near = Math.min(end, from + 32)
    let at = from
    while (at < near && buffer[at] !== LF) at += 1
    if (at === near && near < end) {
      const found = buffer.indexOf(LF, near)
      at = found === -1 ? end : Math.min(found, end)
    }
    if (at - from > LINE_BYTES_MAX) fail('a line that is too long')
    if (at >= end) return false
    if (at - from < 2 || buffer[at - 1] !== CR) fail('a line without its end')
    this.#lineEnd = at + 1 - start
    return true
  }

  /** The number of the header line at `offset`, whose end is `#lineEnd`. */
  #count(offset: number): number {
    const { buffer, start } = this.#inbox
    const end = start + this.#lineEnd - 2
    let at = start + offset + 1
    if (buffer[at] === MINUS && end - at === 2 && buffer[at + 1] === ZERO + 1) return -1
    if (at === end) fail('a length without a number')
    let value = 0
    for (; at < end; at++) {
      const digit = (buffer[at] ?? 0) - ZERO
      if (digit < 0 || digit > 9) fail('a length that is not a number')
      value = value * 10 + digit
      if (value > BULK_BYTES_MAX) fail('a length that is too big')
    }
    const byte = buffer[start + offset]
    if (value > COUNT_MAX && byte !== REPLY.bulk && byte !== REPLY.verbatim) fail('a length that is too big')
    return value
  }

  /** `-MOVED 866 10.0.0.7:6379`, `-ASK …`, `-REDIRECT …`: an address that an agent must not learn. */
  #isRedirection(): boolean {
    const second = this.#byte(this.at + 1)
    // M, A, R: no other error line needs its text.
    if (second !== 0x4d && second !== 0x41 && second !== 0x52) return false
    return /^(?:MOVED|ASK|REDIRECT) /.test(this.line())
  }
}

function hasCount(byte: number): boolean {
  switch (byte) {
    case REPLY.bulk:
    case REPLY.verbatim:
    case REPLY.array:
    case REPLY.set:
    case REPLY.push:
    case REPLY.map:
      return true
    default:
      return false
  }
}

function fail(message: string): never {
  throw new ProtocolError('redis', 'server', message)
}
