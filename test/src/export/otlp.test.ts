import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Otlp } from '../../../src/export/otlp.ts'
import { startReceiver } from '../../support/receiver.ts'
import { ALLOWED, DENIED, HOP, LINE_BYTES, record } from './records.ts'

type Attribute = { readonly key: string; readonly value: Readonly<Record<string, unknown>> }
type Sent = {
  readonly timeUnixNano: string
  readonly severityNumber: number
  readonly eventName: string
  readonly body: { readonly stringValue: string }
  readonly attributes: readonly Attribute[]
}

/** The log records of a request in OTLP's JSON form. */
function sentIn(body: string): readonly Sent[] {
  const { resourceLogs } = JSON.parse(body) as {
    readonly resourceLogs: readonly { readonly scopeLogs: readonly { readonly logRecords: Sent[] }[] }[]
  }
  return resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords))
}

test('records reach a collector with their time, severity and attributes, in order', async () => {
  const collector = await startReceiver()
  const counts = { sent: 0, dropped: 0 }
  const otlp = new Otlp(
    { url: `${collector.url}/v1/logs`, headers: { authorization: 'Bearer of-the-collector' } },
    (outcome, records) => {
      counts[outcome] += records
    },
  )
  for (const one of [ALLOWED, DENIED, HOP]) otlp.offer(one, LINE_BYTES)
  await otlp.close(10_000)
  await collector.close()
  assert.deepEqual(counts, { sent: 3, dropped: 0 })
  const [post] = collector.posted
  assert.equal(post?.path, '/v1/logs')
  assert.equal(post?.headers.authorization, 'Bearer of-the-collector')
  const sent = collector.posted.flatMap(({ body }) => sentIn(body))
  assert.deepEqual(
    sent.map(({ eventName, severityNumber }) => [eventName, severityNumber]),
    [
      ['bulkhead.statement', 9],
      ['bulkhead.statement', 13],
      ['bulkhead.hop', 20],
    ],
  )
  assert.equal(
    sent[0]?.timeUnixNano,
    `${BigInt(Date.parse('2026-11-23T10:15:30Z')) * 1_000_000n + 123_456_000n}`,
  )
  assert.equal(sent[1]?.body.stringValue, 'statement deny not_granted at shop by r-42: select * from a, b')
  const attribute = (key: string): unknown => sent[0]?.attributes.find((one) => one.key === key)?.value
  assert.deepEqual(attribute('db.query.text'), { stringValue: 'select id from orders' })
  assert.deepEqual(attribute('client.port'), { intValue: 50_412 })
})

test('what a collector that is gone does not take is bounded, dropped and counted', async () => {
  const collector = await startReceiver()
  await collector.close()
  const counts = { sent: 0, dropped: 0 }
  const count = (outcome: 'sent' | 'dropped', records: number): void => {
    counts[outcome] += records
  }
  const otlp = new Otlp({ url: `${collector.url}/v1/logs`, headers: {} }, count, 500)
  for (let seq = 0; seq < 10_100; seq += 1) otlp.offer(record('statement', seq), LINE_BYTES)
  assert.deepEqual(counts, { sent: 0, dropped: 100 })
  await otlp.close(50)
  assert.deepEqual(counts, { sent: 0, dropped: 10_100 })
})

test('records that an agent made large take no more memory than others', async () => {
  const collector = await startReceiver(() => undefined)
  const counts = { sent: 0, dropped: 0 }
  const otlp = new Otlp({ url: `${collector.url}/v1/logs`, headers: {} }, (outcome, records) => {
    counts[outcome] += records
  })
  for (let seq = 0; seq < 100; seq += 1) otlp.offer(record('statement', seq), 1 << 20)
  assert.equal(otlp.held, 16)
  assert.deepEqual(counts, { sent: 0, dropped: 84 })
  await otlp.close(50)
  assert.deepEqual(counts, { sent: 0, dropped: 100 })
  await collector.close()
})

test('a batch that the collector refuses for good is dropped and counted, and the next is sent', async () => {
  const collector = await startReceiver((number) => (number === 1 ? 400 : 200))
  const counts = { sent: 0, dropped: 0 }
  const otlp = new Otlp({ url: `${collector.url}/v1/logs`, headers: {} }, (outcome, records) => {
    counts[outcome] += records
  })
  otlp.offer(ALLOWED, LINE_BYTES)
  await collector.received(1)
  otlp.offer(DENIED, LINE_BYTES)
  await collector.received(2)
  await otlp.close(10_000)
  await collector.close()
  assert.deepEqual(counts, { sent: 1, dropped: 1 })
})
