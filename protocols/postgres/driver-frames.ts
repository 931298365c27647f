/**
 * What of a server's bytes a driver may be given that believes them: whole frames of a bounded length, errors and notices
 * that end where they should. `pg-protocol` looks for the end of an ErrorResponse for ever where it has none.
 */
import { Inbox } from '../inbox.ts'
import { broken } from './errors.ts'
import { HEADER_BYTES, lengthAt, SERVER } from './frames.ts'

/** Far above what a row of a catalog takes: 1,600 columns of 63 bytes. */
const LENGTH_MAX = 16 << 20

/** AuthenticationCleartextPassword. */
const CLEARTEXT = 3

const NOTHING = Buffer.alloc(0)

export class DriverFrames {
  readonly #inbox = new Inbox()
  readonly #cleartextAllowed: boolean

  /** @param cleartextAllowed whether the server may have the password as it is: over TLS, or where the operator trusts the path */
  constructor(cleartextAllowed: boolean) {
    this.#cleartextAllowed = cleartextAllowed
  }

  /**
   * Gives the frames that are complete with this chunk; they may be none.
   * @throws ProtocolError where the server does not speak as PostgreSQL does
   */
  take(chunk: Buffer): Buffer {
    const inbox = this.#inbox
    inbox.push(chunk)
    let size = 0
    while (inbox.length - size >= HEADER_BYTES) {
      const at = inbox.start + size
      const length = lengthAt(inbox.buffer, at + 1)
      if (length < 4 || length > LENGTH_MAX) throw broken('server', 'a message of impossible length')
      if (inbox.length - size < 1 + length) break
      this.#check(inbox.buffer[at] ?? 0, inbox.buffer.subarray(at + HEADER_BYTES, at + 1 + length))
      size += 1 + length
    }
    return size === 0 ? NOTHING : inbox.take(size)
  }

  #check(type: number, body: Buffer): void {
    if (type === SERVER.errorResponse || type === SERVER.noticeResponse) checkFields(body)
    if (type === SERVER.authentication && !this.#cleartextAllowed) {
      if (body.length >= 4 && body.readInt32BE() === CLEARTEXT)
        throw broken('server', 'the backend asks for a cleartext password without TLS')
    }
  }
}

/** Fields of a type byte and a string each, up to a NUL where a type would be. */
function checkFields(body: Buffer): void {
  let at = 0
  while (at < body.length && body[at] !== 0) {
    const nul = body.indexOf(0, at + 1)
    if (nul === -1) break
    at = nul + 1
  }
  if (at !== body.length - 1 || body[at] !== 0) throw broken('server', 'an error without an end')
}
