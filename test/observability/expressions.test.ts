/**
 * Holds the alert rules and the dashboard to the metrics that the proxy really has: a metric, a label or a label's value
 * that does not exist makes an alert that never fires and a panel that stays empty, and nobody is told.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { parseExposition } from '../../src/demo/exposition.ts'
import { Metrics } from '../../src/metrics.ts'
import { temporaryFolder } from '../support/folders.ts'
import { readPromql } from '../support/promql.ts'
import { promtool } from '../support/promtool.ts'
import {
  dashboard,
  dashboardExpressions,
  type Expression,
  RULE_TESTS_FILE,
  RULES_FILE,
  readProjectFile,
  ruleExpressions,
  rules,
  withoutVariables,
} from './files.ts'

/** The values of each label of each metric; `undefined`: open, since Prometheus or the configuration gives them. */
type Known = Map<string, Map<string, Set<string> | undefined>>

let known: Known

before(async () => {
  known = await knownMetrics()
})

/** Labels that every scraped series has, and those whose values are the operator's or the build's. */
const OPEN_LABELS = ['job', 'instance', 'system', 'version', 'node', 'alertname']

async function knownMetrics(): Promise<Known> {
  const metrics = new Metrics(() => ({ records: 0, failures: 0, writable: true }))
  metrics.ofSystem('shop', 'postgres', () => true)
  metrics.ofSystem('crm', 'mysql', () => true)
  metrics.ofSystem('carts', 'redis', () => true)
  const found: Known = new Map([
    ['up', new Map()],
    ['ALERTS', new Map([['alertstate', new Set(['pending', 'firing'])]])],
  ])
  for (const { name, labels } of parseExposition(await metrics.registry.metrics())) {
    const values = found.get(name) ?? new Map<string, Set<string> | undefined>()
    found.set(name, values)
    for (const [label, value] of Object.entries(labels)) {
      const seen = values.get(label) ?? new Set()
      values.set(label, seen.add(value))
    }
  }
  for (const [name, values] of found) {
    for (const label of OPEN_LABELS) {
      if (values.has(label) || ['job', 'instance'].includes(label) || name === 'ALERTS')
        values.set(label, undefined)
    }
  }
  return found
}

/** What is wrong with an expression; empty when nothing is. */
function faults({ expr, template }: Expression): readonly string[] {
  const { selectors, labels } = readPromql(expr)
  const wrong: string[] = selectors.length === 0 ? ['no metric'] : []
  for (const { metric, matchers } of selectors) {
    const has = known.get(metric)
    if (has === undefined) {
      wrong.push(`no metric ${metric}`)
      continue
    }
    for (const label of labels) if (!has.has(label)) wrong.push(`${metric} has no label ${label}`)
    for (const { label, operator, value } of matchers) {
      const values = has.get(label)
      if (!has.has(label)) wrong.push(`${metric} has no label ${label}`)
      else if (values !== undefined && !operator.includes('~') && !values.has(value))
        wrong.push(`${metric} has no ${label}="${value}"`)
    }
  }
  for (const [, label = ''] of template.matchAll(/\{\{ ?(?:if )?\$?(?:labels\.)?(\w+) ?\}\}/g)) {
    const kept =
      labels.length > 0
        ? labels.includes(label)
        : selectors.some(({ metric }) => known.get(metric)?.has(label))
    if (label !== 'end' && !kept) wrong.push(`the text names ${label}, which no result has`)
  }
  return wrong
}

test('every alert asks for metrics, labels and values that the proxy has', () => {
  for (const expression of ruleExpressions()) assert.deepEqual(faults(expression), [], expression.where)
})

test('every panel asks for metrics, labels and values that the proxy has', () => {
  for (const expression of dashboardExpressions()) assert.deepEqual(faults(expression), [], expression.where)
})

test('a metric, a label, a value or a legend that does not exist is seen', () => {
  const fault = (expr: string, template = ''): string | undefined => faults({ where: '', expr, template })[0]
  assert.match(fault('bulkhead_hops_total > 0') ?? '', /no metric/)
  assert.match(fault('bulkhead_sessions{run="r-1"}') ?? '', /no label run/)
  assert.match(fault('sum by (grant) (bulkhead_sessions)') ?? '', /no label grant/)
  assert.match(fault('bulkhead_statements_total{verdict="denied"}') ?? '', /no verdict="denied"/)
  assert.match(fault('sum by (system) (bulkhead_sessions)', '{{kind}}') ?? '', /names kind/)
  assert.match(fault('rate(bulkhead_decision_seconds[5m])') ?? '', /no metric bulkhead_decision_seconds/)
  assert.throws(() => fault('deriv(bulkhead_sessions[5m])'), SyntaxError)
  assert.equal(fault('rate(bulkhead_decision_seconds_bucket{le="0.1"}[5m])', '{{protocol}}'), undefined)
})

