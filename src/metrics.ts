/**
 * Counters for Prometheus; the only importer of prom-client. Labels are closed lists and names of the
 * configuration: a run, a table or an error code of a backend is never a label.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { HOP_KINDS, type HopKind, STATEMENT_ACTIONS, type StatementAction } from '../protocols/analysis.ts'
import { PROTOCOL_NAMES, type ProtocolName } from '../protocols/protocol.ts'
import { DENY_REASONS, type DenyReason } from '../protocols/session.ts'
import { EXPORTERS, type ExporterName, type ExportOutcome } from './export/exporter.ts'
import { LOGIN_FAULTS, type LoginFault } from './grants/login-faults.ts'
import type { VerdictWord } from './policy/words.ts'
import { version } from './version.ts'

/** Ways in which a backend can fail a session. */
const BACKEND_FAULTS = [
  'unreachable',
  'authentication',
  'tls',
  'protocol',
  'refused',
  'unsupported',
  'lost',
] as const
export type BackendFault = (typeof BACKEND_FAULTS)[number]

/** Decisions take microseconds; a statement seen for the first time, up to milliseconds. */
const DECISION_BUCKETS_SECONDS = [2e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1]

/**
 * What a limit of a grant stops: a reply by its rows or bytes, a statement by its time or because there were too many in a
 * minute, a session by its age or idleness, a login by the sessions that are open.
 */
export const LIMITS = ['rows', 'bytes', 'time', 'statements', 'session', 'connections'] as const
export type LimitName = (typeof LIMITS)[number]

/** One series of a counter; counting is an addition, and Prometheus gets the sum when it asks. */
type Cell = { readonly labels: Readonly<Record<string, string>>; count: number }

/** A counter whose every series is known from the start. */
class Tally {
  /** By system; those of no system under the empty name. */
  readonly #cells = new Map<string, Cell[]>()

  constructor(registry: Registry, name: string, help: string, labelNames: string[]) {
    const all = this.#cells
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset()
        for (const cells of all.values()) for (const { labels, count } of cells) this.inc(labels, count)
      },
    })
  }

  /** A series for each value of a closed list, at 0 from now on: the first hop must be an increase. */
  perLabel<Value extends string>(
    system: string,
    values: readonly Value[],
    labels: (value: Value) => Readonly<Record<string, string>>,
  ): Readonly<Record<Value, Cell>> {
    const cells = values.map((value) => [value, { labels: labels(value), count: 0 }] as const)
    const known = this.#cells.get(system) ?? []
    known.push(...cells.map(([, cell]) => cell))
    this.#cells.set(system, known)
    return Object.fromEntries(cells) as Record<Value, Cell>
  }

  forget(system: string): void {
    this.#cells.delete(system)
  }
}

/** The counters of one system. */
export class SystemMetrics {
  readonly protocol: ProtocolName
  readonly #statements: Readonly<Record<VerdictWord, Readonly<Record<StatementAction, Cell>>>>
  readonly #denied: Readonly<Record<DenyReason, Cell>>
  readonly #hops: Readonly<Record<HopKind, Cell>>
  readonly #authFailures: Readonly<Record<LoginFault, Cell>>
  readonly #backendErrors: Readonly<Record<BackendFault, Cell>>
  readonly #limits: Readonly<Record<LimitName, Cell>>
  readonly #relayed: Readonly<Record<'to_backend' | 'to_client', Cell>>
  readonly #decisions: Histogram.Internal<'protocol'>
  #sessions = 0

