import type { Socket } from 'node:net'

/** Writes the chunks as one system call where the kernel takes it; gives the bytes. */
export function writeAll(socket: Socket, chunks: readonly Buffer[]): number {
  if (chunks.length === 0 || !socket.writable) return 0
  let bytes = 0
  if (chunks.length > 1) socket.cork()
  for (const chunk of chunks) {
    bytes += chunk.length
    socket.write(chunk)
  }
  if (chunks.length > 1) socket.uncork()
  return bytes
}
