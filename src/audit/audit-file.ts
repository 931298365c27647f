/** One open file of the log: takes up where it ends, takes bytes, and never keeps half a write. */
import { createHash } from 'node:crypto'
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { rotatedFiles } from './files.ts'
import { parseRecord } from './record.ts'

/** The `prev` of a log's first record. */
export const CHAIN_START = '0'.repeat(64)

/** The last record is looked for backwards, and the first forwards, in steps of this size. */
const STEP_BYTES = 64 << 10

const NEWLINE = 0x0a

/** Where a chain stands: its last record. */
export type ChainEnd = { readonly seq: number; readonly hash: string }

/** What was cut off because a crash had torn it. */
export type TornEnd = { readonly bytes: number; readonly sha256: string }

/** The file does not hold what an audit log holds. */
export class NotAnAuditFile extends Error {
  readonly code = 'NOT_AN_AUDIT_FILE'

  constructor(file: string) {
    super(`the last line of ${file} is no audit record: the log goes on only where its end can be read`)
    this.name = 'NotAnAuditFile'
  }
}

export class AuditFile {
  readonly path: string
  /** False for a device or a pipe, which can neither be rotated nor taken up again. */
  readonly isRegular: boolean
  /** The record that ends it; `undefined` while it is empty. */
  readonly end: ChainEnd | undefined
  readonly torn: TornEnd | undefined
  /** Bytes of whole records. */
  bytes: number
  /** Number and time (milliseconds since the epoch) of the first record; `undefined` while it is empty. */
  first: { readonly seq: number; readonly timeMs: number } | undefined
  readonly #fd: number
  /** True where a part of a record may stand at the end. */
  #halfWritten = false

  /**
   * Opens a file for appending, making it where there is none; a torn last line (a crash in the middle of a write) is cut off.
   * @throws NotAnAuditFile, or the file system's error
   */
  constructor(path: string) {
    this.path = path
    this.#fd = openSync(path, 'a+', 0o600)
    try {
      const stat = fstatSync(this.#fd)
      this.isRegular = stat.isFile()
      const size = this.isRegular ? stat.size : 0
      this.bytes = lastNewline(this.#fd, size) + 1
      this.torn = this.bytes < size ? cutOff(this.#fd, this.bytes, size) : undefined
      if (this.bytes > 0) {
        this.end = lastRecord(this.#fd, this.bytes, path)
        this.first = firstRecord(this.#fd, this.bytes)
      }
    } catch (error) {
      closeSync(this.#fd)
      throw error
    }
  }

  /** Hands the bytes to the operating system: all of them, or none that stays. @throws the file system's error */
  write(bytes: Buffer, length: number, sync: boolean): void {
    // A full disk takes a part of a write: it is cut off first, so that the next record does not join half a line.
    if (this.#halfWritten) {
      if (this.isRegular && fstatSync(this.#fd).size > this.bytes) ftruncateSync(this.#fd, this.bytes)
      this.#halfWritten = false
    }
    try {
      for (let written = 0; written < length; ) {
        written += writeSync(this.#fd, bytes, written, length - written)
      }
      if (sync) fdatasyncSync(this.#fd)
    } catch (error) {
      this.#halfWritten = true
      throw error
    }
    this.bytes += length
  }

  /** Brings what was written to the device, beside the work. */
  sync(done: (error: NodeJS.ErrnoException | undefined) => void): void {
    fdatasync(this.#fd, (error) => done(error ?? undefined))
  }

  /** False where the file was moved or removed, so that nobody would find what is written. */
  isInPlace(): boolean {
    try {
      const named = statSync(this.path)
      const open = fstatSync(this.#fd)
      return named.ino === open.ino && named.dev === open.dev
    } catch {
      return false
    }
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/** Brings the names in a file's folder to the device: a file that is synced is lost all the same with its name. */
export function syncNames(file: string): void {
  const fd = openSync(dirname(file), 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The end of the newest rotated file: where a new file's chain goes on. `undefined`: the log begins. @throws NotAnAuditFile */
export function endOfRotated(file: string): (ChainEnd & { readonly path: string }) | undefined {
  for (const path of [...rotatedFiles(file)].reverse()) {
    const fd = openSync(path, 'r')
    try {
      const bytes = lastNewline(fd, fstatSync(fd).size) + 1
      if (bytes > 0) return { path, ...lastRecord(fd, bytes, path) }
    } finally {
      closeSync(fd)
    }
  }
  return undefined
}

function cutOff(fd: number, from: number, to: number): TornEnd {
  const hash = createHash('sha256')
  const step = Buffer.alloc(Math.min(to - from, STEP_BYTES))
  for (let at = from; at < to; ) {
    const read = readSync(fd, step, 0, Math.min(step.length, to - at), at)
    if (read === 0) break
    hash.update(step.subarray(0, read))
    at += read
  }
  ftruncateSync(fd, from)
  return { bytes: to - from, sha256: hash.digest('hex') }
}

/** @param end behind the last line end */
function lastRecord(fd: number, end: number, path: string): ChainEnd {
  const start = lastNewline(fd, end - 1) + 1
  const record = parseRecord(text(fd, start, end - 1))
  if (
    record === undefined ||
    !Number.isSafeInteger(record.seq) ||
    !/^[0-9a-f]{64}$/.test(String(record.hash))
  ) {
    throw new NotAnAuditFile(path)
  }
  return { seq: record.seq, hash: record.hash }
}

function firstRecord(fd: number, end: number): AuditFile['first'] {
  for (let size = STEP_BYTES; ; size *= 2) {
    const head = text(fd, 0, Math.min(size, end))
    const newline = head.indexOf('\n')
    if (newline === -1 && size < end) continue
    const record = parseRecord(newline === -1 ? head : head.slice(0, newline))
    return record && { seq: record.seq, timeMs: Date.parse(record.time) }
  }
}

function text(fd: number, from: number, to: number): string {
  const bytes = Buffer.alloc(to - from)
  for (let read = 0; read < bytes.length; ) {
    const more = readSync(fd, bytes, read, bytes.length - read, from + read)
    if (more === 0) break
    read += more
  }
  return bytes.toString('utf8')
}

/** Offset of the last line end before `end`, or -1. However long a line is, it is found. */
function lastNewline(fd: number, end: number): number {
  const step = Buffer.alloc(Math.min(end, STEP_BYTES))
  for (let to = end; to > 0; ) {
    const from = Math.max(0, to - STEP_BYTES)
    const read = readSync(fd, step, 0, to - from, from)
    const found = step.subarray(0, read).lastIndexOf(NEWLINE)
    if (found !== -1) return from + found
    to = from
  }
  return -1
}
