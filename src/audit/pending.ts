/**
 * Records that wait to be handed over, as the bytes of their lines, each chained to the one before. On the hot path of every
 * statement: a record is put together as one string, encoded once into a buffer that stays, and hashed there.
 */
import crypto from 'node:crypto'
import type { ChainEnd } from './audit-file.ts'
import { escaped } from './escape.ts'
import type { AuditEvent } from './event.ts'
import { timestamp } from './timestamp.ts'

/** Records of one flush fit in here but for rare large ones; it grows for those, and shrinks again. */
const BUFFER_BYTES = 256 << 10

/** What follows a record's hashed part: the member of its hash, and the line's end. */
const HASH_BYTES = 128

/** The one character of ASCII that JSON leaves as it is and a terminal obeys. */
const DELETE = '\u007f'

/** What `Buffer.write` calls once it has understood its arguments; that costs more than a short text itself. */
type TextBuffer = Buffer<ArrayBuffer> & {
  utf8Write(text: string, at: number): number
  latin1Write(text: string, at: number): number
}

export class PendingRecords {
  /** The lines, up to {@link length}. */
  buffer = newBuffer(BUFFER_BYTES)
  length = 0
  count = 0
  /** The last record, handed over or not. */
  seq: number
  hash: string

  constructor({ seq, hash }: ChainEnd) {
    this.seq = seq
    this.hash = hash
  }

  /** @param members the fields, which are already JSON members (`"a":1,"b":2`), possibly none */
  add(event: AuditEvent, members: string): void {
    this.seq += 1
    const fields = members === '' ? '' : `,${members}`
    const body = `{"time":"${timestamp()}","seq":${this.seq},"event":"${event}"${fields},"prev":"${this.hash}"`
    const start = this.length
    const end = this.#put(body, start)
    this.hash = sha256(new Uint8Array(this.buffer.buffer, start, end - start))
    this.length = end + this.buffer.latin1Write(`,"hash":"${this.hash}"}\n`, end)
    this.count += 1
  }

  /** Writes the text at `start`, with what a terminal would obey escaped, and gives where it ends. */
  #put(text: string, start: number): number {
    // At most three bytes for each UTF-16 unit.
    this.#reserve(start + text.length * 3 + HASH_BYTES)
    const end = start + this.buffer.utf8Write(text, start)
    // As many bytes as characters: it is ASCII. Nearly every record is, and is not looked at a second time.
    if (end - start === text.length && !text.includes(DELETE)) return end
    const safe = escaped(text)
    this.#reserve(start + safe.length * 3 + HASH_BYTES)
    return start + this.buffer.utf8Write(safe, start)
  }

  #reserve(bytes: number): void {
    if (bytes <= this.buffer.length) return
    const larger = newBuffer(Math.max(bytes, this.buffer.length * 2))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }

  /** Begins anew behind the given record: what waited was handed over, or did not happen. */
  clear({ seq, hash }: ChainEnd): void {
    this.seq = seq
    this.hash = hash
    this.length = 0
    this.count = 0
    if (this.buffer.length > BUFFER_BYTES) this.buffer = newBuffer(BUFFER_BYTES)
  }
}

/** Begins at the start of its memory, unlike one from Node's pool. */
function newBuffer(bytes: number): TextBuffer {
  return Buffer.allocUnsafeSlow(bytes) as TextBuffer
}

/** The one-shot form, half the price for a short text, came with Node 20.12. */
const sha256: (bytes: Uint8Array) => string =
  'hash' in crypto
    ? (bytes) => crypto.hash('sha256', bytes, 'hex')
    : (bytes) => (crypto as typeof import('node:crypto')).createHash('sha256').update(bytes).digest('hex')
