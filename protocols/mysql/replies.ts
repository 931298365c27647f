/**
 * The replies of the backend, followed packet by packet so that their end is known, and relayed as they came.
 *
 *     OK | ERR
 *     column count, definitions, [EOF], row …, EOF or OK(0xFE) or ERR    and again while MORE_RESULTS is set
 *
 * The [EOF] is absent with CLIENT_DEPRECATE_EOF. Rows and definitions are never collected: a row larger than
 * memory passes through. Only packets that decide something (OK, EOF, ERR, column count) are looked at whole.
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html
 */
import { ProtocolError } from '../errors.ts'
import { FieldReader } from '../fields.ts'
import type { Inbox } from '../inbox.ts'
import type { Outbox } from '../outbox.ts'
import { BODY_BYTES_MAX, bodyLength, HEADER_BYTES, outOfOrder, packet } from './frames.ts'
import {
  readColumnCount,
  readEof,
  readError,
  readOk,
  STATUS,
  type StateChange,
  withoutChanges,
} from './status.ts'

/** OK, ERR and column-count packets are small; one beyond this is no longer one of them. */
const DECIDING_BYTES_MAX = 1 << 20

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

type Phase =
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

/** A statement that the backend has prepared. */
export type Prepared = { readonly id: number; readonly parameters: number }

/** What the owner of a {@link ReplyReader} is told while it reads. */
export type ReplyWatcher = {
  /** Called for each OK and EOF, before it is relayed. Throws to end the session. */
  status(status: number, changes: readonly StateChange[]): void
  /** Called when the reply is complete, before its last packet is relayed. Throws to end the session. */
  ended(): void
}

export class ReplyReader {
  readonly #deprecateEof: boolean
  readonly #clientTracksSession: boolean
  readonly #watcher: ReplyWatcher
  #phase: Phase = 'none'
  #kind: ReplyKind = 'ok'
  /** Definitions still to come in this phase. */
  #owed = 0
  #columnsAfterParameters = 0
  #sequence = 0
  /** Bytes of the running packet that have not yet arrived. */
  #bodyLeft = 0
  /** True where the next packet continues the running one. */
  #continues = false
  /** Bytes at the start of the inbox that are understood and leave as they are. */
  #scanned = 0

  rows = 0
  bytes = 0
  /** True where the reply has columns, and not only an OK. */
  hasResult = false
  /** The number of the error that ended the reply. */
  error: number | undefined
  /** The text of that error, for replies to our own statements. */
  errorMessage = ''
  prepared: Prepared | undefined

  constructor(
    flags: { readonly deprecateEof: boolean; readonly clientTracksSession: boolean },
    watcher: ReplyWatcher,
  ) {
    this.#deprecateEof = flags.deprecateEof
    this.#clientTracksSession = flags.clientTracksSession
    this.#watcher = watcher
  }

  get running(): boolean {
    return this.#phase !== 'none'
  }

  /** True where the relayed bytes end with a whole packet. */
  get atBoundary(): boolean {
    return this.#bodyLeft === 0 && !this.#continues
  }

  /** The sequence id that the next packet to the client has. */
  get nextSequence(): number {
    return this.#sequence
  }

  /** @param sequence the id that the first packet of the reply must have */
  begin(kind: ReplyKind, sequence: number): void {
    this.#kind = kind
    this.#phase = firstPhase(kind)
    this.#sequence = sequence & 0xff
    this.rows = 0
    this.bytes = 0
    this.hasResult = false
    this.error = undefined
    this.prepared = undefined
  }

