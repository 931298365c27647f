/**
 * Cancels on their way to one backend connection. Each is a connection of its own that says `KILL QUERY`, which ends
 * whatever statement runs when it arrives, and nothing where none runs. So no statement of the client may begin while one
 * is on its way: it would be the wrong one.
 */
export class Cancels {
  readonly #underWay = new Set<object>()

  get pending(): boolean {
    return this.#underWay.size > 0
  }

  begun(cancel: object): void {
    this.#underWay.add(cancel)
  }

  /** The server has answered it, or refused the connection. */
  ended(cancel: object): void {
    this.#underWay.delete(cancel)
  }

  /** None will arrive any more. */
  over(): void {
    this.#underWay.clear()
  }
}
