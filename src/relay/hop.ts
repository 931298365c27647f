/** What follows from a hop, in a login as in a session: it is counted, recorded, and has the consequence that is configured. */
import type { HopKind } from '../../protocols/analysis.ts'
import type { EndCause } from '../../protocols/session.ts'
import type { OnHop } from '../config/config.ts'
import type { RunToken } from '../grants/token.ts'
import type { Hop } from '../policy/decide.ts'
import type { RunEntry } from '../runs/ledger.ts'
import type { System } from './system.ts'

/** Characters of a hop's target that are kept. */
const TARGET_CHARACTERS_MAX = 256

const CAUSE: EndCause = { kind: 'hop', message: 'this run tried to leave its system' }

/** Who hopped, and where it is written down. */
export type Hopper = {
  readonly record: {
    hop(kind: HopKind, target: string | undefined): void
    quarantined(kind: HopKind): void
  }
  /** `undefined`: nobody can say whose it was. */
  readonly run: { readonly token: RunToken; readonly entry: RunEntry } | undefined
  /** Ends the session that hopped. A login that does is refused in any case. */
  readonly end?: (cause: EndCause) => void
}

/** How far each consequence goes. */
const GRAVITY: Record<OnHop, number> = { reject: 0, end_session: 1, quarantine: 2 }

/**
 * Counts and records every hop of one statement or login, and then has the gravest of their consequences.
 * @param hops at least one
 */
export function followHops(
  { shared, metrics }: System,
  hops: readonly Hop[],
  { record, run, end }: Hopper,
): void {
  for (const { kind, target } of hops) {
    const kept = target?.slice(0, TARGET_CHARACTERS_MAX)
    metrics.hop(kind)
    record.hop(kind, kept)
    run?.entry.hopped(kept)
  }
  if (run === undefined) return
  const { onHop } = shared.config
  const [gravest] = hops.map(({ kind }) => kind).sort((a, b) => GRAVITY[onHop[b]] - GRAVITY[onHop[a]])
  if (gravest === undefined) return
  switch (onHop[gravest]) {
    case 'reject':
      return
    case 'end_session':
      end?.(CAUSE)
      return
    case 'quarantine':
      record.quarantined(gravest)
      shared.runs.quarantine(run.token, { kind: gravest, nowMs: shared.now() }, CAUSE)
      return
  }
}
