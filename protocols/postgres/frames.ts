/**
 * Frames of the PostgreSQL protocol, version 3, both directions.
 *
 *     +------+----------------+------------------+
 *     | type | length (int32) | body             |     length counts itself and the body, not the type
 *     +------+----------------+------------------+
 *
 * A startup packet is the same without the type byte. A type that is not in the table of its direction ends the
 * connection: it cannot be known what it would do.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

/** Type byte and length. */
export const HEADER_BYTES = 5

/** The longest statement text (with name and parameter types) that is read; a longer one is refused. */
export const STATEMENT_BYTES_MAX = 1_048_576

/** PQ_SMALL_MESSAGE_LIMIT of src/include/libpq/libpq.h: what the server takes for messages of small size. */
const SMALL_LENGTH_MAX = 10_000

/** PQ_LARGE_MESSAGE_LIMIT, which is MaxAllocSize - 1. */
const LARGE_LENGTH_MAX = 0x3ffffffe

/** What a server may send whole before its meaning is acted on; longer ones are streamed or refused. */
export const WHOLE_LENGTH_MAX = 65_536

/** Messages of the client after login. */
export const CLIENT = {
  query: 0x51,
  parse: 0x50,
  bind: 0x42,
  execute: 0x45,
  describe: 0x44,
  close: 0x43,
  flush: 0x48,
  sync: 0x53,
  terminate: 0x58,
  functionCall: 0x46,
  copyData: 0x64,
  copyDone: 0x63,
  copyFail: 0x66,
  /** PasswordMessage, SASLInitialResponse, SASLResponse: during login only. */
  password: 0x70,
} as const

/** Messages of the server. */
export const SERVER = {
  authentication: 0x52,
  backendKeyData: 0x4b,
  bindComplete: 0x32,
  closeComplete: 0x33,
  commandComplete: 0x43,
  copyData: 0x64,
  copyDone: 0x63,
  copyInResponse: 0x47,
  copyOutResponse: 0x48,
  dataRow: 0x44,
  emptyQueryResponse: 0x49,
  errorResponse: 0x45,
  negotiateProtocolVersion: 0x76,
  noData: 0x6e,
  noticeResponse: 0x4e,
  notificationResponse: 0x41,
  parameterDescription: 0x74,
  parameterStatus: 0x53,
  parseComplete: 0x31,
  portalSuspended: 0x73,
  readyForQuery: 0x5a,
  rowDescription: 0x54,
} as const

/** The bounds of a frame's length field, itself included; `undefined`: no such message. */
export type LengthBounds = { readonly min: number; readonly max: number }

const EMPTY_BODY: LengthBounds = { min: 4, max: 4 }
const SMALL: LengthBounds = { min: 4, max: SMALL_LENGTH_MAX }
const LARGE: LengthBounds = { min: 4, max: LARGE_LENGTH_MAX }
const WHOLE: LengthBounds = { min: 4, max: WHOLE_LENGTH_MAX }

const CLIENT_LENGTHS = table([
  [CLIENT.query, LARGE],
  [CLIENT.parse, LARGE],
  [CLIENT.bind, LARGE],
  [CLIENT.functionCall, LARGE],
  [CLIENT.copyData, LARGE],
  [CLIENT.execute, SMALL],
  [CLIENT.describe, SMALL],
  [CLIENT.close, SMALL],
  [CLIENT.copyFail, SMALL],
  [CLIENT.flush, EMPTY_BODY],
  [CLIENT.sync, EMPTY_BODY],
  [CLIENT.terminate, EMPTY_BODY],
  [CLIENT.copyDone, EMPTY_BODY],
])

const SERVER_LENGTHS = table([
  [SERVER.dataRow, LARGE],
  [SERVER.copyData, LARGE],
  [SERVER.rowDescription, LARGE],
  [SERVER.parameterDescription, LARGE],
  [SERVER.noticeResponse, LARGE],
  [SERVER.notificationResponse, LARGE],
  [SERVER.errorResponse, LARGE],
  [SERVER.commandComplete, WHOLE],
  [SERVER.parameterStatus, WHOLE],
  [SERVER.copyInResponse, WHOLE],
  [SERVER.copyOutResponse, WHOLE],
  [SERVER.bindComplete, EMPTY_BODY],
  [SERVER.closeComplete, EMPTY_BODY],
  [SERVER.copyDone, EMPTY_BODY],
  [SERVER.emptyQueryResponse, EMPTY_BODY],
  [SERVER.noData, EMPTY_BODY],
  [SERVER.parseComplete, EMPTY_BODY],
  [SERVER.portalSuspended, EMPTY_BODY],
  [SERVER.readyForQuery, { min: 5, max: 5 }],
])

function table(rows: readonly (readonly [number, LengthBounds])[]): readonly (LengthBounds | undefined)[] {
  const bounds: (LengthBounds | undefined)[] = new Array(256).fill(undefined)
  for (const [type, lengths] of rows) bounds[type] = lengths
  return bounds
}

/** What the length field of a client's message may be; `undefined`: it may not send this after login. */
export function clientLengths(type: number): LengthBounds | undefined {
  return CLIENT_LENGTHS[type]
}

/** What the length field of a server's message may be; `undefined`: it may not send this after login. */
export function serverLengths(type: number): LengthBounds | undefined {
  return SERVER_LENGTHS[type]
}

/** The four bytes at `at` as an unsigned number. The caller has checked that they are there. */
export function lengthAt(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  )
}

/** A frame of the parts given, in order. Strings are written as they are; add the NUL where the field wants it. */
export function frame(type: number, ...parts: readonly (Buffer | string)[]): Buffer {
  let length = 4
  for (const part of parts) length += typeof part === 'string' ? Buffer.byteLength(part) : part.length
  const bytes = Buffer.allocUnsafe(1 + length)
  bytes[0] = type
  bytes.writeUInt32BE(length, 1)
  let at = HEADER_BYTES
  for (const part of parts) at += typeof part === 'string' ? bytes.write(part, at) : part.copy(bytes, at)
  return bytes
}

/** A big-endian 32-bit field. */
export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A type byte for people: `Q`, or `0x07`. */
export function typeName(type: number): string {
  return type > 0x20 && type < 0x7f ? String.fromCharCode(type) : `0x${type.toString(16).padStart(2, '0')}`
}

export const FLUSH = frame(CLIENT.flush)
export const TERMINATE = frame(CLIENT.terminate)
