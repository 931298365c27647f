/** What the admin API takes and gives: checked by these schemas, described by them, and typed from them. */
import { z } from '@hono/zod-openapi'
import { RUN_ID } from '../grants/token.ts'

/** Longer reasons belong into a ticket that the reason names. */
const WHY_CHARACTERS_MAX = 512

/** A secret is for one run, not for good. */
const SECRET_TTL_MS_MAX = 30 * 86_400_000

const run = z.string().regex(RUN_ID, 'not a run id').openapi({ example: 'r-42' })
const issuer = z.string().min(1).max(256).openapi({ example: 'bulkhead' })
const grant = z.string().min(1).max(63).openapi({ example: 'triage-orders' })
const jti = z.string().min(1).max(256)
const time = z.iso.datetime().openapi({ example: '2026-11-23T16:36:00.000Z' })
const ms = z.int().min(1)

const target = {
  run: run.optional(),
  token: jti.optional().openapi({ description: 'the `jti` of a token' }),
  grant: grant.optional(),
  issuer: issuer.optional().openapi({ description: 'only runs or tokens of this issuer; without it of any' }),
  why: z.string().min(1).max(WHY_CHARACTERS_MAX),
  by: z.string().min(1).max(256).default('admin').openapi({ description: 'who asks, for the record' }),
}

const namesOne = (order: { run?: unknown; token?: unknown; grant?: unknown }): boolean =>
  [order.run, order.token, order.grant].filter((name) => name !== undefined).length === 1
const NAMES_ONE = 'name exactly one of `run`, `token` and `grant`'

export const revokeRequest = z
  .strictObject({
    ...target,
    for_ms: ms.optional().openapi({ description: 'how long it holds; without it until released or expired' }),
  })
  .refine(namesOne, NAMES_ONE)
  .openapi('RevokeRequest')

export const releaseRequest = z.strictObject(target).refine(namesOne, NAMES_ONE).openapi('ReleaseRequest')

const revocation = z
  .object({
    cause: z.enum(['revoked', 'quarantined']),
    run: run.optional(),
    token: jti.optional(),
    grant: grant.optional(),
    issuer: issuer.optional(),
    why: z.string(),
    by: z.string(),
    at: time,
    until: time.optional(),
  })
  .openapi('Revocation')

/** False: it is in force, and a restart would forget it, because the state file could not be written. */
const saved = z.boolean()

export const revokeAnswer = z.object({ revocation, sessions_ended: z.int(), saved }).openapi('RevokeAnswer')

export const releaseAnswer = z.object({ released: z.array(revocation), saved }).openapi('ReleaseAnswer')

export const revocationsAnswer = z.object({ revocations: z.array(revocation) }).openapi('Revocations')

const runSummary = z
  .object({
    run,
    issuer,
    agents: z.array(z.string()),
    grants: z.array(z.string()),
    narrowed: z.array(z.string()).openapi({ description: 'runs that were narrowed from it' }),
    systems_touched: z.array(z.string()),
    systems_tried: z.array(z.string()).openapi({ description: 'what its hops aimed at' }),
    sessions_open: z.int(),
    sessions: z.int(),
    statements_allowed: z.int(),
    statements_would_deny: z.int().openapi({ description: 'relayed, because the grant only observes' }),
    statements_denied: z.int(),
    hops: z.int(),
    logins_refused: z.int(),
    first_seen: time,
    last_seen: time,
    expires_at: time,
    refused: revocation.optional(),
  })
  .openapi('Run')

export const runsAnswer = z.object({ runs: z.array(runSummary) }).openapi('Runs')

const liveSession = z
  .object({
    run,
    issuer,
    agent: z.string(),
    grant: z.string(),
    system: z.string(),
    client: z.string(),
    started_at: time,
  })
  .openapi('Session')

export const sessionsAnswer = z.object({ sessions: z.array(liveSession) }).openapi('Sessions')

export const secretRequest = z
  .strictObject({
    grant,
    run,
    agent: z.string().min(1).max(256).default('agent'),
    ttl_ms: ms.max(SECRET_TTL_MS_MAX),
    by: target.by,
  })
  .openapi('SecretRequest')

export const secretAnswer = z
  .object({
    secret: z.string().openapi({ description: 'told once: only what checks it is kept' }),
    system: z.string(),
    run,
    jti,
    expires_at: time,
    saved,
  })
  .openapi('SecretAnswer')

export const reloadAnswer = z
  .object({
    reloaded: z.boolean(),
    changes: z.array(z.string()).openapi({ description: 'what is different now' }),
    problems: z.array(z.string()).openapi({ description: 'why the configuration before it goes on' }),
  })
  .openapi('ReloadAnswer')

export const errorAnswer = z.object({ error: z.string() }).openapi('Error')

export const runQuery = z.object({ run: run.optional(), live: z.enum(['true', 'false']).optional() })

export type RevocationAnswer = z.output<typeof revocation>
export type RunSummary = z.output<typeof runSummary>
export type SessionSummary = z.output<typeof liveSession>