  constructor(tallies: Tallies, system: string, protocol: ProtocolName) {
    this.protocol = protocol
    const statements = (verdict: VerdictWord) =>
      tallies.statements.perLabel(system, STATEMENT_ACTIONS, (action) => ({
        system,
        protocol,
        verdict,
        action,
      }))
    this.#statements = {
      allow: statements('allow'),
      deny: statements('deny'),
      would_deny: statements('would_deny'),
    }
    this.#denied = tallies.denied.perLabel(system, DENY_REASONS, (reason) => ({ system, protocol, reason }))
    this.#hops = tallies.hops.perLabel(system, HOP_KINDS, (kind) => ({ system, kind }))
    this.#authFailures = tallies.authFailures.perLabel(system, LOGIN_FAULTS, (reason) => ({ system, reason }))
    this.#backendErrors = tallies.backendErrors.perLabel(system, BACKEND_FAULTS, (kind) => ({ system, kind }))
    this.#limits = tallies.limits.perLabel(system, LIMITS, (limit) => ({ system, limit }))
    const directions = ['to_backend', 'to_client'] as const
    this.#relayed = tallies.relayed.perLabel(system, directions, (direction) => ({ system, direction }))
    this.#decisions = tallies.decisions.labels({ protocol })
  }

  statement(verdict: VerdictWord, action: StatementAction): void {
    this.#statements[verdict][action].count += 1
  }

  denied(reason: DenyReason): void {
    this.#denied[reason].count += 1
    // The one limit that denies a statement before it runs.
    if (reason === 'limit') this.limit('statements')
  }

  hop(kind: HopKind): void {
    this.#hops[kind].count += 1
  }

  session(change: 1 | -1): void {
    this.#sessions += change
  }

  /** Open now. */
  get sessions(): number {
    return this.#sessions
  }

  authFailure(fault: LoginFault): void {
    this.#authFailures[fault].count += 1
    if (fault === 'too_many_connections') this.limit('connections')
  }

  backendError(fault: BackendFault): void {
    this.#backendErrors[fault].count += 1
  }

  /** A limit of a grant stopped something. */
  limit(limit: LimitName): void {
    this.#limits[limit].count += 1
  }

  relayed(direction: 'to_backend' | 'to_client', bytes: number): void {
    this.#relayed[direction].count += bytes
  }

  /** @param seconds per statement, averaged over one read from a client */
  decision(seconds: number): void {
    this.#decisions.observe(seconds)
  }
}

type Tallies = {
  readonly statements: Tally
  readonly denied: Tally
  readonly hops: Tally
  readonly authFailures: Tally
  readonly backendErrors: Tally
  readonly limits: Tally
  readonly relayed: Tally
  readonly decisions: Histogram<'protocol'>
}

/** What is asked of the audit log whenever Prometheus asks. */
export type AuditCounts = { readonly records: number; readonly failures: number; readonly writable: boolean }

/** One system as its gauges see it. */
type Observed = {
  readonly counters: SystemMetrics
  /** `undefined` for a decoy. */
  readonly reachable: (() => boolean) | undefined
}

export class Metrics {
  readonly registry = new Registry()
  readonly #tallies: Tallies
  readonly #systems = new Map<string, Observed>()
  readonly #exports: Readonly<Record<ExporterName, Readonly<Record<ExportOutcome, Cell>>>>
  #waiting: (exporter: ExporterName) => number = () => 0
  readonly #reloadSuccessful: Gauge
  readonly #reloadTime: Gauge

