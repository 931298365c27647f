/**
 * The audit log: one JSON object a line, appended, hash-chained.
 *
 * Records are collected during one socket read and handed to the operating system by one `flush()` before any
 * statement of that read is written to a backend. When that fails, the records did not happen: the caller must
 * not relay what they stand for, and the chain goes on from the last record that did reach the file.
 */
import crypto from 'node:crypto'
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import type { AuditContext, AuditEvent } from './event.ts'

/** The `prev` of a file's first record. */
const CHAIN_START = '0'.repeat(64)

/** How much of the file's end is read to find its last record; a record is bounded far below. */
const TAIL_BYTES = 1 << 20

/** How long a result may wait for a write to share; milliseconds. */
const RESULT_MS = 50

/** How often a log that failed is tried again. */
const RETRY_MS = 1_000

const NEWLINE = 0x0a

export class AuditLog {
  readonly file: string
  /** Records that reached the operating system since the start. */
  records = 0
  /** Times that a flush failed since the start. */
  failures = 0
  #fd: number
  #bytes: number
  #seq: number
  #hash: string
  #pending: string[] = []
  #pendingSeq: number
  #pendingHash: string
  #failedAtMs: number | undefined
  #flushTimer: NodeJS.Timeout | undefined

  /**
   * Opens the file for appending and takes up its chain; a torn last line (a crash in the middle of a write) is
   * cut off.
   * @throws the file system's error where the file cannot be opened
   */
  constructor(file: string) {
    this.file = file
    this.#fd = openSync(file, 'a+', 0o600)
    const end = takeUp(this.#fd)
    this.#bytes = end.bytes
    this.#seq = end.seq
    this.#hash = end.hash
    this.#pendingSeq = end.seq
    this.#pendingHash = end.hash
  }

  /** False while the last flush failed. Tries again at most once a second, by writing a record of its recovery. */
  isWritable(nowMs: number): boolean {
    if (this.#failedAtMs === undefined) return true
    if (nowMs - this.#failedAtMs < RETRY_MS) return false
    this.#failedAtMs = nowMs
    this.appendEvent('audit.recovered', undefined, { failures: this.failures })
    return this.flush(nowMs)
  }

  /** Adds a record of the given fields, which are already JSON members (`"a":1,"b":2`), possibly none. */
  append(event: AuditEvent, members: string): void {
    this.#pendingSeq += 1
    const body = `{"time":"${timestamp()}","seq":${this.#pendingSeq},"event":"${event}"${members === '' ? '' : `,${members}`},"prev":"${this.#pendingHash}"`
    this.#pendingHash = sha256(body)
    this.#pending.push(`${body},"hash":"${this.#pendingHash}"}\n`)
  }

  /** Adds a record of plain values; for events that are not on the hot path. */
  appendEvent(
    event: AuditEvent,
    context: AuditContext | undefined,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    this.append(event, members({ ...context, ...fields }))
  }

  /**
   * Hands all added records to the operating system. False: it did not take them, none of them is in the file, and
   * nothing that they record may happen.
   */
  flush(nowMs: number): boolean {
    if (this.#pending.length === 0) return this.#failedAtMs === undefined
    const bytes = Buffer.from(this.#pending.join(''), 'utf8')
    const count = this.#pending.length
    this.#pending = []
    try {
      this.#write(bytes)
    } catch {
      this.failures += 1
      this.#failedAtMs = nowMs
      this.#pendingSeq = this.#seq
      this.#pendingHash = this.#hash
      this.#cutBack()
      return false
    }
    this.#bytes += bytes.length
    this.#seq = this.#pendingSeq
    this.#hash = this.#pendingHash
    this.records += count
    this.#failedAtMs = undefined
    return true
  }

  /**
   * Hands over what waits within {@link RESULT_MS}, or together with the next statement's record: for records that
   * hold nothing back, so that they cost no system call of their own.
   */
  flushSoon(): void {
    if (this.#flushTimer !== undefined || this.#pending.length === 0) return
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined
      this.flush(Date.now())
    }, RESULT_MS)
  }

  close(): void {
    clearTimeout(this.#flushTimer)
    closeSync(this.#fd)
  }

  #write(bytes: Buffer): void {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(this.#fd, bytes, written, bytes.length - written)
    }
  }

  /** A full disk takes a part of a write: cut it off, so that the next record does not join half a line. */
  #cutBack(): void {
    try {
      ftruncateSync(this.#fd, this.#bytes)
    } catch {
      // The device is gone altogether; the torn line is cut off when the file is next opened.
    }
  }
}

/** JSON members of the defined fields, without the braces. */
export function members(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields).slice(1, -1)
}

/** The one-shot form, half the price for a short text, came with Node 20.12. */
const sha256: (text: string) => string =
  'hash' in crypto
    ? (text) => crypto.hash('sha256', text, 'hex')
    : (text) => (crypto as typeof import('node:crypto')).createHash('sha256').update(text).digest('hex')

type ChainEnd = { readonly bytes: number; readonly seq: number; readonly hash: string }

function takeUp(fd: number): ChainEnd {
  const size = fstatSync(fd).size
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES))
  readSync(fd, tail, 0, tail.length, size - tail.length)
  const end = tail.lastIndexOf(NEWLINE) + 1
  const bytes = size - tail.length + end
  if (bytes < size) ftruncateSync(fd, bytes)
  if (end === 0) return { bytes, seq: 0, hash: CHAIN_START }
  const last = tail.subarray(tail.lastIndexOf(NEWLINE, end - 2) + 1, end - 1).toString('utf8')
  const record = JSON.parse(last) as { readonly seq: number; readonly hash: string }
  return { bytes, seq: record.seq, hash: record.hash }
}

let second = -1
let secondText = ''

/** Now in RFC 3339 with microseconds. The part down to the second is made once a second. */
function timestamp(): string {
  const nowMs = performance.timeOrigin + performance.now()
  const nowSecond = Math.floor(nowMs / 1_000)
  if (nowSecond !== second) {
    second = nowSecond
    secondText = new Date(nowSecond * 1_000).toISOString().slice(0, 19)
  }
  const micros = Math.floor((nowMs - nowSecond * 1_000) * 1_000)
  return `${secondText}.${String(micros).padStart(6, '0')}Z`
}
