/**
 * One token of a statement.
 *
 * - `word`: an unquoted word; a keyword where the grammar has one, else an identifier
 * - `name`: an identifier that can never be a keyword: quoted with backticks, or glued behind a dot
 * - `string`: a character literal; `value` is its decoded text
 * - `literal`: a number, hexadecimal or bit literal, or MariaDB's `\N`
 * - `user_variable`, `system_variable`: `@x` and `@@session.x`; `value` is what follows the at signs
 * - `parameter`: `?`
 * - `operator`: one operator or punctuation mark
 * - `end`: behind the last token
 */
export type Token = {
  readonly kind:
    | 'word'
    | 'name'
    | 'string'
    | 'literal'
    | 'user_variable'
    | 'system_variable'
    | 'parameter'
    | 'operator'
    | 'end'
  /** Identifier name, decoded string, variable name, operator; the text itself elsewhere. */
  readonly value: string
  /** `word`: the value with a-z in upper case. Elsewhere the value. */
  readonly upper: string
  /** Positions in the forwarded text, in UTF-16 units. */
  readonly start: number
  readonly end: number
  /** True where the next character is `(`: only then are some built-in functions taken for such. */
  readonly glued: boolean
}
