/** The statements of one session that run on its backend: which, in what order, and for how long. */
export class Running {
  /** When each left, by statement id, in the order of leaving; milliseconds of `performance`. */
  readonly #leftAtMs = new Map<number, number>()
  /** Since when the first of them has the backend for itself. */
  #firstSinceMs = 0

  get isEmpty(): boolean {
    return this.#leftAtMs.size === 0
  }

  /** The statement that the backend is at; `undefined`: none. */
  get first(): number | undefined {
    for (const id of this.#leftAtMs.keys()) return id
    return undefined
  }

  /** How long the backend has been at {@link first}. In a pipeline a statement begins when the one before it has ended. */
  firstMs(nowMs: number): number {
    return nowMs - this.#firstSinceMs
  }

  /** The statement is on its way to the backend. */
  left(statementId: number, nowMs: number): void {
    if (this.isEmpty) this.#firstSinceMs = nowMs
    this.#leftAtMs.set(statementId, nowMs)
  }

  /** The statement has ended. Gives the microseconds since it left. */
  ended(statementId: number, nowMs: number): number {
    const leftAtMs = this.#leftAtMs.get(statementId)
    // Statements end in order: an earlier one that never answered was skipped by the server.
    for (const id of this.#leftAtMs.keys()) {
      if (id > statementId) break
      this.#leftAtMs.delete(id)
    }
    this.#firstSinceMs = nowMs
    return leftAtMs === undefined ? 0 : Math.round((nowMs - leftAtMs) * 1_000)
  }
}
