/**
 * What ends by the clock. A timer is armed anew only when it fires and asks how much time is left, so that neither a
 * statement nor a byte costs one.
 */

/** The longest delay that a Node timer takes; longer ones fire at once. */
const TIMER_MS_MAX = 2_147_483_647

export class Deadlines {
  readonly #timers = new Set<NodeJS.Timeout>()

  /**
   * Calls `due` when time may be up.
   * @param delayMs until the first call
   * @param due gives the milliseconds that are left, after which it is called again; `undefined`: never again
   */
  watch(delayMs: number, due: () => number | undefined): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer)
        const leftMs = delayMs > TIMER_MS_MAX ? delayMs - TIMER_MS_MAX : due()
        if (leftMs !== undefined) this.watch(leftMs, due)
      },
      Math.max(0, Math.min(delayMs, TIMER_MS_MAX)),
    )
    this.#timers.add(timer)
  }

  /** Nothing is due any more. */
  clear(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}
