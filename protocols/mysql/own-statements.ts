/** Statements of the proxy's own on a session's backend connection: between those of the client, their replies unread. */
import { ProtocolError } from '../errors.ts'
import type { Cancels } from './cancels.ts'
import { COM } from './commands.ts'
import { packet } from './frames.ts'

/** After one command: a pin, a report and a widening, each at most twice. */
const IN_A_ROW_MAX = 6

/** ER_QUERY_INTERRUPTED */
const INTERRUPTED = 1317

export class OwnStatements {
  readonly #cancels: Cancels
  /** Those that must succeed before the next command of the client. */
  readonly #owed: string[] = []
  #running: string | undefined
  #inARow = 0

  constructor(cancels: Cancels) {
    this.#cancels = cancels
  }

  get running(): boolean {
    return this.#running !== undefined
  }

  /** True where one must run before the next command of the client. */
  get isDue(): boolean {
    return this.#owed.length > 0
  }

  owe(...texts: readonly string[]): void {
    this.#owed.push(...texts)
  }

  /** The command to send now; `undefined`: the client's turn. */
  begin(): Buffer | undefined {
    const text = this.#next()
    this.#running = text
    return text === undefined ? undefined : packet(0, Buffer.of(COM.QUERY), Buffer.from(text))
  }

  #next(): string | undefined {
    // It would be hit in the place of what is to be cancelled.
    if (this.#cancels.pending) return undefined
    const text = this.#owed.shift()
    if (text === undefined) {
      this.#inARow = 0
      return undefined
    }
    this.#inARow += 1
    if (this.#inARow > IN_A_ROW_MAX) {
      throw new ProtocolError(
        'mysql',
        'server',
        'the session cannot be pinned: the server reports it changed again',
      )
    }
    return text
  }

  /**
   * The running one was answered.
   *
   * @param error number of the server's error
   * @throws ProtocolError where one failed that must succeed
   */
  replied(error: number | undefined, message: string): void {
    const text = this.#running
    this.#running = undefined
    if (error === undefined || text === undefined) return
    if (error !== INTERRUPTED)
      throw new ProtocolError('mysql', 'server', `the session could not be pinned: ${message}`)
    // Hit by a cancel that began after it.
    this.#owed.unshift(text)
  }
}
