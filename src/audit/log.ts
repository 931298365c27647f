/**
 * The audit log: one JSON object a line, appended, hash-chained.
 *
 * Records are collected during one socket read and handed to the operating system by one `flush()` before any
 * statement of that read is written to a backend. When that fails, the records did not happen: the caller must
 * not relay what they stand for, and the chain goes on from the last record that did reach the file.
 */
import crypto from 'node:crypto'
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { escaped } from './escape.ts'
import type { AuditContext, AuditEvent } from './event.ts'

/** The `prev` of a file's first record. */
const CHAIN_START = '0'.repeat(64)

/** The file's last record is looked for backwards in steps of this size. */
const STEP_BYTES = 64 << 10

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
  /** True where a part of a record may stand at the end of the file. */
  #torn = false
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
    this.appendEvent('audit.recovered', undefined, { failures: this.failures })
    return this.#handOver(nowMs)
  }

  /** Adds a record of the given fields, which are already JSON members (`"a":1,"b":2`), possibly none. */
  append(event: AuditEvent, members: string): void {
    this.#pendingSeq += 1
    const fields = members === '' ? '' : `,${escaped(members)}`
    const body = `{"time":"${timestamp()}","seq":${this.#pendingSeq},"event":"${event}"${fields},"prev":"${this.#pendingHash}"`
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
   * nothing that they record may happen. So it is, too, while {@link isWritable} has not found the log well again: a small
   * record that fits must not stand for a big one that did not.
   */
  flush(nowMs: number): boolean {
    if (this.#failedAtMs !== undefined) {
      this.#forget()
      return false
    }
    return this.#pending.length === 0 || this.#handOver(nowMs)
  }

  #handOver(nowMs: number): boolean {
    const bytes = Buffer.from(this.#pending.join(''), 'utf8')
    const count = this.#pending.length
    this.#pending = []
    try {
      this.#write(bytes)
    } catch {
      this.failures += 1
      this.#failedAtMs = nowMs
      this.#torn = true
      this.#forget()
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
  flushSoon(now: () => number): void {
    if (this.#flushTimer !== undefined || this.#pending.length === 0) return
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined
      this.flush(now())
    }, RESULT_MS)
  }

  close(): void {
    clearTimeout(this.#flushTimer)
    closeSync(this.#fd)
  }

  /** The records that wait did not happen. */
  #forget(): void {
    this.#pending = []
    this.#pendingSeq = this.#seq
    this.#pendingHash = this.#hash
  }

  /** @throws the file system's error */
  #write(bytes: Buffer): void {
    // A full disk takes a part of a write: it is cut off first, so that the next record does not join half a line.
    if (this.#torn && fstatSync(this.#fd).size !== this.#bytes) ftruncateSync(this.#fd, this.#bytes)
    this.#torn = false
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(this.#fd, bytes, written, bytes.length - written)
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

/** @throws Error where the last record cannot be read: whoever keeps the file must say what it is */
function takeUp(fd: number): ChainEnd {
  const size = fstatSync(fd).size
  const bytes = lastNewline(fd, size) + 1
  if (bytes < size) ftruncateSync(fd, bytes)
  if (bytes === 0) return { bytes, seq: 0, hash: CHAIN_START }
  const start = lastNewline(fd, bytes - 1) + 1
  const line = Buffer.alloc(bytes - 1 - start)
  readSync(fd, line, 0, line.length, start)
  const record = JSON.parse(line.toString('utf8')) as { readonly seq: unknown; readonly hash: unknown }
  if (!Number.isSafeInteger(record.seq) || typeof record.hash !== 'string') {
    throw new Error('the last line of the audit file is no audit record')
  }
  return { bytes, seq: Number(record.seq), hash: record.hash }
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
