/**
 * A real Prometheus with the shipped configuration scrapes a real proxy: a hop fires the alert, and every panel of the
 * dashboard has an answer. Only the target's address and the intervals are the test's own.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { parse, stringify } from 'yaml'
import { makeDataFolder } from '../../src/demo/servers/account.ts'
import { projectFolder } from '../../src/demo/servers/cache.ts'
import { freePort, type ServerProcess, startProcess } from '../../src/demo/servers/process.ts'
import { SERVER_ENVIRONMENT } from '../../src/demo/servers/programs.ts'
import { dashboardExpressions, readProjectFile, withoutVariables } from '../observability/files.ts'
import { redisClient } from '../support/drivers.ts'
import { temporaryFolder } from '../support/folders.ts'
import { prometheusPrograms } from '../support/promtool.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { redisServer } from '../support/servers.ts'

let proxy: TestProxy
let prometheus: ServerProcess
let api: string

before(async () => {
  const { password, host, port } = await redisServer()
  const backend = { url: `redis://:${password}@${host}:${port}/0` }
  proxy = await startProxy({
    systems: {
      carts: { protocol: 'redis', backend },
      payroll: { protocol: 'redis', decoy: true },
    },
    grants: { keys: { system: 'carts', allow: ['+get ~k:*'] } },
  })
  const configuration = parse(readProjectFile('docker/prometheus/prometheus.yml')) as Record<string, unknown>
  const data = makeDataFolder(temporaryFolder(), undefined)
  const file = join(data.path, 'prometheus.yml')
  writeFileSync(
    file,
    stringify({
      ...configuration,
      global: { scrape_interval: '250ms', scrape_timeout: '250ms', evaluation_interval: '250ms' },
      scrape_configs: [
        { job_name: 'bulkhead', static_configs: [{ targets: [`127.0.0.1:${proxy.admin.port}`] }] },
      ],
    }),
  )
  cpSync(join(projectFolder(), 'docker/prometheus/rules'), join(data.path, 'rules'), { recursive: true })
  const listen = `127.0.0.1:${await freePort()}`
  api = `http://${listen}/api/v1`
  const command = {
    file: (await prometheusPrograms()).prometheus,
    args: [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(data.path, 'series')}`,
      `--web.listen-address=${listen}`,
    ],
    environment: SERVER_ENVIRONMENT,
    signal: 'TERM',
  } as const
  prometheus = await startProcess(command, undefined, data, async () => {
    assert.equal((await fetch(`http://${listen}/-/ready`)).status, 200)
  })
})

after(async () => {
  await prometheus.stop()
  await proxy.stop()
})

type Result = { readonly metric: Readonly<Record<string, string>>; readonly value: readonly [number, string] }

async function query(expr: string): Promise<readonly Result[]> {
  const response = await fetch(`${api}/query?query=${encodeURIComponent(expr)}`)
  const answer = (await response.json()) as {
    readonly status: string
    readonly error?: string
    readonly data: { readonly result: readonly Result[] }
  }
  assert.equal(answer.status, 'success', `${expr}: ${answer.error}`)
  return answer.data.result
}

/** Asks until there is something. */
async function until(expr: string): Promise<readonly Result[]> {
  for (;;) {
    const results = await query(expr)
    if (results.length > 0) return results
    await delay(50)
  }
}

const firing = (alert: string): string => `ALERTS{alertname="${alert}",alertstate="firing"}`

async function login(system: string, run: string, password: string): Promise<Redis> {
  const client = redisClient(proxy.address(system), { run, token: password }, { enableReadyCheck: false })
  await once(client, 'ready').catch(() => undefined)
  return client
}

test('the first hop of all fires the alert, and nothing fires before it', async () => {
  // Two scrapes, so that there is something that the hop can be an increase over.
  await until('count_over_time(bulkhead_hop_attempts_total{kind="decoy"}[1m]) >= 2')
  assert.deepEqual(await query('ALERTS{alertstate="firing"}'), [])
  const client = await login('payroll', 'r-1', await proxy.token('keys', 'r-1'))
  client.disconnect()
  const [hop] = await until(firing('BulkheadHop'))
  assert.equal(hop?.metric['system'], 'payroll')
  assert.equal(hop?.metric['kind'], 'decoy')
  assert.equal(hop?.metric['severity'], 'page')
  assert.equal((await until(firing('BulkheadDecoyTouched')))[0]?.metric['system'], 'payroll')
  assert.deepEqual(await query(firing('BulkheadHopBeforeFirstScrape')), [])
})

/** Panels that show nothing while nothing is wrong. */
const QUIET = ['Limits reached', 'Failures of backends']

test('every panel of the dashboard has an answer once something has happened', async () => {
  const client = await login('carts', 'r-2', await proxy.token('keys', 'r-2'))
  await client.get('k:1')
  await client.get('other').catch(() => undefined)
  await until('increase(bulkhead_denied_total{system="carts",reason="not_granted"}[1m]) > 0')
  for (const { where, expr } of dashboardExpressions()) {
    const results = await query(withoutVariables(expr))
    if (!QUIET.includes(where)) assert.ok(results.length > 0, `${where} is empty: ${expr}`)
  }
  client.disconnect()
})
