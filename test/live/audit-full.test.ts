/** A device that fills up: nothing passes that is on no record, and what a session's verdicts follow from must be on it, or it is no session. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { after, before, mock, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { redisClient } from '../support/drivers.ts'
import { startProxy, type TestConfiguration, type TestProxy } from '../support/proxy.ts'
import { ownRedisServer } from '../support/servers.ts'

let server: Awaited<ReturnType<typeof ownRedisServer>>
let proxy: TestProxy
let configuration: TestConfiguration
const clients: Redis[] = []

before(async () => {
  server = await ownRedisServer()
  const url = `redis://:${server.password}@${server.host}:${server.port}/0`
  configuration = {
    systems: { carts: { protocol: 'redis', backend: { url } } },
    grants: { carts: { system: 'carts', allow: ['+@all ~k:*'] } },
  }
  proxy = await startProxy(configuration)
})
after(async () => {
  for (const client of clients) client.disconnect()
  await proxy.stop()
  await server.stop()
})

async function connect(run: string): Promise<Redis> {
  const login = { run, token: await proxy.token('carts', run) }
  const client = redisClient(proxy.address('carts'), login, {
    enableReadyCheck: false,
    disableClientInfo: true,
    lazyConnect: true,
  })
  clients.push(client)
  await client.connect()
  return client
}

/** Does the work while the device has no room for records that hold the text. */
async function withoutRoomFor<Made>(text: string, work: () => Promise<Made>): Promise<Made> {
  const { writeSync } = fs
  const full = mock.method(fs, 'writeSync', (...args: unknown[]) => {
    const [, bytes, , length] = args
    if (
      bytes instanceof Uint8Array &&
      Buffer.from(bytes).toString('utf8', 0, Number(length)).includes(text)
    ) {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    }
    return Reflect.apply(writeSync, fs, args) as number
  })
  syncBuiltinESMExports()
  try {
    const made = await work()
    const failed = full.mock.calls.some(({ error }) => error !== undefined)
    assert.ok(failed, 'a write has failed')
    return made
  } finally {
    full.mock.restore()
    syncBuiltinESMExports()
    // A log that failed is tried again once a second, also by who asks for metrics.
    while (!(await proxy.metrics()).includes('\nbulkhead_audit_writable 1\n')) await sleep(5)
  }
}

async function writeFailures(): Promise<number> {
  return Number(/^bulkhead_audit_write_failures_total (\d+)$/m.exec(await proxy.metrics())?.[1])
}

test('when the device fills up nothing passes, and when it has room again work goes on', async () => {
  const first = await connect('r-0')
  const second = await connect('r-0')
  await first.set('k:0', 'before')
  // Its result is on file, so that the next record is that of a statement, and not one that holds nothing back.
  while (!proxy.records().some(({ event }) => event === 'result')) await sleep(5)
  const ended = new Promise((resolve) => first.once('end', resolve))
  const failures = await writeFailures()
  await withoutRoomFor('"time":', async () => {
    await assert.rejects(first.set('k:0', 'unrecorded'))
    await ended
    await assert.rejects(second.set('k:0', 'unrecorded'), /cannot be written/)
    await assert.rejects(second.get('k:0'), /cannot be written/)
    const ready = await fetch(`http://127.0.0.1:${proxy.admin.port}/readyz`)
    assert.equal(ready.status, 503)
    assert.match(await ready.text(), /^the audit log cannot be written: ENOSPC$/m)
    assert.ok((await writeFailures()) > failures)
  })
  assert.equal(await second.get('k:0'), 'before', 'nothing that was not recorded reached the backend')
  assert.ok(proxy.records().some(({ event }) => event === 'audit.recovered'))
})

const recorded = (run: string): string[] =>
  proxy.records().flatMap((record) => (record['run'] === run ? [record.event] : []))

test('a session whose beginning cannot be recorded is none', async () => {
  const failures = await writeFailures()
  const client = await withoutRoomFor('"event":"session.start"', async () => {
    const begun = await connect('r-1')
    while ((await writeFailures()) === failures) await sleep(5)
    return begun
  })
  await assert.rejects(client.get('k:1'))
  assert.deepEqual(recorded('r-1'), [])
})

test('a session whose new grant cannot be recorded ends', async () => {
  const client = await connect('r-2')
  await client.get('k:1')
  const grants = { carts: { system: 'carts', allow: ['+get ~k:*'] } }
  await withoutRoomFor('"event":"session.regrant"', () => proxy.reload({ ...configuration, grants }))
  await assert.rejects(client.get('k:1'))
  assert.equal(recorded('r-2').filter((event) => event === 'statement').length, 1)
})
