/**
 * OK, EOF and ERR packets of the backend: status flags, and the session-state changes that come with an OK.
 *
 *     OK   0x00 or 0xFE, affected rows, last insert id (length-encoded), status (2), warnings (2),
 *          then with CLIENT_SESSION_TRACK: info, and where status has SESSION_STATE_CHANGED: state changes
 *     EOF  0xFE, warnings (2), status (2)
 *     ERR  0xFF, number (2), '#', SQLSTATE (5), message
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html
 */
import { FieldReader } from '../fields.ts'
import {
  lengthEncodedInteger,
  readLengthEncodedInteger,
  readLengthEncodedString,
  skipLengthEncodedInteger,
} from './frames.ts'

export const STATUS = {
  IN_TRANSACTION: 0x0001,
  MORE_RESULTS: 0x0008,
  CURSOR_EXISTS: 0x0040,
  NO_BACKSLASH_ESCAPES: 0x0200,
  SESSION_STATE_CHANGED: 0x4000,
  /** MariaDB only; MySQL leaves the bit clear. */
  ANSI_QUOTES: 0x8000,
} as const

const PEER = { protocol: 'mysql', side: 'server' } as const

/** A change of session state that the server reports of its own accord. */
export type StateChange =
  | { readonly kind: 'variable'; readonly name: string; readonly value: string }
  | { readonly kind: 'schema'; readonly name: string }

const TRACK = { SYSTEM_VARIABLES: 0, SCHEMA: 1 } as const

export type OkPacket = {
  readonly status: number
  readonly changes: readonly StateChange[]
  /** Bytes of the body before the state changes; the whole body where there are none. */
  readonly infoEnd: number
  /** Where in the body the status flags are. */
  readonly statusAt: number
}

const NO_CHANGES: readonly StateChange[] = []

/** @param body an OK body, header byte included, on a connection with CLIENT_SESSION_TRACK */
export function readOk(body: Buffer): OkPacket {
  const fields = new FieldReader(body, { start: 1, end: body.length }, PEER)
  skipLengthEncodedInteger(fields)
  skipLengthEncodedInteger(fields)
  const statusAt = fields.at
  const status = fields.uint16LE()
  fields.bytes(2)
  if (fields.remaining > 0) readLengthEncodedString(fields)
  const infoEnd = fields.at
  if ((status & STATUS.SESSION_STATE_CHANGED) === 0) {
    if (fields.remaining > 0) fields.fail('an OK packet with bytes after its end')
    return { status, changes: NO_CHANGES, infoEnd, statusAt }
  }
  const changes = fields.remaining > 0 ? readChanges(readLengthEncodedString(fields)) : NO_CHANGES
  if (fields.remaining > 0) fields.fail('an OK packet with bytes after its end')
  return { status, changes, infoEnd, statusAt }
}

function readChanges(block: Buffer): readonly StateChange[] {
  const changes: StateChange[] = []
  const fields = new FieldReader(block, { start: 0, end: block.length }, PEER)
  while (fields.remaining > 0) {
    const type = fields.uint8()
    const entry = readLengthEncodedString(fields)
    const inner = new FieldReader(entry, { start: 0, end: entry.length }, PEER)
    if (type === TRACK.SYSTEM_VARIABLES) {
      while (inner.remaining > 0) {
        const name = readLengthEncodedString(inner).toString('utf8')
        changes.push({ kind: 'variable', name, value: readLengthEncodedString(inner).toString('utf8') })
      }
    } else if (type === TRACK.SCHEMA) {
      changes.push({ kind: 'schema', name: readLengthEncodedString(inner).toString('utf8') })
    }
  }
  return changes
}

/** The body for a client without CLIENT_SESSION_TRACK: no state changes, and the flag that announces them cleared. */
export function withoutChanges(body: Buffer, ok: OkPacket): Buffer {
  const shorter = Buffer.from(body.subarray(0, ok.infoEnd))
  shorter.writeUInt16LE(ok.status & ~STATUS.SESSION_STATE_CHANGED, ok.statusAt)
  return shorter
}

/** The status of an EOF body of 5 bytes. */
export function readEof(body: Buffer): number {
  const fields = new FieldReader(body, { start: 1, end: body.length }, PEER)
  fields.bytes(2)
  const status = fields.uint16LE()
  if (fields.remaining > 0) fields.fail('an EOF packet with bytes after its end')
  return status
}

/** An ERR body; `message` is the server's own text. */
export function readError(body: Buffer): { readonly number: number; readonly message: string } {
  const fields = new FieldReader(body, { start: 1, end: body.length }, PEER)
  const number = fields.uint16LE()
  const rest = fields.rest().toString('utf8')
  return { number, message: rest.startsWith('#') ? rest.slice(6) : rest }
}

/** The OK that ends a login or answers a command: nothing affected. */
export function okBody(status: number): Buffer {
  const tail = Buffer.alloc(4)
  tail.writeUInt16LE(status, 0)
  return Buffer.concat([Buffer.of(0), lengthEncodedInteger(0), lengthEncodedInteger(0), tail])
}

/** The number of columns of a result set, from the packet that holds nothing else. */
export function readColumnCount(body: Buffer): number {
  const fields = new FieldReader(body, { start: 0, end: body.length }, PEER)
  const count = readLengthEncodedInteger(fields)
  if (fields.remaining > 0) fields.fail('a column count with bytes after its end')
  return count
}

/** A statement that the backend has prepared. */
export type Prepared = { readonly id: number; readonly columns: number; readonly parameters: number }

/** The first packet of the answer to COM_STMT_PREPARE. */
export function readPrepared(body: Buffer): Prepared {
  const fields = new FieldReader(body, { start: 0, end: body.length }, PEER)
  if (fields.uint8() !== 0) fields.fail('an answer to COM_STMT_PREPARE that is neither OK nor an error')
  const id = fields.uint32LE()
  const columns = fields.uint16LE()
  const parameters = fields.uint16LE()
  return { id, columns, parameters }
}
