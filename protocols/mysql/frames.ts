/**
 * Packets, the frames of the MySQL protocol:
 *
 *     3 bytes  length of the body, little-endian
 *     1 byte   sequence id: 0 for each new command, then one more for each packet either way, modulo 256
 *     n bytes  body
 *
 * A body of exactly 0xFFFFFF bytes is continued by the next packet; a logical packet whose length is a multiple of
 * that ends with an empty one.
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
 */
import { ProtocolError } from '../errors.ts'
import type { FieldReader } from '../fields.ts'
import type { Inbox } from '../inbox.ts'

export const HEADER_BYTES = 4
/** The longest body of one packet; a body of this length is continued. */
export const BODY_BYTES_MAX = 0xffffff

/**
 * The length in the header at `at`, all of whose bytes the caller has seen to be there.
 *
 * By hand, because it is done for each row of each result: `readUIntLE` takes several times as long.
 */
export function bodyLength(bytes: Buffer, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16)
}

/** Makes one packet. Only for bodies that are known to fit, which all of ours are. */
export function packet(sequence: number, ...parts: readonly Buffer[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  if (length >= BODY_BYTES_MAX) throw new RangeError('a body that needs more than one packet')
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + length)
  bytes.writeUIntLE(length, 0, 3)
  bytes[3] = sequence & 0xff
  let at = HEADER_BYTES
  for (const part of parts) at += part.copy(bytes, at)
  return bytes
}

/** Reads the packets of a login: small ones, whole, in strict sequence. */
export class LoginPackets {
  readonly #inbox: Inbox
  readonly #side: 'client' | 'server'
  readonly #bodyBytesMax: number
  /** The sequence id of the next packet either way. */
  sequence = 0

  constructor(inbox: Inbox, side: 'client' | 'server', bodyBytesMax: number) {
    this.#inbox = inbox
    this.#side = side
    this.#bodyBytesMax = bodyBytesMax
  }

  /** Removes the next packet and gives its body; `undefined`: more bytes are needed. */
  take(): Buffer | undefined {
    const inbox = this.#inbox
    if (inbox.length < HEADER_BYTES) return undefined
    const length = inbox.buffer.readUIntLE(inbox.start, 3)
    if (length > this.#bodyBytesMax) {
      throw new ProtocolError('mysql', this.#side, `a login packet of ${length} bytes`)
    }
    const sequence = inbox.buffer.readUInt8(inbox.start + 3)
    if (sequence !== this.sequence) throw outOfOrder(this.#side, this.sequence, sequence)
    if (inbox.length < HEADER_BYTES + length) return undefined
    inbox.skip(HEADER_BYTES)
    this.sequence = (sequence + 1) & 0xff
    return inbox.take(length)
  }

  /** Makes the next packet of ours. */
  make(...parts: readonly Buffer[]): Buffer {
    const bytes = packet(this.sequence, ...parts)
    this.sequence = (this.sequence + 1) & 0xff
    return bytes
  }
}

export function outOfOrder(side: 'client' | 'server', expected: number, received: number): ProtocolError {
  return new ProtocolError('mysql', side, `packets out of order: expected ${expected}, received ${received}`)
}

/**
 * Reads a length-encoded integer.
 *
 * @returns at most 2^53-1; a larger one is refused, because nothing that we read can be that large
 */
export function readLengthEncodedInteger(fields: FieldReader): number {
  const first = fields.uint8()
  if (first < 0xfb) return first
  if (first === 0xfc) return fields.uint16LE()
  if (first === 0xfd) return fields.uint24LE()
  if (first !== 0xfe) return fields.fail('a length that is no length')
  const low = fields.uint32LE()
  const high = fields.uint32LE()
  if (high > 0x1fffff) return fields.fail('a number beyond all bounds')
  return high * 0x1_0000_0000 + low
}

/** Passes over a length-encoded integer of any size. */
export function skipLengthEncodedInteger(fields: FieldReader): void {
  const first = fields.uint8()
  if (first < 0xfb) return
  if (first === 0xfc) fields.bytes(2)
  else if (first === 0xfd) fields.bytes(3)
  else if (first === 0xfe) fields.bytes(8)
  else fields.fail('a length that is no length')
}

/** A view of a length-encoded string. */
export function readLengthEncodedString(fields: FieldReader): Buffer {
  return fields.bytes(readLengthEncodedInteger(fields))
}

/** @param value from 0 to 2^24-1 */
export function lengthEncodedInteger(value: number): Buffer {
  if (value < 0xfb) return Buffer.of(value)
  if (value <= 0xffff) return Buffer.of(0xfc, value & 0xff, value >>> 8)
  return Buffer.of(0xfd, value & 0xff, (value >>> 8) & 0xff, value >>> 16)
}

export function lengthEncodedString(value: Buffer): Buffer {
  return Buffer.concat([lengthEncodedInteger(value.length), value])
}

/** Text that the protocol ends with a NUL. A NUL inside it would end it early and is a bug of the caller. */
export function nulTerminated(text: string): Buffer {
  const bytes = Buffer.from(`${text}\0`)
  if (bytes.indexOf(0) !== bytes.length - 1) throw new RangeError('a NUL inside a NUL-terminated string')
  return bytes
}
