/** The configuration after every check: what the gateway is built from. */
import type { HopKind } from '../../protocols/analysis.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { BackendTarget } from '../backends/backend.ts'
import type { ExportSettings } from '../export/exporter.ts'
import type { WrittenMapping } from '../grants/claim-mapping.ts'
import type { Grant, Limits, MetadataLevel } from '../grants/grant.ts'
import type { AuditSettings } from './audit.ts'

export type Address = { readonly host: string; readonly port: number }

export type SystemConfig = {
  readonly name: string
  readonly protocol: ProtocolName
  readonly listen: Address
  /** `undefined` for a decoy. */
  readonly backend: BackendTarget | undefined
  readonly decoy: boolean
  /** PEM texts; `undefined`: the listener offers no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  readonly allowCleartextPassword: boolean
  /** MySQL only: PEM of an RSA private key, for passwords without TLS; `undefined`: refused without TLS. */
  readonly rsaPrivateKey: string | undefined
  /** Allow lines that bound every inline grant on this system; `undefined`: no bound. */
  readonly ceiling: readonly string[] | undefined
  /** The most of the catalog that any grant on this system shows; `undefined`: inline grants under a ceiling stay at `driver`. */
  readonly ceilingMetadata: MetadataLevel | undefined
  /** Of every grant on this system, where the grant itself sets no other. */
  readonly limits: Limits
  /** True where denials that no hop is are only recorded, whatever the grant says. */
  readonly observe: boolean
  /** Names of relations, or (Redis) key patterns: any touch of one is a hop. */
  readonly decoys: readonly string[]
}

export type IssuerConfig = {
  readonly issuer: string
  /** Exactly one of the two: a public key as JWK text, or the address of a key set. */
  readonly keys:
    | { readonly kind: 'jwk'; readonly text: string }
    | { readonly kind: 'jwks'; readonly url: URL; readonly ca?: string }
  /** Whether its tokens name a grant of the configuration or carry one. */
  readonly grants: 'by-name' | 'inline'
  /** The system of each audience; absent: an audience is the name of a system. */
  readonly audience?: Readonly<Record<string, string>>
  /** How its claims are read; absent: they are Bulkhead's own. */
  readonly mapping?: WrittenMapping
}

export type OnHop = 'reject' | 'end_session' | 'quarantine'

export type Config = {
  /** Absolute path of the file it came from. */
  readonly file: string
  readonly systems: ReadonlyMap<string, SystemConfig>
  readonly grants: ReadonlyMap<string, Grant>
  readonly issuers: readonly IssuerConfig[]
  readonly onHop: Readonly<Record<HopKind, OnHop>>
  readonly clockSkewMs: number
  /** Absolute path. */
  readonly auditFile: string
  readonly audit: AuditSettings
  readonly admin: AdminConfig
  /** Where records go besides the audit file. */
  readonly exports: ExportSettings
  /** Absolute path of the file that keeps revocations, quarantines and the verifiers of run secrets. */
  readonly stateFile: string
  /** How long open sessions may go on when the proxy is told to stop; milliseconds. */
  readonly drainMs: number
}

/** Where the admin API is, and what it asks for. */
export type AdminConfig = {
  /** `undefined`: only the socket. */
  readonly listen: Address | undefined
  /** Absolute path of a unix socket. */
  readonly socket: string | undefined
  /** The bearer token; `undefined`: the API refuses everything but health and metrics. */
  readonly token: string | undefined
}

/** One thing wrong with the configuration, and how to mend it. */
export type ConfigProblem = {
  readonly line: number
  readonly column: number
  /** `grants.triage-orders.allow[1]`. */
  readonly key: string
  readonly message: string
  readonly mend: string | undefined
  /** The text that is wrong with a caret under the character, where that helps. */
  readonly pointed: string | undefined
}

/** Where in the file a key stands; collects problems. */
export type Reporter = (
  path: readonly (string | number)[],
  message: string,
  more?: { readonly mend?: string; readonly pointed?: string; readonly onKey?: string },
) => void

/** The configuration cannot be used; holds every problem found. */
export class ConfigError extends Error {
  readonly code = 'CONFIG'
  readonly file: string
  readonly problems: readonly ConfigProblem[]

  constructor(file: string, problems: readonly ConfigProblem[]) {
    super(problems.map((problem) => describe(file, problem)).join('\n'))
    this.name = 'ConfigError'
    this.file = file
    this.problems = problems
  }
}

function describe(file: string, problem: ConfigProblem): string {
  const place = problem.line > 0 ? `${file}:${problem.line}:${problem.column}` : file
  const key = problem.key === '' ? '' : ` ${problem.key}:`
  const mend = problem.mend === undefined ? '' : `\n    mend: ${problem.mend}`
  const pointed = problem.pointed === undefined ? '' : `\n    ${problem.pointed.replaceAll('\n', '\n    ')}`
  return `${place}:${key} ${problem.message}${pointed}${mend}`
}
