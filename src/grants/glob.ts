/**
 * Glob patterns as Redis reads them (`stringmatchlen` in its `util.c`), on strings of one character a byte: `*`, `?`,
 * `[abc]`, `[^a]`, `[a-z]` and `\` before a character that stands for itself. Its oddities are kept, because a grant
 * must mean here what it means in an ACL: a class without an end is one all the same, and more than 1000 stars
 * match nothing.
 */

/** The server gives up at this depth ("protection against abusive patterns"). */
const NESTING_MAX = 1000

const STAR = 0x2a
const QUESTION = 0x3f
const OPEN = 0x5b
const CLOSE = 0x5d
const CARET = 0x5e
const BACKSLASH = 0x5c
const DASH = 0x2d

/** Answers whether a string matches. */
export type Glob = (text: string) => boolean

/** Makes the matcher of a pattern; literals and `prefix*`, which most patterns are, skip the general one. */
export function compileGlob(pattern: string): Glob {
  if (!/[*?[\\]/.test(pattern)) return (text) => text === pattern
  const prefix = pattern.slice(0, -1)
  if (prefix !== '' && pattern.endsWith('*') && !/[*?[\\]/.test(prefix)) {
    return (text) => text.startsWith(prefix)
  }
  return (text) => matchGlob(pattern, text)
}

/**
 * True where the pattern matches the whole of `text`. The empty text is matched by no pattern but the empty one, as
 * on the server. Work is bounded by the product of the two lengths.
 */
export function matchGlob(pattern: string, text: string): boolean {
  return match(pattern, 0, text, 0, { given: false }, 0)
}

/** Set once the rest of the pattern is known to stand nowhere in the rest of the text: no earlier star can help. */
type Hopeless = { given: boolean }

function match(
  pattern: string,
  p0: number,
  text: string,
  t0: number,
  hopeless: Hopeless,
  depth: number,
): boolean {
  if (depth > NESTING_MAX) return false
  let p = p0
  let t = t0
  while (p < pattern.length && t < text.length) {
    const code = pattern.charCodeAt(p)
    if (code === STAR) return matchStar(pattern, p, text, t, hopeless, depth)
    if (code === OPEN) {
      const end = matchClass(pattern, p + 1, text.charCodeAt(t))
      if (end < 0) return false
      p = end
    } else if (code !== QUESTION) {
      if (code === BACKSLASH && p + 1 < pattern.length) p += 1
      if (pattern.charCodeAt(p) !== text.charCodeAt(t)) return false
    }
    t += 1
    p += 1
    if (t === text.length) {
      while (pattern.charCodeAt(p) === STAR) p += 1
      break
    }
  }
  return p === pattern.length && t === text.length
}

function matchStar(
  pattern: string,
  p0: number,
  text: string,
  t0: number,
  hopeless: Hopeless,
  depth: number,
): boolean {
  let p = p0
  while (pattern.charCodeAt(p + 1) === STAR) p += 1
  if (p + 1 === pattern.length) return true
  for (let t = t0; t < text.length; t++) {
    if (match(pattern, p + 1, text, t, hopeless, depth + 1)) return true
    if (hopeless.given) return false
  }
  hopeless.given = true
  return false
}

/**
 * Matches one byte against the class whose content begins at `start`. Gives the index of its last character, `]` or
 * the pattern's last, or -1 where the byte is not in the class.
 */
function matchClass(pattern: string, start: number, byte: number): number {
  let p = start
  const negated = pattern.charCodeAt(p) === CARET
  if (negated) p += 1
  let found = false
  for (; ; p++) {
    const left = pattern.length - p
    const code = pattern.charCodeAt(p)
    if (left >= 2 && code === BACKSLASH) {
      p += 1
      if (pattern.charCodeAt(p) === byte) found = true
    } else if (code === CLOSE) {
      break
    } else if (left <= 0) {
      p = pattern.length - 1
      break
    } else if (left >= 3 && pattern.charCodeAt(p + 1) === DASH) {
      if (inRange(code, pattern.charCodeAt(p + 2), byte)) found = true
      p += 2
    } else if (code === byte) {
      found = true
    }
  }
  return found !== negated ? p : -1
}

/** C's `char` is signed where the servers mostly run: bytes from 0x80 on count as negative. */
function inRange(first: number, last: number, byte: number): boolean {
  const a = signed(first)
  const b = signed(last)
  const c = signed(byte)
  return a <= b ? a <= c && c <= b : b <= c && c <= a
}

function signed(byte: number): number {
  return byte < 0x80 ? byte : byte - 0x100
}

/**
 * True where every text that `narrow` matches is matched by `wide` too. Exact for literals and for a `wide` of the
 * form `prefix*`; for any other `wide` it asks for the same pattern, letter for letter.
 */
export function globCovers(wide: string, narrow: string): boolean {
  if (wide === narrow || wide === '*') return true
  const prefix = wide.slice(0, -1)
  if (!wide.endsWith('*') || /[*?[\\]/.test(prefix)) return false
  return literalPrefix(narrow).startsWith(prefix)
}

/**
 * Where the first class begins that holds a character outside ASCII; -1 where there is none. Servers compare the bytes of a
 * class as signed or unsigned numbers, as the processor has it, so that such a class means this here and that there.
 */
export function classOutsideAscii(pattern: string): number {
  let start = -1
  for (let p = 0; p < pattern.length; p++) {
    if (pattern.charCodeAt(p) === BACKSLASH) p += 1
    else if (start === -1 && pattern.charCodeAt(p) === OPEN) start = p
    else if (pattern.charCodeAt(p) === CLOSE) start = -1
    if (start !== -1 && pattern.charCodeAt(p) > 0x7e) return start
  }
  return -1
}

/** What every text that the pattern matches begins with. */
export function literalPrefix(pattern: string): string {
  let prefix = ''
  for (let p = 0; p < pattern.length; p++) {
    const code = pattern.charCodeAt(p)
    if (code === STAR || code === QUESTION || code === OPEN) break
    if (code === BACKSLASH && p + 1 < pattern.length) p += 1
    prefix += pattern[p] ?? ''
  }
  return prefix
}
