/** One system as it runs: its configuration, its backend's knowledge, its grants bound to that knowledge. */
import type { Analyser, Protocol } from '../../protocols/protocol.ts'
import type { AuditContext } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Backend } from '../backends/backend.ts'
import type { Config, SystemConfig } from '../config/config.ts'
import type { Grant } from '../grants/grant.ts'
import type { Issuer } from '../grants/keys.ts'
import type { SystemMetrics } from '../metrics.ts'
import { Judge } from '../policy/judge.ts'
import type { Runs } from '../runs/live.ts'

/** What all systems of a gateway share. The configuration and its issuers change with a reload: read them at each use. */
export type Shared = {
  readonly config: Config
  readonly issuers: ReadonlyMap<string, Issuer>
  readonly audit: AuditLog
  readonly runs: Runs
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** For operators: one line to the log of the process. */
  readonly notice: (line: string) => void
}

export class System {
  readonly protocol: Protocol<Analyser>
  /** `undefined` for a decoy. */
  readonly backend: Backend<Analyser> | undefined
  readonly metrics: SystemMetrics
  readonly shared: Shared
  #config: SystemConfig
  #judges = new WeakMap<Grant, Judge>()

  constructor(
    config: SystemConfig,
    parts: {
      readonly protocol: Protocol<Analyser>
      readonly backend: Backend<Analyser> | undefined
      readonly metrics: SystemMetrics
      readonly shared: Shared
    },
  ) {
    this.#config = config
    this.protocol = parts.protocol
    this.backend = parts.backend
    this.metrics = parts.metrics
    this.shared = parts.shared
  }

  /** As it is now: a reload changes it. */
  get config(): SystemConfig {
    return this.#config
  }

  /** What was compiled under the old ceiling and decoys is forgotten; sessions are given their grants anew by the caller. */
  reconfigure(config: SystemConfig): void {
    this.#config = config
    this.#judges = new WeakMap()
  }

  /** Another backend takes its place: what else was configured anew holds for the sessions that are left on this one. */
  outlive({ ceiling, ceilingMetadata, limits, observe, decoys }: SystemConfig): void {
    this.reconfigure({ ...this.#config, ceiling, ceilingMetadata, limits, observe, decoys })
  }

  /** The grant bound to what is known of the backend now. */
  judge(grant: Grant, knowledge: Analyser): Judge {
    const known = this.#judges.get(grant)
    if (known !== undefined && known.naming === knowledge.naming) return known
    const judge = new Judge(grant, this.#config, knowledge.naming)
    this.#judges.set(grant, judge)
    return judge
  }

  /** The fields that every record of this system has. */
  get auditContext(): AuditContext {
    return { system: this.config.name, protocol: this.config.protocol }
  }
}
