/** Keys and patterns as a selector can hold them; the other way round of `redis-selector.ts`. Bytes are one character each. */

import { classOutsideAscii } from './glob.ts'

/** A selector's pattern is at most so long (`redis-selector.ts`); a cut one ends with a star. */
const PATTERN_CHARACTERS_MAX = 512

/** A pattern as it stands in an allow line. */
export type WrittenPattern = {
  readonly text: string
  /** The same as the matcher reads it. */
  readonly bytes: string
  /** False where the line cannot hold it as it is, and this one matches more. */
  readonly exact: boolean
}

/** A pattern that matches these bytes alone. */
export function escapedGlob(bytes: string): string {
  return bytes.replace(/[*?[\]\\]/g, '\\$&')
}

/**
 * Blanks and control characters end a word, bytes that are no UTF-8 are no text, and a class has ASCII only: a `?` stands for
 * each. What is too long is cut. Either way it matches all that the pattern does, as long as that has no class.
 */
export function writtenPattern(pattern: string): WrittenPattern {
  const decoded = Buffer.from(pattern, 'latin1').toString('utf8')
  const isText =
    Buffer.from(decoded, 'utf8').toString('latin1') === pattern && classOutsideAscii(decoded) === -1
  const source = isText ? decoded : pattern
  const held = source.replace(/\\?[\s\S]/g, (unit) => (isHeld(unit.slice(-1), isText) ? unit : '?'))
  const kept = held.length > PATTERN_CHARACTERS_MAX ? cut(held) : held
  return {
    text: kept,
    bytes: Buffer.from(kept, 'utf8').toString('latin1'),
    exact: isText && kept === decoded,
  }
}

/** @param isText true: what lies beyond ASCII is a part of a character; false: a byte */
function isHeld(character: string, isText: boolean): boolean {
  const code = character.charCodeAt(0)
  return code > 0x20 && code !== 0x7f && (isText || code < 0x80)
}

/** Ends before an escape or half a character that would lose its other half. */
function cut(pattern: string): string {
  const head = pattern.slice(0, PATTERN_CHARACTERS_MAX - 1).replace(/[\ud800-\udbff]$/, '')
  const escapes = /\\*$/.exec(head)?.[0].length ?? 0
  return `${escapes % 2 === 1 ? head.slice(0, -1) : head}*`
}
