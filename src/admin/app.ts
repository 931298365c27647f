/** The admin API: health and metrics for everyone who reaches it, everything else for who holds the token. */
import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import type { ZodType } from 'zod'
import type { Metrics } from '../metrics.ts'
import type { RunControl } from '../runs/control.ts'
import type { Runs } from '../runs/live.ts'
import type { Target } from '../runs/state-file.ts'
import { type GuardOptions, guard } from './guard.ts'
import {
  errorAnswer,
  releaseAnswer,
  releaseRequest,
  reloadAnswer,
  revocationsAnswer,
  revokeAnswer,
  revokeRequest,
  runQuery,
  runsAnswer,
  secretAnswer,
  secretRequest,
  sessionsAnswer,
} from './schemas.ts'
import { shownRevocation, shownRun, shownSession } from './views.ts'

/** Requests are a few names and a reason. */
const BODY_BYTES_MAX = 16 << 10

/** Whether each part works; every reason for not being ready in a sentence. */
export type Readiness = { readonly ready: boolean; readonly reasons: readonly string[] }

/** What came of reading the configuration anew. */
export type Reloaded = {
  readonly reloaded: boolean
  readonly changes: readonly string[]
  readonly problems: readonly string[]
}

export type AdminParts = {
  readonly metrics: Metrics
  readonly readiness: () => Readiness
  readonly runs: Runs
  readonly control: RunControl
  readonly reload: () => Promise<Reloaded>
  readonly version: string
  /** One line for operators. */
  readonly notice: (line: string) => void
}

function answer<Schema extends ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } }
}

/** What every request but health and metrics may be told. */
const REFUSALS = {
  400: answer('the request is wrong', errorAnswer),
  401: answer('the token is missing or wrong', errorAnswer),
  403: answer('nobody may from here', errorAnswer),
}

export function adminApp(parts: AdminParts, access: GuardOptions): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result, context) => {
      if (result.success) return undefined
      const problems = result.error.issues.map(
        ({ path, message }) => `${path.join('.') || 'body'}: ${message}`,
      )
      return context.json({ error: problems.join('; ') }, 400)
    },
  })
  app.onError((error, context) => {
    // A body that is no JSON, or says that it is something else.
    if (error instanceof HTTPException) return context.json({ error: error.message }, error.status)
    parts.notice(`bug in the admin API: ${error.stack ?? error.message}`)
    return context.json({ error: 'internal error' }, 500)
  })
  app.notFound((context) => context.json({ error: 'there is no such thing here' }, 404))
  addHealth(app, parts)
  app.use('/v1/*', guard(access))
  app.use('/openapi.json', guard(access))
  app.use(
    '/v1/*',
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (context) => context.json({ error: 'the request is too large' }, 413),
    }),
  )
  addRuns(app, parts)
  addOrders(app, parts)
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' })
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Bulkhead admin API', version: parts.version },
    security: [{ token: [] }],
  })
  return app
}

function addHealth(app: OpenAPIHono, { metrics, readiness }: AdminParts): void {
  app.get('/healthz', (context) => context.text('ok\n'))
  app.get('/readyz', (context) => {
    const { ready, reasons } = readiness()
    return ready ? context.text('ready\n') : context.text(`${reasons.join('\n')}\n`, 503)
  })
  app.get('/metrics', async (context) => {
    const { registry } = metrics
    context.header('Content-Type', registry.contentType)
    return context.body(await registry.metrics())
  })
}

/** What there is to see. */
function addRuns(app: OpenAPIHono, { runs }: AdminParts): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/runs',
      summary: 'Runs live and recent, the last seen first',
      request: { query: runQuery },
      responses: { 200: answer('done', runsAnswer), ...REFUSALS },
    }),
    (context) => {
      const { run, live } = context.req.valid('query')
      const found = run === undefined ? runs.ledger.entries() : runs.ledger.ofRun(run)
      return context.json(
        {
          runs: found
            .filter(({ open }) => live === undefined || open > 0 === (live === 'true'))
            .map((entry) => shownRun(entry, runs.state)),
        },
        200,
      )
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/sessions',
      summary: 'Sessions that are open',
      responses: { 200: answer('done', sessionsAnswer), ...REFUSALS },
    }),
    (context) => context.json({ sessions: runs.sessions().map(shownSession) }, 200),
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/v1/revocations',
      summary: 'Revocations and quarantines in force, the oldest first',
      responses: { 200: answer('done', revocationsAnswer), ...REFUSALS },
    }),
    (context) => context.json({ revocations: runs.state.revocations().map(shownRevocation) }, 200),
  )
}

/** What can be done. */
function addOrders(app: OpenAPIHono, { control, reload }: AdminParts): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/revoke',
      summary: 'End the sessions of a run, a token or a grant and refuse its tokens',
      request: { body: body(revokeRequest) },
      responses: { 200: answer('done', revokeAnswer), ...REFUSALS },
    }),
    (context) => {
      const { why, by, for_ms, ...named } = context.req.valid('json')
      const { revocation, sessions, saved } = control.revoke({ target: targetOf(named), why, by }, for_ms)
      return context.json({ revocation: shownRevocation(revocation), sessions_ended: sessions, saved }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/release',
      summary: 'Take back revocations and quarantines',
      request: { body: body(releaseRequest) },
      responses: {
        200: answer('done', releaseAnswer),
        409: answer('it cannot be done now', errorAnswer),
        ...REFUSALS,
      },
    }),
    (context) => {
      const { why, by, ...named } = context.req.valid('json')
      const answered = control.release({ target: targetOf(named), why, by })
      if (!answered.done) return context.json({ error: answered.problem }, 409)
      const { released, saved } = answered
      return context.json({ released: released.map(shownRevocation), saved }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/secrets',
      summary: 'Make a secret for a run, in place of a token',
      request: { body: body(secretRequest) },
      responses: {
        200: answer('done', secretAnswer),
        409: answer('it cannot be made', errorAnswer),
        ...REFUSALS,
      },
    }),
    (context) => {
      const { ttl_ms, ...order } = context.req.valid('json')
      const made = control.registerSecret({ ...order, ttlMs: ttl_ms })
      if (!made.made) return context.json({ error: made.problem }, 409)
      const { secret, registered, saved } = made
      const { system, run, jti, expires } = registered
      const expires_at = new Date(expires).toISOString()
      context.header('Cache-Control', 'no-store')
      return context.json({ secret, system, run, jti, expires_at, saved }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/v1/reload',
      summary: 'Read the configuration anew',
      responses: {
        200: answer('done', reloadAnswer),
        422: answer('it was refused', reloadAnswer),
        ...REFUSALS,
      },
    }),
    async (context) => {
      const { reloaded, changes, problems } = await reload()
      return context.json({ reloaded, changes: [...changes], problems: [...problems] }, reloaded ? 200 : 422)
    },
  )
}

/** Required: a body of another type would otherwise pass unread, and that is what a form posts. */
function body<Schema extends ZodType>(schema: Schema) {
  return { required: true, content: { 'application/json': { schema } } } as const
}

/** The schema has made sure that one of the three is there. */
function targetOf(named: {
  readonly run?: string | undefined
  readonly token?: string | undefined
  readonly grant?: string | undefined
  readonly issuer?: string | undefined
}): Target {
  const { run, token, grant, issuer } = named
  if (run !== undefined) return { kind: 'run', run, issuer }
  if (token !== undefined) return { kind: 'token', jti: token, issuer }
  if (grant !== undefined) return { kind: 'grant', grant }
  throw new Error('a target is named')
}
