/**
 * The exporters' own thread. Whatever an exporter does, and whatever its receiver does to it, costs the sessions nothing:
 * they only hand bytes over. Batches come from `exports.ts`, which is told of each that was taken up and of every record that
 * was sent or dropped.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { parseRecord } from '../audit/record.ts'
import {
  EXPORTERS,
  type Exporter,
  type ExporterName,
  type ExportSettings,
  type OnOutcome,
  type OnTrouble,
} from './exporter.ts'
import type { FromThread, ToThread } from './messages.ts'

/** How soon the counts are told where no batch brings them. */
const TELL_MS = 250

/** How often an exporter's failures are told of. */
const TROUBLE_MS = 60_000

const NEWLINE = 0x0a

const port = parentPort
if (port === null) throw new Error('this file is the entry of a worker thread')
const tell = (message: FromThread, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, [...transfer])

/** What became of an exporter's records since that was last told. */
type Counts = { sent: number; dropped: number }

const exporters: { readonly name: ExporterName; readonly exporter: Exporter; readonly counts: Counts }[] = []

let telling: NodeJS.Timeout | undefined

function counting(counts: Counts): OnOutcome {
  return (outcome, records) => {
    counts[outcome] += records
    telling ??= setTimeout(tellCounts, TELL_MS)
  }
}

function tellCounts(): void {
  clearTimeout(telling)
  telling = undefined
  for (const { name, exporter, counts } of exporters) {
    tell({ kind: 'counts', exporter: name, ...counts, held: exporter.held })
    Object.assign(counts, { sent: 0, dropped: 0 })
  }
}

/** Tells of the first failure, and of later ones so seldom that they can be read. */
function complaining(name: ExporterName): OnTrouble {
  let toldAtMs = Number.NEGATIVE_INFINITY
  return (message) => {
    if (performance.now() - toldAtMs < TROUBLE_MS) return
    toldAtMs = performance.now()
    tell({ kind: 'trouble', exporter: name, message })
  }
}

/** Each is loaded only where it is used: the packages behind them are large. */
async function open(
  { webhook, otlp, syslog }: ExportSettings,
  name: ExporterName,
  onOutcome: OnOutcome,
): Promise<Exporter | undefined> {
  const onTrouble = complaining(name)
  switch (name) {
    case 'webhook':
      return webhook && new (await import('./webhook.ts')).Webhook(webhook, onOutcome, undefined, onTrouble)
    case 'otlp':
      return otlp && new (await import('./otlp.ts')).Otlp(otlp, onOutcome, undefined, onTrouble)
    case 'syslog':
      return syslog && new (await import('./syslog.ts')).Syslog(syslog, onOutcome, onTrouble)
  }
}

for (const name of EXPORTERS) {
  const counts: Counts = { sent: 0, dropped: 0 }
  const exporter = await open(workerData as ExportSettings, name, counting(counts))
  if (exporter !== undefined) exporters.push({ name, exporter, counts })
}

function take(bytes: Buffer): void {
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, start)
    if (end === -1) break
    const record = parseRecord(bytes.toString('utf8', start, end))
    if (record !== undefined) for (const { exporter } of exporters) exporter.offer(record, end - start)
    start = end + 1
  }
}

async function close(graceMs: number): Promise<void> {
  await Promise.all(exporters.map(({ exporter }) => exporter.close(graceMs)))
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
  tellCounts()
})
