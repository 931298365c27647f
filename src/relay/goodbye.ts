/** How a socket is ended from our side. */
import type { Socket } from 'node:net'

/** How long a peer may take to read our last words. */
const GOODBYE_MS = 2_000

/** What was written still leaves; a peer that does not read it is not waited for. The caller listens no more. */
export function sayGoodbye(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.end()
  // Whatever the peer still sends is read and thrown away, so that the kernel does not reset our last words.
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), GOODBYE_MS).unref()
  socket.once('close', () => clearTimeout(timer))
}
