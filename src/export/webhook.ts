/**
 * Events to people: a POST for each hop, quarantine or revocation, signed after Standard Webhooks
 * (https://www.standardwebhooks.com), so that any of its libraries can check it.
 *
 *   webhook-id         the record's hash: the same in every try, and the record's name in the audit file
 *   webhook-timestamp  seconds since the epoch, of this try
 *   webhook-signature  v1,<base64 of the HMAC-SHA256 of "id.timestamp.body">
 */
import { createHmac } from 'node:crypto'
import type { AuditRecord } from '../audit/record.ts'
import type { Exporter, OnOutcome, OnTrouble, WebhookSettings } from './exporter.ts'
import { RetryQueue } from './queue.ts'

/** Hops are rare; a thousand that wait are an attack or a receiver that is gone. */
const EVENTS_MAX = 1_000

/** The time that Standard Webhooks advises: 15 to 30 s. */
const REQUEST_MS_MAX = 15_000

const BACKOFF_MS = { first: 1_000, max: 60_000 }

/** Old news of a hop is in the audit file. */
const GIVE_UP_MS = 24 * 3_600_000

/** Hexadecimal digits of the hash: 128 bits name a record. */
const ID_CHARACTERS = 32

export class Webhook implements Exporter {
  readonly #settings: WebhookSettings
  readonly #queue: RetryQueue<AuditRecord>

  constructor(
    settings: WebhookSettings,
    onOutcome: OnOutcome,
    times: {
      readonly backoffMs: { readonly first: number; readonly max: number }
      readonly giveUpMs: number
    } = {
      backoffMs: BACKOFF_MS,
      giveUpMs: GIVE_UP_MS,
    },
    onTrouble?: OnTrouble,
  ) {
    this.#settings = settings
    const send = (record: AuditRecord, signal: AbortSignal): Promise<void> => this.#post(record, signal)
    this.#queue = new RetryQueue({ itemsMax: EVENTS_MAX, send, onOutcome, onTrouble, ...times })
  }

  offer(record: AuditRecord): void {
    if (this.#settings.events.includes(record.event)) this.#queue.offer(record)
  }

  get held(): number {
    return this.#queue.size
  }

  close(graceMs: number): Promise<void> {
    return this.#queue.close(graceMs)
  }

  async #post(record: AuditRecord, signal: AbortSignal): Promise<void> {
    const body = bodyOf(record)
    const id = record.hash.slice(0, ID_CHARACTERS)
    const timestamp = Math.floor(Date.now() / 1_000)
    const response = await fetch(this.#settings.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'bulkhead',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signature(this.#settings.secret, id, timestamp, body),
      },
      body,
      // Where events go is the configuration's to say, not the receiver's.
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS_MAX)]),
    })
    await response.body?.cancel()
    if (!response.ok) throw new Error(`the receiver answered ${response.status}`)
  }
}

/** The event as Standard Webhooks writes one; `data` is the audit record without its place in the chain. */
function bodyOf(record: AuditRecord): string {
  const { prev: _prev, ...data } = record
  return JSON.stringify({ type: `bulkhead.${record.event}`, timestamp: record.time, data })
}

/** @param secret `whsec_` and base64 as Standard Webhooks writes keys, or any text, whose bytes then are the key */
export function signature(secret: string, id: string, timestampSeconds: number, body: string): string {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret
  const signed = createHmac('sha256', key).update(`${id}.${timestampSeconds}.${body}`).digest('base64')
  return `v1,${signed}`
}
