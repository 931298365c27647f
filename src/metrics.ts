/**
 * Counters for Prometheus; the only importer of prom-client. Labels are closed lists and names of the
 * configuration: a run, a table or an error code of a backend is never a label.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { HOP_KINDS, type HopKind, STATEMENT_ACTIONS, type StatementAction } from '../protocols/analysis.ts'
import { PROTOCOL_NAMES, type ProtocolName } from '../protocols/protocol.ts'
import { DENY_REASONS, type DenyReason } from '../protocols/session.ts'
import { TOKEN_FAULTS, type TokenFault } from './grants/token.ts'

/** Ways in which a backend can fail a session. */
export const BACKEND_FAULTS = [
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
export const LOGIN_FAULTS = [
  'wrong_database',
  'protocol_error',
  'backend_unavailable',
  'too_many_connections',
  'decoy',
] as const
export type LoginFault = TokenFault | (typeof LOGIN_FAULTS)[number]

/** Decisions take microseconds; a statement seen for the first time, up to milliseconds. */
const DECISION_BUCKETS_SECONDS = [2e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1]

/** Label sets are resolved once per system, so that the hot path only increments. */
export type SystemMetrics = {
  readonly statement: (allowed: boolean, action: StatementAction) => void
  readonly denied: (reason: DenyReason) => void
  readonly hop: (kind: HopKind) => void
  readonly session: (change: 1 | -1) => void
  readonly authFailure: (fault: LoginFault) => void
  readonly backendError: (fault: BackendFault) => void
  readonly relayed: (direction: 'to_backend' | 'to_client', bytes: number) => void
  readonly decision: (seconds: number) => void
}

export class Metrics {
  readonly registry = new Registry()
  readonly #statements = this.#counter('bulkhead_statements_total', 'Statements judged', [
    'system',
    'protocol',
    'verdict',
    'action',
  ])
  readonly #denied = this.#counter('bulkhead_denied_total', 'Statements denied', [
    'system',
    'protocol',
    'reason',
  ])
  readonly #hops = this.#counter('bulkhead_hop_attempts_total', 'Attempts to leave the granted system', [
    'system',
    'kind',
  ])
  readonly #authFailures = this.#counter('bulkhead_auth_failures_total', 'Logins refused', [
    'system',
    'reason',
  ])
  readonly #backendErrors = this.#counter('bulkhead_backend_errors_total', 'Failures of a backend', [
    'system',
    'kind',
  ])
  readonly #relayed = this.#counter('bulkhead_relayed_bytes_total', 'Bytes relayed', ['system', 'direction'])
  readonly #sessions = new Gauge({
    name: 'bulkhead_sessions',
    help: 'Sessions open now',
    labelNames: ['system'],
    registers: [this.registry],
  })
  readonly #decisions = new Histogram({
    name: 'bulkhead_decision_seconds',
    help: 'Time to analyse and judge the statements of one read from a client, per statement',
    labelNames: ['protocol'],
    buckets: DECISION_BUCKETS_SECONDS,
    registers: [this.registry],
  })

  /** @param audit gives the counts of the audit log when Prometheus asks */
  constructor(audit: () => { readonly records: number; readonly failures: number }) {
    const { registry } = this
    collectDefaultMetrics({ register: registry })
    const counts = audit
    new Counter({
      name: 'bulkhead_audit_records_total',
      help: 'Audit records handed to the operating system',
      registers: [registry],
      collect() {
        this.reset()
        this.inc(counts().records)
      },
    })
    new Counter({
      name: 'bulkhead_audit_write_failures_total',
      help: 'Times that the audit log could not be written',
      registers: [registry],
      collect() {
        this.reset()
        this.inc(counts().failures)
      },
    })
    for (const protocol of PROTOCOL_NAMES) this.#decisions.zero({ protocol })
  }

  /** The counters of one system, every series of which stands at 0 from now on: the first hop must be an increase. */
  ofSystem(system: string, protocol: ProtocolName): SystemMetrics {
    const statements = {
      allow: perLabel(STATEMENT_ACTIONS, (action) =>
        this.#statements.labels({ system, protocol, verdict: 'allow', action }),
      ),
      deny: perLabel(STATEMENT_ACTIONS, (action) =>
        this.#statements.labels({ system, protocol, verdict: 'deny', action }),
      ),
    }
    const denied = perLabel(DENY_REASONS, (reason) => this.#denied.labels({ system, protocol, reason }))
    const hops = perLabel(HOP_KINDS, (kind) => this.#hops.labels({ system, kind }))
    const authFailures = perLabel([...TOKEN_FAULTS, ...LOGIN_FAULTS], (reason) =>
      this.#authFailures.labels({ system, reason }),
    )
    const backendErrors = perLabel(BACKEND_FAULTS, (kind) => this.#backendErrors.labels({ system, kind }))
    const relayed = perLabel(['to_backend', 'to_client'] as const, (direction) =>
      this.#relayed.labels({ system, direction }),
    )
    const sessions = this.#sessions.labels({ system })
    const decisions = this.#decisions.labels({ protocol })
    sessions.set(0)
    return {
      statement: (allowed, action) => (allowed ? statements.allow : statements.deny)[action].inc(),
      denied: (reason) => denied[reason].inc(),
      hop: (kind) => hops[kind].inc(),
      session: (change) => sessions.inc(change),
      authFailure: (fault) => authFailures[fault].inc(),
      backendError: (fault) => backendErrors[fault].inc(),
      relayed: (direction, bytes) => relayed[direction].inc(bytes),
      decision: (seconds) => decisions.observe(seconds),
    }
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }
}

/** A child counter for each value of a closed list, at 0. */
function perLabel<Label extends string>(
  values: readonly Label[],
  child: (value: Label) => Counter.Internal,
): Readonly<Record<Label, Counter.Internal>> {
  return Object.fromEntries(
    values.map((value) => {
      const counter = child(value)
      counter.inc(0)
      return [value, counter]
    }),
  ) as Record<Label, Counter.Internal>
}
