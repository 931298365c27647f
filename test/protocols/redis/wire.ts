/** Bytes of the wire, written and cut. */
import type { Args } from '../../../protocols/redis/args.ts'
import { encodeCommand } from '../../../protocols/redis/frames.ts'

/** A command as a client sends it; words are split at spaces. */
export function command(line: string): Buffer {
  return encodeCommand(line.split(' '))
}

/** Text with `\r\n` where it has `|`. */
export function raw(text: string): Buffer {
  return Buffer.from(text.replaceAll('|', '\r\n'), 'latin1')
}

/** The bytes in pieces: each number is how many bytes the next piece has, and the rest comes last. */
export function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  let at = 0
  for (const size of sizes) {
    if (at >= bytes.length) break
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  if (at < bytes.length) pieces.push(bytes.subarray(at))
  return pieces
}

export function words(args: Args): string[] {
  return Array.from({ length: args.count }, (_, i) => args.latin1(i))
}

/** What is in the chunks, with `|` for `\r\n`. */
export function text(chunks: readonly Buffer[]): string {
  return Buffer.concat([...chunks])
    .toString('latin1')
    .replaceAll('\r\n', '|')
}
