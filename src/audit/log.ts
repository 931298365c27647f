/**
 * The audit log: one JSON object a line, appended, hash-chained.
 *
 * Records are collected during one socket read and handed to the operating system by one `flush()` before any
 * statement of that read is written to a backend. When that fails, the records did not happen: the caller must
 * not relay what they stand for, and the chain goes on from the last record that did reach the file.
 */
import { existsSync, renameSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { AuditFile, CHAIN_START, type ChainEnd, endOfRotated, syncNames } from './audit-file.ts'
import { CheckpointSigner } from './checkpoint.ts'
import type { AuditContext, AuditEvent } from './event.ts'
import { rotatedFile } from './files.ts'
import { AuditLock, LOCK_KEEP_MS } from './lock.ts'
import { PendingRecords } from './pending.ts'

/** How long a result may wait for a write to share; milliseconds. */
const RESULT_MS = 50

/** How often a log that failed is tried again. */
const RETRY_MS = 1_000

/** How long a rotation that failed waits for its next try. */
const ROTATE_AGAIN_MS = 60_000

/** A write that takes longer holds up every session: the log counts as failed until one is quick again. */
const SLOW_MS = 1_000

/** How often rotation by time, checkpoints and the file's place are looked at. */
const TICK_MS = 1_000

/** When what is written is brought to the device, so that it outlives a crash of the machine. */
export type FsyncPolicy = 'never' | 'always' | { readonly everyMs: number }

export type AuditOptions = {
  readonly fsync?: FsyncPolicy | undefined
  /** The file is rotated once it has this many bytes, or its first record is this old. */
  readonly rotate?: { readonly bytes?: number | undefined; readonly everyMs?: number | undefined } | undefined
  /** `key`: text of a private Ed25519 key as a JSON Web Key. */
  readonly checkpoint?: { readonly key: string; readonly everyMs: number } | undefined
  /** How often the lock is touched and looked after; a test has no time for the usual five seconds. */
  readonly keepMs?: number | undefined
  /** One line for operators. */
  readonly notice?: ((line: string) => void) | undefined
  /** Milliseconds since the epoch; the same clock that `flush` is called with. */
  readonly now?: (() => number) | undefined
}

/** Someone whose work goes on when what it has recorded is in the file. */
export interface Waiter {
  /** {@link AuditLog.failures} before its first record. */
  readonly heldSince: number
  flushed(recorded: boolean): void
}

export class AuditLog {
  readonly file: string
  /** Records that reached the operating system since the start. */
  records = 0
  /** Times that a flush failed, or took so long that it counts as failed, since the start. */
  failures = 0
  #waiters: Waiter[] = []
  /** Why nothing can be written at present: an error's code, `slow`, `taken`; `undefined` while the log is well. */
  fault: string | undefined
  /**
   * Told of each write that the file has taken: whole lines, which are valid during the call only, and how many. It stands in
   * the way of every statement: it must be quick, and never throw.
   */
  onWritten: ((lines: Uint8Array, records: number) => void) | undefined
  readonly #options: AuditOptions
  readonly #signer: CheckpointSigner | undefined
  readonly #lock: AuditLock | undefined
  readonly #ticker: NodeJS.Timeout
  #target: AuditFile
  readonly #pending: PendingRecords
  /** The last record that was handed over. */
  #end: ChainEnd
  #failedAtMs: number | undefined
  #flushTimer: NodeJS.Timeout | undefined
  /** What stands before anything else that is written next: the file before this one, a torn line that was cut off. */
  #due: readonly DueRecord[] = []
  /** The number of the last record that a checkpoint covers, and when that was (of `performance`). */
  #coveredSeq: number
  #coveredAtMs = performance.now()
  #isSynced = true
  #syncedAtMs = performance.now()
  #keptAtMs = performance.now()
  #rotatesAgainMs = 0
  #isRotating = false

  /**
   * Opens the file for appending and takes up its chain, or that of the newest rotated file where it is new; a torn last line
   * is cut off, and the next record says so.
   * @throws AuditLocked, NotAnAuditFile, CheckpointKeyError, or the file system's error
   */
  constructor(file: string, options: AuditOptions = {}) {
    this.file = file
    this.#options = options
    this.#signer = options.checkpoint && new CheckpointSigner(options.checkpoint.key)
    const lock = needsLock(file) ? new AuditLock(file) : undefined
    this.#lock = lock
    try {
      this.#target = new AuditFile(file)
      if (this.#syncs && this.#target.isRegular) syncNames(file)
      const before = this.#target.isRegular && this.#target.end === undefined ? endOfRotated(file) : undefined
      if (before !== undefined) this.#due = [followsFile(before.path, before)]
      this.#end = this.#target.end ?? before ?? { seq: 0, hash: CHAIN_START }
    } catch (error) {
      lock?.release()
      throw error
    }
    this.#pending = new PendingRecords(this.#end)
    this.#coveredSeq = this.#end.seq
    const { torn } = this.#target
    if (torn !== undefined) this.#due = [...this.#due, ['audit.repaired', torn]]
    const { fsync } = options
    const everyMs = typeof fsync === 'object' ? Math.min(fsync.everyMs, TICK_MS) : TICK_MS
    this.#ticker = setInterval(() => this.#tick(), everyMs).unref()
  }

  /** False while the last flush failed. Tries again at most once a second, by writing a record of its recovery. */
  isWritable(nowMs: number): boolean {
    if (this.#failedAtMs === undefined) return true
    const sinceMs = nowMs - this.#failedAtMs
    // A clock that was set back does not hold up the log until it has caught up.
    if ((sinceMs >= 0 && sinceMs < RETRY_MS) || this.fault === 'taken') return false
    // Nobody would find what is written to a file that was moved or removed.
    if (!this.#target.isInPlace() && !this.#reopen()) return false
    this.appendEvent('audit.recovered', undefined, { failures: this.failures, fault: this.fault })
    return this.#handOver(nowMs) && this.#failedAtMs === undefined
  }

  /** Adds a record of the given fields, which are already JSON members (`"a":1,"b":2`), possibly none. */
  append(event: AuditEvent, written: string): void {
    if (this.#pending.count === 0 && this.#due.length > 0) {
      for (const [dueEvent, fields] of this.#due) this.#pending.add(dueEvent, members(fields))
    }
    this.#pending.add(event, written)
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
      this.#pending.clear(this.#end)
      return false
    }
    return this.#pending.count === 0 || this.#handOver(nowMs)
  }

  /**
   * As {@link flush}, for records that were added while {@link failures} was `since`: those that a failure has dropped
   * meanwhile are not in the file, whatever was written after them.
   */
  flushSince(since: number, nowMs: number): boolean {
    const isWhole = since === this.failures
    return this.flush(nowMs) && isWhole
  }

  /** Hands over, at the end of this turn of the event loop and by one write, what all that wait have added. */
  flushTogether(waiter: Waiter): void {
    this.#waiters.push(waiter)
    if (this.#waiters.length === 1) setImmediate(this.#flushWaiters)
  }

  readonly #flushWaiters = (): void => {
    const waiters = this.#waiters
    this.#waiters = []
    const { failures } = this
    const taken = this.flush(this.#now())
    for (const waiter of waiters) waiter.flushed(taken && waiter.heldSince === failures)
  }

  #handOver(nowMs: number): boolean {
    const pending = this.#pending
    const startedAtMs = performance.now()
    const wasEmpty = this.#target.first === undefined
    try {
      this.#target.write(pending.buffer, pending.length, this.#options.fsync === 'always')
    } catch (error) {
      this.#fail(nowMs, (error as NodeJS.ErrnoException).code ?? 'error')
      this.#pending.clear(this.#end)
      return false
    }
    if (wasEmpty) this.#target.first = { seq: this.#end.seq + 1, timeMs: Date.now() }
    this.#end = { seq: pending.seq, hash: pending.hash }
    this.records += pending.count
    this.#isSynced = this.#options.fsync === 'always'
    this.#due = []
    this.onWritten?.(pending.buffer.subarray(0, pending.length), pending.count)
    pending.clear(this.#end)
    this.#failedAtMs = undefined
    this.fault = undefined
    // These records are in the file; what comes next must not wait like this for every session.
    if (performance.now() - startedAtMs > SLOW_MS) this.#fail(nowMs, 'slow')
    const { bytes } = this.#options.rotate ?? {}
    if (bytes !== undefined && this.#target.bytes >= bytes) this.#rotate()
    return true
  }

  #fail(nowMs: number, fault: string): void {
    this.failures += 1
    this.fault = fault
    this.#failedAtMs = nowMs
  }

  /**
   * Hands over what waits within {@link RESULT_MS}, or together with the next statement's record: for records that
   * hold nothing back, so that they cost no system call of their own.
   */
  flushSoon(now: () => number): void {
    if (this.#flushTimer !== undefined || this.#pending.count === 0) return
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined
      this.flush(now())
    }, RESULT_MS)
  }

  #tick(): void {
    const nowMs = performance.now()
    if (nowMs - this.#keptAtMs >= (this.#options.keepMs ?? LOCK_KEEP_MS)) {
      this.#keptAtMs = nowMs
      if (this.#lock?.keep() === false) this.#taken()
    }
    if (this.#failedAtMs !== undefined) return
    const { fsync, rotate, checkpoint } = this.#options
    if (typeof fsync === 'object' && !this.#isSynced && nowMs - this.#syncedAtMs >= fsync.everyMs)
      this.#sync()
    if (!this.#target.isInPlace()) this.#reopen()
    const bornMs = this.#target.first?.timeMs
    if (rotate?.everyMs !== undefined && bornMs !== undefined && Date.now() - bornMs >= rotate.everyMs) {
      this.#rotate()
    }
    if (checkpoint !== undefined && nowMs - this.#coveredAtMs >= checkpoint.everyMs) this.#checkpoint()
  }

  #taken(): void {
    this.#fail(this.#now(), 'taken')
    this.#notice(
      `error: another process has taken the audit file ${this.file}: nothing passes until a restart`,
    )
  }

  #sync(): void {
    this.#isSynced = true
    this.#syncedAtMs = performance.now()
    const target = this.#target
    target.sync((error) => {
      if (error === undefined || target !== this.#target) return
      this.#isSynced = false
      this.#fail(this.#now(), error.code ?? 'fsync')
    })
  }

  /** Signs the head as it is now, unless nothing was recorded since the last time. */
  #checkpoint(): void {
    const signer = this.#signer
    if (signer === undefined || this.#pending.seq === this.#coveredSeq) return
    const firstSeq = this.#target.first?.seq ?? this.#pending.seq
    const head = {
      seq: this.#pending.seq,
      hash: this.#pending.hash,
      count: this.#pending.seq - firstSeq + 1,
    }
    this.appendEvent('audit.checkpoint', undefined, {
      head_seq: head.seq,
      head_hash: head.hash,
      count: head.count,
      jws: signer.sign(head),
    })
    this.#coveredAtMs = performance.now()
    if (this.#failedAtMs === undefined && this.#handOver(this.#now())) this.#coveredSeq = this.#end.seq
    else this.#pending.clear(this.#end)
  }

  /** Gives the file its lasting name and goes on in a new one. A file that cannot be rotated is written on. */
  #rotate(): void {
    const old = this.#target
    if (
      this.#isRotating ||
      !old.isRegular ||
      old.first === undefined ||
      performance.now() < this.#rotatesAgainMs
    )
      return
    this.#isRotating = true
    this.#checkpoint()
    this.#settle()
    const lasting = rotatedFile(this.file, old.first.seq)
    try {
      if (existsSync(lasting)) throw new Error(`${lasting} is there already`)
      renameSync(this.file, lasting)
      this.#goOn(this.#newFile(lasting), lasting)
    } catch (error) {
      this.#rotatesAgainMs = performance.now() + ROTATE_AGAIN_MS
      this.#notice(`error: the audit file cannot be rotated, and is written on: ${(error as Error).message}`)
    }
    this.#isRotating = false
  }

  /** @throws the file system's error; the file has its own name again then */
  #newFile(lasting: string): AuditFile {
    try {
      return new AuditFile(this.file)
    } catch (error) {
      renameSync(lasting, this.file)
      throw error
    }
  }

  /** False: no new file can be made. */
  #reopen(): boolean {
    try {
      const target = new AuditFile(this.file)
      this.#isRotating = true
      this.#settle()
      this.#isRotating = false
      this.#goOn(target, this.file)
      this.#notice(`warning: the audit file ${this.file} was moved or removed: a new one goes on`)
      return true
    } catch (error) {
      this.#fail(this.#now(), (error as NodeJS.ErrnoException).code ?? 'error')
      return false
    }
  }

  /** What waits goes to the file that it was chained for: the next one begins with what came before it. */
  #settle(): void {
    if (this.#pending.count > 0 && this.#failedAtMs === undefined) this.#handOver(this.#now())
    this.#pending.clear(this.#end)
  }

  #goOn(target: AuditFile, previous: string): void {
    this.#closeFile(this.#target)
    if (this.#syncs) syncNames(this.file)
    this.#target = target
    this.#isSynced = true
    this.#due = [followsFile(previous, this.#end)]
  }

  #closeFile(target: AuditFile): void {
    // Also where a sync is under way: it may begin only after the file was closed.
    if (this.#syncs) target.sync(() => target.close())
    else target.close()
  }

  /** Hands over what waits, signs the end, and gives the file free. */
  close(): void {
    clearTimeout(this.#flushTimer)
    clearInterval(this.#ticker)
    this.flush(this.#now())
    this.#checkpoint()
    this.#closeFile(this.#target)
    this.#lock?.release()
  }

  /** True where records must outlive a crash of the machine. */
  get #syncs(): boolean {
    const { fsync } = this.#options
    return fsync !== undefined && fsync !== 'never'
  }

  #now(): number {
    return (this.#options.now ?? Date.now)()
  }

  #notice(line: string): void {
    this.#options.notice?.(line)
  }
}

type DueRecord = readonly [AuditEvent, Readonly<Record<string, unknown>>]

/** The first record of a file that goes on where another ended. */
function followsFile(path: string, { seq, hash }: ChainEnd): DueRecord {
  return ['audit.file', { previous_file: basename(path), previous_seq: seq, previous_hash: hash }]
}

/** A device or a pipe has no name that another process could take. */
function needsLock(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() !== false
}

/** JSON members of the defined fields, without the braces. */
export function members(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields).slice(1, -1)
}
