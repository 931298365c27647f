/**
 * Cuts a statement into tokens exactly as the lexers of MySQL and MariaDB do under the pinned session (sql_mode
 * without ANSI_QUOTES, NO_BACKSLASH_ESCAPES and IGNORE_SPACE; utf8mb4).
 *
 * What is analysed is also what is forwarded: comments become one blank, an executable comment that this server
 * would run becomes plain text, and the text so made is cut again to prove that it has the same tokens. How a
 * server reads a comment therefore never matters. Where the two server families or their versions differ in a
 * rare spelling (`1e5x`, `t.1e5`, `$$`), the spelling is refused.
 *
 * https://dev.mysql.com/doc/refman/8.4/en/language-structure.html
 * https://mariadb.com/kb/en/comment-syntax/
 */
import type { MysqlFlavour } from '../catalog.ts'
import { asciiUpper, BLANK, ESCAPES, isBlank, isDigit, isIdentifierPart } from './characters.ts'
import type { Token } from './token.ts'

/** A text of more tokens is refused, to bound the time and memory of one analysis. */
export const TOKENS_MAX = 250_000

/** What the lexer must know of the server. */
export type LexerRules = {
  readonly flavour: MysqlFlavour
  /** As in `MysqlCatalog.versionNumber`. */
  readonly versionNumber: number
}

export type Lexed =
  | {
      readonly ok: true
      /** The text that the tokens belong to, to be sent. */
      readonly text: string
      /** Always ends in a token of kind `end`. */
      readonly tokens: readonly Token[]
    }
  | {
      readonly ok: false
      readonly why: string
      /** Characters before the fault. */
      readonly position: number
    }

/** @param text one statement, valid Unicode */
export function lex(text: string, rules: LexerRules): Lexed {
  const first = new Lexer(text, rules)
  if (!first.run()) return { ok: false, why: first.fault, position: first.at }
  if (first.plain === undefined) return { ok: true, text, tokens: first.tokens }
  const plain = first.plain + text.slice(first.copied)
  const second = new Lexer(plain, rules)
  if (!second.run() || second.plain !== undefined || !areSame(first.tokens, second.tokens)) {
    return { ok: false, why: 'the statement reads differently without its comments', position: 0 }
  }
  return { ok: true, text: plain, tokens: second.tokens }
}

function areSame(left: readonly Token[], right: readonly Token[]): boolean {
  if (left.length !== right.length) return false
  return left.every((token, index) => {
    const other = right[index]
    return other !== undefined && token.kind === other.kind && token.value === other.value
  })
}

const BACKSLASH = 0x5c
const DOT = 0x2e
const QUOTE = 0x27
const DOUBLE_QUOTE = 0x22
const BACKTICK = 0x60

/** Longest first: `<=>` must not be cut into `<=` and `>`. */
const OPERATORS = ['<=>', '->>', ':=', '<>', '!=', '<=', '>=', '<<', '>>', '||', '&&', '->'] as const
const OPERATOR_MARKS = '+-*/%^&|~!<>=(),.;{}'

class Lexer {
  readonly tokens: Token[] = []
  fault = ''
  at = 0
  /** The text without comments, up to `copied`; undefined while there was none. */
  plain: string | undefined
  copied = 0
  readonly #text: string
  readonly #rules: LexerRules
  /** Inside an executable comment that the server runs. */
  #executable = false

  constructor(text: string, rules: LexerRules) {
    this.#text = text
    this.#rules = rules
  }

  /** Cuts the whole text. False: refused, and `fault` and `at` say why and where. */
  run(): boolean {
    const text = this.#text
    while (this.at < text.length) {
      const code = text.charCodeAt(this.at)
      if (isBlank(code)) this.at++
      else if (!this.#comment(code) && !this.#token(code)) return false
      if (this.fault !== '') return false
      if (this.tokens.length > TOKENS_MAX) return this.#refuse(`more than ${TOKENS_MAX} tokens`)
    }
    if (this.#executable) return this.#refuse('an executable comment without an end')
    this.#push('end', text.length, text.length, '', '')
    return true
  }

  #refuse(why: string): false {
    this.fault = why
    return false
  }

  #code(offset: number): number {
    const at = this.at + offset
    return at < this.#text.length ? this.#text.charCodeAt(at) : -1
  }

  #push(kind: Token['kind'], start: number, end: number, value: string, upper: string): void {
    this.tokens.push({ kind, value, upper, start, end, glued: this.#text.charCodeAt(end) === 0x28 })
  }

  /** Leaves out the text from `start` to `end` and puts a blank in its place. */
  #drop(start: number, end: number): void {
    this.plain = `${this.plain ?? ''}${this.#text.slice(this.copied, start)} `
    this.copied = end
    this.at = end
  }

