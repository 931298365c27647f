import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HOP_KINDS, STATEMENT_ACTIONS } from '../../protocols/analysis.ts'
import { DENY_REASONS } from '../../protocols/session.ts'
import { parseExposition, type Sample } from '../../src/demo/exposition.ts'
import { projectFolder } from '../../src/demo/servers/cache.ts'
import { EXPORTERS } from '../../src/export/exporter.ts'
import { LIMITS, Metrics } from '../../src/metrics.ts'

function fresh(): Metrics {
  return new Metrics(() => ({ records: 0, failures: 0, writable: true }))
}

async function samples(metrics: Metrics, name: string): Promise<readonly Sample[]> {
  return parseExposition(await metrics.registry.metrics()).filter((sample) => sample.name === name)
}

async function value(metrics: Metrics, name: string, labels: Record<string, string>): Promise<number> {
  const found = (await samples(metrics, name)).filter((sample) =>
    Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted),
  )
  assert.equal(found.length, 1, `${found.length} series of ${name} ${JSON.stringify(labels)}`)
  return found[0]?.value ?? Number.NaN
}

const EACH_SYSTEM: readonly (readonly [name: string, series: number])[] = [
  ['bulkhead_statements_total', 3 * STATEMENT_ACTIONS.length],
  ['bulkhead_denied_total', DENY_REASONS.length],
  ['bulkhead_hop_attempts_total', HOP_KINDS.length],
  ['bulkhead_limits_reached_total', LIMITS.length],
  ['bulkhead_relayed_bytes_total', 2],
  ['bulkhead_sessions', 1],
]

for (const [name, series] of EACH_SYSTEM) {
  test(`every series of ${name} stands at 0 before anything has happened`, async () => {
    const metrics = fresh()
    metrics.ofSystem('shop', 'postgres', () => true)
    metrics.ofSystem('carts', 'redis', () => true)
    const found = await samples(metrics, name)
    assert.equal(found.length, 2 * series)
    assert.deepEqual(new Set(found.map((sample) => sample.value)), new Set([0]))
  })
}

test('whatever is counted leaves the number of series as it was', async () => {
  const metrics = fresh()
  const shop = metrics.ofSystem('shop', 'postgres', () => true)
  const before = (await metrics.registry.metrics()).split('\n').length
  for (const action of STATEMENT_ACTIONS) shop.statement('would_deny', action)
  for (const reason of DENY_REASONS) shop.denied(reason)
  for (const kind of HOP_KINDS) shop.hop(kind)
  for (const limit of LIMITS) shop.limit(limit)
  shop.authFailure('too_many_connections')
  for (const exporter of EXPORTERS) metrics.exported(exporter, 'dropped', 3)
  shop.relayed('to_backend', 512)
  shop.decision(0.001)
  shop.session(1)
  assert.equal((await metrics.registry.metrics()).split('\n').length, before)
  assert.equal(await value(metrics, 'bulkhead_hop_attempts_total', { system: 'shop', kind: 'decoy' }), 1)
  assert.equal(await value(metrics, 'bulkhead_export_dropped_total', { exporter: 'otlp' }), 3)
  assert.equal(await value(metrics, 'bulkhead_limits_reached_total', { limit: 'rows' }), 1)
  // Counted by what they are, and once more by the denial and the login that they stopped.
  assert.equal(await value(metrics, 'bulkhead_limits_reached_total', { limit: 'statements' }), 2)
  assert.equal(await value(metrics, 'bulkhead_limits_reached_total', { limit: 'connections' }), 2)
  assert.equal(await value(metrics, 'bulkhead_sessions', { system: 'shop' }), 1)
})

test('bulkhead_build_info tells the version of the package and of Node', async () => {
  const { version } = JSON.parse(readFileSync(join(projectFolder(), 'package.json'), 'utf8')) as {
    version: string
  }
  assert.deepEqual(await samples(fresh(), 'bulkhead_build_info'), [
    { name: 'bulkhead_build_info', labels: { version, node: process.versions.node }, value: 1 },
  ])
})

test('a refused configuration leaves the time of the one in use as it was', async () => {
  const metrics = fresh()
  metrics.configurationLoaded(1_700_000_000_500)
  metrics.configurationRefused()
  assert.equal(await value(metrics, 'bulkhead_config_last_reload_successful', {}), 0)
  const time = 'bulkhead_config_last_reload_success_timestamp_seconds'
  assert.equal(await value(metrics, time, {}), 1_700_000_000.5)
  metrics.configurationLoaded(1_700_000_060_000)
  assert.equal(await value(metrics, 'bulkhead_config_last_reload_successful', {}), 1)
  assert.equal(await value(metrics, time, {}), 1_700_000_060)
})

test('bulkhead_backend_up follows the backend, and a decoy has none', async () => {
  const metrics = fresh()
  let reachable = true
  metrics.ofSystem('shop', 'postgres', () => reachable)
  metrics.ofSystem('payroll', 'postgres', undefined)
  assert.deepEqual(
    (await samples(metrics, 'bulkhead_backend_up')).map(({ labels, value: up }) => [labels['system'], up]),
    [['shop', 1]],
  )
  reachable = false
  assert.equal(await value(metrics, 'bulkhead_backend_up', { system: 'shop' }), 0)
})

test('bulkhead_audit_writable follows the log', async () => {
  let writable = true
  const metrics = new Metrics(() => ({ records: 7, failures: 2, writable }))
  assert.equal(await value(metrics, 'bulkhead_audit_writable', {}), 1)
  writable = false
  assert.equal(await value(metrics, 'bulkhead_audit_writable', {}), 0)
  assert.equal(await value(metrics, 'bulkhead_audit_records_total', {}), 7)
  assert.equal(await value(metrics, 'bulkhead_audit_write_failures_total', {}), 2)
})

test('a system that is configured again goes on counting, and one that is gone has no series', async () => {
  const metrics = fresh()
  metrics.ofSystem('shop', 'postgres', () => true).hop('decoy')
  metrics.ofSystem('shop', 'postgres', () => false).hop('decoy')
  assert.equal(await value(metrics, 'bulkhead_hop_attempts_total', { system: 'shop', kind: 'decoy' }), 2)
  assert.equal(await value(metrics, 'bulkhead_backend_up', { system: 'shop' }), 0)
  metrics.forgetSystem('shop')
  const text = await metrics.registry.metrics()
  assert.ok(!text.includes('system="shop"'), text)
})

test('a system that speaks another protocol than before begins at 0, without its old series', async () => {
  const metrics = fresh()
  metrics.ofSystem('shop', 'postgres', () => true).statement('allow', 'select')
  metrics.ofSystem('shop', 'mysql', () => true)
  const found = await samples(metrics, 'bulkhead_statements_total')
  assert.deepEqual(new Set(found.map(({ labels }) => labels['protocol'])), new Set(['mysql']))
  assert.deepEqual(new Set(found.map((sample) => sample.value)), new Set([0]))
})

test('a decision of a few microseconds and one of half a second are told apart', async () => {
  const metrics = fresh()
  const shop = metrics.ofSystem('shop', 'postgres', () => true)
  shop.decision(4e-6)
  shop.decision(0.5)
  const buckets = await samples(metrics, 'bulkhead_decision_seconds_bucket')
  const upTo = (le: string): number | undefined =>
    buckets.find(({ labels }) => labels['protocol'] === 'postgres' && labels['le'] === le)?.value
  assert.equal(upTo('0.000002'), 0)
  assert.equal(upTo('0.000005'), 1)
  assert.equal(upTo('0.1'), 1)
  assert.equal(upTo('1'), 2)
})
