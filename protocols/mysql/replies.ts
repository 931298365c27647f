/**
 * The replies of the backend, followed packet by packet so that their end is known, and relayed as they came.
 *
 * Rows and definitions are never collected: a row larger than memory passes through. Only packets that decide
 * something (OK, EOF, ERR, column count) are looked at whole; {@link ReplyPhases} knows which.
 *
 * A reply that passes a bound is cut before the row that passes it: nothing more of it is relayed, and when the server
 * has said all of it an ERR packet stands where that row was to stand.
 */
import { ProtocolError } from '../errors.ts'
import type { Inbox } from '../inbox.ts'
import type { Outbox } from '../outbox.ts'
import type { LimitKind } from '../session.ts'
import { errorPacket, type MysqlError } from './errors.ts'
import { BODY_BYTES_MAX, bodyLength, HEADER_BYTES, outOfOrder, packet } from './frames.ts'
import { type ReplyKind, ReplyPhases, type StatusWatcher } from './reply-phases.ts'
import type { Prepared } from './status.ts'

/** OK, ERR and column-count packets are small; one beyond this is no longer one of them. */
const DECIDING_BYTES_MAX = 1 << 20

/** A packet whose body begins with this or more is not plainly a row. */
const END = 0xfe

/** What a reply may bring: `Infinity` where it is not bounded, 0 and less where earlier replies have used all of it. */
export type ReplyBound = { readonly rows: number; readonly bytes: number }

const UNBOUNDED: ReplyBound = { rows: Infinity, bytes: Infinity }

/** The bound at which a reply was cut. */
export type Cut = Exclude<LimitKind, 'time'>

/** What the owner of a {@link ReplyReader} is told and asked while it reads. */
export type ReplyWatcher = StatusWatcher & {
  /** What to tell the client in the place of the server's error of this number; `undefined`: that error. */
  insteadOf(error: number): MysqlError | undefined
  /** What to tell the client where a reply was cut. */
  wordsOf(cut: Cut): MysqlError
}

export class ReplyReader {
  readonly #watcher: ReplyWatcher
  readonly #phases: ReplyPhases
  #sequence = 0
  /** Bytes of the running packet that have not yet arrived. */
  #bodyLeft = 0
  /** True where the next packet continues the running one. */
  #continues = false
  /** Bytes at the start of the inbox that are understood and leave as they are, or not at all where the reply is cut. */
  #scanned = 0
  #rowsMax = Infinity
  #bytesMax = Infinity
  /** Where the reply was cut: the sequence id of the packet that is to end it, and the rows before. */
  #cutSequence = 0
  #rowsBeforeCut = 0

  /** Rows that the client gets, once the reply is complete. */
  rows = 0
  /** Bytes that the client gets. */
  bytes = 0
  /** The bound that this reply has passed. */
  cut: Cut | undefined
  /** True once a bound was passed inside a row, where nothing can say so: this reply is the last. */
  isTorn = false

  constructor(
    flags: { readonly deprecateEof: boolean; readonly clientTracksSession: boolean },
    watcher: ReplyWatcher,
  ) {
    this.#watcher = watcher
    this.#phases = new ReplyPhases(flags, watcher)
  }

  get running(): boolean {
    return this.#phases.phase !== 'none'
  }

  /** True where the reply has columns, and not only an OK. */
  get hasResult(): boolean {
    return this.#phases.hasResult
  }

  /** The number of the server's error that ended the reply. */
  get error(): number | undefined {
    return this.#phases.error
  }

  /** The text of that error. */
  get errorMessage(): string {
    return this.#phases.errorMessage
  }

  get prepared(): Prepared | undefined {
    return this.#phases.prepared
  }

  /** True where the relayed bytes end with a whole packet. */
  get atBoundary(): boolean {
    return this.cut !== undefined || this.#packetIsWhole
  }

