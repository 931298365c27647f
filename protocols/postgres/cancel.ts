import { int32 } from './frames.ts'

/**
 * CancelRequest, alone on a connection of its own; nobody answers it.
 *
 *     length | 1234 5678 | process id | secret key          4 bytes of key in protocol 3.0, up to 256 in 3.2
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export const CANCEL_REQUEST_CODE = 80_877_102

export function cancelRequest(processId: number, secret: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(12 + secret.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes.writeUInt32BE(CANCEL_REQUEST_CODE, 4)
  bytes.writeUInt32BE(processId, 8)
  secret.copy(bytes, 12)
  return bytes
}

/** The name under which a session can be cancelled: what the client sends back, in hexadecimal. */
export function cancelKeyOf(processIdAndSecret: Buffer): string {
  return processIdAndSecret.toString('hex')
}

/** Process id and secret as the client gets them: nothing of the backend's own. */
export type ClientKey = { readonly body: Buffer; readonly name: string }

/** @param secretBytes 4 in protocol 3.0, 32 in 3.2 */
export function newClientKey(random: (size: number) => Buffer, secretBytes: 4 | 32): ClientKey {
  const drawn = random(4 + secretBytes)
  // A process id is positive in every client that prints it.
  const processId = int32((drawn.readUInt32BE(0) & 0x7fff_ffff) | 1)
  const body = Buffer.concat([processId, drawn.subarray(4)])
  return { body, name: cancelKeyOf(body) }
}
