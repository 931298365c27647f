/** Whole lines of a file, many at a time: a file of gigabytes is read in flat memory. */
import type { FileHandle } from 'node:fs/promises'

/** Bytes of one read; large enough that a read's own cost does not show. */
const BLOCK_BYTES = 1 << 20

/** A line longer than this is no record: the largest has a statement of 16,384 characters and a grant of 1,000 lines. */
const LINE_BYTES_MAX = 64 << 20

const NEWLINE = 0x0a

export type Block = {
  /** Whole lines, each with its end. Good until the next block is asked for. */
  readonly bytes: Buffer
  /** Where the first of them stands in the file. */
  readonly offset: number
}

/** A line of a file has no end within {@link LINE_BYTES_MAX}. */
class LineTooLong extends Error {
  readonly code = 'LINE_TOO_LONG'

  constructor(offset: number) {
    super(`the line at byte ${offset} is longer than ${LINE_BYTES_MAX} bytes`)
    this.name = 'LineTooLong'
  }
}

export type BlockOptions = {
  /** The byte to begin at, which begins a line. */
  readonly from?: number
  /** Told what stands behind the last line end: a record that is being written, or one that a crash has torn. */
  readonly onRest?: (bytes: number, offset: number) => void
}

/** Reads an open file to its end as it is then. Rejects with the file system's error, or {@link LineTooLong}. */
export async function* readBlocks(
  handle: FileHandle,
  { from = 0, onRest }: BlockOptions = {},
): AsyncGenerator<Block> {
  let buffer = Buffer.allocUnsafe(BLOCK_BYTES)
  let held = 0
  let offset = from
  for (;;) {
    if (held === buffer.length) buffer = twice(buffer, held, offset)
    const { bytesRead } = await handle.read(buffer, held, buffer.length - held, offset + held)
    if (bytesRead === 0) {
      if (held > 0) onRest?.(held, offset)
      return
    }
    const searched = held
    held += bytesRead
    const last = buffer.subarray(searched, held).lastIndexOf(NEWLINE)
    if (last === -1) continue
    const end = searched + last + 1
    yield { bytes: buffer.subarray(0, end), offset }
    buffer.copyWithin(0, end, held)
    held -= end
    offset += end
  }
}

/**
 * The same lines, from the end of the file to its start; within a block they stand in their order.
 * @param to the byte to begin before; `undefined`: the end of the file
 */
export async function* readBlocksBackwards(handle: FileHandle, to?: number): AsyncGenerator<Block> {
  let buffer = Buffer.allocUnsafe(BLOCK_BYTES)
  let end = to ?? (await handle.stat()).size
  // What stands behind the last line end is no line.
  let isWhole = false
  while (end > 0) {
    const from = Math.max(0, end - buffer.length)
    const length = await readWhole(handle, buffer, from, end - from)
    const chunk = buffer.subarray(0, length)
    const last = isWhole ? length - 1 : chunk.lastIndexOf(NEWLINE)
    // The first line of the chunk may begin before it, but not at the start of the file.
    const start = from === 0 ? 0 : chunk.subarray(0, Math.max(0, last)).indexOf(NEWLINE) + 1
    if (last === -1 || (from > 0 && start === 0)) {
      if (from === 0) return
      buffer = twice(buffer, 0, from)
      continue
    }
    isWhole = true
    yield { bytes: chunk.subarray(start, last + 1), offset: from + start }
    end = from + start
  }
}

async function readWhole(handle: FileHandle, buffer: Buffer, from: number, length: number): Promise<number> {
  let done = 0
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, from + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

function twice(buffer: Buffer<ArrayBuffer>, held: number, offset: number): Buffer<ArrayBuffer> {
  if (buffer.length >= LINE_BYTES_MAX) throw new LineTooLong(offset)
  const larger = Buffer.allocUnsafe(buffer.length * 2)
  buffer.copy(larger, 0, 0, held)
  return larger
}
