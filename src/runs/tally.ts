/** What runs did, as counts over the records of an audit log. */
import type { AuditRecord } from '../audit/record.ts'

export type Tally = {
  readonly run: string
  sessions: number
  /** Statements by verdict. */
  allowed: number
  wouldDeny: number
  denied: number
  hops: number
}

export class Tallies {
  readonly #tallies = new Map<string, Tally>()

  add({ run, event, verdict }: AuditRecord): void {
    if (run === undefined) return
    const tally = this.of(run)
    if (event === 'session.start') tally.sessions += 1
    if (event === 'hop') tally.hops += 1
    if (event !== 'statement') return
    if (verdict === 'allow') tally.allowed += 1
    else if (verdict === 'would_deny') tally.wouldDeny += 1
    else tally.denied += 1
  }

  /** Of a run, also of one that has done nothing. */
  of(run: string): Tally {
    const known = this.#tallies.get(run)
    if (known !== undefined) return known
    const tally = { run, sessions: 0, allowed: 0, wouldDeny: 0, denied: 0, hops: 0 }
    this.#tallies.set(run, tally)
    return tally
  }

  /** By name, so that a run stands before those that were narrowed from it. */
  all(): readonly Tally[] {
    return [...this.#tallies.values()].sort((a, b) => (a.run < b.run ? -1 : 1))
  }
}
