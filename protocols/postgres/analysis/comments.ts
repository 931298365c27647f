/**
 * Blanks the comments of a text. libpg_query's scanner gives comments as tokens, which breaks places where the
 * grammar looks one token ahead (`NOT /**\/ LIKE`, `'a' -- x⏎ 'b'`); the server reads those. Where the parser
 * refuses a text with comments, the text without them is parsed, and that one is sent.
 *
 * Nothing depends on this being right about what a comment is: what is parsed is what is sent.
 */

/** @returns the text with a space for each character of a comment; `undefined` where it has none */
export function blankComments(text: Buffer): Buffer | undefined {
  const source = text.toString('utf8')
  let blanked = ''
  let copied = 0
  let at = 0
  while (at < source.length) {
    const end = skipQuoted(source, at)
    if (end > at) {
      at = end
      continue
    }
    const after = commentEnd(source, at)
    if (after === at) {
      at += 1
      continue
    }
    blanked += source.slice(copied, at) + ' '.repeat([...source.slice(at, after)].length)
    copied = after
    at = after
  }
  return copied === 0 ? undefined : Buffer.from(blanked + source.slice(copied))
}

/** The end of a comment that begins at `at`; `at` itself where none does. The newline after `--` is kept. */
function commentEnd(source: string, at: number): number {
  if (source.startsWith('--', at)) {
    const rest = /[\r\n]/g
    rest.lastIndex = at
    return rest.exec(source)?.index ?? source.length
  }
  if (!source.startsWith('/*', at)) return at
  let depth = 0
  for (let index = at; index < source.length; index += 1) {
    if (source.startsWith('/*', index)) {
      depth += 1
      index += 1
    } else if (source.startsWith('*/', index)) {
      depth -= 1
      index += 1
      if (depth === 0) return index + 1
    }
  }
  return source.length
}

/** The end of a quoted string or identifier that begins at `at`; `at` itself where none does. */
function skipQuoted(source: string, at: number): number {
  const character = source[at]
  if (character === '"') return closing(source, at + 1, '"', false)
  if (character === "'") return closing(source, at + 1, "'", false)
  if ((character === 'E' || character === 'e') && source[at + 1] === "'" && !isWordEnd(source, at)) {
    return closing(source, at + 2, "'", true)
  }
  if (character === '$' && !isWordEnd(source, at)) {
    const open = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y
    open.lastIndex = at
    const tag = open.exec(source)?.[0]
    if (tag === undefined) return at
    const end = source.indexOf(tag, at + tag.length)
    return end === -1 ? source.length : end + tag.length
  }
  return at
}

/** True where the character before `at` makes what begins here a part of a word. */
function isWordEnd(source: string, at: number): boolean {
  return at > 0 && /[\w$\u0080-\uffff]/.test(source[at - 1] ?? '')
}

/** A doubled quote ends one part of a string and begins the next, so that only backslashes need care. */
function closing(source: string, from: number, quote: string, backslashes: boolean): number {
  for (let index = from; index < source.length; index += 1) {
    if (backslashes && source[index] === '\\') index += 1
    else if (source[index] === quote) return index + 1
  }
  return source.length
}
