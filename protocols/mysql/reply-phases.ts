/**
 * The order of packets in a reply, and what each of those that decide something says.
 *
 *     OK | ERR
 *     column count, definitions, [EOF], row …, EOF or OK(0xFE) or ERR    and again while MORE_RESULTS is set
 *
 * The [EOF] is absent with CLIENT_DEPRECATE_EOF.
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html
 */
import { ProtocolError } from '../errors.ts'
import { BODY_BYTES_MAX } from './frames.ts'
import {
  type Prepared,
  readColumnCount,
  readEof,
  readError,
  readOk,
  readPrepared,
  STATUS,
  type StateChange,
  withoutChanges,
} from './status.ts'

/** The column count is 2 bytes wide in the server (`uint16` in the reply to COM_STMT_PREPARE). */
const COLUMNS_MAX = 0xffff

const OK = 0x00
const LOCAL_INFILE = 0xfb
const END = 0xfe
const ERR = 0xff

/** What kind of reply a command has. */
export type ReplyKind =
  | 'result'
  /** COM_STMT_EXECUTE that asked for a cursor: the definitions may be all. */
  | 'cursor'
  /** COM_STMT_FETCH: rows without definitions. */
  | 'rows'
  /** COM_FIELD_LIST: definitions up to an EOF. */
  | 'definitions'
  /** COM_STMT_PREPARE. */
  | 'prepare'
  /** OK or ERR only. */
  | 'ok'

export type Phase =
  | 'none'
  | 'first'
  | 'prepare'
  | 'parameters'
  | 'parameters_end'
  | 'columns'
  | 'columns_end'
  | 'definitions'
  | 'definitions_end'
  | 'rows'
  /** Nothing follows but the rest of the running packet. */
  | 'tail'

/** What is told while a reply is read. */
export type StatusWatcher = {
  /** Called for each OK and EOF, before it is relayed. Throws to end the session. */
  status(status: number, changes: readonly StateChange[]): void
  /** Called when the reply is complete, before its last packet is relayed. Throws to end the session. */
  ended(): void
}

export class ReplyPhases {
  readonly #deprecateEof: boolean
  readonly #clientTracksSession: boolean
  readonly #watcher: StatusWatcher
  #kind: ReplyKind = 'ok'
  /** Definitions still to come in this phase. */
  #owed = 0
  #columnsAfterParameters = 0

  phase: Phase = 'none'
  /** True where the reply has columns, and not only an OK. */
  hasResult = false
  /** The number of the error that ended the reply. */
  error: number | undefined
  /** The text of that error, for replies to our own statements. */
  errorMessage = ''
  prepared: Prepared | undefined

  constructor(
    flags: { readonly deprecateEof: boolean; readonly clientTracksSession: boolean },
    watcher: StatusWatcher,
  ) {
    this.#deprecateEof = flags.deprecateEof
    this.#clientTracksSession = flags.clientTracksSession
    this.#watcher = watcher
  }

  begin(kind: ReplyKind): void {
    this.#kind = kind
    this.phase = firstPhase(kind)
    this.hasResult = false
    this.error = undefined
    this.prepared = undefined
  }

