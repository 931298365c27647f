/**
 * Counters for Prometheus; the only importer of prom-client. Labels are closed lists and names of the
 * configuration: a run, a table or an error code of a backend is never a label.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { HOP_KINDS, type HopKind, STATEMENT_ACTIONS, type StatementAction } from '../protocols/analysis.ts'
import { PROTOCOL_NAMES, type ProtocolName } from '../protocols/protocol.ts'
import { DENY_REASONS, type DenyReason } from '../protocols/session.ts'
import { TOKEN_FAULTS, type TokenFault } from './grants/token.ts'
import type { VerdictWord } from './policy/words.ts'

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

/** Login faults that are not the token's. */
const LOGIN_FAULTS = [
  'wrong_database',
  'protocol_error',
  'backend_unavailable',
  'too_many_connections',
  'decoy',
] as const
export type LoginFault = TokenFault | (typeof LOGIN_FAULTS)[number]

/** Decisions take microseconds; a statement seen for the first time, up to milliseconds. */
const DECISION_BUCKETS_SECONDS = [2e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1]

/** One series of a counter; counting is an addition, and Prometheus gets the sum when it asks. */
type Cell = { readonly labels: Readonly<Record<string, string>>; count: number }

/** A counter whose every series is known from the start. */
class Tally {
  readonly #cells: Cell[] = []

  constructor(registry: Registry, name: string, help: string, labelNames: string[]) {
    const cells = this.#cells
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset()
        for (const { labels, count } of cells) this.inc(labels, count)
      },
    })
  }

  /** A series for each value of a closed list, at 0 from now on: the first hop must be an increase. */
  perLabel<Value extends string>(
    values: readonly Value[],
    labels: (value: Value) => Readonly<Record<string, string>>,
  ): Readonly<Record<Value, Cell>> {
    const cells = values.map((value) => [value, { labels: labels(value), count: 0 }] as const)
    for (const [, cell] of cells) this.#cells.push(cell)
    return Object.fromEntries(cells) as Record<Value, Cell>
  }
}

/** The counters of one system. */
export class SystemMetrics {
  readonly #statements: Readonly<Record<VerdictWord, Readonly<Record<StatementAction, Cell>>>>
  readonly #denied: Readonly<Record<DenyReason, Cell>>
  readonly #hops: Readonly<Record<HopKind, Cell>>
  readonly #authFailures: Readonly<Record<LoginFault, Cell>>
  readonly #backendErrors: Readonly<Record<BackendFault, Cell>>
  readonly #relayed: Readonly<Record<'to_backend' | 'to_client', Cell>>
  readonly #sessions: Gauge.Internal<'system'>
  readonly #decisions: Histogram.Internal<'protocol'>

  constructor(tallies: Tallies, system: string, protocol: ProtocolName) {
    const statements = (verdict: VerdictWord) =>
      tallies.statements.perLabel(STATEMENT_ACTIONS, (action) => ({ system, protocol, verdict, action }))
    this.#statements = {
      allow: statements('allow'),
      deny: statements('deny'),
      would_deny: statements('would_deny'),
    }
    this.#denied = tallies.denied.perLabel(DENY_REASONS, (reason) => ({ system, protocol, reason }))
    this.#hops = tallies.hops.perLabel(HOP_KINDS, (kind) => ({ system, kind }))
    this.#authFailures = tallies.authFailures.perLabel([...TOKEN_FAULTS, ...LOGIN_FAULTS], (reason) => ({
      system,
      reason,
    }))
    this.#backendErrors = tallies.backendErrors.perLabel(BACKEND_FAULTS, (kind) => ({ system, kind }))
    this.#relayed = tallies.relayed.perLabel(['to_backend', 'to_client'] as const, (direction) => ({
      system,
      direction,
    }))
    this.#sessions = tallies.sessions.labels({ system })
    this.#sessions.set(0)
    this.#decisions = tallies.decisions.labels({ protocol })
  }

  statement(verdict: VerdictWord, action: StatementAction): void {
    this.#statements[verdict][action].count += 1
  }

  denied(reason: DenyReason): void {
    this.#denied[reason].count += 1
  }

  hop(kind: HopKind): void {
    this.#hops[kind].count += 1
  }

  session(change: 1 | -1): void {
    this.#sessions.inc(change)
  }

  authFailure(fault: LoginFault): void {
    this.#authFailures[fault].count += 1
  }

  backendError(fault: BackendFault): void {
    this.#backendErrors[fault].count += 1
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
  readonly relayed: Tally
  readonly sessions: Gauge<'system'>
  readonly decisions: Histogram<'protocol'>
}

/** Numbers that the audit log keeps for itself. */
type AuditCounts = { readonly records: number; readonly failures: number }

export class Metrics {
  readonly registry = new Registry()
  readonly #tallies: Tallies

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
      relayed: tally('bulkhead_relayed_bytes_total', 'Bytes relayed', ['system', 'direction']),
      sessions: new Gauge({
        name: 'bulkhead_sessions',
        help: 'Sessions open now',
        labelNames: ['system'],
        registers: [registry],
      }),
      decisions: new Histogram({
        name: 'bulkhead_decision_seconds',
        help: 'Time to analyse and judge a statement, averaged over one read from a client',
        labelNames: ['protocol'],
        buckets: DECISION_BUCKETS_SECONDS,
        registers: [registry],
      }),
    }
    for (const protocol of PROTOCOL_NAMES) this.#tallies.decisions.zero({ protocol })
    const auditCounter = (name: string, help: string, count: (counts: AuditCounts) => number): void => {
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
    auditCounter(
      'bulkhead_audit_records_total',
      'Audit records handed to the operating system',
      ({ records }) => records,
    )
    auditCounter(
      'bulkhead_audit_write_failures_total',
      'Times that the audit log could not be written',
      ({ failures }) => failures,
    )
  }

  ofSystem(system: string, protocol: ProtocolName): SystemMetrics {
    return new SystemMetrics(this.#tallies, system, protocol)
  }
}
