/**
 * How many statements were sent in the last minute, under each key. The counts outlive the sessions: a run that connects
 * anew has not begun anew.
 */

/** One count for each of 60 seconds and for the one that is passing: no 60 s can lie outside. */
const SECONDS = 61

/** How often keys that were silent for a minute are forgotten. */
const SWEEP_MS = 60_000

export class StatementRates {
  readonly #minutes = new Map<string, Minute>()
  #sweptAtMs = 0

  /**
   * Counts a statement; false, and not counted, where `limit` were counted under the key in the last 60 s.
   * @param nowMs milliseconds since the epoch
   */
  count(key: string, limit: number, nowMs: number): boolean {
    let minute = this.#minutes.get(key)
    if (minute === undefined) {
      if (nowMs - this.#sweptAtMs >= SWEEP_MS) this.#sweep(nowMs)
      minute = new Minute()
      this.#minutes.set(key, minute)
    }
    return minute.count(limit, nowMs)
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#minutes.size
  }

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs
    for (const [key, minute] of this.#minutes) if (minute.isEmpty(nowMs)) this.#minutes.delete(key)
  }
}

class Minute {
  readonly #counts = new Uint32Array(SECONDS)
  #second = 0
  #total = 0

  count(limit: number, nowMs: number): boolean {
    this.#pass(nowMs)
    if (this.#total >= limit) return false
    const slot = this.#second % SECONDS
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1
    this.#total += 1
    return true
  }

  isEmpty(nowMs: number): boolean {
    this.#pass(nowMs)
    return this.#total === 0
  }

  /** Forgets the seconds that have passed. A clock that is set back stands still here until it has caught up. */
  #pass(nowMs: number): void {
    const second = Math.floor(nowMs / 1_000)
    if (second - this.#second >= SECONDS) {
      this.#counts.fill(0)
      this.#total = 0
      this.#second = second
    }
    while (this.#second < second) {
      this.#second += 1
      const slot = this.#second % SECONDS
      this.#total -= this.#counts[slot] ?? 0
      this.#counts[slot] = 0
    }
  }
}
