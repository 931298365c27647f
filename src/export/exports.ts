/**
 * Hands what the audit log has written to the exporters' thread: one copy of bytes for each write, nothing more, on the way of a
 * statement. What the thread has not taken up is bounded; beyond that records are dropped and counted, and the relay
 * never waits. Records come here only after they have reached the file, which stays the truth.
 */
import { Worker } from 'node:worker_threads'
import { EXPORTERS, type ExporterName, type ExportOutcome, type ExportSettings } from './exporter.ts'
import type { FromThread, ToThread } from './messages.ts'
import { newsOf } from './news.ts'

/** A batch is sent when it has this many bytes, or its first record is this old. */
const BATCH_BYTES = 256 << 10
const BATCH_MS = 100

/** Bytes that the thread has not taken up: some seconds of a busy proxy. */
const WAITING_BYTES_MAX = 16 << 20

/** Beyond these, for what a webhook may be asked for: whoever floods the rest must not keep the news of a hop from leaving. */
const NEWS_BYTES_MAX = 1 << 20

/** Batches whose memory is kept for the next ones. */
const SPARES_MAX = 4

/** How long the exporters may still send when the proxy stops. */
const GRACE_MS = 3_000

/** What the thread may take to end after that, before it is ended. */
const END_MS = 1_000

/** How long after its end a thread that failed is started anew. */
const RESTART_MS = 5_000

/** Heap of the thread: its queues are far below that, and a leak there must not take the proxy's memory. */
const THREAD_HEAP_MB = 256

export type ExportsOptions = {
  readonly settings: ExportSettings
  readonly count: (exporter: ExporterName, outcome: ExportOutcome, records: number) => void
  /** One line for operators. */
  readonly notice: (line: string) => void
}

type Batch = { buffer: ArrayBuffer; bytes: number; records: number }

export class Exports {
  readonly #options: ExportsOptions
  readonly #names: readonly ExporterName[]
  #thread: Worker | undefined
  #batch: Batch = emptyBatch(BATCH_BYTES)
  readonly #spares: ArrayBuffer[] = []
  #timer: NodeJS.Timeout | undefined
  #restart: NodeJS.Timeout | undefined
  /** Bytes and records that are with the thread and not taken up. */
  #sentBytes = 0
  readonly #sentRecords: number[] = []
  /** Records that each exporter held when it was last heard of. */
  readonly #held = new Map<ExporterName, number>()
  #closing = false

  /** `undefined` where nothing is exported. */
  static open(options: ExportsOptions): Exports | undefined {
    return EXPORTERS.some((name) => options.settings[name] !== undefined) ? new Exports(options) : undefined
  }

  private constructor(options: ExportsOptions) {
    this.#options = options
    this.#names = EXPORTERS.filter((name) => options.settings[name] !== undefined)
    this.#start()
  }

  /** Records that an exporter has taken up, and has neither sent nor given up. */
  waiting(exporter: ExporterName): number {
    return this.#held.get(exporter) ?? 0
  }

  /**
   * Whole lines that are in the file now. They are copied: the memory is the log's own.
   * @param records how many lines there are
   */
  readonly written = (lines: Uint8Array, records: number): void => {
    if (this.#hasRoomFor(lines, WAITING_BYTES_MAX)) {
      this.#take(lines, records)
      return
    }
    const news = newsOf(lines)
    const isTaken = news.records > 0 && this.#hasRoomFor(news.lines, WAITING_BYTES_MAX + NEWS_BYTES_MAX)
    if (isTaken) this.#take(news.lines, news.records)
    this.#dropped(isTaken ? records - news.records : records)
  }

