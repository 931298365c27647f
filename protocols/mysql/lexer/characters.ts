/** The characters of the language, as the servers' tables for utf8mb4 have them. */

const TAB = 0x09
const CARRIAGE_RETURN = 0x0d
export const BLANK = 0x20

/** 09 to 0D and the blank, as the servers' character tables have it. */
export function isBlank(code: number): boolean {
  return code === BLANK || (code >= TAB && code <= CARRIAGE_RETURN)
}

export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** Letters, digits, `_`, `$` and everything beyond ASCII. */
export function isIdentifierPart(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    isDigit(code) ||
    code === 0x5f ||
    code === 0x24 ||
    code >= 0x80
  )
}

/** What a backslash makes of the next character; all others stand for themselves. */
export const ESCAPES: Readonly<Record<string, string>> = {
  '0': '\0',
  b: '\b',
  n: '\n',
  r: '\r',
  t: '\t',
  Z: '\x1a',
  // Kept with their backslash, for LIKE patterns.
  '%': '\\%',
  _: '\\_',
}

/** Upper case of a to z only: the servers compare keywords so. */
export function asciiUpper(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())
}
