/** What follows from a hop, in a login as in a session: it is counted, recorded, and has the consequence that is configured. */
import type { HopKind } from '../../protocols/analysis.ts'
import type { EndCause } from '../../protocols/session.ts'
import type { RunToken } from '../grants/token.ts'
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

/** @param target what it aimed at, where that is known */
export function followHop(
  { shared, metrics }: System,
  { kind, target }: { readonly kind: HopKind; readonly target: string | undefined },
  { record, run, end }: Hopper,
): void {
  const kept = target?.slice(0, TARGET_CHARACTERS_MAX)
  metrics.hop(kind)
  record.hop(kind, kept)
  if (run === undefined) return
  run.entry.hopped(kept)
  switch (shared.config.onHop[kind]) {
    case 'reject':
      return
    case 'end_session':
      end?.(CAUSE)
      return
    case 'quarantine':
      record.quarantined(kind)
      shared.runs.quarantine(run.token, { kind, nowMs: shared.now() }, CAUSE)
      return
  }
}