  /** Consumes a comment, or an end of an executable one. False: there is none here. */
  #comment(code: number): boolean {
    const text = this.#text
    const start = this.at
    if (code === 0x23 || (code === 0x2d && this.#code(1) === 0x2d && this.#endsDashes(this.#code(2)))) {
      const end = text.indexOf('\n', start)
      this.#drop(start, end === -1 ? text.length : end)
      return true
    }
    if (code === 0x2a && this.#executable && this.#code(1) === 0x2f) {
      this.#executable = false
      this.#drop(start, start + 2)
      return true
    }
    if (code !== 0x2f || this.#code(1) !== 0x2a) return false
    const opener = /\/\*(M?)!(\d*)/y
    opener.lastIndex = start
    const executable = opener.exec(text)
    if (executable === null) {
      const end = text.indexOf('*/', start + 2)
      if (end === -1) this.#refuse('a comment without an end')
      else this.#drop(start, end + 2)
      return true
    }
    this.#executableComment(start, executable[1] === 'M', executable[2] ?? '')
    return true
  }

  /** `--` begins a comment only before a blank, a control character or the end. */
  #endsDashes(code: number): boolean {
    return code === -1 || code <= BLANK || code === 0x7f
  }

  /** `/*!`, `/*!50000`, `/*M!100000`: text that some servers run. */
  #executableComment(start: number, mariadbOnly: boolean, digits: string): void {
    if (this.#executable) {
      this.#refuse('an executable comment in an executable comment')
      return
    }
    const { flavour, versionNumber } = this.#rules
    let digitsRead = 0
    if (flavour === 'mysql') {
      // Five digits, or six where a blank follows; fewer are text.
      if (digits.length >= 6 && isBlank(this.#text.charCodeAt(start + 3 + 6))) digitsRead = 6
      else if (digits.length >= 5) digitsRead = 5
    } else if (digits.length >= 5) digitsRead = Math.min(digits.length, 6)
    const version = digitsRead === 0 ? 0 : Number(digits.slice(0, digitsRead))
    const active =
      flavour === 'mysql'
        ? !mariadbOnly && version <= versionNumber
        : // MariaDB leaves out what is meant for MySQL 5.7 and later.
          version <= versionNumber && (mariadbOnly || version < 50_700 || version > 99_999)
    if (active) {
      this.#executable = true
      this.#drop(start, start + (mariadbOnly ? 4 : 3) + digitsRead)
      return
    }
    const end = this.#endOfInactive(start + 2)
    if (end === -1) this.#refuse('a comment without an end')
    else this.#drop(start, end)
  }

  /** Inside a comment that is not run, one level of comments is skipped. */
  #endOfInactive(from: number): number {
    let at = from
    for (;;) {
      const end = this.#text.indexOf('*/', at)
      if (end === -1) return -1
      const inner = this.#text.indexOf('/*', at)
      if (inner === -1 || inner > end) return end + 2
      const innerEnd = this.#text.indexOf('*/', inner + 2)
      if (innerEnd === -1) return -1
      at = innerEnd + 2
    }
  }

