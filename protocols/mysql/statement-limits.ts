/** Bounds on what a statement may bring and how long it may run, and what the client is told of one that passed them. */
import type { Denial, LimitKind, ReplyLimits } from '../session.ts'
import type { JudgedCommand } from './client-command.ts'
import { limitError, type MysqlError, timeoutError } from './errors.ts'
import type { Cut, ReplyBound } from './replies.ts'

/**
 * Errors with which a statement ends that was killed: ER_QUERY_INTERRUPTED, ER_FILSORT_ABORT, and those of the server's
 * own timeouts, ER_QUERY_TIMEOUT (MySQL) and ER_STATEMENT_TIMEOUT (MariaDB).
 */
const KILLED: ReadonlySet<number> = new Set([1317, 1028, 3024, 1969])

const NOTHING = { brought: { rows: 0, bytes: 0 } }

export class StatementLimits {
  readonly #mariadb: boolean
  readonly #user: string
  #limits: ReplyLimits = { rows: undefined, bytes: undefined }
  /** Those that hold for the running statement. */
  #held = this.#limits
  /** What the reply to the running command may bring. */
  bound: ReplyBound = { rows: Infinity, bytes: Infinity }
  /** The denial for the running statement, whose time is up. */
  #late: Denial | undefined
  #told = false

  constructor(user: string, mariadb: boolean) {
    this.#user = user
    this.#mariadb = mariadb
  }

  /** Holds for the statements that begin from now on. */
  set(limits: ReplyLimits): void {
    this.#limits = limits
  }

  /** The command is on its way. */
  begin(command: JudgedCommand): void {
    this.#late = undefined
    this.#told = false
    this.#held = this.#limits
    const { rows = Infinity, bytes = Infinity } = this.#held
    if (command.kind === 'execute') command.statement.brought.clear()
    // The rows that a cursor gives fetch by fetch are those of one statement.
    const { brought } = command.kind === 'fetch' ? command.statement : NOTHING
    this.bound = { rows: rows - brought.rows, bytes: bytes - brought.bytes }
  }

  /** The time of the running statement is up. */
  timeOut(denial: Denial): void {
    this.#late = denial
  }

  /** The reply has ended. @returns the bound that the client was told of */
  end(
    command: JudgedCommand,
    reply: { readonly rows: number; readonly bytes: number; readonly cut: Cut | undefined },
  ): LimitKind | undefined {
    if (command.kind === 'execute' || command.kind === 'fetch') command.statement.brought.add(reply)
    return reply.cut ?? (this.#told ? 'time' : undefined)
  }

  /** See `ReplyWatcher.insteadOf`. */
  insteadOf(error: number): MysqlError | undefined {
    if (this.#late === undefined || !KILLED.has(error)) return undefined
    this.#told = true
    return timeoutError(this.#late, this.#mariadb)
  }

  /** See `ReplyWatcher.wordsOf`. */
  wordsOf(cut: Cut): MysqlError {
    return limitError(cut, this.#held[cut] ?? 0, this.#user)
  }
}
