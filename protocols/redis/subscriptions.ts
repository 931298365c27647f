import type { SubscriptionVerb } from './in-flight.ts'

/**
 * How many subscriptions a connection has, from the server's own counts: each confirmation ends in the number of
 * channels and patterns together, or of shard channels.
 */
export class Subscriptions {
  #channels = 0
  #patterns = 0
  #shards = 0

  get any(): boolean {
    return this.#channels + this.#patterns + this.#shards > 0
  }

  /** How many there are of the kind that the verb is about. */
  count(verb: SubscriptionVerb): number {
    switch (verb) {
      case 'subscribe':
      case 'unsubscribe':
        return this.#channels
      case 'psubscribe':
      case 'punsubscribe':
        return this.#patterns
      case 'ssubscribe':
      case 'sunsubscribe':
        return this.#shards
    }
  }

  /** @param total the number at the end of the confirmation */
  confirm(verb: SubscriptionVerb, total: number): void {
    switch (verb) {
      case 'subscribe':
      case 'unsubscribe':
        this.#channels = Math.max(0, total - this.#patterns)
        return
      case 'psubscribe':
      case 'punsubscribe':
        this.#patterns = Math.max(0, total - this.#channels)
        return
      case 'ssubscribe':
      case 'sunsubscribe':
        this.#shards = total
    }
  }
}
