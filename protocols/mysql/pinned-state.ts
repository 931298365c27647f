/**
 * What the server reports of the session's state, held against what was pinned. A change that nobody should have been
 * able to make ends the session: the analysis would read statements differently from then on.
 */
import { ProtocolError } from '../errors.ts'
import type { MysqlAnalyser } from './analyser.ts'
import type { JudgedCommand } from './client-command.ts'
import { objectionToChange, objectionToStatus, REPORT_STATEMENT, widenTracking } from './pin.ts'
import type { ReplyReader } from './replies.ts'
import { STATUS, type StateChange } from './status.ts'

const NOTHING: readonly string[] = []

export class PinnedState {
  readonly #analyser: MysqlAnalyser
  readonly #mariadb: boolean
  /** Flags that the server has reported last. */
  #status: number
  /** Changes reported at the end of the running reply. */
  readonly #changes: StateChange[] = []
  /** True where a change was reported before that, which may no longer hold. */
  #inDoubt = false

  /** @param status flags of the login */
  constructor(status: number, analyser: MysqlAnalyser) {
    this.#status = status
    this.#analyser = analyser
    this.#mariadb = analyser.catalog.flavour === 'mariadb'
  }

  get inTransaction(): boolean {
    return (this.#status & STATUS.IN_TRANSACTION) !== 0
  }

  /** Keeps what is reported until the reply is complete. */
  report(status: number, changes: readonly StateChange[]): void {
    this.#status = status
    if ((status & STATUS.MORE_RESULTS) === 0) this.#changes.push(...changes)
    else if (changes.length > 0) this.#inDoubt = true
  }

  /**
   * Judges the state that a reply leaves behind. Not sooner: a stored procedure may change a mode for itself, shows
   * it in the status and the reports of its results, and has it restored by the server when it returns, unreported.
   *
   * @param own true for the reply to a statement of our own
   * @param answered the client's command that the reply answers
   * @returns statements of our own that must succeed before the next command
   * @throws ProtocolError where the session is no longer what was pinned
   */
  judge(
    reply: ReplyReader,
    own: boolean,
    answered: { readonly command: JudgedCommand } | undefined,
  ): readonly string[] {
    if (answered?.command.kind === 'reset_connection' && !own) {
      // The server's global values hold now; they are judged once the session is pinned anew.
      this.#changes.length = 0
      this.#inDoubt = false
      return NOTHING
    }
    // An error carries no status; the last one known may be from inside of a procedure.
    const flagged = reply.error === undefined ? objectionToStatus(this.#status) : undefined
    const isQuiet = flagged === undefined && this.#changes.length === 0 && !this.#inDoubt
    if (isQuiet && !this.#mayGoUnreported(reply, answered?.command)) return NOTHING
    const owed: string[] = []
    const latest = new Map(this.#changes.map((change) => [keyOf(change), change]))
    this.#changes.length = 0
    const objections = [...latest.values()].map((change) =>
      objectionToChange(change, (name) => this.#analyser.useDatabase(name).outcome === 'accesses'),
    )
    if (own) objections.push(flagged)
    else if (flagged !== undefined || this.#inDoubt || this.#mayGoUnreported(reply, answered?.command)) {
      owed.push(REPORT_STATEMENT)
    }
    this.#inDoubt = false
    const found = objections.find((objection) => objection !== undefined)
    if (found !== undefined)
      throw new ProtocolError('mysql', 'server', `the pinned session changed: ${found}`)
    const tracking = latest.get('session_track_system_variables')
    const wider = tracking?.kind === 'variable' ? widenTracking(tracking.value) : undefined
    if (wider !== undefined) owed.push(wider)
    return owed
  }

  /** Whether a statement that has just succeeded may have set a variable in a way that MariaDB does not report. */
  #mayGoUnreported(reply: ReplyReader, command: JudgedCommand | undefined): boolean {
    if (!this.#mariadb || reply.error !== undefined || reply.hasResult) return false
    if (command?.kind === 'query') return command.text.includes('@@')
    return command?.kind === 'execute' && command.statement.known.text.includes('@@')
  }
}

/** Which state a change is about; a variable's own name, which never is `schema`. */
function keyOf(change: StateChange): string {
  return change.kind === 'variable' ? change.name : change.kind
}
