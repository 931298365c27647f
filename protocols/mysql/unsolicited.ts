/** What a server says between commands: an error, when it shuts down, has waited for too long, or the session was killed. */
import { ProtocolError } from '../errors.ts'
import type { Inbox } from '../inbox.ts'
import { bodyLength, HEADER_BYTES } from './frames.ts'

/** Such an error is a short sentence. */
const BODY_BYTES_MAX = 4096

/**
 * Removes it from the inbox.
 *
 * @returns its body; `undefined` while it has not wholly arrived
 * @throws ProtocolError where it is no error
 */
export function takeUnsolicited(inbox: Inbox): Buffer | undefined {
  if (inbox.length < HEADER_BYTES + 1) return undefined
  const length = bodyLength(inbox.buffer, inbox.start)
  const isError = inbox.buffer.readUInt8(inbox.start + HEADER_BYTES) === 0xff
  if (!isError || length > BODY_BYTES_MAX) throw new ProtocolError('mysql', 'server', 'a reply to no command')
  if (inbox.length < HEADER_BYTES + length) return undefined
  inbox.skip(HEADER_BYTES)
  return inbox.take(length)
}
