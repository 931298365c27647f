/** Builds the parts from a configuration and starts and stops them. Knows everyone; nobody knows it. */
import { Admin } from './admin.ts'
import { AuditLog } from './audit/log.ts'
import type { Address, Config } from './config/config.ts'
import { readIssuers } from './grants/keys.ts'
import { Metrics } from './metrics.ts'
import { loadProtocol } from './protocols.ts'
import { Listener } from './relay/listener.ts'
import { type Shared, System } from './relay/system.ts'
import { Runs } from './runs/live.ts'

/** How long open sessions may take to end by themselves when the gateway stops. */
const DRAIN_MS = 1_000

export type GatewayOptions = {
  /** One line for operators. */
  readonly notice: (line: string) => void
  /** Milliseconds since the epoch; a test passes its own. */
  readonly now?: () => number
}

export type Started = {
  /** Where each system listens, by name. */
  readonly systems: ReadonlyMap<string, Address>
  readonly admin: Address
}

export class Gateway {
  readonly #systems: readonly System[]
  readonly #listeners: readonly Listener[]
  readonly #shared: Shared
  readonly #metrics: Metrics
  readonly #admin: Admin

  private constructor(systems: readonly System[], shared: Shared, metrics: Metrics) {
    this.#systems = systems
    this.#shared = shared
    this.#metrics = metrics
    this.#listeners = systems.map((system) => new Listener(system))
    this.#admin = new Admin({ metrics: this.#metrics, readiness: () => this.#readiness() })
  }

  /**
   * @throws KeyError where an issuer's key cannot be used, and the system's error where the audit file cannot be
   *   opened
   */
  static async build(config: Config, options: GatewayOptions): Promise<Gateway> {
    const now = options.now ?? Date.now
    const issuers = await readIssuers(config.issuers)
    const audit = new AuditLog(config.auditFile)
    const metrics = new Metrics(() => ({
      records: audit.records,
      failures: audit.failures,
      writable: audit.isWritable(now()),
    }))
    metrics.configurationLoaded(now())
    const shared: Shared = { config, issuers, audit, runs: new Runs(), now, notice: options.notice }
    const systems: System[] = []
    for (const system of config.systems.values()) {
      const { protocol, open } = await loadProtocol(system.protocol)
      const backend =
        system.backend &&
        open(system.backend, ({ level, message }) =>
          options.notice(`${level}: system ${system.name}: ${message}`),
        )
      const counters = metrics.ofSystem(system.name, system.protocol, backend && (() => backend.reachable))
      systems.push(new System(system, { protocol, backend, metrics: counters, shared }))
    }
    return new Gateway(systems, shared, metrics)
  }

  /**
   * Resolves when every listener is open; a backend that is down does not hold it up. Rejects with the system's error where
   * an address is taken, and has closed again whatever was open by then.
   */
  async start(): Promise<Started> {
    try {
      return await this.#open()
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async #open(): Promise<Started> {
    const { audit, now, config } = this.#shared
    audit.appendEvent('proxy.start', undefined, { systems: [...config.systems.keys()], pid: process.pid })
    audit.flush(now())
    await Promise.all(this.#systems.map((system) => system.backend?.start()))
    const addresses = await Promise.all(this.#listeners.map((listener) => listener.listen()))
    const admin = await this.#admin.listen(config.admin)
    return {
      systems: new Map(
        this.#systems.map((system, index) => [system.config.name, addresses[index] as Address]),
      ),
      admin,
    }
  }

  /** No new connections; open sessions get the database's own shutdown error; then everything closes. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.close()
    const { runs, audit, now } = this.#shared
    runs.endAll({ kind: 'shutdown', message: 'the proxy is shutting down' })
    const deadlineMs = now() + DRAIN_MS
    while (runs.sessionCount > 0 && now() < deadlineMs)
      await new Promise((resolve) => setTimeout(resolve, 10))
    await Promise.all(this.#systems.map((system) => system.backend?.close()))
    this.#admin.close()
    audit.appendEvent('proxy.stop', undefined, {})
    audit.flush(now())
    audit.close()
  }

  #readiness(): { readonly ready: boolean; readonly reasons: readonly string[] } {
    const { audit, now } = this.#shared
    const reasons: string[] = []
    if (!audit.isWritable(now())) reasons.push('the audit log cannot be written')
    for (const { config, backend } of this.#systems) {
      if (backend !== undefined && !backend.reachable)
        reasons.push(`the backend of system ${config.name} cannot be reached`)
    }
    return { ready: reasons.length === 0, reasons }
  }
}