  get #packetIsWhole(): boolean {
    return this.#bodyLeft === 0 && !this.#continues
  }

  /** The sequence id that the next packet to the client has. */
  get nextSequence(): number {
    return this.cut === undefined ? this.#sequence : this.#cutSequence
  }

  /** @param sequence the id that the first packet of the reply must have */
  begin(kind: ReplyKind, sequence: number, bound: ReplyBound = UNBOUNDED): void {
    this.#phases.begin(kind)
    this.#sequence = sequence & 0xff
    this.#rowsMax = bound.rows
    this.#bytesMax = bound.bytes
    this.rows = 0
    this.bytes = 0
    this.cut = undefined
    this.isTorn = false
  }

  /**
   * Moves what has arrived of the running reply to the client.
   *
   * @returns true when the reply is complete; bytes after it stay in the inbox
   */
  read(inbox: Inbox, client: Outbox): boolean {
    try {
      while (this.#phases.phase !== 'none') {
        if (this.#phases.phase === 'rows') this.#wholeRows(inbox)
        if (!this.#step(inbox, client)) break
      }
    } finally {
      // Also where the reply breaks off: the error that the client then gets follows what was counted.
      this.#flush(inbox, client)
    }
    return this.#phases.phase === 'none'
  }

  /** Passes over the rows that have arrived whole and are within the bounds; what is left is for {@link #step}. */
  #wholeRows(inbox: Inbox): void {
    if (!this.#packetIsWhole) return
    const { buffer, start, end } = inbox
    let at = start + this.#scanned
    const endMax = Math.min(end, start + this.#bytesMax - this.bytes)
    while (endMax - at > HEADER_BYTES && this.rows < this.#rowsMax) {
      const length = bodyLength(buffer, at)
      const first = buffer[at + HEADER_BYTES] as number
      // Anything that is not plainly a row in one packet, and in its turn.
      if (length === 0 || length > endMax - at - HEADER_BYTES || length === BODY_BYTES_MAX || first >= END)
        break
      if (buffer[at + 3] !== this.#sequence) break
      this.#sequence = (this.#sequence + 1) & 0xff
      this.rows += 1
      at += HEADER_BYTES + length
    }
    this.#scanned = at - start
  }

  /** @returns false where more bytes are needed */
  #step(inbox: Inbox, client: Outbox): boolean {
    const phases = this.#phases
    if (phases.phase === 'tail' && this.#packetIsWhole) {
      phases.phase = 'none'
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
      if (phases.phase === 'rows' && this.#passesBytes(length)) {
        this.#cutHere('bytes', inbox, client)
        this.isTorn = true
        this.rows -= 1
        phases.phase = 'none'
        return true
      }
      this.#stream(length)
      return true
    }
    if (length === 0) throw new ProtocolError('mysql', 'server', 'an empty packet')
    if (available < HEADER_BYTES + 1) return false
    const first = inbox.buffer.readUInt8(at + HEADER_BYTES)
    if (!phases.decides(first, length)) {
      if (phases.phase === 'rows') this.#row(length, inbox, client)
      else phases.definition()
      this.#stream(length)
      return true
    }
    if (length > DECIDING_BYTES_MAX) throw new ProtocolError('mysql', 'server', 'an oversized reply packet')
    if (available < HEADER_BYTES + length) return false
    const body = inbox.buffer.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length)
    const shorter = phases.decide(first, body)
    this.#sequence = (this.#sequence + 1) & 0xff
    const ours = this.#ours(sequence, shorter)
    if (ours === undefined) this.#scanned += HEADER_BYTES + length
    else {
      this.#flush(inbox, client)
      inbox.skip(HEADER_BYTES + length)
      this.bytes += ours.length
      client.push(ours)
    }
    return true
  }

  /** The packet of ours in place of the one that was decided on; `undefined`: none. */
  #ours(sequence: number, shorter: Buffer | undefined): Buffer | undefined {
    if (this.cut !== undefined) {
      if (this.running) return undefined
      this.rows = this.#rowsBeforeCut
      return errorPacket(this.#cutSequence, this.#watcher.wordsOf(this.cut))
    }
    const instead = this.error === undefined ? undefined : this.#watcher.insteadOf(this.error)
    if (instead !== undefined) return errorPacket(sequence, instead)
    return shorter === undefined ? undefined : packet(sequence, shorter)
  }

  /** A row begins whose first packet has a body of this length. */
  #row(length: number, inbox: Inbox, client: Outbox): void {
    if (this.rows >= this.#rowsMax) this.#cutHere('rows', inbox, client)
    else if (this.#passesBytes(length)) this.#cutHere('bytes', inbox, client)
    this.rows += 1
  }

  #passesBytes(length: number): boolean {
    return this.bytes + this.#scanned + HEADER_BYTES + length > this.#bytesMax
  }

  /** From here on the server is read to the end of the reply, and the client gets nothing. */
  #cutHere(cut: Cut, inbox: Inbox, client: Outbox): void {
    this.#flush(inbox, client)
    this.cut = cut
    this.#cutSequence = this.#sequence
    this.#rowsBeforeCut = this.rows
    this.#rowsMax = Infinity
    this.#bytesMax = Infinity
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
    if (this.cut === undefined) {
      this.bytes += this.#scanned
      client.push(inbox.take(this.#scanned))
    } else inbox.skip(this.#scanned)
    this.#scanned = 0
  }
}
