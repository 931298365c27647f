/**
 * The decision: (grant, statement, time) to a verdict. Pure. Everything that is not covered is denied; there is no
 * other way to `allowed: true` than every access being covered by an allow line or, for catalog reads, by the
 * grant's `metadata`.
 */
import type { Access, CommandAccess } from '../../protocols/access.ts'
import type { Analysis, HopKind, NativeError } from '../../protocols/analysis.ts'
import type { CommandPart, DenyReason } from '../../protocols/session.ts'
import type { DecoyFinder } from '../grants/decoys.ts'
import { type Matcher, METADATA_LEVELS, type MetadataLevel } from '../grants/grant.ts'

export type Verdict = Allowed | Denied

export type Allowed = {
  readonly allowed: true
  /** Indexes of the allow lines that covered the statement, ascending. */
  readonly rules: readonly number[]
}

/** An attempt to leave the granted system, and what it aimed at where that is known. */
export type Hop = { readonly kind: HopKind; readonly target: string | undefined }

export type Denied = {
  readonly allowed: false
  /** For the record. */
  readonly reason: DenyReason
  /** What the client is told for it, where that is another: a decoy is worth what it is not recognised for. */
  readonly toldAs?: DenyReason
  /** What could not be followed, or is refused whatever the grant. */
  readonly why: string | undefined
  /**
   * What of the accesses no allow line covers: of a relation that is granted in part, only the other columns; of one
   * that is not granted at all, the relation without its columns, whose names are not for this run to learn.
   */
  readonly missing: readonly Access[]
  /** Of a Redis command that is missing: the first part of it that no line covers with those before. */
  readonly lacks?: CommandPart
  /** What the statement is by itself stands before the decoy that it touches. */
  readonly hops: readonly Hop[]
  /** The database's own error, where it says it better. */
  readonly nativeError: NativeError | undefined
}

/** What of a grant a decision needs. */
export type Decider = {
  readonly matcher: Matcher
  /** Each must cover an access besides the grant: the system's ceiling, and what narrowings of the token left. */
  readonly bounds: readonly Matcher[]
  readonly metadata: MetadataLevel
  /** What of the system is there only to be touched; `undefined`: nothing. */
  readonly decoys: DecoyFinder | undefined
}

const NO_ACCESSES: readonly Access[] = []
const NO_HOPS: readonly Hop[] = []

export function decide(grant: Decider, analysis: Analysis): Verdict {
  const verdict = decideByRules(grant, analysis)
  return verdict.allowed ? verdict : withDecoy(grant, verdict, analysis)
}

/**
 * The denial of a statement that may touch a decoy: whatever else it is refused for, the touch is a hop. Where the statement
 * is a hop by itself it is both, because each kind has a consequence of its own, and one must not hide the other's.
 */
export function withDecoy({ decoys }: Decider, denial: Denied, analysis: Analysis): Denied {
  if (decoys === undefined) return denial
  const target =
    ('accesses' in analysis ? touchedOf(decoys, analysis.accesses) : undefined) ??
    ('touched' in analysis ? touchedOf(decoys, analysis.touched) : undefined)
  if (target === undefined) return denial
  return {
    ...denial,
    reason: 'hop',
    toldAs: denial.reason,
    hops: [...denial.hops, { kind: 'decoy', target }],
  }
}

/** The first decoy among what is touched. */
function touchedOf(decoys: DecoyFinder, accesses: readonly Access[] = NO_ACCESSES): string | undefined {
  for (const access of accesses) {
    const target = decoys(access)
    if (target !== undefined) return target
  }
  return undefined
}

