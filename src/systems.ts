/** The systems that run, each with its listener; and how another configuration is put in their place. */
import type { ConfigChanges } from './config/changes.ts'
import type { Address, Config, SystemConfig } from './config/config.ts'
import type { Metrics } from './metrics.ts'
import { loadProtocol } from './protocols.ts'
import { Listener, type ListenerTls, listenerTlsOf } from './relay/listener.ts'
import { type Shared, System } from './relay/system.ts'

type Running = { readonly system: System; readonly listener: Listener; readonly address: Address }

/** Everything that a change needs and that can fail, made before anything is changed. */
export type Prepared = {
  /** Added and replaced systems. */
  readonly systems: ReadonlyMap<string, System>
  /** Where the address is new. */
  readonly listeners: ReadonlyMap<string, { readonly listener: Listener; readonly address: Address }>
  readonly certificates: ReadonlyMap<string, ListenerTls | undefined>
}

export class Systems {
  readonly #shared: Shared
  readonly #metrics: Metrics
  readonly #running = new Map<string, Running>()
  /** Replaced and removed ones, whose last sessions are ending. */
  readonly #retired = new Set<System>()

  constructor(shared: Shared, metrics: Metrics) {
    this.#shared = shared
    this.#metrics = metrics
  }

  get(name: string): System | undefined {
    return this.#running.get(name)?.system
  }

  all(): System[] {
    return [...this.#running.values()].map(({ system }) => system)
  }

  addresses(): ReadonlyMap<string, Address> {
    return new Map([...this.#running].map(([name, { address }]) => [name, address]))
  }

  /**
   * Opens what a configuration has that does not run yet. Rejects with the system's or the TLS library's error, and has
   * closed again whatever it had opened by then.
   */
  async prepare(config: Config, changes: ConfigChanges['systems']): Promise<Prepared> {
    const systems = new Map<string, System>()
    const listeners = new Map<string, { listener: Listener; address: Address }>()
    const certificates = new Map<string, ListenerTls | undefined>()
    const prepared = { systems, listeners, certificates }
    try {
      for (const name of [...changes.added, ...changes.replaced]) {
        systems.set(name, await this.#make(configOf(config, name)))
      }
      await Promise.all([...systems.values()].map((system) => system.backend?.start()))
      for (const name of [...changes.added, ...changes.replaced, ...changes.adjusted]) {
        certificates.set(name, listenerTlsOf(configOf(config, name)))
        if (isSameAddress(this.get(name)?.config.listen, configOf(config, name).listen)) continue
        const listener = new Listener((message) => this.#shared.notice(`error: system ${name}: ${message}`))
        // Known before it listens, so that it is closed where it cannot.
        listeners.set(name, { listener, address: configOf(config, name).listen })
        listeners.set(name, { listener, address: await listener.listen(configOf(config, name).listen) })
      }
      return prepared
    } catch (error) {
      await this.discard(prepared)
      throw error
    }
  }

  /** Closes what was prepared and is not wanted. */
  async discard({ systems, listeners }: Prepared): Promise<void> {
    for (const { listener } of listeners.values()) listener.close()
    await Promise.all([...systems.values()].map((system) => system.backend?.close()))
  }

  /** Puts what was prepared in place; gives the systems whose sessions have to end. Nothing here can fail. */
  commit(config: Config, changes: ConfigChanges['systems'], prepared: Prepared): System[] {
    const retired: System[] = []
    const retire = (name: string): void => {
      const old = this.get(name)
      if (old === undefined) return
      retired.push(old)
      this.#retired.add(old)
    }
    for (const name of changes.removed) {
      retire(name)
      this.#running.get(name)?.listener.close()
      this.#running.delete(name)
      this.#metrics.forgetSystem(name)
    }
    for (const name of changes.replaced) retire(name)
    for (const old of this.#retired) {
      const next = config.systems.get(old.config.name)
      if (next?.protocol === old.config.protocol) old.outlive(next)
    }
    for (const name of changes.adjusted) this.get(name)?.reconfigure(configOf(config, name))
    for (const name of [...changes.added, ...changes.replaced, ...changes.adjusted]) {
      const before = this.#running.get(name)
      const system = prepared.systems.get(name) ?? before?.system
      const opened = prepared.listeners.get(name) ?? before
      if (system === undefined || opened === undefined) throw new Error(`system ${name} was not prepared`)
      const { listener, address } = opened
      if (before !== undefined && before.listener !== listener) before.listener.close()
      listener.use(system, prepared.certificates.get(name))
      this.#running.set(name, { system, listener, address })
    }
    return retired
  }

  /** Its last session is over. */
  async buried(system: System): Promise<void> {
    if (this.#retired.delete(system)) await system.backend?.close()
  }

  /** No new connections; those that are logging in are closed. Sessions live on. */
  closeListeners(): void {
    for (const { listener } of this.#running.values()) listener.close()
  }

  async closeBackends(): Promise<void> {
    await Promise.all([...this.all(), ...this.#retired].map((system) => system.backend?.close()))
  }

  async #make(config: SystemConfig): Promise<System> {
    const { protocol, open } = await loadProtocol(config.protocol)
    const { notice } = this.#shared
    const backend =
      config.backend &&
      open(config.backend, ({ level, message }) => notice(`${level}: system ${config.name}: ${message}`))
    const metrics = this.#metrics.ofSystem(
      config.name,
      config.protocol,
      backend && (() => this.get(config.name)?.backend?.reachable ?? backend.reachable),
    )
    return new System(config, { protocol, backend, metrics, shared: this.#shared })
  }
}

function configOf(config: Config, name: string): SystemConfig {
  const system = config.systems.get(name)
  if (system === undefined) throw new Error(`no system ${name}`)
  return system
}

function isSameAddress(old: Address | undefined, next: Address): boolean {
  return old?.host === next.host && old.port === next.port
}
