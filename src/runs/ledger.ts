/**
 * The runs of this process, live and recent: what each has done so far, as counts. The audit log is the record; this
 * is the view that answers at once.
 */
import type { RunToken } from '../grants/token.ts'
import { type RunKey, runKeyOf } from './run-key.ts'

/** Runs that are remembered; of those without a session the one that was quiet longest is forgotten first. */
const RUNS_MAX = 10_000

/** Names of one kind that an entry keeps: a run may narrow its token into as many runs as it likes. */
const NAMES_MAX = 64

/** Tokens of a run whose ends are remembered, so that a revocation of one can be forgotten when it has expired. */
const TOKENS_MAX = 64

/** One run. The counts are added to by whoever sees something happen; nothing else is. */
export class RunEntry {
  readonly key: RunKey
  readonly issuer: string
  /** The run that the issuer named. */
  readonly run: string
  readonly firstSeenMs: number
  lastSeenMs: number
  /** Statements. */
  allowed = 0
  /** Relayed although no allow line covers them, because the grant only observes. */
  wouldDeny = 0
  denied = 0
  hops = 0
  /** Logins that were refused. */
  refused = 0
  /** Sessions open now, and since the run was first seen. */
  open = 0
  sessions = 0
  readonly #agents = new Set<string>()
  readonly #grants = new Set<string>()
  readonly #touched = new Set<string>()
  readonly #tried = new Set<string>()
  readonly #narrowed = new Set<string>()
  /**
   * When each token ends, by `jti`; milliseconds since the epoch. Only those that an issuer has signed: whoever narrows one names
   * it as they like, and could say of their parent's token, or another's, that it has ended.
   */
  readonly #tokens = new Map<string, number>()
  /** When the last token that was seen ends, milliseconds since the epoch. */
  expiresAtMs = 0

  constructor(key: RunKey, token: RunToken, nowMs: number) {
    this.key = key
    this.issuer = token.issuer
    this.run = token.ancestors[0]?.run ?? token.run
    this.firstSeenMs = nowMs
    this.lastSeenMs = nowMs
  }

  /** Notes what a token of the run says. */
  seen(token: RunToken, nowMs: number): void {
    this.lastSeenMs = nowMs
    note(this.#agents, token.agent)
    note(this.#grants, typeof token.grant === 'string' ? token.grant : 'inline')
    this.expiresAtMs = Math.max(this.expiresAtMs, token.expiresAtMs)
    if (token.ancestors.length > 0) {
      note(this.#narrowed, token.run)
      return
    }
    const expiresAtMs = Math.max(this.#tokens.get(token.jti) ?? 0, token.expiresAtMs)
    this.#tokens.delete(token.jti)
    this.#tokens.set(token.jti, expiresAtMs)
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= TOKENS_MAX) break
      this.#tokens.delete(oldest)
    }
  }

  /** The run has a session on the system. */
  touched(system: string): void {
    note(this.#touched, system)
  }

  /** The run tried to leave its system; `target`: for another system, or what else it aimed at. */
  hopped(target: string | undefined): void {
    this.hops += 1
    if (target !== undefined) note(this.#tried, target)
  }

  get agents(): readonly string[] {
    return [...this.#agents]
  }

  get grants(): readonly string[] {
    return [...this.#grants]
  }

  get systemsTouched(): readonly string[] {
    return [...this.#touched]
  }

  /** What it aimed at in its hops, without the systems that it has had a session on. */
  get systemsTried(): readonly string[] {
    return [...this.#tried].filter((name) => !this.#touched.has(name))
  }

  /** The runs that were narrowed from it. */
  get narrowed(): readonly string[] {
    return [...this.#narrowed]
  }

  /** When a token ends; `undefined` for one that was not seen as its issuer signed it. */
  expiryOf(jti: string): number | undefined {
    return this.#tokens.get(jti)
  }
}

export class RunLedger {
  /** The run that was seen last stands last. */
  readonly #entries = new Map<RunKey, RunEntry>()

  /** The entry of the run that a verified token belongs to, made when it is first seen. */
  entryOf(token: RunToken, nowMs: number): RunEntry {
    const key = runKeyOf(token)
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = new RunEntry(key, token, nowMs)
      this.#forgetOne()
    } else {
      this.#entries.delete(key)
    }
    this.#entries.set(key, entry)
    entry.seen(token, nowMs)
    return entry
  }

  /** The last seen first. */
  entries(): RunEntry[] {
    return [...this.#entries.values()].reverse()
  }

  get size(): number {
    return this.#entries.size
  }

  /** The entries of a run id, one for each issuer that has used it; also of the run that it was narrowed from. */
  ofRun(run: string): RunEntry[] {
    return this.entries().filter((entry) => entry.run === run || entry.narrowed.includes(run))
  }

  /** When a token ends and who issued it, where it was seen and its `jti` is not used by two issuers. */
  tokenOf(jti: string, issuer: string | undefined): { issuer: string; expiresAtMs: number } | undefined {
    const found: { issuer: string; expiresAtMs: number }[] = []
    for (const entry of this.#entries.values()) {
      const expiresAtMs = entry.expiryOf(jti)
      if (expiresAtMs === undefined || (issuer !== undefined && issuer !== entry.issuer)) continue
      found.push({ issuer: entry.issuer, expiresAtMs })
    }
    return found.length === 1 ? found[0] : undefined
  }

  /** Makes room for one. Runs with a session are never forgotten: they are bounded by the sessions. */
  #forgetOne(): void {
    if (this.#entries.size < RUNS_MAX) return
    for (const [key, { open }] of this.#entries) {
      if (open > 0) continue
      this.#entries.delete(key)
      return
    }
  }
}

function note(names: Set<string>, name: string): void {
  if (names.size < NAMES_MAX) names.add(name)
}
