/** A mistake in one allow line of a grant, pointing at the character. */
export class AllowLineError extends Error {
  readonly code = 'ALLOW_LINE'
  /** Index of the offending character in the line, from 0; the line's length where something is missing. */
  readonly at: number
  /** What to write instead, one sentence. */
  readonly mend: string

  constructor(message: string, where: { readonly at: number; readonly mend: string }) {
    super(message)
    this.name = 'AllowLineError'
    this.at = where.at
    this.mend = where.mend
  }

  /** The line with a caret under the character, for a terminal. */
  pointed(line: string): string {
    return `${line}\n${' '.repeat(this.at)}^ ${this.message}`
  }
}
