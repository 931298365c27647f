import { type RevocationAnswer, releaseAnswer, revokeAnswer, runsAnswer } from '../admin/schemas.ts'
import { RUN_ID, tokenId } from '../grants/token.ts'
import { type AdminClient, runningProxy, warnUnsaved, whoAsks } from './admin-client.ts'
import { counted } from './counted.ts'
import { CommandError, EXIT } from './exit.ts'
import { durationOption } from './option-values.ts'
import { tokenOption } from './token-option.ts'

export type TargetOptions = {
  readonly config: string
  readonly run?: string
  readonly token?: string
  readonly grant?: string
  readonly issuer?: string
  readonly json?: true
}

export type RevokeOptions = TargetOptions & { readonly why: string; readonly for?: string }
export type ReleaseOptions = TargetOptions & { readonly why?: string }

/** Ends sessions and refuses tokens. @throws ConfigError, CommandError */
export async function revoke(options: RevokeOptions): Promise<void> {
  const target = targetOf(options)
  if (options.why === '') throw new CommandError('--why takes a reason, for the record')
  const client = runningProxy(options.config)
  const answer = await client.post(
    '/v1/revoke',
    {
      ...target,
      why: options.why,
      by: whoAsks(),
      ...(options.for !== undefined && { for_ms: durationOption('--for', options.for) }),
    },
    revokeAnswer,
  )
  const { revocation, sessions_ended, saved } = answer
  const until = revocation.until === undefined ? 'until it is released' : `until ${revocation.until}`
  print(options, answer, [
    `${wordsOf(revocation)} is revoked ${until}; ${counted(sessions_ended, 'session')} ended`,
  ])
  warnUnsaved(saved)
  if (options.run !== undefined && sessions_ended === 0) await noteUnknown(client, options.run)
}

/** A run may be revoked before it is seen, and its name may be mistyped. */
async function noteUnknown(client: AdminClient, run: string): Promise<void> {
  const seen = await client.get(`/v1/runs?run=${encodeURIComponent(run)}`, runsAnswer)
  if (seen.runs.length > 0) return
  process.stderr.write(`note: no run ${run} has been seen since the proxy started: is it the right name?\n`)
}

/** Takes revocations and quarantines back; exit code 1 where there were none. @throws ConfigError, CommandError */
export async function release(options: ReleaseOptions): Promise<void> {
  const target = targetOf(options)
  const client = runningProxy(options.config)
  const answer = await client.post(
    '/v1/release',
    { ...target, why: options.why ?? 'released', by: whoAsks() },
    releaseAnswer,
  )
  const { released, saved } = answer
  const lines = released.map(
    (revocation) => `${wordsOf(revocation)} is no longer ${revocation.cause} (was: ${revocation.why})`,
  )
  print(options, answer, lines.length === 0 ? ['nothing was revoked or quarantined under that name'] : lines)
  if (released.length === 0) process.exitCode = EXIT.notFound
  warnUnsaved(saved)
}

function targetOf(options: TargetOptions): Readonly<Record<string, string>> {
  const { run, token, grant, issuer } = options
  if ([run, token, grant].filter((name) => name !== undefined).length !== 1) {
    throw new CommandError('name exactly one of --run, --token and --grant')
  }
  if (run !== undefined && !RUN_ID.test(run)) throw new CommandError(`\`${run}\` is no run id`)
  return {
    ...(run !== undefined && { run }),
    ...(token !== undefined && { token: jtiOf(token) }),
    ...(grant !== undefined && { grant }),
    ...(issuer !== undefined && { issuer }),
  }
}

/** The id of a token that is given whole, which is then not sent anywhere. */
function jtiOf(text: string): string {
  const { token } = tokenOption(text)
  return tokenId(token) ?? token
}

function wordsOf({ run, token, grant, issuer }: RevocationAnswer): string {
  const of = issuer === undefined ? '' : ` of ${issuer}`
  if (run !== undefined) return `run ${run}${of}`
  return token === undefined ? `grant ${grant}` : `token ${token}${of}`
}

function print({ json }: TargetOptions, answer: unknown, lines: readonly string[]): void {
  process.stdout.write(json === true ? `${JSON.stringify(answer)}\n` : `${lines.join('\n')}\n`)
}
