/**
 * A statement's shape, for a record that must hold no data: every literal is a `?`, comments are gone, names stay.
 * Cut by the lexer that the analysis uses, so that what is a literal here is one to the server.
 */
import { type LexerRules, lex } from './lexer/lexer.ts'
import type { Token } from './lexer/token.ts'

/** What stands for a text that the lexer refuses: nobody knows what in it is data. */
const UNREADABLE = '?'

/** What the record puts before a text that was prepared. */
const FETCH = 'COM_STMT_FETCH: '

export function redactStatement(text: string, rules: LexerRules): string {
  if (text.startsWith(FETCH)) return FETCH + redactText(text.slice(FETCH.length), rules)
  return redactText(text, rules)
}

function redactText(text: string, rules: LexerRules): string {
  const lexed = lex(text, rules)
  if (!lexed.ok) return UNREADABLE
  let shape = ''
  /** Behind the last token that is shown, and before the next: blanks between the two are shown as one. */
  let end = 0
  let start: number | undefined
  for (const [index, token] of lexed.tokens.entries()) {
    if (token.kind === 'end') break
    start ??= token.start
    // A character set introducer is part of the literal behind it.
    if (isIntroducer(token) && isData(lexed.tokens[index + 1])) continue
    if (shape !== '' && start > end) shape += ' '
    shape += isData(token) ? '?' : lexed.text.slice(token.start, token.end)
    end = token.end
    start = undefined
  }
  return shape
}

function isIntroducer(token: Token | undefined): boolean {
  return token?.kind === 'word' && token.value.startsWith('_')
}

/** Strings and numbers, and names of variables that are written as a string. */
function isData(token: Token | undefined): boolean {
  if (token === undefined) return false
  if (token.kind === 'string' || token.kind === 'literal') return true
  return token.kind === 'user_variable' && token.end - token.start !== token.value.length + 1
}
