import type { Denial, LimitKind, ReplyLimits } from '../session.ts'
import type { NameUse } from './analyser.ts'
import type { Prepared } from './prepared.ts'

/** What was sent to the server and waits for its answer. */

export type SentKind =
  | 'query'
  | 'parse'
  | 'bind'
  | 'describe_statement'
  | 'describe_portal'
  | 'execute'
  | 'close_statement'
  | 'close_portal'
  | 'sync'

/** One message sent to the server and not yet answered in full. */
export type Sent = {
  readonly kind: SentKind
  readonly batch: number
  /** The statement that this is, or 0. */
  readonly statementId: number
  /** What the client is told in place of the server's complaint about `marker`. */
  readonly denial: Denial | undefined
  /** The unparsable text that went in place of the refused one. */
  readonly marker: string | undefined
  /** The statement or portal that this makes or closes. */
  readonly name: string
  /** What this makes (Parse), opens (Bind) or runs (Execute, a Query that makes names). */
  readonly prepared: Prepared | undefined
  /** What its statements do to names, in order, and how far that has happened. */
  readonly uses: readonly NameUse[]
  usesDone: number
  /** A COPY may begin: what comes from the client next is known only when the server has answered. */
  readonly mayCopy: boolean
  /** What its reply may be at most. */
  readonly bounds: ReplyLimits | undefined
  /** Ours: its failure aborts the transaction, and the client sees nothing of it but ReadyForQuery. */
  readonly aborts: boolean
  /** The bound that it has passed. */
  limit: LimitKind | undefined
  /** How the client is told that its time was out. */
  timedOut: Denial | undefined
  /** The rest of its reply is dropped. */
  cut: boolean
  /** The client has been told of the limit. */
  told: boolean
  rows: number
  /** Rows of the statement now running, of a text with several. */
  rowsOfCurrent: number
  /** Rows and pieces of a copy that the client got, of all its statements. */
  rowsGiven: number
  bytes: number
  error: string | undefined
}

const NO_USES: readonly NameUse[] = []

/** What most entries have in common. */
export function sent(kind: SentKind, batch: number, more?: Partial<Sent>): Sent {
  return {
    kind,
    batch,
    statementId: more?.statementId ?? 0,
    denial: more?.denial,
    marker: more?.marker,
    name: more?.name ?? '',
    prepared: more?.prepared,
    uses: more?.uses ?? NO_USES,
    usesDone: 0,
    mayCopy: more?.mayCopy ?? false,
    bounds: more?.bounds,
    aborts: more?.aborts ?? false,
    limit: undefined,
    timedOut: undefined,
    cut: false,
    told: false,
    rows: 0,
    rowsOfCurrent: 0,
    rowsGiven: 0,
    bytes: 0,
    error: undefined,
  }
}
