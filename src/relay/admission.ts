/** May these credentials have a session here? Everything between a verified signature and the backend's door. */
import type { HopKind } from '../../protocols/analysis.ts'
import type { AgentCredentials, LoginRefusal } from '../../protocols/login.ts'
import type { Grant } from '../grants/grant.ts'
import { grantOfToken } from '../grants/resolve.ts'
import { type RunToken, type TokenFault, verifyToken } from '../grants/token.ts'
import type { LoginFault } from '../metrics.ts'
import { runKeyOf } from '../runs/run-key.ts'
import type { System } from './system.ts'

export type Admission =
  | {
      readonly admitted: true
      readonly token: RunToken
      readonly grant: Grant
      /** The session counts from now on; call it when it counts by itself, or will not be. */
      readonly release: () => void
    }
  | {
      readonly admitted: false
      readonly fault: LoginFault
      /** Set when the signature was good, so that the record can name the run. */
      readonly token: RunToken | undefined
      readonly hop: { readonly kind: HopKind; readonly target: string | undefined } | undefined
      readonly refusal: LoginRefusal
    }

/** Never rejects: what goes wrong is a refusal. */
export async function admit(credentials: AgentCredentials, system: System): Promise<Admission> {
  const { shared, config } = system
  const verdict = await verifyToken(credentials.password, shared.issuers, {
    nowMs: shared.now(),
    clockSkewMs: shared.config.clockSkewMs,
  })
  if (config.decoy) return decoyTouched(verdict.token)
  if (!verdict.valid) return refusedToken(verdict.fault, verdict.token)
  const { token } = verdict
  if (!namesRun(credentials.user, token.run, config.protocol)) return refusedToken('wrong_user', token)
  if (token.system !== config.name) return refusedToken('wrong_system', token)
  const standing = standingOf(token, system)
  if (!standing.good) return refusedToken(standing.fault, token)
  const { grant } = standing
  const { database } = credentials
  if (database !== undefined && database !== credentials.user && database !== config.backend?.database) {
    return {
      admitted: false,
      fault: 'wrong_database',
      token,
      hop: { kind: 'wrong_database', target: database },
      refusal: {
        kind: 'database',
        message: `the grant of this run is for another database than \`${database}\``,
      },
    }
  }
  const { connections } = grant.limits
  if (connections !== undefined && shared.runs.openSessions(runKeyOf(token), config.name) >= connections) {
    return {
      admitted: false,
      fault: 'too_many_connections',
      token,
      hop: undefined,
      refusal: {
        kind: 'too_many_connections',
        message: `the grant allows ${connections} connections at once`,
      },
    }
  }
  return { admitted: true, token, grant, release: shared.runs.reserve(runKeyOf(token), config.name) }
}

export type Standing =
  | { readonly good: true; readonly grant: Grant }
  | {
      readonly good: false
      readonly fault: 'revoked' | 'quarantined' | 'unknown_issuer' | 'unknown_grant'
    }

/** What can change while a token is good: its run may be refused by now, its grant another, its issuer gone. */
export function standingOf(token: RunToken, system: System): Standing {
  if (!isTrusted(token, system)) return { good: false, fault: 'unknown_issuer' }
  const refusal = system.shared.runs.state.refusalOf(token)
  if (refusal !== undefined) return { good: false, fault: refusal.cause }
  const grant = grantOfToken(token, system.config, system.shared.config.grants)
  return grant === undefined ? { good: false, fault: 'unknown_grant' } : { good: true, grant }
}

/** A token needs its issuer for as long as it is used; a secret needs its registration. */
function isTrusted(token: RunToken, { shared, config }: System): boolean {
  const issuer = shared.issuers.get(token.issuer)
  if (issuer !== undefined) return typeof token.grant === 'string' || issuer.grants === 'inline'
  return shared.runs.state.secretOf(config.name, token.run)?.jti === token.jti
}

/** Redis clients may send no user, or `default`; then the token alone names the run. */
function namesRun(user: string | undefined, run: string, protocol: string): boolean {
  return user === run || (protocol === 'redis' && (user === undefined || user === 'default'))
}

/** A stranger learns nothing from it: the same words whatever was wrong. */
export const NOT_ACCEPTED: LoginRefusal = { kind: 'authentication', message: undefined }

/** Which faults are a try to leave the granted system rather than a mistake. */
const HOP_OF_FAULT: Partial<Record<TokenFault, HopKind>> = {
  wrong_system: 'wrong_system',
  expired: 'replayed_token',
  quarantined: 'replayed_token',
  revoked: 'replayed_token',
}

function refusedToken(fault: TokenFault, token: RunToken | undefined): Admission {
  const kind = token === undefined ? undefined : HOP_OF_FAULT[fault]
  return { admitted: false, fault, token, hop: kind && { kind, target: undefined }, refusal: NOT_ACCEPTED }
}

function decoyTouched(token: RunToken | undefined): Admission {
  return {
    admitted: false,
    fault: 'decoy',
    token,
    hop: { kind: 'decoy', target: undefined },
    refusal: NOT_ACCEPTED,
  }
}
