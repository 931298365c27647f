/**
 * The shape of a statement: what stands in it without a value. The tokens are those of the server's own scanner
 * (src/backend/parser/scan.l) with `standard_conforming_strings` on, to which a session is pinned:
 *
 *     'it''s'  E'it\'s'  U&'\0041'  N'a'  B'01'  X'1F'  $tag$…$tag$  1_000  .5e3  0xFF   ─▶  ?
 *     'a' ⏎ 'b' with nothing but white space and `--` comments between: one string, in the manner of its first part
 *     -- comment ⏎   /* one /* in *\/ another *\/                                        ─▶  a space
 *     name  "name"  U&"name"  $1  operators                                              ─▶  as they are
 */

/** In place of a literal, and of a text that cannot be read whole. */
const LITERAL = '?'

/** Never throws. Redacting twice changes nothing more. */
export function redact(text: string): string {
  return new Redactor(text).run() ?? LITERAL
}

/**
 * How many names, words and literals a text has, as far as it was counted; `Infinity`: the text cannot be read whole.
 *
 * @param max where counting may stop
 */
export function countWords(text: string, max: number): number {
  const counter = new Redactor(text, max)
  return counter.run() === undefined && counter.words <= max ? Number.POSITIVE_INFINITY : counter.words
}

/**
 * Whether a text has more names, words and literals than `max`; one that cannot be read whole may have. Most have so few that a look
 * at each character tells, which takes a small part of the time that counting takes.
 */
export function hasMoreWords(text: string, max: number): boolean {
  return wordsAtMost(text) > max && countWords(text, max) > max
}

/** Each word and each number begins a run of its characters, or a part of one behind digits; other literals have two quotes. */
function wordsAtMost(text: string): number {
  let runs = 0
  let quotes = 0
  let before = OTHER_CHARACTER
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    const kind = code < 0x80 ? (CHARACTERS[code] as number) : LETTER
    if (kind === QUOTE) quotes += 1
    else if ((kind === LETTER && before !== LETTER) || (kind === DIGIT && before === OTHER_CHARACTER))
      runs += 1
    before = kind === QUOTE ? OTHER_CHARACTER : kind
  }
  return runs + quotes / 2
}

