import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shippedAlert, sumOfIncreases } from '../../src/demo/alerts.ts'
import { parseExposition } from '../../src/demo/exposition.ts'

const scrape = (lines: readonly string[]) => parseExposition(lines.join('\n'))

const BEFORE = scrape([
  '# TYPE bulkhead_hop_attempts_total counter',
  'bulkhead_hop_attempts_total{system="shop",kind="decoy"} 3',
  'bulkhead_hop_attempts_total{system="shop",kind="cross_run"} 0',
  'bulkhead_hop_attempts_total{system="crm",kind="decoy"} 0',
  'bulkhead_sessions{system="shop"} 0',
])

const NOW = scrape([
  'bulkhead_hop_attempts_total{system="shop",kind="decoy"} 3',
  'bulkhead_hop_attempts_total{system="shop",kind="cross_run"} 2',
  'bulkhead_hop_attempts_total{system="crm",kind="decoy"} 1',
  'bulkhead_sessions{system="shop"} 7',
])

test('the shipped alert on hops fires for each system and kind that increased, and for no other', () => {
  const { expr, severity } = shippedAlert('BulkheadHop')
  assert.equal(severity, 'page')
  assert.deepEqual(sumOfIncreases(expr, BEFORE, NOW), [
    { labels: { system: 'shop', kind: 'cross_run' }, value: 2 },
    { labels: { system: 'crm', kind: 'decoy' }, value: 1 },
  ])
  assert.deepEqual(sumOfIncreases(expr, NOW, NOW), [])
})

test('the shipped alert on decoys looks at decoys only', () => {
  assert.deepEqual(sumOfIncreases(shippedAlert('BulkheadDecoyTouched').expr, BEFORE, NOW), [
    { labels: { system: 'crm' }, value: 1 },
  ])
})

test('series are added up by the labels that are kept, and held against the threshold', () => {
  const expr = 'sum by (kind) (increase(bulkhead_hop_attempts_total[5m])) > 1'
  assert.deepEqual(sumOfIncreases(expr, BEFORE, NOW), [{ labels: { kind: 'cross_run' }, value: 2 }])
})

test('an expression of another form is not guessed at', () => {
  for (const expr of [
    'up == 0',
    'sum(increase(bulkhead_hop_attempts_total[5m])) > 0',
    'bulkhead_sessions > 1',
  ]) {
    assert.throws(() => sumOfIncreases(expr, BEFORE, NOW), SyntaxError)
  }
  assert.throws(() => shippedAlert('NoSuchAlert'), /has no alert/)
})

test('a text that is no exposition is not read', () => {
  assert.throws(() => parseExposition('<html>'), SyntaxError)
  assert.throws(() => parseExposition('metric{label=unquoted} 1'), SyntaxError)
  assert.throws(() => parseExposition('metric one'), SyntaxError)
})

test('labels are read with what is escaped in them, and values that are no finite number', () => {
  assert.deepEqual(scrape(['m{a="x\\"y",b="1,2}"} +Inf', 'm 1e-3']), [
    { name: 'm', labels: { a: 'x"y', b: '1,2}' }, value: Number.POSITIVE_INFINITY },
    { name: 'm', labels: {}, value: 0.001 },
  ])
})
