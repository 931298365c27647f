/** Runs, sessions and revocations as the admin API shows them. */
import type { RunEntry } from '../runs/ledger.ts'
import type { LiveSession } from '../runs/live.ts'
import type { RunState } from '../runs/state.ts'
import type { Revocation } from '../runs/state-file.ts'
import type { RevocationAnswer, RunSummary, SessionSummary } from './schemas.ts'

export function shownRun(entry: RunEntry, state: RunState): RunSummary {
  const refusal = state.refusalOfRun(entry.issuer, entry.run)
  return {
    run: entry.run,
    issuer: entry.issuer,
    agents: [...entry.agents],
    grants: [...entry.grants],
    narrowed: [...entry.narrowed],
    systems_touched: [...entry.systemsTouched],
    systems_tried: [...entry.systemsTried],
    sessions_open: entry.open,
    sessions: entry.sessions,
    statements_allowed: entry.allowed,
    statements_would_deny: entry.wouldDeny,
    statements_denied: entry.denied,
    hops: entry.hops,
    logins_refused: entry.refused,
    first_seen: time(entry.firstSeenMs),
    last_seen: time(entry.lastSeenMs),
    expires_at: time(entry.expiresAtMs),
    ...(refusal !== undefined && { refused: shownRevocation(refusal) }),
  }
}

export function shownSession({ token, system, client, startedAtMs }: LiveSession): SessionSummary {
  return {
    run: token.run,
    issuer: token.issuer,
    agent: token.agent,
    grant: typeof token.grant === 'string' ? token.grant : 'inline',
    system,
    client,
    started_at: time(startedAtMs),
  }
}

export function shownRevocation({ cause, target, why, by, at, until }: Revocation): RevocationAnswer {
  return {
    cause,
    ...shownTarget(target),
    why,
    by,
    at: time(at),
    ...(until !== undefined && { until: time(until) }),
  }
}

function shownTarget(
  target: Revocation['target'],
): Pick<RevocationAnswer, 'run' | 'token' | 'grant' | 'issuer'> {
  switch (target.kind) {
    case 'run':
      return { run: target.run, ...(target.issuer !== undefined && { issuer: target.issuer }) }
    case 'token':
      return { token: target.jti, ...(target.issuer !== undefined && { issuer: target.issuer }) }
    case 'grant':
      return { grant: target.grant }
  }
}

/** Claims of a token may lie beyond what a date can say; the last date is far enough. */
function time(ms: number): string {
  return new Date(Math.min(ms, 8.64e15)).toISOString()
}
