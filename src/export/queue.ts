/**
 * A queue with a bound, which sends what it holds one after the other and tries again with growing pauses while the receiver
 * fails. The oldest go first and are kept longest: what does not fit is the newest.
 */
import type { OnOutcome, OnTrouble } from './exporter.ts'

export type QueueOptions<Item> = {
  readonly itemsMax: number
  /** Of all that waits; without it only their number is bounded. */
  readonly bytesMax?: number
  /** Rejects where the item must be sent again later. */
  readonly send: (item: Item, signal: AbortSignal) => Promise<void>
  readonly onOutcome: OnOutcome
  readonly onTrouble?: OnTrouble | undefined
  /** Pause after the first failure, which doubles with each further one; milliseconds. */
  readonly backoffMs: { readonly first: number; readonly max: number }
  /** An item that could not be sent for so long is given up; milliseconds. */
  readonly giveUpMs: number
}

type Waiting<Item> = { readonly item: Item; readonly bytes: number; readonly sinceMs: number }

export class RetryQueue<Item> {
  readonly #options: QueueOptions<Item>
  readonly #waiting: Waiting<Item>[] = []
  /** Of all that waits. */
  #bytes = 0
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  /** Ends the pause before the next try. */
  #wake: () => void = () => undefined
  #closing = false

  constructor(options: QueueOptions<Item>) {
    this.#options = options
  }

  /** Items that wait, the one that is being sent among them. */
  get size(): number {
    return this.#waiting.length
  }

  /** @param bytes that the item takes, where `bytesMax` bounds them */
  offer(item: Item, bytes = 0): void {
    const { itemsMax, bytesMax = Number.POSITIVE_INFINITY, onOutcome } = this.#options
    if (this.#closing || this.#waiting.length >= itemsMax || this.#bytes + bytes > bytesMax) {
      onOutcome('dropped', 1)
      return
    }
    this.#bytes += bytes
    this.#waiting.push({ item, bytes, sinceMs: performance.now() })
    this.#running ??= this.#run()
  }

  /** Sends what waits within the time; whatever is left then is dropped. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true
    // What failed before gets one more try at once, and no pause after it.
    this.#wake()
    const timer = setTimeout(() => {
      this.#stop.abort()
      this.#wake()
    }, graceMs)
    await this.#running
    clearTimeout(timer)
  }

  async #run(): Promise<void> {
    let failures = 0
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      if (this.#stop.signal.aborted) {
        this.#options.onOutcome('dropped', this.#waiting.length)
        this.#waiting.length = 0
        this.#bytes = 0
        break
      }
      try {
        await this.#options.send(head.item, this.#stop.signal)
        this.#done('sent')
        failures = 0
      } catch (error) {
        failures += 1
        this.#options.onTrouble?.(wordsOf(error))
        if (performance.now() - head.sinceMs >= this.#options.giveUpMs) this.#done('dropped')
        else await this.#pause(failures)
      }
    }
    this.#running = undefined
  }

  #done(outcome: 'sent' | 'dropped'): void {
    this.#bytes -= this.#waiting.shift()?.bytes ?? 0
    this.#options.onOutcome(outcome, 1)
  }

  #pause(failures: number): Promise<void> {
    const { first, max } = this.#options.backoffMs
    // Half of it by chance, so that many proxies do not come back to a receiver in the same moment.
    const wholeMs = Math.min(max, first * 2 ** Math.min(failures - 1, 30))
    const pauseMs = wholeMs / 2 + (Math.random() * wholeMs) / 2
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#closing ? Math.min(pauseMs, first) : pauseMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** `fetch` says what went wrong only in the cause of its error. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
