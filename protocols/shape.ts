/**
 * The shape of an SQL text: the text with its plain literals left out, so that texts that differ in these alone have one shape.
 * Drivers that put values into the text themselves (psycopg2, mysql2's `query`) send a new text each time, of few shapes.
 *
 * It is no lexer. It gives a shape only to a text in which anybody can tell the literals, whatever the dialect, the version
 * and the settings of the server: printable ASCII, without a comment, a backslash, a dollar quote, or a quote with a prefix. All that
 * is not a literal stands in the shape as it is, so that two texts of one shape are cut into the same tokens.
 */

/** What stands in a shape for a literal: characters that no text with a shape has. */
const INTEGER = '\u0001'
const DECIMAL = '\u0002'
const STRING = '\u0003'

/** More digits may be another kind of number: PostgreSQL's scanner takes what is beyond 32 bits for a decimal. */
const INTEGER_DIGITS_MAX = 9

/** What a character may be. */
const NEVER = 0
const PLAIN = 1
/** Part of a word or a number, or glues what follows to one: digits behind it are no literal, a quote has a prefix. */
const WORD = 2
const DIGIT = 3
const DOT = 4
const STRING_QUOTE = 5
const NAME_QUOTE = 6
const DOLLAR = 7
/** The first of two that begin a comment, and what glues a quote to the word before (`U&'…'`). */
const DASH = 8
const SLASH = 9
const AMPERSAND = 10
/** Stands within quotes only. */
const QUOTED = 11

const QUOTE = "'".charCodeAt(0)
const HYPHEN = '-'.charCodeAt(0)
const STAR = '*'.charCodeAt(0)

/** Which characters mean something else in the other dialect, or in the same one under other settings. */
export type ShapeDialect = { readonly nameQuote: '"' | '`'; readonly quotedOnly: string }

export const POSTGRES_SHAPES: ShapeDialect = { nameQuote: '"', quotedOnly: '`' }

/** `"` quotes a string or a name, as `sql_mode` says; `#` begins a comment. */
export const MYSQL_SHAPES: ShapeDialect = { nameQuote: '`', quotedOnly: '"#' }

export class ShapeScanner {
  /** Where the literals that the last shape leaves out begin; bytes from the start of the text. */
  readonly starts: number[] = []
  readonly #kinds: Uint8Array
  #text = ''
  #shape = ''
  /** The text up to here is in the shape. */
  #copied = 0

  constructor(dialect: ShapeDialect) {
    this.#kinds = kindsOf(dialect)
  }

  /**
   * @param text one character a byte
   * @returns `undefined`: the text has none, or nothing that a shape would leave out
   */
  shapeOf(text: string): string | undefined {
    this.#text = text
    this.#shape = ''
    this.#copied = 0
    this.starts.length = 0
    let before = PLAIN
    for (let at = 0; at < text.length; ) {
      const kind = this.#kindAt(at)
      if (kind === PLAIN || kind === WORD) {
        at = this.#runEnd(at, kind)
      } else {
        if (!mayStand(kind, before, this.#kindAt(at + 1), text.charCodeAt(at + 1))) return undefined
        const end = this.#endOf(kind, before, at)
        if (end === undefined) return undefined
        at = end
      }
      before = kind
    }
    return this.starts.length === 0 ? undefined : this.#shape + text.slice(this.#copied)
  }

  /** Most characters stand in such runs. */
  #runEnd(from: number, kind: number): number {
    const text = this.#text
    const kinds = this.#kinds
    let at = from + 1
    while (at < text.length && kinds[text.charCodeAt(at)] === kind) at += 1
    return at
  }

  /** The end of what begins at `at`; `undefined`: nobody should say. */
  #endOf(kind: number, before: number, at: number): number | undefined {
    if (kind === STRING_QUOTE) return this.#string(at)
    if (kind === NAME_QUOTE) return this.#quoteEnd(at)
    return kind === DIGIT ? this.#number(at, isGlue(before)) : at + 1
  }

  #string(start: number): number | undefined {
    let end = this.#quoteEnd(start)
    // A doubled quote stands for one.
    while (end !== undefined && this.#text.charCodeAt(end) === QUOTE) end = this.#quoteEnd(end)
    if (end !== undefined) this.#leaveOut(start, end, STRING)
    return end
  }

  /** The end behind the next quote of the kind that stands at `start`. */
  #quoteEnd(start: number): number | undefined {
    const text = this.#text
    const quote = text.charCodeAt(start)
    for (let at = start + 1; at < text.length; at += 1) {
      if (text.charCodeAt(at) === quote) return at + 1
      if (this.#kindAt(at) === NEVER) return undefined
    }
    return undefined
  }

  /** @param isGlued it belongs to a word or a number before it, and stays */
  #number(start: number, isGlued: boolean): number {
    let end = this.#digitsEnd(start)
    let literal = end - start > INTEGER_DIGITS_MAX ? undefined : INTEGER
    if (this.#kindAt(end) === DOT && this.#kindAt(end + 1) === DIGIT) {
      end = this.#digitsEnd(end + 1)
      literal = DECIMAL
    }
    if (!isGlued && literal !== undefined && !isGlue(this.#kindAt(end))) this.#leaveOut(start, end, literal)
    return end
  }

  #digitsEnd(from: number): number {
    let at = from
    while (this.#kindAt(at) === DIGIT) at += 1
    return at
  }

  #leaveOut(start: number, end: number, literal: string): void {
    this.starts.push(start)
    this.#shape += this.#text.slice(this.#copied, start) + literal
    this.#copied = end
  }

  /** Behind the end nothing glues. */
  #kindAt(at: number): number {
    return at < this.#text.length ? (this.#kinds[this.#text.charCodeAt(at)] ?? NEVER) : PLAIN
  }
}

/** Whether a character may stand where it does, outside of quotes, for the text to have a shape. */
function mayStand(kind: number, before: number, next: number, nextCode: number): boolean {
  switch (kind) {
    case NEVER:
    case QUOTED:
      return false
    case STRING_QUOTE:
      return !isGlue(before) && before !== AMPERSAND
    case NAME_QUOTE:
      return before === DOT || (!isGlue(before) && before !== AMPERSAND)
    case DOLLAR:
      // A parameter, and not the beginning of a quote or the middle of a name.
      return !isGlue(before) && next === DIGIT
    case DASH:
      return nextCode !== HYPHEN
    case SLASH:
      return nextCode !== STAR
    default:
      return true
  }
}

function isGlue(kind: number): boolean {
  return kind === WORD || kind === DIGIT || kind === DOT || kind === DOLLAR
}

function kindsOf({ nameQuote, quotedOnly }: ShapeDialect): Uint8Array {
  const kinds = new Uint8Array(256)
  const set = (characters: string, kind: number): void => {
    for (const character of characters) kinds[character.charCodeAt(0)] = kind
  }
  for (let code = 0x20; code < 0x7f; code += 1) kinds[code] = PLAIN
  set('\t\n\r', PLAIN)
  set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_@', WORD)
  set('0123456789', DIGIT)
  set('.', DOT)
  set("'", STRING_QUOTE)
  set(nameQuote, NAME_QUOTE)
  set('$', DOLLAR)
  set('-', DASH)
  set('/', SLASH)
  set('&', AMPERSAND)
  set(quotedOnly, QUOTED)
  set('\\', NEVER)
  return kinds
}
