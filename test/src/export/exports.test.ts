/** The thread behind the file: bounds, counts that add up, and what becomes of it when it fails. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { test } from 'node:test'
import type { ExportSettings, WebhookSettings } from '../../../src/export/exporter.ts'
import { Exports } from '../../../src/export/exports.ts'
import { startReceiver } from '../../support/receiver.ts'
import { ALLOWED, HOP } from './records.ts'

const NOTHING: ExportSettings = { webhook: undefined, otlp: undefined, syslog: undefined }
const WEBHOOK: WebhookSettings = { url: '', secret: 'a secret of more than 24 bytes', events: ['hop'] }

type Counts = { sent: number; dropped: number }

function open(settings: Partial<ExportSettings>): {
  readonly exports: Exports
  readonly counts: Counts
  readonly notices: string[]
} {
  const counts: Counts = { sent: 0, dropped: 0 }
  const notices: string[] = []
  const exports = Exports.open({
    settings: { ...NOTHING, ...settings },
    count: (_exporter, outcome, records) => {
      counts[outcome] += records
    },
    notice: (line) => notices.push(line),
  })
  if (exports === undefined) throw new Error('there is something to export')
  return { exports, counts, notices }
}

/** A receiver that reads everything. */
async function drain(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.on('error', () => undefined).resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

/** What is waited for happens in another thread. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 10))
}

test('where nothing is exported there is no thread', () => {
  assert.equal(
    Exports.open({ settings: NOTHING, count: () => undefined, notice: () => undefined }),
    undefined,
  )
})

test('more than the thread can take is dropped, and every record is counted once', async () => {
  const { server, port } = await drain()
  const { exports, counts } = open({ syslog: { host: '127.0.0.1', port, protocol: 'tcp' } })
  const line = Buffer.from(`${JSON.stringify({ ...ALLOWED, why: 'x'.repeat(8_000) })}\n`)
  const offered = 4_000
  // Some 35 MB before the thread has even begun: twice what may wait.
  for (let n = 0; n < offered; n += 1) exports.written(line, 1)
  assert.ok(counts.dropped > 0)
  await exports.close()
  server.close()
  assert.equal(counts.sent + counts.dropped, offered)
})

test('a hop is told of however much an agent writes around it', async () => {
  const receiver = await startReceiver()
  const { exports } = open({ webhook: { ...WEBHOOK, url: receiver.url } })
  const quoted = `{"event":"hop","${'x'.repeat(8_000)}`
  const line = `${JSON.stringify({ ...ALLOWED, statement: quoted })}\n`
  const flood = Buffer.from(line)
  // Twice what may wait, before the thread has even begun.
  for (let n = 0; n < 4_000; n += 1) exports.written(flood, 1)
  exports.written(Buffer.from(`${line}${JSON.stringify(HOP)}\n${line}`), 3)
  await receiver.received(1)
  await exports.close()
  await receiver.close()
  assert.deepEqual(
    receiver.posted.map(({ body }) => (JSON.parse(body) as { readonly type: string }).type),
    ['bulkhead.hop'],
  )
})

test('one write that is larger than a batch arrives whole', async () => {
  const receiver = await startReceiver()
  const { exports, counts } = open({ webhook: { ...WEBHOOK, url: receiver.url } })
  const filler = `${JSON.stringify({ ...ALLOWED, why: 'x'.repeat(600_000) })}\n`
  exports.written(Buffer.from(`${filler}${JSON.stringify(HOP)}\n`), 2)
  await until(() => counts.sent === 1)
  await exports.close()
  await receiver.close()
  assert.deepEqual(counts, { sent: 1, dropped: 0 })
})

test('the memory of a write may be used again as soon as it was handed over', async () => {
  const receiver = await startReceiver()
  const { exports } = open({ webhook: { ...WEBHOOK, url: receiver.url } })
  const line = Buffer.from(`${JSON.stringify(HOP)}\n`)
  exports.written(line, 1)
  line.fill(0)
  const [post] = await receiver.received(1)
  await exports.close()
  await receiver.close()
  assert.equal((JSON.parse(post?.body ?? '') as { readonly type: string }).type, 'bulkhead.hop')
})

test('a thread that fails is told of, and what it had is counted as dropped', async () => {
  // No configuration makes such settings; a bug of an exporter would end the thread in the same way.
  const broken = { ...WEBHOOK, url: 'http://127.0.0.1:9', events: undefined } as unknown as WebhookSettings
  const { exports, counts, notices } = open({ webhook: broken })
  exports.written(Buffer.from(`${JSON.stringify(HOP)}\n`), 1)
  await until(() => notices.length > 0)
  assert.match(notices[0] ?? '', /exporters failed and are started anew: .*includes/)
  assert.deepEqual(counts, { sent: 0, dropped: 1 })
  // Until it is there again records are dropped; nothing throws.
  exports.written(Buffer.from(`${JSON.stringify(HOP)}\n`), 1)
  assert.deepEqual(counts, { sent: 0, dropped: 2 })
  await exports.close()
})

test('a receiver that never answers is waited for some seconds, and what it had is counted as dropped', async () => {
  const receiver = await startReceiver(() => undefined)
  const { exports, counts } = open({ webhook: { ...WEBHOOK, url: receiver.url } })
  assert.equal(exports.waiting('webhook'), 0)
  for (let n = 0; n < 5; n += 1) exports.written(Buffer.from(`${JSON.stringify(HOP)}\n`), 1)
  await receiver.received(1)
  await until(() => exports.waiting('webhook') === 5)
  await exports.close()
  await receiver.close()
  assert.equal(exports.waiting('webhook'), 0)
  assert.deepEqual(counts, { sent: 0, dropped: 5 })
})

test('a receiver that refuses is complained about once, not with every try', async () => {
  const receiver = await startReceiver((number) => (number <= 2 ? 500 : 200))
  const { exports, counts, notices } = open({ webhook: { ...WEBHOOK, url: receiver.url } })
  exports.written(Buffer.from(`${JSON.stringify(HOP)}\n`), 1)
  await until(() => counts.sent === 1)
  await exports.close()
  await receiver.close()
  assert.equal(receiver.posted.length, 3)
  assert.deepEqual(counts, { sent: 1, dropped: 0 })
  assert.deepEqual(notices, ['warning: exporter webhook: the receiver answered 500'])
})
