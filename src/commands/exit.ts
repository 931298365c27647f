/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** `check`: the statement is denied. */
  denied: 1,
  /** Wrong arguments or a wrong configuration. */
  usage: 2,
  /** A mistake of ours. */
  bug: 70,
} as const

/** Something the user can mend; printed as one line without a stack. */
export class CommandError extends Error {
  readonly code = 'COMMAND'

  constructor(message: string) {
    super(message)
    this.name = 'CommandError'
  }
}
