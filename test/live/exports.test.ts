/** What leaves a running proxy besides its file: the webhook, OTLP and syslog, and what becomes of them when nobody listens. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { parseExposition } from '../../src/demo/exposition.ts'
import type { DatabaseServer } from '../../src/demo/servers/server.ts'
import { signature } from '../../src/export/webhook.ts'
import { redisClient } from '../support/drivers.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type Receiver, startReceiver } from '../support/receiver.ts'
import { redisServer } from '../support/servers.ts'

const SECRET = 'a secret of more than 24 bytes'

let server: DatabaseServer

before(async () => {
  server = await redisServer()
})

async function proxyWith(exports: {
  readonly webhook?: unknown
  readonly export?: unknown
}): Promise<TestProxy> {
  const backend = { url: `redis://:${server.password}@${server.host}:${server.port}/0` }
  return startProxy({
    systems: { one: { protocol: 'redis', backend }, two: { protocol: 'redis', backend } },
    grants: { here: { system: 'one', allow: ['+get ~k:*', '+ping'] } },
    on_hop: { outbound_reach: 'quarantine' },
    ...exports,
  })
}

async function connect(proxy: TestProxy, run: string): Promise<Redis> {
  const login = { run, token: await proxy.token('here', run) }
  return redisClient(proxy.address('one'), login, { enableReadyCheck: false })
}

/** One series of `/metrics`. */
async function counted(proxy: TestProxy, name: string, exporter: string): Promise<number> {
  const samples = parseExposition(await proxy.metrics())
  return samples.find((sample) => sample.name === name && sample.labels['exporter'] === exporter)?.value ?? -1
}

/** Asks until it is so; what is asked about happens in another thread. */
async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what())) await delay(20)
}

test('a hop and its quarantine are posted, signed, also to a receiver that fails first', async (t) => {
  const receiver: Receiver = await startReceiver((number) => (number === 1 ? 503 : 200))
  const proxy = await proxyWith({ webhook: { url: `${receiver.url}/hook`, secret: SECRET } })
  t.after(() => Promise.all([proxy.stop(), receiver.close()]))
  const client = await connect(proxy, 'r-9')
  await client.get('k:1')
  await client.call('migrate', '10.0.0.7', '6379', 'k:1', '0', '10').catch(() => undefined)
  client.disconnect()
  const posted = await receiver.received(3)
  const events = posted.map(({ headers, body }) => {
    const id = String(headers['webhook-id'])
    const timestamp = Number(headers['webhook-timestamp'])
    assert.equal(headers['webhook-signature'], signature(SECRET, id, timestamp, body))
    return JSON.parse(body) as {
      type: string
      data: { run: string; kind: string; hash: string; seq: number }
    }
  })
  assert.deepEqual(
    events.map(({ type, data }) => [type, data.run, data.kind]),
    [
      ['bulkhead.hop', 'r-9', 'outbound_reach'],
      ['bulkhead.hop', 'r-9', 'outbound_reach'],
      ['bulkhead.quarantine', 'r-9', 'outbound_reach'],
    ],
  )
  // What was posted is in the file, under the number and the hash that it was posted with.
  for (const { data } of events) {
    assert.ok(proxy.records().some((record) => record['hash'] === data.hash && record['seq'] === data.seq))
  }
  await until(async () => (await counted(proxy, 'bulkhead_export_sent_total', 'webhook')) === 2)
  assert.equal(await counted(proxy, 'bulkhead_export_dropped_total', 'webhook'), 0)
})

test('a collector and a syslog receiver get every record of the file, in its order', async () => {
  const collector = await startReceiver()
  const lines: string[] = []
  const syslog: Server = createServer((socket) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      const whole = text.split('\n')
      text = whole.pop() ?? ''
      lines.push(...whole)
    })
  })
  syslog.listen(0, '127.0.0.1')
  await once(syslog, 'listening')
  const { port } = syslog.address() as AddressInfo
  const proxy = await proxyWith({
    export: { otlp: { url: collector.url }, syslog: { host: '127.0.0.1', port, protocol: 'tcp' } },
  })
  const client = await connect(proxy, 'r-10')
  for (let n = 0; n < 300; n += 1) await client.get(`k:${n}`)
  await client.get('other').catch(() => undefined)
  client.disconnect()
  await until(async () => proxy.records().some(({ event }) => event === 'session.end'))
  // On a busy machine the exporters' thread may take longer to begin than it is waited for at the end.
  for (const exporter of ['otlp', 'syslog']) {
    await until(async () => (await counted(proxy, 'bulkhead_export_sent_total', exporter)) > 600)
  }
  // The gateway's last record goes to the exporters too, and they are waited for.
  await proxy.stop()
  const written = proxy.records().map((record) => Number(record['seq']))
  await Promise.all([collector.close(), new Promise((resolve) => syslog.close(resolve))])
  assert.ok(written.length > 600)
  const collected = collector.posted.flatMap(({ body }) =>
    [...body.matchAll(/"key":"bulkhead\.seq","value":\{"intValue":(\d+)\}/g)].map(([, seq]) => Number(seq)),
  )
  assert.deepEqual(collected, written)
  const logged = lines.map((line) => Number(/"sequence":(\d+)/.exec(line)?.[1]))
  assert.deepEqual(logged, written)
})

test('receivers that are gone cost the sessions nothing and the proxy at most some seconds of its end', async () => {
  const nobody = await startReceiver()
  await nobody.close()
  const proxy = await proxyWith({
    webhook: { url: nobody.url, secret: SECRET },
    export: { otlp: { url: nobody.url } },
  })
  const client = await connect(proxy, 'r-11')
  for (let n = 0; n < 100; n += 1) assert.equal(await client.get('k:none'), null)
  await client.call('select', '3').catch(() => undefined)
  client.disconnect()
  const startedAtMs = performance.now()
  await proxy.stop()
  assert.ok(performance.now() - startedAtMs < 10_000)
})

test('the configuration refuses a short secret, and addresses that would show records to a network', async () => {
  const rejected = (exports: Parameters<typeof proxyWith>[0], message: RegExp): Promise<void> =>
    assert.rejects(proxyWith(exports), message)
  await rejected(
    { webhook: { url: 'https://example.net/', secret: 'short' } },
    /webhook\.secret: shorter than 24/,
  )
  await rejected({ webhook: { url: 'http://example.net/', secret: SECRET } }, /webhook\.url: .*clear text/)
  await rejected({ webhook: { url: 'ftp://example.net/', secret: SECRET } }, /webhook\.url: not an address/)
  await rejected(
    { webhook: { url: 'https://example.net/', secret: SECRET, events: ['statement'] } },
    /webhook\.events/,
  )
  await rejected({ export: { otlp: { url: 'http://example.net' } } }, /export\.otlp\.url: .*clear text/)
  await rejected({ export: { syslog: { host: 'logs.example.net' } } }, /export\.syslog\.host: .*clear text/)
})
