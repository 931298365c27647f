/** Records to a syslog receiver: RFC 5424, facility `audit`, the message an OCSF event as JSON, one line each. */
import { type Client, createClient, Facility, Severity as Level, Transport } from 'syslog-client'
import type { AuditRecord } from '../audit/record.ts'
import {
  type Exporter,
  type OnOutcome,
  type OnTrouble,
  QUEUE_BYTES_MAX,
  QUEUE_RECORDS_MAX,
  type SyslogSettings,
} from './exporter.ts'
import { ocsfEvent } from './ocsf.ts'
import { RetryQueue } from './queue.ts'
import { type Severity, severityOf } from './severity.ts'

const BACKOFF_MS = { first: 500, max: 30_000 }

/** A receiver that is down for longer loses what waits; the audit file has it. */
const GIVE_UP_MS = 3_600_000

/** How long one message may take to be handed over, a connection included. */
const SEND_MS_MAX = 10_000

/** Characters of a statement, and entries of a list, in a message. The file has all. */
const STATEMENT_CHARACTERS_MAX = 2_048
const LIST_ITEMS_MAX = 16
const TEXT_CHARACTERS_MAX = 256

/**
 * Most receivers cut a message here. And UDP carries 65,507 bytes at most: one that is larger can never be sent, and would hold
 * up for an hour all that come after it. Whoever narrows a token often enough could make one.
 */
const MESSAGE_BYTES_MAX = 8 << 10

const LEVELS: Readonly<Record<Severity, number>> = {
  info: Level.Informational,
  warning: Level.Warning,
  error: Level.Error,
  alert: Level.Alert,
}

export class Syslog implements Exporter {
  readonly #client: Client
  readonly #queue: RetryQueue<AuditRecord>

  constructor({ host, port, protocol }: SyslogSettings, onOutcome: OnOutcome, onTrouble?: OnTrouble) {
    this.#client = createClient(host, {
      port,
      transport: protocol === 'tcp' ? Transport.Tcp : Transport.Udp,
      facility: Facility.Audit,
      rfc3164: false,
      appName: 'bulkhead',
      tcpTimeout: SEND_MS_MAX,
    })
    // What goes wrong with a message its callback tells; here the same comes again, and news of idle connections.
    this.#client.on('error', () => undefined)
    this.#queue = new RetryQueue({
      itemsMax: QUEUE_RECORDS_MAX,
      bytesMax: QUEUE_BYTES_MAX,
      send: (record, signal) => this.#send(record, signal),
      onOutcome,
      onTrouble,
      backoffMs: BACKOFF_MS,
      giveUpMs: GIVE_UP_MS,
    })
  }

  offer(record: AuditRecord, bytes: number): void {
    this.#queue.offer(record, bytes)
  }

  get held(): number {
    return this.#queue.size
  }

  async close(graceMs: number): Promise<void> {
    await this.#queue.close(graceMs)
    this.#client.close()
  }

  #send(record: AuditRecord, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', refused)
        if (error === undefined) resolve()
        else reject(error)
      }
      const refused = (): void => end(new Error('the receiver takes nothing'))
      const timer = setTimeout(refused, SEND_MS_MAX)
      signal.addEventListener('abort', refused)
      const options = {
        severity: LEVELS[severityOf(record)],
        msgid: record.event,
        timestamp: new Date(record.time),
      }
      this.#client.log(messageOf(record), options, end)
    })
  }
}

/** The event as JSON; where it would not fit even so, without the lists that have no place of their own in an event. */
function messageOf(record: AuditRecord): string {
  const event = ocsfEvent(shortened(record))
  const message = JSON.stringify(event)
  if (Buffer.byteLength(message) <= MESSAGE_BYTES_MAX) return message
  const unmapped = Object.entries(event['unmapped'] ?? {}).filter(([, value]) => typeof value !== 'object')
  return JSON.stringify({ ...event, unmapped: Object.fromEntries(unmapped) })
}

/** The record with its long parts cut. */
export function shortened(record: AuditRecord): AuditRecord {
  const cut = (value: unknown, charactersMax: number): unknown => {
    if (typeof value === 'string')
      return value.length > charactersMax ? `${value.slice(0, charactersMax)}…` : value
    if (Array.isArray(value)) {
      const kept = value.slice(0, LIST_ITEMS_MAX).map((item) => cut(item, TEXT_CHARACTERS_MAX))
      return value.length > LIST_ITEMS_MAX ? [...kept, `… ${value.length - LIST_ITEMS_MAX} more`] : kept
    }
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, cut(item, TEXT_CHARACTERS_MAX)]),
    )
  }
  const fields = Object.entries(record).map(([field, value]) => [
    field,
    cut(value, field === 'statement' ? STATEMENT_CHARACTERS_MAX : TEXT_CHARACTERS_MAX),
  ])
  return Object.fromEntries(fields) as AuditRecord
}
