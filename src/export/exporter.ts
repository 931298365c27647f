/** Where audit records go besides the file, and what an exporter is. */
import type { AuditEvent } from '../audit/event.ts'
import type { AuditRecord } from '../audit/record.ts'

/** Where records go besides the file; a closed list, because it is a metric label. */
export const EXPORTERS = ['webhook', 'otlp', 'syslog'] as const
export type ExporterName = (typeof EXPORTERS)[number]

/** The events that a webhook can be asked for. */
export const WEBHOOK_EVENTS = ['hop', 'quarantine', 'revoked'] as const

/** Posts chosen events to a receiver, signed. */
export type WebhookSettings = {
  readonly url: string
  readonly secret: string
  readonly events: readonly AuditEvent[]
}

/** Sends every record to an OpenTelemetry collector. */
export type OtlpSettings = {
  /** With its path: `https://collector:4318/v1/logs`. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** Sends every record to a syslog receiver. */
export type SyslogSettings = {
  readonly host: string
  readonly port: number
  readonly protocol: 'udp' | 'tcp'
}

/** What is exported; an absent one is not. Plain data, because it crosses to the exporters' thread. */
export type ExportSettings = {
  readonly webhook: WebhookSettings | undefined
  readonly otlp: OtlpSettings | undefined
  readonly syslog: SyslogSettings | undefined
}

/** What became of a record; `dropped`: there was no room for it, or its receiver failed too long. */
export type ExportOutcome = 'sent' | 'dropped'

/** Told why a try failed, each time; another try may follow. */
export type OnTrouble = (message: string) => void

export type OnOutcome = (outcome: ExportOutcome, records: number) => void

/** Takes records in the order of the file, keeps a bounded number of them, and sends them as it can. */
export interface Exporter {
  /**
   * Never waits and never throws; a record for which there is no room is dropped and counted.
   * @param bytes of its line in the file
   */
  offer(record: AuditRecord, bytes: number): void
  /** Records that were offered, and are neither sent nor dropped. */
  readonly held: number
  /** Sends what waits, as far as that is done within the time; the rest is dropped and counted. */
  close(graceMs: number): Promise<void>
}

/** Records that may wait in an exporter: at a kilobyte or two each some megabytes, in a thread of its own. */
export const QUEUE_RECORDS_MAX = 10_000

/**
 * Bytes of their lines. Agents choose how large a record is, and one that waits takes several times its line: beyond this they
 * could have the thread run out of memory, and with it what waits in the other exporters.
 */
export const QUEUE_BYTES_MAX = 16 << 20
