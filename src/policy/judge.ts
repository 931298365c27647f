/**
 * A grant bound to one system as it is known now: judges statements and keeps what it found, so that a statement
 * seen before costs one look-up. A memo never outlives its grant, its catalog or its names.
 */
import { createHash } from 'node:crypto'
import type { Analysis } from '../../protocols/analysis.ts'
import type { Naming } from '../../protocols/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { Denial, DenyReason } from '../../protocols/session.ts'
import { accessesMember } from '../audit/accesses.ts'
import { compileDecoys } from '../grants/decoys.ts'
import { compileLines, type Grant, type Matcher, parseLines } from '../grants/grant.ts'
import { type Decider, decide, denied, isObservable, type Verdict, withDecoy } from './decide.ts'
import { denialOf, type VerdictWord } from './words.ts'

/** A reason may quote a name of the statement, which may be as long as one likes. */
const WHY_CHARACTERS_MAX = 1_024

/** A verdict with all that follows from it. */
export type Judgement = {
  readonly verdict: Verdict
  /** `would_deny`: the grant only observes, and the statement is relayed. */
  readonly word: VerdictWord
  /** For the client; `undefined` when allowed. */
  readonly denial: Denial | undefined
  /** The verdict as members of an audit record. */
  readonly members: string
  /** What could not be followed, as one member more: it may quote the statement. Empty where there is nothing to say. */
  readonly whyMember: string
}

/** What of a system bears on every verdict there. */
type JudgedSystem = {
  readonly protocol: ProtocolName
  readonly ceiling: readonly string[] | undefined
  readonly decoys: readonly string[]
}

export class Judge {
  readonly grant: Grant
  readonly naming: Naming
  /** All that verdicts follow from, as JSON: an auditor makes a judge of it again. */
  readonly canonical: string
  /** SHA-256 of {@link canonical}, in hex: stands in every record of a statement. */
  readonly grantSha256: string
  readonly #decider: Decider
  readonly #memo: WeakMap<Analysis, Judgement> | undefined
  readonly #rulesMembers = new WeakMap<readonly number[], string>()

  constructor(grant: Grant, system: JudgedSystem, naming: Naming) {
    this.grant = grant
    this.naming = naming
    this.canonical = canonicalForm(grant, system, naming)
    this.grantSha256 = createHash('sha256').update(this.canonical).digest('hex')
    const compiled = (lines: readonly string[]): Matcher =>
      compileLines(parseLines(lines, system.protocol), naming)
    this.#decider = {
      matcher: compiled(grant.allow),
      bounds: [...(system.ceiling === undefined ? [] : [system.ceiling]), ...grant.narrowed].map(compiled),
      metadata: grant.metadata,
      decoys: compileDecoys(system.decoys, system.protocol, naming),
    }
    // A Redis analysis belongs to one command with its keys and is never seen again.
    this.#memo = system.protocol === 'redis' ? undefined : new WeakMap()
  }

  judge(analysis: Analysis): Judgement {
    const known = this.#memo?.get(analysis)
    if (known !== undefined) return known
    const judgement = this.#judgementOf(decide(this.#decider, analysis), analysis)
    this.#memo?.set(analysis, judgement)
    return judgement
  }

  /** Refuses a statement for a reason outside of it: time, a limit. That it touches a decoy is said all the same. */
  refuse(reason: DenyReason, why: string | undefined, analysis: Analysis): Judgement {
    return this.#judgementOf(withDecoy(this.#decider, denied(reason, why), analysis), analysis)
  }

  #judgementOf(verdict: Verdict, analysis: Analysis): Judgement {
    const word = this.#wordOf(verdict, analysis)
    return {
      verdict,
      word,
      denial: verdict.allowed ? undefined : denialOf(verdict, linesTold(this.grant)),
      members: this.#members(verdict, word, analysis),
      whyMember:
        verdict.allowed || verdict.why === undefined
          ? ''
          : `,"why":${JSON.stringify(verdict.why.slice(0, WHY_CHARACTERS_MAX))}`,
    }
  }

  #members(verdict: Verdict, word: VerdictWord, analysis: Analysis): string {
    const accesses = 'accesses' in analysis ? accessesMember('accesses', analysis.accesses) : ''
    const judged = `"action":"${analysis.action}"${accesses},"verdict":"${word}"`
    return verdict.allowed
      ? `${judged}${this.#rulesMember(verdict.rules)}`
      : `${judged},"reason":"${verdict.reason}"${accessesMember('missing', verdict.missing)}`
  }

  /** Made once for each list of rules: a matcher of commands gives the same list again and again. */
  #rulesMember(rules: readonly number[]): string {
    let member = this.#rulesMembers.get(rules)
    if (member === undefined) {
      member = `,"rules":${JSON.stringify(rules.map((index) => this.grant.allow[index]))}`
      this.#rulesMembers.set(rules, member)
    }
    return member
  }

  /** Words a denial for a reason outside of every statement. */
  outside(reason: DenyReason, why: string): Denial {
    return denialOf(denied(reason, why), linesTold(this.grant))
  }

  #wordOf(verdict: Verdict, analysis: Analysis): VerdictWord {
    if (verdict.allowed) return 'allow'
    return this.grant.observe && isObservable(this.#decider, analysis, verdict) ? 'would_deny' : 'deny'
  }
}

/** The allow lines that a denial may tell of: what a narrowing left, and not what its parent has besides. */
function linesTold({ allow, narrowed }: Grant): readonly string[] {
  return narrowed.at(-1) ?? allow
}

/** The same for the same rights whatever order the keys of the file had. */
function canonicalForm(grant: Grant, { protocol, ceiling, decoys }: JudgedSystem, naming: Naming): string {
  return JSON.stringify({
    system: grant.system,
    protocol,
    naming: namingFacts(naming),
    allow: grant.allow,
    metadata: grant.metadata,
    ceiling: ceiling ?? null,
    narrowed: grant.narrowed,
    decoys,
    observe: grant.observe,
  })
}

/** What a naming depends on besides its protocol: the schema of unqualified names, and whether names of relations fold. */
export type NamingFacts = { readonly schema: string; readonly folds: boolean }

function namingFacts(naming: Naming): NamingFacts {
  return { schema: naming.defaultSchema, folds: naming.relation('A', false) === 'a' }
}