const OTHER_CHARACTER = 0
const LETTER = 1
const DIGIT = 2
const QUOTE = 3
const CHARACTERS = new Uint8Array(0x80)
for (let code = 0; code < 0x80; code += 1) {
  const character = String.fromCharCode(code)
  if (/[A-Za-z_]/.test(character)) CHARACTERS[code] = LETTER
  else if (/[0-9]/.test(character)) CHARACTERS[code] = DIGIT
  else if (/['"$]/.test(character)) CHARACTERS[code] = QUOTE
}

/** Where in a `SET` statement a token stands: a value may be a bare word there. */
type Place = 'start' | 'elsewhere' | 'set' | 'value'

class Redactor {
  readonly #text: string
  #at = 0
  #shape = ''
  /** White space and comments since the last token. */
  #gap = false
  #place: Place = 'start'
  readonly #wordsMax: number
  words = 0

  constructor(text: string, wordsMax = Number.POSITIVE_INFINITY) {
    this.#text = text
    this.#wordsMax = wordsMax
  }

  /** `undefined`: the text does not end where its last token does, or holds what is no token. */
  run(): string | undefined {
    const text = this.#text
    while (this.#at < text.length) {
      if (this.words > this.#wordsMax) return undefined
      const end = this.#gapEnd(this.#at)
      if (end === undefined) return undefined
      if (end > this.#at) {
        this.#gap = this.#shape !== ''
        this.#at = end
      } else if (!this.#token()) return undefined
    }
    return this.#shape
  }

  /** Reads one token. False: it has no end, or is none. */
  #token(): boolean {
    const text = this.#text
    const at = this.#at
    const quoted = quoteAt(text, at)
    if (quoted !== undefined) {
      const end = quoted.isName
        ? quoteEnd(text, quoted.from, '"', false)
        : stringEnd(text, quoted.from, quoted.escapes)
      if (end === undefined) return false
      return this.#put(end, !quoted.isName || this.#place === 'value')
    }
    const dollar = match(DOLLAR, text, at)
    if (dollar > at) {
      const close = text.indexOf(text.slice(at, dollar), dollar)
      if (close === -1) return false
      return this.#put(close + dollar - at, true)
    }
    const number = match(NUMBER, text, at)
    // `1abc` is one word to the eye, two to an old scanner and an error to the present ones.
    if (number > at) return !isNameStart(text, number) && this.#put(number, true)
    const parameter = match(PARAMETER, text, at)
    if (parameter > at) return !isNameStart(text, parameter) && this.#put(parameter, false)
    const word = match(WORD, text, at)
    if (word > at) return this.#put(word, this.#place === 'value')
    const other = match(OTHER, text, at)
    // Punctuation is no word.
    if (other > at) this.words -= 1
    return other > at && this.#put(other, false)
  }

  #put(end: number, isLiteral: boolean): true {
    const token = this.#text.slice(this.#at, end)
    this.words += 1
    if (this.#gap) this.#shape += ' '
    this.#gap = false
    this.#shape += isLiteral ? LITERAL : token
    this.#at = end
    this.#place = placeAfter(this.#place, token)
    return true
  }

  /** The end of the white space and comments at `at`; `undefined`: of a comment that has none. */
  #gapEnd(from: number): number | undefined {
    const text = this.#text
    let at = from
    for (;;) {
      const blank = match(BLANK, text, at)
      if (blank > at) at = blank
      else if (text.startsWith('--', at)) at = lineEnd(text, at)
      else if (text.startsWith('/*', at)) {
        const end = commentEnd(text, at)
        if (end === undefined) return undefined
        at = end
      } else return at
    }
  }
}

function placeAfter(place: Place, token: string): Place {
  if (token === ';') return 'start'
  if (place === 'start') return /^set$/i.test(token) ? 'set' : 'elsewhere'
  return place === 'set' && /^(=|to)$/i.test(token) ? 'value' : place
}

const BLANK = /[ \t\n\r\f\v]+/y
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const PARAMETER = /\$[0-9]+/y
/** Decimal numbers as in scan.l; `1..2` holds two integers. Digits are grouped since version 16. */
const NUMBER =
  /0[xX](?:_?[0-9A-Fa-f])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:[0-9](?:_?[0-9])*(?:\.(?!\.)(?:[0-9](?:_?[0-9])*)?)?|\.[0-9](?:_?[0-9])*)(?:[Ee][-+]?[0-9](?:_?[0-9])*)?/y
const DOLLAR = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y
/** One character of an operator or of punctuation; two dots are one token. */
const OTHER = /\.\.|[-,()[\].;:+*/%^<>=~!@#&|`?]/y

/** Where a match of a sticky expression at `at` ends; `at` itself: there is none. */
function match(expression: RegExp, text: string, at: number): number {
  expression.lastIndex = at
  return expression.test(text) ? expression.lastIndex : at
}

function isNameStart(text: string, at: number): boolean {
  return match(WORD, text, at) > at
}

type Quoted = { readonly from: number; readonly isName: boolean; readonly escapes: boolean }

/** The beginning of a quoted string or name, with its prefix. */
function quoteAt(text: string, at: number): Quoted | undefined {
  const first = text[at]
  if (first === "'") return { from: at + 1, isName: false, escapes: false }
  if (first === '"') return { from: at + 1, isName: true, escapes: false }
  if (first === undefined || !'eEnNbBxXuU'.includes(first)) return undefined
  if (first === 'u' || first === 'U') {
    if (text[at + 1] !== '&') return undefined
    const quote = text[at + 2]
    return quote === "'" || quote === '"'
      ? { from: at + 3, isName: quote === '"', escapes: false }
      : undefined
  }
  if (text[at + 1] !== "'") return undefined
  return { from: at + 2, isName: false, escapes: first === 'e' || first === 'E' }
}

/** The end of a string with all its continuations. */
function stringEnd(text: string, from: number, escapes: boolean): number | undefined {
  let start: number | undefined = from
  for (;;) {
    const end = quoteEnd(text, start, "'", escapes)
    if (end === undefined) return undefined
    start = continuation(text, end)
    if (start === undefined) return end
  }
}

/** Behind the closing quote; a doubled one is none. */
function quoteEnd(text: string, from: number, quote: string, escapes: boolean): number | undefined {
  for (let at = from; at < text.length; at += 1) {
    if (escapes && text[at] === '\\') at += 1
    else if (text[at] === quote) {
      if (text[at + 1] !== quote) return at + 1
      at += 1
    }
  }
  return undefined
}

/**
 * Where the next part of a string begins that goes on in another line: `quotecontinue` of scan.l. By hand, because an
 * expression for it would try every way to divide a line of dashes.
 */
function continuation(text: string, from: number): number | undefined {
  let at = from
  let hasNewline = false
  for (;;) {
    const character = text[at]
    if (character === '\n' || character === '\r') hasNewline = true
    else if (character === "'" && hasNewline) return at + 1
    else if (character === '-' && text[at + 1] === '-') {
      at = lineEnd(text, at)
      continue
    } else if (character === undefined || !' \t\f\v'.includes(character)) return undefined
    at += 1
  }
}

/** The end of the line, before its newline. */
function lineEnd(text: string, at: number): number {
  NEWLINE.lastIndex = at
  return NEWLINE.exec(text)?.index ?? text.length
}

const NEWLINE = /[\r\n]/g

function commentEnd(text: string, from: number): number | undefined {
  let depth = 0
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '/' && text[at + 1] === '*') {
      depth += 1
      at += 1
    } else if (text[at] === '*' && text[at + 1] === '/') {
      depth -= 1
      at += 1
      if (depth === 0) return at + 1
    }
  }
  return undefined
}