  #hasRoomFor(lines: Uint8Array, bytesMax: number): boolean {
    const isOpen = this.#thread !== undefined && !this.#closing
    return isOpen && this.#sentBytes + this.#batch.bytes + lines.length <= bytesMax
  }

  #take(lines: Uint8Array, records: number): void {
    if (this.#batch.bytes + lines.length > this.#batch.buffer.byteLength) {
      this.#send()
      if (lines.length > this.#batch.buffer.byteLength) this.#batch = emptyBatch(lines.length)
    }
    new Uint8Array(this.#batch.buffer).set(lines, this.#batch.bytes)
    this.#batch.bytes += lines.length
    this.#batch.records += records
    this.#timer ??= setTimeout(() => this.#send(), BATCH_MS).unref()
  }

  #send(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const { buffer, bytes, records } = this.#batch
    if (bytes === 0) return
    this.#batch = this.#nextBatch()
    if (this.#thread === undefined) {
      this.#dropped(records)
      return
    }
    this.#sentBytes += bytes
    this.#sentRecords.push(records)
    this.#tell({ kind: 'records', buffer, bytes }, [buffer])
  }

  #nextBatch(): Batch {
    const spare = this.#spares.pop()
    return spare === undefined ? emptyBatch(BATCH_BYTES) : { buffer: spare, bytes: 0, records: 0 }
  }

  #tell(message: ToThread, transfer: readonly ArrayBuffer[]): void {
    this.#thread?.postMessage(message, [...transfer])
  }

  #dropped(records: number): void {
    for (const name of this.#names) this.#options.count(name, 'dropped', records)
  }

  #start(): void {
    const thread = new Worker(threadModule(), {
      workerData: this.#options.settings,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MB },
    })
    // A program that ends is not kept by its exporters: `close` waits for them.
    thread.unref()
    thread.on('message', (message: FromThread) => this.#heard(thread, message))
    thread.on('error', (error) => this.#failed(thread, error.message))
    thread.on('exit', () => this.#failed(thread, 'it ended'))
    this.#thread = thread
  }

  #heard(thread: Worker, message: FromThread): void {
    const { count, notice } = this.#options
    switch (message.kind) {
      case 'taken':
        this.#sentBytes -= message.bytes
        this.#sentRecords.shift()
        if (message.buffer.byteLength === BATCH_BYTES && this.#spares.length < SPARES_MAX) {
          this.#spares.push(message.buffer)
        }
        return
      case 'counts':
        count(message.exporter, 'sent', message.sent)
        count(message.exporter, 'dropped', message.dropped)
        this.#held.set(message.exporter, message.held)
        return
      case 'trouble':
        notice(`warning: exporter ${message.exporter}: ${message.message}`)
        return
      case 'closed':
        void thread.terminate()
        return
    }
  }

  /** The thread is gone, and what it had with it. */
  #failed(thread: Worker, why: string): void {
    if (thread !== this.#thread) return
    this.#thread = undefined
    for (const records of this.#sentRecords) this.#dropped(records)
    for (const [name, records] of this.#held) this.#options.count(name, 'dropped', records)
    this.#sentRecords.length = 0
    this.#held.clear()
    this.#sentBytes = 0
    if (this.#closing) return
    this.#options.notice(`error: the exporters failed and are started anew: ${why}`)
    this.#restart = setTimeout(() => this.#start(), RESTART_MS).unref()
  }

  /** Gives the exporters some seconds to send what they have. Afterwards nothing is taken any more. */
  async close(): Promise<void> {
    this.#send()
    this.#closing = true
    clearTimeout(this.#restart)
    const thread = this.#thread
    if (thread === undefined) return
    const ended = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
    this.#tell({ kind: 'close', graceMs: GRACE_MS }, [])
    thread.ref()
    const timer = setTimeout(() => void thread.terminate(), GRACE_MS + END_MS)
    await ended
    clearTimeout(timer)
  }
}

/**
 * Compiled it is loaded as it is. From the sources, as tests run, tsx is asked for in the thread again: what it did for this
 * one does not reach there.
 */
function threadModule(): URL {
  if (!import.meta.url.endsWith('.ts')) return new URL('./thread.js', import.meta.url)
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'))
  const module = JSON.stringify(new URL('./thread.ts', import.meta.url).href)
  return new URL(`data:text/javascript,import { register } from ${tsx}; register(); await import(${module})`)
}

function emptyBatch(bytes: number): Batch {
  return { buffer: new ArrayBuffer(bytes), bytes: 0, records: 0 }
}
