/** Which records of an audit log are of a run and of those that were narrowed from it. */
import type { AuditRecord } from '../audit/record.ts'
import { childPrefix } from '../grants/token.ts'

/** Asked for records in the order of the log. */
export class Family {
  readonly #run: string
  readonly #members: Set<string>

  constructor(run: string) {
    this.#run = run
    this.#members = new Set([run])
  }

  /** True for records of the run and of its children, their children, and so on; what is done to these by name as well. */
  has({ run, root_run: root }: AuditRecord): boolean {
    if (run === undefined) return false
    if (this.#members.has(run)) return true
    // An issuer may call another run as it likes: only a narrowed token has a root, and it is above this run or this run.
    const isNarrowed = typeof root === 'string' && (root === this.#run || this.#isBelow(root))
    if (!isNarrowed || !run.startsWith(childPrefix(this.#run))) return false
    this.#members.add(run)
    return true
  }

  #isBelow(root: string): boolean {
    return this.#run.startsWith(childPrefix(root))
  }
}