  #token(code: number): boolean {
    if (code === BACKTICK) return this.#quotedName()
    if (code === QUOTE || code === DOUBLE_QUOTE) return this.#string(this.at)
    if (code === 0x40) return this.#variable()
    if (code === 0x3f) return this.#operator('parameter', '?')
    if (isDigit(code) || (code === DOT && isDigit(this.#code(1)))) return this.#number()
    if (isIdentifierPart(code)) return this.#word(code)
    if (code === BACKSLASH && this.#code(1) === 0x4e && !isIdentifierPart(this.#code(2))) {
      if (this.#rules.flavour !== 'mariadb') return this.#refuse('`\\N`')
      return this.#operator('literal', '\\N')
    }
    for (const operator of OPERATORS) {
      if (this.#text.startsWith(operator, this.at)) return this.#operator('operator', operator)
    }
    const mark = this.#text.charAt(this.at)
    if (OPERATOR_MARKS.includes(mark)) return this.#operator('operator', mark)
    return this.#refuse(`a character that begins no token (U+${code.toString(16).padStart(4, '0')})`)
  }

  #operator(kind: 'operator' | 'parameter' | 'literal', value: string): true {
    this.#push(kind, this.at, this.at + value.length, value, value)
    this.at += value.length
    return true
  }

  #endOfIdentifier(from: number): number {
    let end = from
    while (end < this.#text.length && isIdentifierPart(this.#text.charCodeAt(end))) end++
    return end
  }

  /** True where the previous token is a dot that touches this position: then no word is a keyword. */
  #isBehindDot(): boolean {
    const last = this.tokens[this.tokens.length - 1]
    return last !== undefined && last.value === '.' && last.kind === 'operator' && last.end === this.at
  }

  #word(code: number): boolean {
    const start = this.at
    if (code === 0x24) return this.#refuse('an identifier that begins with `$`')
    if (this.#code(1) === QUOTE) {
      if (code === 0x78 || code === 0x58) return this.#bits(/[xX]'(?:[0-9A-Fa-f]{2})*'/y)
      if (code === 0x62 || code === 0x42) return this.#bits(/[bB]'[01]*'/y)
      if (code === 0x6e || code === 0x4e) {
        this.at++
        return this.#string(start)
      }
    }
    const end = this.#endOfIdentifier(start)
    const value = this.#text.slice(start, end)
    if (/[\ud800-\udfff]/.test(value)) return this.#refuse('a character beyond U+FFFF in an identifier')
    if (this.#isBehindDot()) this.#push('name', start, end, value, value)
    else this.#push('word', start, end, value, asciiUpper(value))
    this.at = end
    return true
  }

  #bits(pattern: RegExp): boolean {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.#text)
    if (found === null) return this.#refuse('a malformed hexadecimal or bit literal')
    this.#push('literal', this.at, pattern.lastIndex, found[0], found[0])
    this.at = pattern.lastIndex
    return true
  }

  /** Numbers must not touch a letter or a second dot: what that means differs between versions. */
  #number(): boolean {
    const pattern = /0x[0-9A-Fa-f]+|0b[01]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
    pattern.lastIndex = this.at
    const found = pattern.exec(this.#text)
    const end = pattern.lastIndex
    if (found === null || isIdentifierPart(this.#text.charCodeAt(end)) || this.#text[end] === '.') {
      return this.#refuse('a number that touches a letter or a dot')
    }
    const last = this.tokens[this.tokens.length - 1]
    if (last !== undefined && last.end === this.at && (last.kind === 'word' || last.kind === 'name')) {
      return this.#refuse('a number that touches an identifier')
    }
    if (this.#isBehindDot()) return this.#refuse('an identifier that begins with a digit')
    this.#push('literal', this.at, end, found[0], found[0])
    this.at = end
    return true
  }

  #quotedName(): boolean {
    const start = this.at
    const text = this.#text
    let end = start
    do {
      end = text.indexOf('`', end + 1)
      if (end === -1) return this.#refuse('a quoted identifier without an end')
      if (text.charCodeAt(end + 1) !== BACKTICK) break
      end++
    } while (end < text.length)
    const value = text.slice(start + 1, end).replaceAll('``', '`')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
    if (value === '' || /[\u0000-\u001f\u007f\ud800-\udfff]/.test(value)) {
      return this.#refuse('an identifier that is empty or holds a control character')
    }
    this.#push('name', start, end + 1, value, value)
    this.at = end + 1
    return true
  }

  /** Reads a string whose opening quote is at `this.at`. `start` lies before it where there is a prefix. */
  #string(start: number): boolean {
    const text = this.#text
    const quote = text.charCodeAt(this.at)
    let value = ''
    let from = this.at + 1
    let at = from
    for (;;) {
      const code = at < text.length ? text.charCodeAt(at) : -1
      if (code === -1) return this.#refuse('a string without an end')
      if (code === BACKSLASH) {
        const escaped = text.charAt(at + 1)
        if (escaped === '') return this.#refuse('a string without an end')
        value += text.slice(from, at) + (ESCAPES[escaped] ?? escaped)
        at += 2
        from = at
      } else if (code === quote) {
        value += text.slice(from, at)
        if (text.charCodeAt(at + 1) !== quote) break
        value += text.charAt(at)
        at += 2
        from = at
      } else at++
    }
    this.#push('string', start, at + 1, value, value)
    this.at = at + 1
    return true
  }

  /** `@x`, `@'x'`, `@@x`, `@@global.x`, all glued. */
  #variable(): boolean {
    const start = this.at
    const system = /@@(?:(?:global|session|local|persist|persist_only)\.)?[A-Za-z_][A-Za-z0-9_]*/iy
    const user = /@[A-Za-z0-9_.$]+/y
    const pattern = this.#code(1) === 0x40 ? system : user
    pattern.lastIndex = start
    const found = pattern.exec(this.#text)
    if (found === null) return this.#quotedVariable(start)
    const end = pattern.lastIndex
    // `@@a.b` may be a part of a structured variable; `@@sql_modé` is `@@sql_mode` to MySQL.
    if (isIdentifierPart(this.#text.charCodeAt(end)) || (pattern === system && this.#text[end] === '.')) {
      return this.#refuse('a variable name that is not plain')
    }
    if (pattern === system) {
      const value = found[0].slice(2)
      this.#push('system_variable', start, end, value, asciiUpper(value))
    } else this.#push('user_variable', start, end, found[0].slice(1), found[0].slice(1))
    this.at = end
    return true
  }

  #quotedVariable(start: number): boolean {
    const code = this.#code(1)
    if (code !== QUOTE && code !== DOUBLE_QUOTE && code !== BACKTICK) {
      return this.#refuse('a variable name that is not plain')
    }
    this.at = start + 1
    if (!(code === BACKTICK ? this.#quotedName() : this.#string(this.at))) return false
    const inner = this.tokens.pop()
    if (inner === undefined) return false
    this.#push('user_variable', start, inner.end, inner.value, inner.value)
    return true
  }
}