test('the list of systems comes from a metric that has systems', () => {
  for (const { name, query } of dashboard().templating.list) {
    const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(query.query) ?? []
    assert.ok(known.get(metric)?.has(label), query.query)
    assert.ok(
      dashboardExpressions().some(({ expr }) => expr.includes(`"$${name}"`)),
      `nothing uses $${name}`,
    )
  }
})

test('Prometheus can read its configuration and the alert rules', async () => {
  assert.match(await promtool('check', 'config', 'docker/prometheus/prometheus.yml'), /SUCCESS/)
  assert.match(await promtool('check', 'rules', RULES_FILE), /SUCCESS/)
})

test('Prometheus can read the expression of every panel', async () => {
  const folder = temporaryFolder()
  const recorded = dashboardExpressions().map(({ expr }, index) => ({
    record: `panel:expression:${index}`,
    expr: withoutVariables(expr),
  }))
  writeFileSync(join(folder, 'panels.yml'), stringify({ groups: [{ name: 'panels', rules: recorded }] }))
  assert.match(await promtool('check', 'rules', join(folder, 'panels.yml')), /SUCCESS/)
})

test('the alerts fire when they should and stay quiet when they should not', async () => {
  assert.match(await promtool('test', 'rules', RULE_TESTS_FILE), /SUCCESS/)
})

test('of every alert there is a case in which it fires and one in which it does not', () => {
  type Case = { readonly alertname: string; readonly exp_alerts?: readonly unknown[] }
  const { tests } = parse(readProjectFile(RULE_TESTS_FILE)) as {
    readonly tests: readonly { readonly alert_rule_test: readonly Case[] }[]
  }
  const cases = tests.flatMap((one) => one.alert_rule_test)
  for (const { alert } of rules()) {
    const own = cases.filter(({ alertname }) => alertname === alert)
    assert.ok(
      own.some(({ exp_alerts = [] }) => exp_alerts.length > 0),
      `${alert} fires in no case`,
    )
    assert.ok(
      own.some(({ exp_alerts = [] }) => exp_alerts.length === 0),
      `${alert} is quiet in no case`,
    )
  }
  for (const { alertname } of cases)
    assert.ok(
      rules().some(({ alert }) => alert === alertname),
      alertname,
    )
})

test('a hop, a decoy, a failing audit log, a backend that is down and a proxy that is gone wake somebody', () => {
  const pages = rules().filter(({ labels }) => labels.severity === 'page')
  assert.deepEqual(pages.map(({ alert }) => alert).sort(), [
    'BulkheadAbsent',
    'BulkheadAuditFailing',
    'BulkheadBackendDown',
    'BulkheadDecoyTouched',
    'BulkheadHop',
    'BulkheadHopBeforeFirstScrape',
  ])
  for (const { alert, labels } of rules()) assert.match(labels.severity, /^(page|ticket)$/, alert)
})

test('the documentation names every metric and every alert, and none that does not exist', () => {
  const text = readProjectFile('docs/operating.md')
  const named = new Set([...text.matchAll(/\bbulkhead_[a-z_]+[a-z]\b/g)].map(([name]) => name))
  const own = [...known.keys()]
    .filter((name) => name.startsWith('bulkhead_'))
    .map((name) => name.replace(/_(bucket|sum|count)$/, ''))
  assert.deepEqual([...named].sort(), [...new Set(own)].sort())
  const alerts = new Set([...text.matchAll(/\bBulkhead[A-Z]\w+/g)].map(([name]) => name))
  assert.deepEqual(
    [...alerts].sort(),
    rules()
      .map(({ alert }) => alert)
      .sort(),
  )
})

test('the panels have numbers of their own, stand beside each other, and ask the provisioned source', () => {
  const { panels } = dashboard()
  const source = parse(readProjectFile('docker/grafana/datasources/prometheus.yml')) as {
    readonly datasources: readonly { readonly uid: string }[]
  }
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const taken = new Map<string, string>()
  for (const { title, type, gridPos, datasource } of panels) {
    if (type !== 'row') assert.equal(datasource?.uid, source.datasources[0]?.uid, title)
    assert.ok(gridPos.x + gridPos.w <= 24, `${title} is off the grid`)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        assert.equal(taken.get(`${x}/${y}`), undefined, `${title} covers another panel`)
        taken.set(`${x}/${y}`, title)
      }
    }
  }
})
