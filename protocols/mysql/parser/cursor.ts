import type { Token } from '../lexer/token.ts'
import { notUnderstood } from './refusal.ts'

/** Nesting beyond this is refused: the stack of this process is not the statement's to use up. */
const DEPTH_MAX = 120

/** An identifier as written. */
export type Identifier = { readonly name: string; readonly quoted: boolean }

/** Walks over the tokens of one statement, never back. */
export class Cursor {
  readonly #tokens: readonly Token[]
  readonly #reserved: ReadonlySet<string>
  readonly #end: Token
  #at = 0
  #depth = 0
  /** The token that is next to be read. */
  next: Token

  /** @param tokens ending in a token of kind `end` */
  constructor(tokens: readonly Token[], reserved: ReadonlySet<string>) {
    const end = tokens[tokens.length - 1]
    if (end === undefined) throw new RangeError('tokens without an end')
    this.#tokens = tokens
    this.#reserved = reserved
    this.#end = end
    this.next = tokens[0] ?? end
  }

  /** The token `offset` places behind the next one. */
  peek(offset: number): Token {
    return this.#tokens[this.#at + offset] ?? this.#end
  }

  /** Where in the text the token read last ends. */
  get lastEnd(): number {
    return this.#tokens[this.#at - 1]?.end ?? 0
  }

  advance(): Token {
    const token = this.next
    this.#at++
    this.next = this.#tokens[this.#at] ?? this.#end
    return token
  }

  /** Runs `read` one level deeper. */
  nested<Result>(read: () => Result): Result {
    if (this.#depth >= DEPTH_MAX) notUnderstood(`nested deeper than ${DEPTH_MAX} levels`)
    this.#depth++
    const result = read()
    this.#depth--
    return result
  }

  isWord(word: string): boolean {
    return this.next.kind === 'word' && this.next.upper === word
  }

  isWordAt(offset: number, word: string): boolean {
    const token = this.peek(offset)
    return token.kind === 'word' && token.upper === word
  }

  isOneOf(words: ReadonlySet<string>): boolean {
    return this.next.kind === 'word' && words.has(this.next.upper)
  }

  accept(word: string): boolean {
    if (!this.isWord(word)) return false
    this.advance()
    return true
  }

  /** Accepts a run of words, or nothing of it. */
  acceptAll(...words: readonly string[]): boolean {
    for (let i = 0; i < words.length; i++) {
      if (!this.isWordAt(i, words[i] ?? '')) return false
    }
    for (let i = 0; i < words.length; i++) this.advance()
    return true
  }

  acceptOneOf(words: ReadonlySet<string>): string | undefined {
    return this.isOneOf(words) ? this.advance().upper : undefined
  }

  expect(word: string): void {
    if (!this.accept(word)) this.fail(`${word} was expected`)
  }

  isOperator(operator: string): boolean {
    return this.next.kind === 'operator' && this.next.value === operator
  }

  isOperatorAt(offset: number, operator: string): boolean {
    const token = this.peek(offset)
    return token.kind === 'operator' && token.value === operator
  }

  acceptOperator(operator: string): boolean {
    if (!this.isOperator(operator)) return false
    this.advance()
    return true
  }

  expectOperator(operator: string): void {
    if (!this.acceptOperator(operator)) this.fail(`\`${operator}\` was expected`)
  }

  get isAtEnd(): boolean {
    return this.next.kind === 'end'
  }

  isIdentifierAt(offset: number): boolean {
    const token = this.peek(offset)
    return token.kind === 'name' || (token.kind === 'word' && !this.#reserved.has(token.upper))
  }

  get isIdentifier(): boolean {
    return this.isIdentifierAt(0)
  }

  identifier(what: string): Identifier {
    if (!this.isIdentifier) this.fail(`${what} was expected`)
    const token = this.advance()
    return { name: token.value, quoted: token.kind === 'name' }
  }

  /** `read` once or more, between commas. */
  list(read: () => void): void {
    do read()
    while (this.acceptOperator(','))
  }

  /** Never repeats a literal: the text may be a secret. */
  fail(why: string): never {
    const { kind, value, start } = this.next
    const found =
      kind === 'end'
        ? 'the end'
        : kind === 'string' || kind === 'literal'
          ? 'a literal'
          : `\`${value.length > 40 ? `${value.slice(0, 40)}…` : value}\``
    return notUnderstood(`${why}, found ${found} at character ${start + 1}`)
  }
}
