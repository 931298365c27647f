/** Text for one line of a terminal: what it would obey (controls, marks of direction, line ends) becomes `?`. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}
