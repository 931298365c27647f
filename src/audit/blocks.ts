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
export class LineTooLong extends Error {
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
    if (held === buffer.length) {
      if (held >= LINE_BYTES_MAX) throw new LineTooLong(offset)
      const larger = Buffer.allocUnsafe(held * 2)
      buffer.copy(larger, 0, 0, held)
      buffer = larger
    }
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
