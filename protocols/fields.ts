import { ProtocolError } from './errors.ts'
import type { ProtocolName } from './protocol.ts'

/** Reads fields inside one frame. It cannot see past `end`, whatever the bytes claim. */
export class FieldReader {
  readonly #bytes: Buffer
  readonly #end: number
  readonly #protocol: ProtocolName
  readonly #side: 'client' | 'server'
  /** The next byte to read, an index into the buffer. */
  at: number

  constructor(
    bytes: Buffer,
    range: { readonly start: number; readonly end: number },
    peer: { readonly protocol: ProtocolName; readonly side: 'client' | 'server' },
  ) {
    this.#bytes = bytes
    this.at = range.start
    this.#end = range.end
    this.#protocol = peer.protocol
    this.#side = peer.side
  }

  get remaining(): number {
    return this.#end - this.at
  }

  #advance(size: number): number {
    const at = this.at
    if (size < 0 || size > this.#end - at) this.fail('a field that runs past the end of its message')
    this.at = at + size
    return at
  }

  fail(message: string): never {
    throw new ProtocolError(this.#protocol, this.#side, message)
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#advance(1))
  }
  uint16BE(): number {
    return this.#bytes.readUInt16BE(this.#advance(2))
  }
  uint32BE(): number {
    return this.#bytes.readUInt32BE(this.#advance(4))
  }
  int32BE(): number {
    return this.#bytes.readInt32BE(this.#advance(4))
  }
  uint16LE(): number {
    return this.#bytes.readUInt16LE(this.#advance(2))
  }
  uint24LE(): number {
    return this.#bytes.readUIntLE(this.#advance(3), 3)
  }
  uint32LE(): number {
    return this.#bytes.readUInt32LE(this.#advance(4))
  }

  /** A view of the next `size` bytes. */
  bytes(size: number): Buffer {
    const at = this.#advance(size)
    return this.#bytes.subarray(at, at + size)
  }

  /** A view of all that remains. */
  rest(): Buffer {
    return this.bytes(this.#end - this.at)
  }

  /** The bytes up to a NUL that lies within the frame; the NUL is consumed. */
  untilNul(): Buffer {
    const nul = this.#bytes.indexOf(0, this.at)
    if (nul === -1 || nul >= this.#end) this.fail('a string without an end')
    const view = this.#bytes.subarray(this.at, nul)
    this.at = nul + 1
    return view
  }
}
