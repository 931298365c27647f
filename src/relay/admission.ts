/** May these credentials have a session here? Everything between a verified signature and the backend's door. */
import type { HopKind } from '../../protocols/analysis.ts'
import type { AgentCredentials, LoginRefusal } from '../../protocols/login.ts'
import type { Grant } from '../grants/grant.ts'
import { grantOfToken } from '../grants/resolve.ts'
import { type RunToken, type TokenFault, verifyToken } from '../grants/token.ts'
import type { LoginFault } from '../metrics.ts'
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
  if (shared.runs.isQuarantined(token.run)) return refusedToken('quarantined', token)
  const grant = grantOf(token, system)
  if (grant === undefined) return refusedToken('unknown_grant', token)
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
  if (connections !== undefined && shared.runs.openSessions(token.run, config.name) >= connections) {
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
  return { admitted: true, token, grant, release: shared.runs.reserve(token.run, config.name) }
}

/** Redis clients may send no user, or `default`; then the token alone names the run. */
function namesRun(user: string | undefined, run: string, protocol: string): boolean {
  return user === run || (protocol === 'redis' && (user === undefined || user === 'default'))
}

function grantOf(token: RunToken, { shared, config }: System): Grant | undefined {
  return grantOfToken(token, config, shared.config.grants)
}

/** A stranger learns nothing from it: the same words whatever was wrong. */
export const NOT_ACCEPTED: LoginRefusal = { kind: 'authentication', message: undefined }

/** Which faults are a try to leave the granted system rather than a mistake. */
const HOP_OF_FAULT: Partial<Record<TokenFault, HopKind>> = {
  wrong_system: 'wrong_system',
  expired: 'replayed_token',
  quarantined: 'replayed_token',
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
