/** The alert rules and the dashboard as they are shipped, and every expression in them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { projectFolder } from '../../src/demo/servers/cache.ts'

export const RULES_FILE = 'docker/prometheus/rules/bulkhead.yml'
export const RULE_TESTS_FILE = 'test/observability/alerts.yml'

export type Rule = {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}

export type Panel = {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly datasource?: { readonly uid: string }
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

export type Dashboard = {
  readonly uid: string
  readonly panels: readonly Panel[]
  readonly annotations: { readonly list: readonly { readonly expr: string; readonly titleFormat: string }[] }
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: { readonly query: string } }[]
  }
}

export function readProjectFile(path: string): string {
  return readFileSync(join(projectFolder(), path), 'utf8')
}

export function rules(): readonly Rule[] {
  const { groups } = parse(readProjectFile(RULES_FILE)) as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[]
  }
  return groups.flatMap((group) => group.rules)
}

export function dashboard(): Dashboard {
  return JSON.parse(readProjectFile('docker/grafana/dashboards/bulkhead.json')) as Dashboard
}

/** An expression, where it stands, and the text beside it that names its labels. */
export type Expression = { readonly where: string; readonly expr: string; readonly template: string }

export function ruleExpressions(): readonly Expression[] {
  return rules().map(({ alert, expr, annotations }) => ({
    where: alert,
    expr,
    template: `${annotations.summary} ${annotations.description}`,
  }))
}

export function dashboardExpressions(): readonly Expression[] {
  const { panels, annotations } = dashboard()
  return [
    ...panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, legendFormat }) => ({ where: title, expr, template: legendFormat })),
    ),
    ...annotations.list.map(({ expr, titleFormat }) => ({ where: 'hops', expr, template: titleFormat })),
  ]
}

/** The expression as Prometheus gets it: Grafana's variables filled in. */
export function withoutVariables(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll('$__range', '1h').replaceAll('$system', '.*')
}
