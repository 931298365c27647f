/** What an operator sees of what the agents did: metrics, audit log, the timeline of a run, the alerts that fire. */
import { readFileSync } from 'node:fs'
import { showRun } from '../commands/runs/show.ts'
import type { Outcome } from './agents.ts'
import { shippedAlert, sumOfIncreases } from './alerts.ts'
import type { Sample } from './exposition.ts'
import type { Tally } from './play.ts'
import { print, printAttempt, printCommand, printHeading } from './terminal.ts'

/** Every hop made must stand in the metrics and in the audit log, and no other. */
export function checkRecords(auditFile: string, metrics: readonly Sample[], tally: Tally): void {
  printHeading('records', 'what an operator sees of it')
  const made = inWords(tally.hops)
  const records = readFileSync(auditFile, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const recorded = new Map<string, number>()
  for (const { event, kind } of records) {
    if (event === 'hop') recorded.set(String(kind), (recorded.get(String(kind)) ?? 0) + 1)
  }
  for (const [what, hops] of [
    ['metrics', hopsIn(metrics)],
    ['audit log', recorded],
  ] as const) {
    const shown = inWords(hops)
    report(what, 'hops by kind', { shown, asExpected: shown === made }, tally)
  }
  const last = records.findLast(({ event }) => event === 'hop')
  if (last !== undefined) print(`\n${JSON.stringify(last, undefined, 1).replaceAll(/\n\s*/g, ' ')}`)
}

/** Moments of the timeline that are shown: the end of the script, and the logins elsewhere. */
const MOMENTS_SHOWN = 16

/** The timeline of the run that went furthest, as the command line prints it. */
export async function showTimeline(configuration: string, run: string): Promise<void> {
  printHeading('timeline', 'one run, over every system that it touched or tried')
  printCommand('the end of it', `bulkhead runs show ${run} --last ${MOMENTS_SHOWN} --config ${configuration}`)
  await showRun(run, { config: configuration, last: String(MOMENTS_SHOWN) })
}

/** The alerts on hops, as Prometheus would find them; each must fire for what was done, and for nothing else. */
export function checkAlerts(before: readonly Sample[], now: readonly Sample[], tally: Tally): void {
  printHeading('alerts', 'the rules for Prometheus, over /metrics before the first agent and now')
  for (const [name, kinds] of [
    ['BulkheadHop', tally.hops],
    ['BulkheadDecoyTouched', new Map([['decoy', tally.hops.get('decoy') ?? 0]])],
  ] as const) {
    const { severity, expr } = shippedAlert(name)
    const results = sumOfIncreases(expr, before, now)
    const shown = results
      .map(({ labels, value }) => `${Object.values(labels).join(' ')} ${value}`)
      .sort()
      .join(', ')
    const fired = results.reduce((sum, { value }) => sum + value, 0)
    const made = [...kinds.values()].reduce((sum, count) => sum + count, 0)
    report(severity, `${name}: ${expr}`, { shown, asExpected: fired === made }, tally)
  }
}

function report(
  what: string,
  statement: string,
  { shown, asExpected }: { readonly shown: string; readonly asExpected: boolean },
  tally: Tally,
): void {
  const outcome: Outcome = { ok: true, shown }
  tally.attempts += 1
  if (!asExpected) tally.unexpected += 1
  printAttempt(what, statement, outcome, { asExpected, whole: true })
}

function hopsIn(metrics: readonly Sample[]): Map<string, number> {
  const hops = new Map<string, number>()
  for (const { name, labels, value } of metrics) {
    const { kind = '' } = labels
    if (name === 'bulkhead_hop_attempts_total' && value > 0) hops.set(kind, (hops.get(kind) ?? 0) + value)
  }
  return hops
}

function inWords(hops: ReadonlyMap<string, number>): string {
  return [...hops]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([kind, count]) => `${kind} ${count}`)
    .join(', ')
}
