/** Builds the parts from a configuration, starts, reloads, drains and stops them. Knows everyone; nobody knows it. */
import type { EndCause } from '../protocols/session.ts'
import type { Readiness, Reloaded } from './admin/app.ts'
import { Admin } from './admin/server.ts'
import { AuditLog } from './audit/log.ts'
import { changesOf, keepUnchangedGrants } from './config/changes.ts'
import type { Address, Config } from './config/config.ts'
import { loadConfig } from './config/load.ts'
import { Exports } from './export/exports.ts'
import { readIssuers } from './grants/keys.ts'
import { Metrics } from './metrics.ts'
import { standingOf } from './relay/admission.ts'
import { UNRECORDED } from './relay/relay.ts'
import type { Shared, System } from './relay/system.ts'
import { RunControl } from './runs/control.ts'
import { RunLedger } from './runs/ledger.ts'
import { type LiveSession, Runs } from './runs/live.ts'
import { RunState } from './runs/state.ts'
import { Systems } from './systems.ts'
import { version } from './version.ts'

export type GatewayOptions = {
  /** One line for operators. */
  readonly notice: (line: string) => void
  /** Milliseconds since the epoch; a test passes its own. */
  readonly now?: () => number
  /** Where `${NAME}` is looked up when the configuration is read anew. */
  readonly environment?: NodeJS.ProcessEnv
}

export type Started = {
  /** Where each system listens, by name. */
  readonly systems: ReadonlyMap<string, Address>
  /** `undefined` where it is served on a unix socket only. */
  readonly admin: Address | undefined
}

/** What changes under the feet of everyone who shares it; only the gateway writes it. */
type Changing = { -readonly [Member in keyof Shared]: Shared[Member] }

const SHUTDOWN: EndCause = { kind: 'shutdown', message: 'the proxy is shutting down' }
const REPLACED: EndCause = { kind: 'shutdown', message: 'the system was configured anew: connect again' }
const UNTRUSTED: EndCause = { kind: 'revoked', message: 'the issuer of this token is no longer trusted' }

export class Gateway {
  readonly #shared: Changing
  readonly #systems: Systems
  readonly #metrics: Metrics
  readonly #admin: Admin
  readonly #environment: NodeJS.ProcessEnv
  /** `undefined` where nothing is exported, and before the start. */
  #exports: Exports | undefined
  /** Reloads follow one another. */
  #reloading: Promise<unknown> = Promise.resolve()
  #draining = false
  #stopped: Promise<void> | undefined

  private constructor(shared: Changing, metrics: Metrics, environment: NodeJS.ProcessEnv) {
    this.#shared = shared
    this.#metrics = metrics
    this.#environment = environment
    this.#systems = new Systems(shared, metrics)
    const { runs, audit, now } = shared
    this.#admin = new Admin({
      metrics,
      runs,
      control: new RunControl({ runs, audit, now, config: () => this.#shared.config }),
      readiness: () => this.#readiness(),
      reload: () => this.reload(),
      version: version(),
      notice: shared.notice,
    })
  }

  /**
   * @throws KeyError where an issuer's key cannot be used, StateError where the state file cannot, and the system's
   *   error where the audit file cannot be opened
   */
  static async build(config: Config, options: GatewayOptions): Promise<Gateway> {
    const now = options.now ?? Date.now
    const issuers = await readIssuers(config.issuers)
    const runs = new Runs(new RunState(config.stateFile, now), new RunLedger())
    const audit = new AuditLog(config.auditFile, { ...config.audit, now, notice: options.notice })
    const metrics = new Metrics(() => ({
      records: audit.records,
      failures: audit.failures,
      writable: audit.isWritable(now()),
    }))
    metrics.configurationLoaded(now())
    const shared = { config, issuers, audit, runs, now, notice: options.notice }
    return new Gateway(shared, metrics, options.environment ?? process.env)
  }

