import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hono } from 'hono'
import { guard } from '../../../src/admin/guard.ts'

const TOKEN = 't'.repeat(43)

/** The status that a request gets which came to this address of the machine; `undefined`: to the unix socket. */
async function statusAt(localAddress: string | undefined, host: string): Promise<number> {
  const app = new Hono()
    .use(guard({ token: TOKEN, host: 'bulkhead' }))
    .get('/', (context) => context.text('in'))
  const headers = { host, authorization: `Bearer ${TOKEN}` }
  return (await app.request('/', { headers }, { incoming: { socket: { localAddress } } })).status
}

const cases: { from: string | undefined; host: string; status: number }[] = [
  { from: '127.0.0.1', host: '127.0.0.1:9464', status: 200 },
  { from: '::1', host: '[::1]:9464', status: 200 },
  { from: '::ffff:127.0.0.1', host: 'localhost', status: 200 },
  { from: undefined, host: 'localhost', status: 200 },
  { from: '127.0.0.1', host: 'bulkhead:9464', status: 200 },
  { from: '10.0.0.7', host: '10.0.0.7:9464', status: 403 },
  { from: '::ffff:10.0.0.7', host: 'bulkhead:9464', status: 403 },
  { from: '127.0.0.1', host: 'evil.example:9464', status: 403 },
  { from: '127.0.0.1', host: '127.0.0.1.evil.example', status: 403 },
  { from: '127.0.0.1', host: '', status: 403 },
]
for (const { from, host, status } of cases) {
  test(`a request to ${from ?? 'the unix socket'} that names \`${host}\` gets ${status}`, async () => {
    assert.equal(await statusAt(from, host), status)
  })
}
