/**
 * Whether the alerts that are shipped would fire on what the demo did: their rules as they stand in the file for
 * Prometheus, computed over what `/metrics` said before the first agent and says now.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Sample } from './exposition.ts'
import { projectFolder } from './servers/cache.ts'

const RULES_FILE = 'docker/prometheus/rules/bulkhead.yml'

export type Alert = { readonly name: string; readonly severity: string; readonly expr: string }

/** One series of an expression's result. */
export type Result = { readonly labels: Readonly<Record<string, string>>; readonly value: number }

/** @throws Error where the file has no such rule */
export function shippedAlert(name: string): Alert {
  const { groups } = parse(readFileSync(join(projectFolder(), RULES_FILE), 'utf8')) as {
    readonly groups: readonly {
      readonly rules: readonly {
        readonly alert: string
        readonly expr: string
        readonly labels: { readonly severity: string }
      }[]
    }[]
  }
  const rule = groups.flatMap(({ rules }) => rules).find(({ alert }) => alert === name)
  if (rule === undefined) throw new Error(`${RULES_FILE} has no alert ${name}`)
  return { name, severity: rule.labels.severity, expr: rule.expr }
}

/** The one form of expression that is computed here. */
const SUM_OF_INCREASES = /^sum by \(([\w, ]+)\) \(increase\((\w+)(?:\{(\w+)="([^"]*)"\})?\[\w+\]\)\) > (\d+)$/

/**
 * What an expression of the form `sum by (…) (increase(metric{label="value"}[…])) > n` gives when the two scrapes are the only ones
 * in its range, and the proxy did not start between them. Prometheus adds to an increase what it guesses for the ends of the
 * range; here it is what was counted.
 * @throws SyntaxError for any other form
 */
export function sumOfIncreases(
  expr: string,
  before: readonly Sample[],
  now: readonly Sample[],
): readonly Result[] {
  const [, by = '', metric, label, wanted, threshold] = SUM_OF_INCREASES.exec(expr) ?? []
  if (metric === undefined) throw new SyntaxError(`not a sum of increases: ${expr}`)
  const sums = new Map<string, Result>()
  for (const { name, labels, value } of now) {
    if (name !== metric || (label !== undefined && labels[label] !== wanted)) continue
    const earlier = before.find((sample) => sample.name === name && sameLabels(sample.labels, labels))
    if (earlier === undefined) continue
    const kept = Object.fromEntries(
      by.split(', ').flatMap((one) => (labels[one] === undefined ? [] : [[one, labels[one]]])),
    )
    const key = JSON.stringify(kept)
    sums.set(key, { labels: kept, value: (sums.get(key)?.value ?? 0) + value - earlier.value })
  }
  return [...sums.values()].filter(({ value }) => value > Number(threshold))
}

function sameLabels(a: Sample['labels'], b: Sample['labels']): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}
