/**
 * The exporters' own thread. Whatever an exporter does, and whatever its receiver does to it, costs the sessions nothing:
 * they only hand bytes over. Batches come from `exports.ts`, which is told of each that was taken up and of every record that
 * was sent or dropped.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { parseRecord } from '../audit/record.ts'
import type { Exporter, ExporterName, ExportSettings, OnOutcome } from './exporter.ts'
import type { FromThread, ToThread } from './messages.ts'
import { Otlp } from './otlp.ts'
import { Syslog } from './syslog.ts'
import { Webhook } from './webhook.ts'

/** How often the counts are told, where no batch is. */
const TELL_MS = 250

const NEWLINE = 0x0a

const port = parentPort
if (port === null) throw new Error('this file is the entry of a worker thread')
const tell = (message: FromThread, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, [...transfer])

const counts: Partial<Record<ExporterName, { sent: number; dropped: number }>> = {}
let telling: NodeJS.Timeout | undefined

function counting(name: ExporterName): OnOutcome {
  return (outcome, records) => {
    const own = counts[name] ?? { sent: 0, dropped: 0 }
    counts[name] = own
    own[outcome] += records
    telling ??= setTimeout(tellCounts, TELL_MS)
  }
}

function tellCounts(): void {
  clearTimeout(telling)
  telling = undefined
  for (const name of Object.keys(counts) as ExporterName[]) {
    const own = counts[name]
    if (own !== undefined) tell({ kind: 'counts', exporter: name, ...own })
    delete counts[name]
  }
}

function open({ webhook, otlp, syslog }: ExportSettings): readonly Exporter[] {
  return [
    ...(webhook === undefined ? [] : [new Webhook(webhook, counting('webhook'))]),
    ...(otlp === undefined ? [] : [new Otlp(otlp, counting('otlp'))]),
    ...(syslog === undefined ? [] : [new Syslog(syslog, counting('syslog'))]),
  ]
}

const exporters = open(workerData as ExportSettings)

function take(bytes: Buffer): void {
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, start)
    if (end === -1) break
    const record = parseRecord(bytes.toString('utf8', start, end))
    if (record !== undefined) for (const exporter of exporters) exporter.offer(record)
    start = end + 1
  }
}

async function close(graceMs: number): Promise<void> {
  await Promise.all(exporters.map((exporter) => exporter.close(graceMs)))
  tellCounts()
  tell({ kind: 'closed' })
}

port.on('message', (message: ToThread) => {
  if (message.kind === 'close') {
    void close(message.graceMs)
    return
  }
  take(Buffer.from(message.buffer, 0, message.bytes))
  tell({ kind: 'taken', bytes: message.bytes, buffer: message.buffer }, [message.buffer])
})
