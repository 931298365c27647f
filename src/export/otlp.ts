/** Records to an OpenTelemetry collector, as log records over OTLP/HTTP. */
import { type Logger, SeverityNumber } from '@opentelemetry/api-logs'
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchLogRecordProcessor, LoggerProvider, type LogRecordExporter } from '@opentelemetry/sdk-logs'
import type { AuditRecord } from '../audit/record.ts'
import { version } from '../version.ts'
import {
  type Exporter,
  type OnOutcome,
  type OnTrouble,
  type OtlpSettings,
  QUEUE_BYTES_MAX,
  QUEUE_RECORDS_MAX,
} from './exporter.ts'
import { attributesOf } from './semantic-conventions.ts'
import { type Severity, severityOf } from './severity.ts'

/** Records of one request; the SDK's own default. */
const BATCH_RECORDS = 512

/** How long records wait for a batch to fill. */
const BATCH_MS = 500

/** The whole of one batch: the exporter tries five times within this while the collector is busy or away. */
const EXPORT_MS_MAX = 30_000

/** Characters of a statement in the line for people; the attribute has all that the record has. */
const BODY_CHARACTERS_MAX = 256

const SEVERITIES: Readonly<Record<Severity, SeverityNumber>> = {
  info: SeverityNumber.INFO,
  warning: SeverityNumber.WARN,
  error: SeverityNumber.ERROR,
  alert: SeverityNumber.ERROR4,
}

export class Otlp implements Exporter {
  readonly #provider: LoggerProvider
  readonly #logger: Logger
  readonly #onOutcome: OnOutcome
  readonly #onTrouble: OnTrouble | undefined
  /** The bytes of each record that waits, the oldest first, and of all of them. */
  #waiting: number[] = []
  #bytes = 0
  /** Set when what waits has been given up: nothing of it is tried any more. */
  #over = false

  /** @param exportMsMax bounds one batch with its tries; milliseconds */
  constructor(
    { url, headers }: OtlpSettings,
    onOutcome: OnOutcome,
    exportMsMax = EXPORT_MS_MAX,
    onTrouble?: OnTrouble,
  ) {
    this.#onOutcome = onOutcome
    this.#onTrouble = onTrouble
    const exporter = this.#counting(
      new OTLPLogExporter({ url, headers: { ...headers }, timeoutMillis: exportMsMax }),
    )
    this.#provider = new LoggerProvider({
      resource: resourceFromAttributes({ 'service.name': 'bulkhead', 'service.version': version() }),
      processors: [
        new BatchLogRecordProcessor({
          exporter,
          maxExportBatchSize: BATCH_RECORDS,
          scheduledDelayMillis: BATCH_MS,
          maxQueueSize: QUEUE_RECORDS_MAX,
          // Longer than the exporter's own, which then tells what became of the batch.
          exportTimeoutMillis: exportMsMax * 2,
        }),
      ],
    })
    this.#logger = this.#provider.getLogger('bulkhead.audit', version())
  }

  offer(record: AuditRecord, bytes: number): void {
    // The SDK drops in silence, and knows no bound of bytes; what there is no room for it is not given.
    if (this.#waiting.length >= QUEUE_RECORDS_MAX || this.#bytes + bytes > QUEUE_BYTES_MAX) {
      this.#onOutcome('dropped', 1)
      return
    }
    this.#waiting.push(bytes)
    this.#bytes += bytes
    this.#logger.emit({
      eventName: `bulkhead.${record.event}`,
      timestamp: hrTime(record.time),
      severityNumber: SEVERITIES[severityOf(record)],
      severityText: severityOf(record).toUpperCase(),
      body: bodyOf(record),
      attributes: attributesOf(record),
    })
  }

  get held(): number {
    return this.#waiting.length
  }

  async close(graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs)
    })
    await Promise.race([this.#provider.shutdown().catch(() => undefined), timeout])
    clearTimeout(timer)
    this.#over = true
    if (this.#waiting.length > 0) this.#onOutcome('dropped', this.#waiting.length)
    this.#waiting = []
    this.#bytes = 0
  }

  /** The exporter, with what became of each batch counted. */
  #counting(inner: OTLPLogExporter): LogRecordExporter {
    return {
      export: (records, done) => {
        if (this.#over) {
          done({ code: 1 })
          return
        }
        inner.export(records, (result) => {
          const left = this.#waiting.splice(0, records.length)
          for (const bytes of left) this.#bytes -= bytes
          if (left.length > 0) this.#onOutcome(result.code === 0 ? 'sent' : 'dropped', left.length)
          if (result.error !== undefined) this.#onTrouble?.(result.error.message)
          done(result)
        })
      },
      forceFlush: () => inner.forceFlush(),
      shutdown: () => inner.shutdown(),
    }
  }
}

/** Seconds and nanoseconds of a record's time, which has microseconds. */
function hrTime(time: string): [number, number] {
  const [, fraction = ''] = /\.(\d+)Z$/.exec(time) ?? []
  return [Math.floor(Date.parse(time) / 1_000), Number(fraction.padEnd(9, '0').slice(0, 9))]
}

/** A line for people; everything is in the attributes. */
function bodyOf({ event, run, system, verdict, reason, kind, statement }: AuditRecord): string {
  const words = [event, verdict, reason, kind, system && `at ${system}`, run && `by ${run}`]
    .filter(Boolean)
    .join(' ')
  return statement === undefined ? words : `${words}: ${statement.slice(0, BODY_CHARACTERS_MAX)}`
}
