/** May these credentials have a session here? Everything between a verified signature and the backend's door. */
import { timingSafeEqual } from 'node:crypto'
import type { HopKind } from '../../protocols/analysis.ts'
import type { AgentCredentials, LoginRefusal } from '../../protocols/login.ts'
import { sentSecretDigest } from '../../protocols/secret.ts'
import type { Grant } from '../grants/grant.ts'
import type { LoginFault } from '../grants/login-faults.ts'
import { grantOfToken } from '../grants/resolve.ts'
import { type RunToken, type TokenVerdict, verifyToken } from '../grants/token.ts'
import type { Hop } from '../policy/decide.ts'
import { runKeyOf } from '../runs/run-key.ts'
import { tokenOfSecret } from '../runs/secrets.ts'
import type { RegisteredSecret } from '../runs/state-file.ts'
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
      readonly hop: Hop | undefined
      readonly refusal: LoginRefusal
    }

/**
 * Never rejects: what goes wrong is a refusal.
 * @param asked the secret that the client was asked to prove, where it was
 */
export async function admit(
  credentials: AgentCredentials,
  asked: RegisteredSecret | undefined,
  system: System,
): Promise<Admission> {
  const { shared, config } = system
  if (credentials.secret !== undefined) {
    const token = provedToken(credentials, asked, system)
    if (config.decoy) return decoyTouched(token)
    return token === undefined
      ? refusedToken('wrong_secret', undefined)
      : admitToken(token, credentials, system)
  }
  const verdict = await verifyToken(credentials.password, shared.issuers, {
    nowMs: shared.now(),
    clockSkewMs: shared.config.clockSkewMs,
  })
  const elsewhere = verdict.token === undefined ? tokenOfSecretElsewhere(credentials, system) : undefined
  if (config.decoy) return decoyTouched(isSomebodys(verdict) ? verdict.token : elsewhere)
  if (elsewhere !== undefined) return refusedToken('wrong_system', elsewhere)
  if (!verdict.valid) return refusedToken(verdict.fault, verdict.token)
  if (!namesRun(credentials.user, verdict.token.run, config.protocol)) {
    return refusedToken('wrong_user', verdict.token)
  }
  return admitToken(verdict.token, credentials, system)
}

/** Anybody may be able to get a token that is bound to nothing here: what is done with it must follow no run. */
function isSomebodys(verdict: TokenVerdict): boolean {
  return verdict.token !== undefined && (verdict.valid || verdict.fault !== 'not_bound')
}

/** @param token one that was verified, and is this user's */
function admitToken(token: RunToken, { user, database }: AgentCredentials, system: System): Admission {
  const { shared, config } = system
  if (token.system !== config.name) return refusedToken('wrong_system', token)
  const standing = standingOf(token, system)
  if (!standing.good) return refusedToken(standing.fault, token)
  const { grant } = standing
  if (database !== undefined && database !== user && database !== config.backend?.database) {
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

/** The token of a client that has proved the secret which it was asked for, and which still is the run's. */
function provedToken(
  { secret, user }: AgentCredentials,
  asked: RegisteredSecret | undefined,
  { shared, config }: System,
): RunToken | undefined {
  if (secret !== 'proved' || asked === undefined || asked.run !== user) return undefined
  return shared.runs.state.secretOf(config.name, user) === asked ? tokenOfSecret(asked) : undefined
}

/** What was shown may be the user's secret for another system: then it is known who tries to leave theirs. */
function tokenOfSecretElsewhere(
  { user, password }: AgentCredentials,
  { shared, config }: System,
): RunToken | undefined {
  if (user === undefined || password === '') return undefined
  const digest = sentSecretDigest(Buffer.from(password))
  for (const name of shared.config.systems.keys()) {
    if (name === config.name) continue
    const secret = shared.runs.state.secretOf(name, user)
    if (secret !== undefined && timingSafeEqual(secret.verifier.sha256, digest)) return tokenOfSecret(secret)
  }
  return undefined
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
const HOP_OF_FAULT: Partial<Record<LoginFault, HopKind>> = {
  wrong_system: 'wrong_system',
  expired: 'replayed_token',
  quarantined: 'replayed_token',
  revoked: 'replayed_token',
}

function refusedToken(fault: LoginFault, token: RunToken | undefined): Admission {
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