function decideByRules(grant: Decider, analysis: Analysis): Verdict {
  switch (analysis.outcome) {
    case 'accesses':
      return decideAccesses(grant, analysis.accesses)
    case 'unknown_object': {
      // What is not granted is told first: that a column does not exist is for those who may use another of its table.
      const found = decideAccesses(grant, analysis.accesses.map(anyColumn))
      if (!found.allowed) return found
      return { ...denied('unknown_object', analysis.why), nativeError: analysis.nativeError }
    }
    case 'not_understood':
      return { ...denied('not_understood', analysis.why), nativeError: analysis.nativeError }
    case 'readers_disagree':
      return denied('readers_disagree', analysis.why)
    case 'forbidden':
      return denied('forbidden', analysis.why)
    case 'hop':
      return { ...denied('hop', analysis.why), hops: [{ kind: analysis.hop, target: analysis.target }] }
  }
}

/**
 * True where a denial of this analysis is only for want of an allow line of the grant itself, so that a grant which
 * observes lets it pass. What is not understood, what leaves the system, and what a ceiling or a narrowed token takes away
 * is refused all the same.
 */
export function isObservable(grant: Decider, analysis: Analysis, { reason }: Denied): boolean {
  if (analysis.outcome !== 'accesses' || reason !== 'not_granted') return false
  const isBounded = grant.bounds.length > 0
  return analysis.accesses.every((access) =>
    access.kind === 'metadata'
      ? !isBounded || seesMetadata(grant.metadata, access.level)
      : grant.bounds.every((bound) => bound.covering(access) !== undefined),
  )
}

function decideAccesses(grant: Decider, accesses: readonly Access[]): Verdict {
  const [only] = accesses
  const { bounds, decoys, matcher } = grant
  if (only?.kind === 'command' && accesses.length === 1 && bounds.length === 0 && decoys === undefined) {
    // The hot path of Redis, whose verdicts are not memoised: a granted command costs no closure and no set.
    const rules = matcher.covering(only)
    if (rules !== undefined) return { allowed: true, rules }
  }
  const rules = new Set<number>()
  const missing: Access[] = []
  // No line covers a decoy. The denial of one lists what any other would: nothing else may tell it from what is not granted.
  const covering = (access: Access): readonly number[] | undefined =>
    decoys?.(access) === undefined && bounds.every((bound) => bound.covering(access) !== undefined)
      ? matcher.covering(access)
      : undefined
  for (const access of accesses) {
    if (access.kind === 'metadata') {
      if (!seesMetadata(grant.metadata, access.level)) missing.push(access)
      continue
    }
    const lines = covering(access)
    if (lines === undefined) missing.push(uncovered(access, covering))
    else for (const line of lines) rules.add(line)
  }
  if (missing.length === 0) return { allowed: true, rules: [...rules].sort((a, b) => a - b) }
  const lacks = only?.kind === 'command' ? lackedPart(only, covering) : undefined
  return {
    ...denied('not_granted', undefined),
    missing,
    ...(lacks !== undefined && { lacks }),
  }
}

function uncovered(access: Access, covering: Matcher['covering']): Access {
  if (access.kind !== 'relation' || access.columns === undefined) return access
  if (covering({ ...access, columns: [] }) === undefined) return { ...access, columns: undefined }
  const columns = access.columns.filter((column) => covering({ ...access, columns: [column] }) === undefined)
  return { ...access, columns }
}

function lackedPart(access: CommandAccess, covering: Matcher['covering']): CommandPart {
  if (covering({ ...access, keys: [], channels: [], allKeys: false }) === undefined) return 'command'
  const coversKeys = covering({ ...access, channels: [] }) !== undefined
  return coversKeys && access.channels.length > 0 ? 'channel' : 'key'
}

function anyColumn(access: Access): Access {
  return access.kind === 'relation' && access.columns !== undefined ? { ...access, columns: [] } : access
}

function seesMetadata(granted: MetadataLevel, needed: MetadataLevel): boolean {
  return METADATA_LEVELS.indexOf(granted) >= METADATA_LEVELS.indexOf(needed)
}

/** A denial for a reason that lies outside the statement: time, the audit log. */
export function denied(reason: DenyReason, why: string | undefined): Denied {
  return {
    allowed: false,
    reason,
    why,
    missing: NO_ACCESSES,
    hops: NO_HOPS,
    nativeError: undefined,
  }
}