  /** Whether the packet that begins so moves the reply on, so that it must be seen whole. */
  decides(first: number, length: number): boolean {
    switch (this.phase) {
      case 'rows':
        if (first === ERR) return true
        // A row may begin with 0xFE as well: with a first value of 16 MB or more, in a packet of full length.
        return first === END && (this.#deprecateEof ? length < BODY_BYTES_MAX : length < 9)
      case 'parameters':
      case 'columns':
        return first === ERR
      case 'definitions':
        return first === ERR || (this.#kind === 'definitions' && first === END)
      default:
        return true
    }
  }

  /** Counts a definition, and goes on to what follows the last. */
  definition(): void {
    if (this.#kind === 'definitions') return
    this.#owed -= 1
    if (this.#owed > 0) return
    const next = this.#afterDefinitions()
    this.phase = next === 'none' ? 'tail' : next
  }

  #afterDefinitions(): Phase {
    switch (this.phase) {
      case 'parameters':
        return this.#deprecateEof ? this.#columnsOfPrepared() : 'parameters_end'
      case 'columns':
        return this.#deprecateEof ? 'none' : 'columns_end'
      default:
        return this.#deprecateEof ? 'rows' : 'definitions_end'
    }
  }

  #columnsOfPrepared(): Phase {
    this.#owed = this.#columnsAfterParameters
    return this.#owed > 0 ? 'columns' : 'none'
  }

  /**
   * Reads a packet that decides something.
   *
   * @returns the body to send instead, where it is not to be relayed as it is
   */
  decide(first: number, body: Buffer): Buffer | undefined {
    if (first === ERR) {
      const error = readError(body)
      this.error = error.number
      this.errorMessage = error.message
      this.phase = 'none'
      this.#watcher.ended()
      return undefined
    }
    switch (this.phase) {
      case 'first':
        return this.#decideFirst(first, body)
      case 'prepare':
        this.#decidePrepared(body)
        return undefined
      case 'rows':
      case 'definitions':
        return this.#decideEnd(body)
      default:
        this.#decideEof(first, body)
        return undefined
    }
  }

  #decideFirst(first: number, body: Buffer): Buffer | undefined {
    if (first === OK) return this.#decideOk(body)
    // A server that asks for a file of the client: never offered, so never answered.
    if (first === LOCAL_INFILE) throw new ProtocolError('mysql', 'server', 'a request for a local file')
    if (this.#kind === 'ok') throw new ProtocolError('mysql', 'server', 'a result where none can be')
    this.#owed = readColumnCount(body)
    if (this.#owed === 0 || this.#owed > COLUMNS_MAX) {
      throw new ProtocolError('mysql', 'server', `a result of ${this.#owed} columns`)
    }
    this.hasResult = true
    this.phase = 'definitions'
    return undefined
  }

  #decideOk(body: Buffer): Buffer | undefined {
    const ok = readOk(body)
    this.#watcher.status(ok.status, ok.changes)
    this.#endOfResult(ok.status)
    const announced = (ok.status & STATUS.SESSION_STATE_CHANGED) !== 0
    return announced && !this.#clientTracksSession ? withoutChanges(body, ok) : undefined
  }

  /** The end of rows or of a field list. */
  #decideEnd(body: Buffer): Buffer | undefined {
    if (this.#deprecateEof) return this.#decideOk(body)
    const status = readEof(body)
    this.#watcher.status(status, [])
    this.#endOfResult(status)
    return undefined
  }

  #endOfResult(status: number): void {
    const more = (status & STATUS.MORE_RESULTS) !== 0
    this.phase = more && (this.#kind === 'result' || this.#kind === 'cursor') ? 'first' : 'none'
    if (this.phase === 'none') this.#watcher.ended()
  }

  #decideEof(first: number, body: Buffer): void {
    if (first !== END) throw new ProtocolError('mysql', 'server', 'definitions without an end')
    const status = readEof(body)
    this.#watcher.status(status, [])
    if (this.phase === 'parameters_end') {
      this.phase = this.#columnsOfPrepared()
    } else if (this.phase === 'columns_end') {
      this.phase = 'none'
    } else {
      // Procedures set CURSOR_EXISTS in text results too; it means "no rows follow" only where a cursor was asked for.
      const opened = this.#kind === 'cursor' && (status & STATUS.CURSOR_EXISTS) !== 0
      if (opened) this.#endOfResult(status)
      else this.phase = 'rows'
    }
  }

  #decidePrepared(body: Buffer): void {
    this.prepared = readPrepared(body)
    this.#columnsAfterParameters = this.prepared.columns
    this.#owed = this.prepared.parameters
    this.phase = this.#owed > 0 ? 'parameters' : this.#columnsOfPrepared()
  }
}

function firstPhase(kind: ReplyKind): Phase {
  switch (kind) {
    case 'prepare':
      return 'prepare'
    case 'rows':
      return 'rows'
    case 'definitions':
      return 'definitions'
    default:
      return 'first'
  }
}