  /**
   * Resolves when every listener is open; a backend that is down does not hold it up. Rejects with the system's error where
   * an address is taken, and has closed again whatever was open by then.
   */
  async start(): Promise<Started> {
    const opened = this.#open()
    // A reload that is asked for meanwhile finds everything in its place.
    this.#reloading = opened.catch(() => undefined)
    try {
      return await opened
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async #open(): Promise<Started> {
    const { audit, now, config, notice } = this.#shared
    this.#exports = Exports.open({
      settings: config.exports,
      count: (exporter, outcome, records) => this.#metrics.exported(exporter, outcome, records),
      notice,
    })
    audit.onWritten = this.#exports?.written
    this.#metrics.exportsWaiting((exporter) => this.#exports?.waiting(exporter) ?? 0)
    audit.appendEvent('proxy.start', undefined, { systems: [...config.systems.keys()], pid: process.pid })
    audit.flush(now())
    const all = { added: [...config.systems.keys()], removed: [], replaced: [], adjusted: [] }
    this.#systems.commit(config, all, await this.#systems.prepare(config, all))
    const admin = await this.#admin.listen(config.admin)
    return { systems: this.#systems.addresses(), admin }
  }

  /** Where each system listens now, by name. */
  get addresses(): ReadonlyMap<string, Address> {
    return this.#systems.addresses()
  }

  /**
   * Reads the configuration anew. One that cannot be used leaves everything as it was, and says why. Never rejects.
   */
  reload(): Promise<Reloaded> {
    const reloaded = this.#reloading.then(() => this.#reload())
    this.#reloading = reloaded
    return reloaded
  }

