import type { Live } from '../../protocols/login.ts'
import type { Analyser } from '../../protocols/protocol.ts'

export type BackendAddress = { readonly host: string; readonly port: number }

/** Redis: who says where the master is. */
export type SentinelTarget = {
  readonly addresses: readonly BackendAddress[]
  /** Credentials for the sentinels themselves. */
  readonly user: string | undefined
  readonly password: string | undefined
  readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full'
}

/** Where a system's backend is and how the proxy logs in there. Never shown to an agent. */
export type BackendTarget = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string | undefined
  /** Database name; Redis: the number as text. */
  readonly database: string
  /** PostgreSQL: the schema of unqualified names, pinned as `search_path`. */
  readonly schema: string
  readonly tls: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
  /** PEM of the certificate authorities to trust; `undefined`: the system's. */
  readonly ca: string | undefined
  /** Redis: where this is set, `host` is the name of the master, which the sentinels are asked for; `port` says nothing. */
  readonly sentinel?: SentinelTarget
}

/** Something that an operator should read, about the backend and not about a run. */
export type BackendNotice = { readonly level: 'info' | 'warning' | 'error'; readonly message: string }

/**
 * The control connection to one backend: what is known of it, kept fresh. Never carries a statement of a run.
 */
export interface Backend<Knowledge extends Analyser> {
  /**
   * `undefined` until the backend was first reached. Keeps the last knowledge while it is down, for drivers' own questions and
   * transactions to be understood; nothing that reaches data is judged by it then.
   */
  readonly knowledge: Live<Knowledge | undefined>
  /** True while the control connection works. */
  readonly reachable: boolean
  /** Starts connecting and goes on trying for ever with backoff; resolves after the first try, good or bad. */
  start(): Promise<void>
  /** Reads the catalog anew. Calls made while one runs share it; at most one read a second is begun. Never rejects. */
  refresh(): Promise<void>
  /**
   * Where to dial now, where that is not what the target says but what others do. Asked before each dial.
   * @throws Error with a sentence for operators
   */
  locate?(): Promise<BackendAddress>
  close(): Promise<void>
}

/** Each of `postgres.ts`, `mysql.ts`, `redis.ts` beside this file exports one of these as `open<Name>Backend`. */
export type OpenBackend<Knowledge extends Analyser> = (
  target: BackendTarget,
  notice: (notice: BackendNotice) => void,
) => Backend<Knowledge>
