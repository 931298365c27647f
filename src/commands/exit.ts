/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** `check`: the statement is denied. */
  denied: 1,
  /** Nothing is known under the name that was asked for. */
  notFound: 1,
  /** Wrong arguments or a wrong configuration. */
  usage: 2,
  /** No proxy answers, or it does not take the admin token. */
  unavailable: 3,
  /** A mistake of ours. */
  bug: 70,
} as const

/** Something the user can mend; printed as one line without a stack. */
export class CommandError extends Error {
  readonly code = 'COMMAND'
  readonly exit: number

  constructor(message: string, exit: number = EXIT.usage) {
    super(message)
    this.name = 'CommandError'
    this.exit = exit
  }
}
