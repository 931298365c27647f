import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { signature, Webhook } from '../../../src/export/webhook.ts'
import { startReceiver } from '../../support/receiver.ts'
import { ALLOWED, HOP, record } from './records.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const QUICK = { backoffMs: { first: 2, max: 20 }, giveUpMs: 60_000 }

function counter(): { readonly counts: { sent: number; dropped: number }; readonly count: Counted } {
  const counts = { sent: 0, dropped: 0 }
  return {
    counts,
    count: (outcome, records) => {
      counts[outcome] += records
    },
  }
}
type Counted = (outcome: 'sent' | 'dropped', records: number) => void

test('the signature is the one of the example in the specification', () => {
  // https://github.com/standard-webhooks/standard-webhooks: the vector of its libraries' own tests.
  assert.equal(
    signature(SECRET, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}'),
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  )
})

test('a hop is posted as an event that its receiver can check, and nothing else is posted', async () => {
  const receiver = await startReceiver()
  const { counts, count } = counter()
  const settings = { url: `${receiver.url}/hooks`, secret: SECRET, events: ['hop'] as const }
  const webhook = new Webhook(settings, count, QUICK)
  for (const one of [ALLOWED, HOP, record('quarantine', 11)]) webhook.offer(one)
  await webhook.close(5_000)
  await receiver.close()
  const [post, ...others] = receiver.posted
  assert.equal(others.length, 0)
  assert.equal(post?.path, '/hooks')
  const id = String(post?.headers['webhook-id'])
  const timestamp = String(post?.headers['webhook-timestamp'])
  assert.equal(id, HOP.hash.slice(0, 32))
  assert.ok(Math.abs(Number(timestamp) - Date.now() / 1_000) < 60)
  const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64')
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${post?.body}`).digest('base64')
  assert.equal(post?.headers['webhook-signature'], `v1,${expected}`)
  const { prev: _prev, ...data } = HOP
  assert.deepEqual(JSON.parse(post?.body ?? ''), { type: 'bulkhead.hop', timestamp: HOP.time, data })
  assert.deepEqual(counts, { sent: 1, dropped: 0 })
})

test('a receiver that fails first gets the same event again, signed anew, until it takes it', async () => {
  const receiver = await startReceiver((number) => [500, 429, 503][number - 1] ?? 204)
  const { counts, count } = counter()
  const webhook = new Webhook({ url: receiver.url, secret: SECRET, events: ['hop'] }, count, QUICK)
  webhook.offer(HOP)
  const posted = await receiver.received(4)
  await webhook.close(5_000)
  await receiver.close()
  assert.equal(new Set(posted.map(({ headers }) => headers['webhook-id'])).size, 1)
  assert.equal(new Set(posted.map(({ body }) => body)).size, 1)
  assert.deepEqual(counts, { sent: 1, dropped: 0 })
})

test('a redirect is not followed', async () => {
  const elsewhere = await startReceiver()
  const receiver = await startReceiver((number) => (number === 1 ? 307 : 200), { location: elsewhere.url })
  const { counts, count } = counter()
  const webhook = new Webhook({ url: receiver.url, secret: SECRET, events: ['hop'] }, count, QUICK)
  webhook.offer(HOP)
  await receiver.received(2)
  await webhook.close(5_000)
  await Promise.all([receiver.close(), elsewhere.close()])
  assert.equal(elsewhere.posted.length, 0)
  assert.deepEqual(counts, { sent: 1, dropped: 0 })
})

test('a receiver that never answers keeps nobody at the end, and what it did not take is counted', async () => {
  const receiver = await startReceiver(() => undefined)
  const { counts, count } = counter()
  const webhook = new Webhook({ url: receiver.url, secret: SECRET, events: ['hop'] }, count, QUICK)
  for (let n = 0; n < 1_200; n += 1) webhook.offer(HOP)
  assert.deepEqual(counts, { sent: 0, dropped: 200 })
  await receiver.received(1)
  await webhook.close(20)
  await receiver.close()
  assert.deepEqual(counts, { sent: 0, dropped: 1_200 })
})

test('a secret that is no key of Standard Webhooks is taken as it is', () => {
  const expected = createHmac('sha256', 'a plain secret of some length').update('id.1.{}').digest('base64')
  assert.equal(signature('a plain secret of some length', 'id', 1, '{}'), `v1,${expected}`)
})