  async #reload(): Promise<Reloaded> {
    const { audit, notice, now } = this.#shared
    let lines: readonly string[]
    try {
      lines = await this.#readAnew()
    } catch (error) {
      const problem = problemOf(error)
      this.#metrics.configurationRefused()
      notice(`error: the configuration was not reloaded, the one before it goes on: ${problem}`)
      audit.appendEvent('config.refused', undefined, { problem })
      audit.flush(now())
      return { reloaded: false, changes: [], problems: [problem] }
    }
    this.#metrics.configurationLoaded(now())
    notice(`info: the configuration was reloaded: ${lines.length === 0 ? 'no change' : lines.join(', ')}`)
    return { reloaded: true, changes: lines, problems: [] }
  }

  /** @throws what {@link problemOf} words; then nothing has changed */
  async #readAnew(): Promise<readonly string[]> {
    const shared = this.#shared
    const old = shared.config
    if (this.#draining) throw new ReloadError('the proxy is stopping')
    const loaded = loadConfig(old.file, { environment: this.#environment, secrets: 'required' })
    const next = keepUnchangedGrants(old, loaded.config)
    const changes = changesOf(old, next)
    if (changes.fixed.length > 0) {
      const keys = changes.fixed.map((key) => `\`${key}\``).join(', ')
      throw new ReloadError(`${keys} cannot change while the proxy runs: put it back, or restart`)
    }
    // Key sets that were fetched stay fetched where nothing says that they should be others.
    const issuers = changes.lines.includes('issuers changed')
      ? await readIssuers(next.issuers)
      : shared.issuers
    const prepared = await this.#systems.prepare(next, changes.systems)
    const refusal = this.#draining ? 'the proxy is stopping' : this.#recordReload(changes.lines)
    if (refusal !== undefined) {
      await this.#systems.discard(prepared)
      throw new ReloadError(refusal)
    }
    // From here on nothing fails and nothing waits: no statement is judged by half of a configuration.
    shared.config = next
    shared.issuers = issuers
    const retired = this.#systems.commit(next, changes.systems, prepared)
    // What speaks another language now ends first: the new grants say nothing in the old one.
    for (const { config } of retired) {
      const now = this.#systems.get(config.name)
      if (now !== undefined && now.config.protocol !== config.protocol) this.#endOn(config.name)
    }
    const changedSystems = new Set([...changes.systems.adjusted, ...changes.systems.replaced])
    const sessions = shared.runs.sessions()
    for (const session of sessions) {
      const { grant } = session.token
      const concerned =
        changedSystems.has(session.system) || (typeof grant === 'string' && changes.grants.has(grant))
      this.#regrant(session, concerned)
    }
    // Each has recorded what its verdicts follow from now, as far as the log takes it.
    if (!shared.audit.flush(shared.now())) for (const session of sessions) session.end(UNRECORDED)
    for (const system of retired) this.#retire(system)
    return changes.lines
  }

  /** Why the change is not made: it may give rights, which must not be on no record. */
  #recordReload(changes: readonly string[]): string | undefined {
    const { audit, now } = this.#shared
    if (audit.isWritable(now())) {
      audit.appendEvent('config.reloaded', undefined, { changes })
      if (audit.flush(now())) return undefined
    }
    return `the audit log cannot be written: ${faultWords(audit.fault)}`
  }

  /** Gives a session what the configuration has for it now. */
  #regrant(session: LiveSession, concerned: boolean): void {
    const system = this.#systems.get(session.system)
    if (system === undefined) {
      session.regrant(undefined)
      return
    }
    const standing = standingOf(session.token, system)
    if (!standing.good) {
      if (standing.fault === 'unknown_issuer') session.end(UNTRUSTED)
      else session.regrant(undefined)
    } else if (concerned) {
      session.regrant(standing.grant)
    }
  }

  #endOn(system: string): void {
    for (const session of this.#shared.runs.sessions()) {
      if (session.system === system) session.end(REPLACED)
    }
  }

  /** What is left on a system that was replaced ends when it is idle, or at the deadline. */
  #retire(system: System): void {
    const left = this.#shared.runs.sessions().filter((session) => session.system === system.config.name)
    for (const session of left) session.drain(REPLACED)
    const bury = (): void => {
      for (const session of left) session.end(REPLACED)
      this.#systems.buried(system).catch(() => undefined)
    }
    setTimeout(bury, this.#shared.config.drainMs).unref()
  }

  /**
   * No new connections; sessions end at their next idle moment. Resolves when none is left, or when `drain` of the
   * configuration has passed; `stop()` is for the caller.
   */
  async drain(): Promise<void> {
    this.#draining = true
    this.#systems.closeListeners()
    const { runs, config } = this.#shared
    for (const session of runs.sessions()) session.drain(SHUTDOWN)
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, config.drainMs)
    })
    await Promise.race([runs.empty(), deadline])
    clearTimeout(timer)
  }

  /** No new connections; open sessions get the database's own shutdown error; then everything closes. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#draining = true
    this.#systems.closeListeners()
    const { runs, audit, now } = this.#shared
    for (const session of runs.sessions()) session.end(SHUTDOWN)
    await this.#reloading
    await this.#systems.closeBackends()
    this.#admin.close()
    audit.appendEvent('proxy.stop', undefined, {})
    audit.flush(now())
    audit.close()
    await this.#exports?.close()
  }

  #readiness(): Readiness {
    const { audit, runs, now } = this.#shared
    const reasons: string[] = []
    if (this.#draining) reasons.push('the proxy is stopping')
    if (!audit.isWritable(now())) reasons.push(`the audit log cannot be written: ${faultWords(audit.fault)}`)
    if (!runs.state.saved && !runs.state.save()) reasons.push('the state file cannot be written')
    for (const { config, backend } of this.#systems.all()) {
      if (backend !== undefined && !backend.reachable)
        reasons.push(`the backend of system ${config.name} cannot be reached`)
    }
    return { ready: reasons.length === 0, reasons }
  }
}

/** What `/readyz` says of the audit log's fault: more than a code where it is none of the system's. */
function faultWords(fault: string | undefined): string {
  if (fault === 'slow') return 'a write took more than a second'
  return fault === 'taken' ? 'another process has taken its file: restart' : (fault ?? 'error')
}

/** The new configuration is good, and yet not for a proxy that runs. */
class ReloadError extends Error {}

/** For operators, in the API's answer and in the log. */
function problemOf(error: unknown): string {
  // A wrong configuration, a key that cannot be used, an address that is taken, a certificate that does not fit its key.
  return error instanceof Error ? error.message : String(error)
}
