import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { decodeJwt } from 'jose'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { SystemConfig } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { AllowLineError } from '../grants/allow-line-error.ts'
import { checkAllowLine, METADATA_LEVELS } from '../grants/grant.ts'
import { addNarrowing, NARROWINGS_MAX, partsOf, verifyChain } from '../grants/narrowing.ts'
import { childPrefix, RUN_ID, TOKEN_BYTES_MAX } from '../grants/token.ts'
import { CommandError } from './exit.ts'
import { shown, TOKEN_FORMATS, ttlOption } from './issue.ts'
import { wordOption } from './option-values.ts'
import { type GivenToken, NO_TOKEN, tokenOption } from './token-option.ts'

export type NarrowOptions = {
  readonly config: string
  readonly token: string
  readonly allow: readonly string[]
  readonly metadata?: string
  readonly run?: string
  readonly ttl?: string
  readonly format?: string
  readonly json?: true
}

/** The protocols whose words an allow line may be in, where nothing says which one it is. */
const ANY_PROTOCOL: readonly ProtocolName[] = ['postgres', 'mysql', 'redis']

/**
 * Makes a token for a sub-agent from one that is held. Needs no network, no issuer and no configuration; where there is
 * one, it checks the allow lines and knows the address. @throws ConfigError, CommandError
 */
export async function narrow(options: NarrowOptions): Promise<void> {
  const { metadata, ttl } = options
  const given = tokenOption(options.token)
  const parent = await readParent(given.token)
  const system = systemOf(options.config, parent.system)
  checkLines(options.allow, protocolsOf(system, given))
  const run = childRun(parent.run, options.run)
  const token = await addNarrowing(parent.token, {
    run,
    jti: randomUUID(),
    allow: options.allow,
    metadata: metadata === undefined ? undefined : wordOption('--metadata', metadata, METADATA_LEVELS),
    expiresAtMs: ttl === undefined ? undefined : Date.now() + ttlOption(ttl),
  })
  if (Buffer.byteLength(token) > TOKEN_BYTES_MAX) {
    throw new CommandError(`the token would be longer than ${TOKEN_BYTES_MAX} bytes: write fewer allow lines`)
  }
  const { url } = given
  const format = options.json === true ? 'json' : (options.format ?? (url === undefined ? 'token' : 'url'))
  process.stdout.write(`${childShown(format, { run, token, systemName: parent.system, system, url })}\n`)
}

type Parent = { readonly token: string; readonly run: string; readonly system: string }

/** What can be known of a token without its issuer's key: all but that the issuer did sign it. */
async function readParent(token: string): Promise<Parent> {
  const parts = partsOf(token)
  const claims = claimsOf(parts.jwt)
  if (parts.seed === undefined || claims['cnf'] === undefined) {
    throw new CommandError(
      'this token cannot be narrowed, because it carries no key for it: issue one without `--no-narrow`',
    )
  }
  if (parts.blocks.length >= NARROWINGS_MAX) {
    throw new CommandError(`this token has been narrowed ${NARROWINGS_MAX} times, which is the most`)
  }
  const narrowings = await verifyChain(parts, claims['cnf'])
  if (narrowings === undefined) throw new CommandError('this token is incomplete or was changed')
  const run = narrowings.at(-1)?.run ?? claims['run']
  const expiresAtMs = Math.min(
    ...[Number(claims.exp) * 1_000, ...narrowings.flatMap((narrowing) => narrowing.expiresAtMs ?? [])],
  )
  if (typeof run !== 'string') throw new CommandError('this token names no run')
  if (expiresAtMs <= Date.now()) throw new CommandError('this token has expired')
  return { token, run, system: [claims.aud].flat()[0] ?? '' }
}

function claimsOf(jwt: string): ReturnType<typeof decodeJwt> {
  try {
    return decodeJwt(jwt)
  } catch {
    throw new CommandError(NO_TOKEN)
  }
}

function systemOf(config: string, name: string): SystemConfig | undefined {
  if (!existsSync(config)) return undefined
  return loadConfig(config, { environment: process.env, secrets: 'optional' }).config.systems.get(name)
}

function protocolsOf(system: SystemConfig | undefined, { protocol }: GivenToken): readonly ProtocolName[] {
  const known = system?.protocol ?? protocol
  return known === undefined ? ANY_PROTOCOL : [known]
}

/** The lines must all be in the words of one protocol. */
function checkLines(lines: readonly string[], protocols: readonly ProtocolName[]): void {
  let mistake: CommandError | undefined
  for (const protocol of protocols) {
    const wrong = lines.map((line) => mistakeIn(line, protocol)).find((found) => found !== undefined)
    if (wrong === undefined) return
    // Of what does not fit, the words that come nearest are told: a `+` begins a Redis rule and no privilege.
    if (mistake === undefined || (protocol === 'redis' && /^[+~%&]/.test(lines[0] ?? ''))) mistake = wrong
  }
  if (mistake !== undefined) throw mistake
}

function mistakeIn(line: string, protocol: ProtocolName): CommandError | undefined {
  try {
    checkAllowLine(line, protocol)
    return undefined
  } catch (error) {
    if (!(error instanceof AllowLineError)) throw error
    return new CommandError(
      `not an allow line\n    ${error.pointed(line).replaceAll('\n', '\n    ')}\n    mend: ${error.mend}`,
    )
  }
}

function childRun(parent: string, chosen: string | undefined): string {
  const run = chosen ?? childPrefix(parent) + randomBytes(3).toString('hex')
  if (!RUN_ID.test(run) || !run.startsWith(childPrefix(parent))) {
    throw new CommandError(
      `--run takes the parent's run, a dot and a name: \`${childPrefix(parent)}1\`, at most 64 characters`,
    )
  }
  return run
}

type Child = {
  readonly run: string
  readonly token: string
  readonly systemName: string
  readonly system: SystemConfig | undefined
  readonly url: URL | undefined
}

function childShown(format: string, { run, token, systemName, system, url }: Child): string {
  const known = wordOption('--format', format, TOKEN_FORMATS)
  if (known === 'token') return token
  if (url !== undefined && known !== 'env') {
    const own = new URL(url)
    own.username = run
    own.password = token
    return known === 'url' ? own.href : JSON.stringify({ system: systemName, run, token, url: own.href })
  }
  if (system !== undefined) return shown(known, system, { run, token })
  if (known === 'json') return JSON.stringify({ system: systemName, run, token })
  throw new CommandError(
    `--format ${known} needs the system's address: give the connection URL as --token, or the configuration`,
  )
}