  /**
   * Moves what has arrived of the running reply to the client.
   *
   * @returns true when the reply is complete; bytes after it stay in the inbox
   */
  read(inbox: Inbox, client: Outbox): boolean {
    try {
      while (this.#phase !== 'none') {
        if (this.#phase === 'rows') this.#wholeRows(inbox)
        if (!this.#step(inbox, client)) break
      }
    } finally {
      // Also where the reply breaks off: the error that the client then gets follows what was counted.
      this.#flush(inbox, client)
    }
    return this.#phase === 'none'
  }

  /** Passes over the rows that have arrived whole; what is left is for {@link #step}. */
  #wholeRows(inbox: Inbox): void {
    if (!this.atBoundary) return
    const { buffer, start, end } = inbox
    let at = start + this.#scanned
    while (end - at > HEADER_BYTES) {
      const length = bodyLength(buffer, at)
      const first = buffer[at + HEADER_BYTES] as number
      // Anything that is not plainly a row in one packet, and in its turn.
      if (length === 0 || length > end - at - HEADER_BYTES || length === BODY_BYTES_MAX || first >= END) break
      if (buffer[at + 3] !== this.#sequence) break
      this.#sequence = (this.#sequence + 1) & 0xff
      this.rows += 1
      at += HEADER_BYTES + length
    }
    this.#scanned = at - start
  }

  /** @returns false where more bytes are needed */
  #step(inbox: Inbox, client: Outbox): boolean {
    if (this.#phase === 'tail' && this.atBoundary) {
      this.#phase = 'none'
      return true
    }
    const available = inbox.length - this.#scanned
    if (this.#bodyLeft > 0) {
      const part = Math.min(available, this.#bodyLeft)
      this.#scanned += part
      this.#bodyLeft -= part
      return part > 0
    }
    if (available < HEADER_BYTES) return false
    const at = inbox.start + this.#scanned
    const length = bodyLength(inbox.buffer, at)
    const sequence = inbox.buffer.readUInt8(at + 3)
    if (sequence !== this.#sequence) throw outOfOrder('server', this.#sequence, sequence)
    if (this.#continues) {
      this.#stream(length)
      return true
    }
    if (length === 0) throw new ProtocolError('mysql', 'server', 'an empty packet')
    if (available < HEADER_BYTES + 1) return false
    const first = inbox.buffer.readUInt8(at + HEADER_BYTES)
    if (!this.#decides(first, length)) {
      this.#count()
      this.#stream(length)
      return true
    }
    if (length > DECIDING_BYTES_MAX) throw new ProtocolError('mysql', 'server', 'an oversized reply packet')
    if (available < HEADER_BYTES + length) return false
    const body = inbox.buffer.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length)
    const shorter = this.#decide(first, body)
    this.#sequence = (this.#sequence + 1) & 0xff
    if (shorter === undefined) {
      this.#scanned += HEADER_BYTES + length
    } else {
      this.#flush(inbox, client)
      inbox.skip(HEADER_BYTES + length)
      this.bytes += HEADER_BYTES + shorter.length
      client.push(packet(sequence, shorter))
    }
    return true
  }

  /** Lets a packet through whose body nobody needs to see. */
  #stream(length: number): void {
    this.#scanned += HEADER_BYTES
    this.#bodyLeft = length
    this.#continues = length === BODY_BYTES_MAX
    this.#sequence = (this.#sequence + 1) & 0xff
  }

  #flush(inbox: Inbox, client: Outbox): void {
    if (this.#scanned === 0) return
    this.bytes += this.#scanned
    client.push(inbox.take(this.#scanned))
    this.#scanned = 0
  }

  /** Whether the packet that begins so moves the reply on, so that it must be seen whole. */
  #decides(first: number, length: number): boolean {
    switch (this.#phase) {
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

  /** Counts a row or a definition, and goes on to what follows the last definition. */
  #count(): void {
    if (this.#phase === 'rows') {
      this.rows += 1
      return
    }
    if (this.#kind === 'definitions') return
    this.#owed -= 1
    if (this.#owed > 0) return
    const next = this.#afterDefinitions()
    this.#phase = next === 'none' ? 'tail' : next
  }

  #afterDefinitions(): Phase {
    switch (this.#phase) {
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

  /** @returns the body to send instead, where it is not to be relayed as it is */
  #decide(first: number, body: Buffer): Buffer | undefined {
    if (first === ERR) {
      const error = readError(body)
      this.error = error.number
      this.errorMessage = error.message
      this.#phase = 'none'
      this.#watcher.ended()
      return undefined
    }
    switch (this.#phase) {
      case 'first':
        return this.#decideFirst(first, body)
      case 'prepare':
        this.#decidePrepared(first, body)
        return undefined
      case 'rows':
        return this.#decideEnd(body)
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
    this.#phase = 'definitions'
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
    this.#phase = more && (this.#kind === 'result' || this.#kind === 'cursor') ? 'first' : 'none'
    if (this.#phase === 'none') this.#watcher.ended()
  }

  #decideEof(first: number, body: Buffer): void {
    if (first !== END) throw new ProtocolError('mysql', 'server', 'definitions without an end')
    const status = readEof(body)
    this.#watcher.status(status, [])
    if (this.#phase === 'parameters_end') {
      this.#phase = this.#columnsOfPrepared()
    } else if (this.#phase === 'columns_end') {
      this.#phase = 'none'
    } else {
      // Procedures set CURSOR_EXISTS in text results too; it means "no rows follow" only where a cursor was asked for.
      const opened = this.#kind === 'cursor' && (status & STATUS.CURSOR_EXISTS) !== 0
      if (opened) this.#endOfResult(status)
      else this.#phase = 'rows'
    }
  }

  #decidePrepared(first: number, body: Buffer): void {
    const fields = new FieldReader(
      body,
      { start: 1, end: body.length },
      { protocol: 'mysql', side: 'server' },
    )
    if (first !== OK) fields.fail('an answer to COM_STMT_PREPARE that is neither OK nor an error')
    const id = fields.uint32LE()
    this.#columnsAfterParameters = fields.uint16LE()
    const parameters = fields.uint16LE()
    this.prepared = { id, parameters }
    this.#owed = parameters
    this.#phase = parameters > 0 ? 'parameters' : this.#columnsOfPrepared()
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
