/**
 * A grant bound to one system as it is known now: judges statements and keeps what it found, so that a statement
 * seen before costs one look-up. A memo never outlives its grant, its catalog or its names.
 */
import { createHash } from 'node:crypto'
import type { Analysis } from '../../protocols/analysis.ts'
import type { Naming } from '../../protocols/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { Denial } from '../../protocols/session.ts'
import { recordedAccesses } from '../audit/event.ts'
import { members } from '../audit/log.ts'
import { compileLines, type Grant, type Matcher, parseLines } from '../grants/grant.ts'
import { type Decider, decide, type Verdict } from './decide.ts'
import { denialOf } from './words.ts'

/** A reason may quote a name of the statement, which may be as long as one likes. */
const WHY_CHARACTERS_MAX = 1_024

/** A verdict with all that follows from it. */
export type Judgement = {
  readonly verdict: Verdict
  /** For the client; `undefined` when allowed. */
  readonly denial: Denial | undefined
  /** The verdict as members of an audit record. */
  readonly members: string
}

export class Judge {
  readonly grant: Grant
  readonly naming: Naming
  /** SHA-256 of the grant's canonical form, in hex: with it an auditor can compute a verdict again. */
  readonly grantSha256: string
  readonly #decider: Decider
  readonly #memo: WeakMap<Analysis, Judgement> | undefined

  constructor(
    grant: Grant,
    system: { readonly protocol: ProtocolName; readonly ceiling: readonly string[] | undefined },
    naming: Naming,
  ) {
    this.grant = grant
    this.naming = naming
    this.grantSha256 = createHash('sha256').update(canonical(grant, system.ceiling)).digest('hex')
    const compiled = (lines: readonly string[]): Matcher =>
      compileLines(parseLines(lines, system.protocol), naming)
    this.#decider = {
      matcher: compiled(grant.allow),
      bounds: [...(system.ceiling === undefined ? [] : [system.ceiling]), ...grant.narrowed].map(compiled),
      metadata: grant.metadata,
    }
    // A Redis analysis belongs to one command with its keys and is never seen again.
    this.#memo = system.protocol === 'redis' ? undefined : new WeakMap()
  }

  judge(analysis: Analysis): Judgement {
    const known = this.#memo?.get(analysis)
    if (known !== undefined) return known
    const judgement = this.judgementOf(decide(this.#decider, analysis), analysis)
    this.#memo?.set(analysis, judgement)
    return judgement
  }

  /** Words a verdict, also one that came from outside the statement (time, limits). */
  judgementOf(verdict: Verdict, analysis: Analysis): Judgement {
    return {
      verdict,
      denial: verdict.allowed ? undefined : denialOf(verdict, this.grant.allow),
      members: verdictMembers(verdict, analysis, this.grant.allow),
    }
  }
}

/** The grant as text, the same for the same rights whatever order the keys of the file had. */
function canonical(grant: Grant, ceiling: readonly string[] | undefined): string {
  return JSON.stringify({
    system: grant.system,
    allow: grant.allow,
    metadata: grant.metadata,
    ceiling: ceiling ?? null,
    narrowed: grant.narrowed,
  })
}

function verdictMembers(verdict: Verdict, analysis: Analysis, allow: readonly string[]): string {
  const accesses =
    'accesses' in analysis && analysis.accesses.length > 0 ? recordedAccesses(analysis.accesses) : undefined
  if (verdict.allowed) {
    return members({
      action: analysis.action,
      accesses,
      verdict: 'allow',
      rules: verdict.rules.map((index) => allow[index]),
    })
  }
  return members({
    action: analysis.action,
    accesses,
    verdict: 'deny',
    reason: verdict.reason,
    why: verdict.why?.slice(0, WHY_CHARACTERS_MAX),
    missing: verdict.missing.length > 0 ? recordedAccesses(verdict.missing) : undefined,
  })
}