  /** @param audit asked whenever Prometheus asks */
  constructor(audit: () => AuditCounts) {
    const { registry } = this
    collectDefaultMetrics({ register: registry })
    const tally = (name: string, help: string, labelNames: string[]): Tally =>
      new Tally(registry, name, help, labelNames)
    this.#tallies = {
      statements: tally('bulkhead_statements_total', 'Statements judged', [
        'system',
        'protocol',
        'verdict',
        'action',
      ]),
      denied: tally('bulkhead_denied_total', 'Statements denied', ['system', 'protocol', 'reason']),
      hops: tally('bulkhead_hop_attempts_total', 'Attempts to leave the granted system', ['system', 'kind']),
      authFailures: tally('bulkhead_auth_failures_total', 'Logins refused', ['system', 'reason']),
      backendErrors: tally('bulkhead_backend_errors_total', 'Failures of a backend', ['system', 'kind']),
      limits: tally('bulkhead_limits_reached_total', 'Times that a limit of a grant stopped something', [
        'system',
        'limit',
      ]),
      relayed: tally('bulkhead_relayed_bytes_total', 'Bytes relayed', ['system', 'direction']),
      decisions: new Histogram({
        name: 'bulkhead_decision_seconds',
        help: 'Time to analyse and judge a statement, averaged over one read from a client',
        labelNames: ['protocol'],
        buckets: DECISION_BUCKETS_SECONDS,
        registers: [registry],
      }),
    }
    for (const protocol of PROTOCOL_NAMES) this.#tallies.decisions.zero({ protocol })
    this.#exports = exportCells(registry)
    this.#observeExports()
    this.#observeSystems()
    observeAudit(registry, audit)
    this.#reloadSuccessful = new Gauge({
      name: 'bulkhead_config_last_reload_successful',
      help: '1 when the configuration last read is in use, 0 when it was refused and an older one still is',
      registers: [registry],
    })
    this.#reloadTime = new Gauge({
      name: 'bulkhead_config_last_reload_success_timestamp_seconds',
      help: 'When the configuration in use was read; seconds since the epoch',
      registers: [registry],
    })
    new Gauge({
      name: 'bulkhead_build_info',
      help: 'Always 1; its labels tell what runs',
      labelNames: ['version', 'node'],
      registers: [registry],
    }).set({ version: version(), node: process.versions.node }, 1)
  }

  #observeExports(): void {
    const waiting = (exporter: ExporterName): number => this.#waiting(exporter)
    new Gauge({
      name: 'bulkhead_export_waiting_records',
      help: 'Audit records that an exporter holds and has not sent yet',
      labelNames: ['exporter'],
      registers: [this.registry],
      collect() {
        for (const exporter of EXPORTERS) this.set({ exporter }, waiting(exporter))
      },
    })
  }

  #observeSystems(): void {
    const systems = this.#systems
    new Gauge({
      name: 'bulkhead_sessions',
      help: 'Sessions open now',
      labelNames: ['system'],
      registers: [this.registry],
      collect() {
        this.reset()
        for (const [system, { counters }] of systems) this.set({ system }, counters.sessions)
      },
    })
    new Gauge({
      name: 'bulkhead_backend_up',
      help: '1 while the backend of a system can be reached',
      labelNames: ['system'],
      registers: [this.registry],
      collect() {
        this.reset()
        for (const [system, { reachable }] of systems) {
          if (reachable !== undefined) this.set({ system }, reachable() ? 1 : 0)
        }
      },
    })
  }

  /**
   * The counters of a system, which begin at 0 with the first call of its name and go on through every later one.
   * @param reachable whether its backend can be reached, asked whenever Prometheus asks; `undefined` for a decoy
   */
  ofSystem(system: string, protocol: ProtocolName, reachable: (() => boolean) | undefined): SystemMetrics {
    let counters = this.#systems.get(system)?.counters
    if (counters?.protocol !== protocol) {
      this.forgetSystem(system)
      counters = new SystemMetrics(this.#tallies, system, protocol)
    }
    this.#systems.set(system, { counters, reachable })
    return counters
  }

  /** A system that is no longer configured has no series. */
  forgetSystem(system: string): void {
    this.#systems.delete(system)
    const { decisions: _ofProtocol, ...tallies } = this.#tallies
    for (const tally of Object.values(tallies)) tally.forget(system)
  }

  /** @param readAtMs when the configuration that is in use now was read; milliseconds since the epoch */
  configurationLoaded(readAtMs: number): void {
    this.#reloadSuccessful.set(1)
    this.#reloadTime.set(readAtMs / 1_000)
  }

  /** A changed configuration could not be used; the one before it goes on. */
  configurationRefused(): void {
    this.#reloadSuccessful.set(0)
  }

  /** Has the records that wait in each exporter asked whenever Prometheus asks; until then they are 0. */
  exportsWaiting(waiting: (exporter: ExporterName) => number): void {
    this.#waiting = waiting
  }

  /** Records that an exporter has sent, or will never send. */
  exported(exporter: ExporterName, outcome: ExportOutcome, records: number): void {
    this.#exports[exporter][outcome].count += records
  }
}

function exportCells(registry: Registry): Record<ExporterName, Record<ExportOutcome, Cell>> {
  const cells = (name: string, help: string): Readonly<Record<ExporterName, Cell>> =>
    new Tally(registry, name, help, ['exporter']).perLabel('', EXPORTERS, (exporter) => ({ exporter }))
  const sent = cells('bulkhead_export_sent_total', 'Audit records that an exporter has sent')
  const dropped = cells(
    'bulkhead_export_dropped_total',
    'Audit records that an exporter gave up: its queue was full, or its receiver failed too long',
  )
  const of = (exporter: ExporterName) => ({ sent: sent[exporter], dropped: dropped[exporter] })
  return { webhook: of('webhook'), otlp: of('otlp'), syslog: of('syslog') }
}

function observeAudit(registry: Registry, audit: () => AuditCounts): void {
  const counter = (name: string, help: string, count: (counts: AuditCounts) => number): void => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(count(audit()))
      },
    })
  }
  counter(
    'bulkhead_audit_records_total',
    'Audit records handed to the operating system',
    (counts) => counts.records,
  )
  counter(
    'bulkhead_audit_write_failures_total',
    'Times that the audit log could not be written',
    (counts) => counts.failures,
  )
  new Gauge({
    name: 'bulkhead_audit_writable',
    help: '1 while audit records can be written; at 0 nothing passes',
    registers: [registry],
    collect() {
      this.set(audit().writable ? 1 : 0)
    },
  })
}
