import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { decodeJwt } from 'jose'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { SystemConfig } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { AllowLineError } from '../grants/allow-line-error.ts'
import { checkAllowLine, METADATA_LEVELS, type MetadataLevel } from '../grants/grant.ts'
import { duration } from '../grants/limits.ts'
import { addNarrowing, NARROWINGS_MAX, partsOf, verifyChain } from '../grants/narrowing.ts'
import { childPrefix, RUN_ID, TOKEN_BYTES_MAX } from '../grants/token.ts'
import { CommandError } from './exit.ts'
import { shown, TOKEN_FORMATS } from './issue.ts'

export type NarrowOptions = {
  readonly config: string
  readonly token: string
  readonly allow: readonly string[]
  readonly metadata?: string
  readonly run?: string
  readonly ttl?: string
  readonly format?: string
}

/** Which protocols an address may be of. */
const PROTOCOL_OF_SCHEME: Readonly<Record<string, ProtocolName>> = {
  'postgres:': 'postgres',
  'postgresql:': 'postgres',
  'mysql:': 'mysql',
  'mariadb:': 'mysql',
  'redis:': 'redis',
  'rediss:': 'redis',
  'valkey:': 'redis',
  'valkeys:': 'redis',
}

/** The protocols whose words an allow line may be in, where nothing says which one it is. */
const ANY_PROTOCOL: readonly ProtocolName[] = ['postgres', 'mysql', 'redis']

/**
 * Makes a token for a sub-agent from one that is held. Needs no network, no issuer and no configuration; where there is
 * one, it checks the allow lines and knows the address. @throws ConfigError, CommandError
 */
export async function narrow(options: NarrowOptions): Promise<void> {
  const shownParent = (options.token === '-' ? readFileSync(0, 'utf8') : options.token).trim()
  const url = urlOf(shownParent)
  const parent = await readParent(url === undefined ? shownParent : decodeURIComponent(url.password))
  const system = systemOf(options.config, parent.system)
  checkLines(options.allow, protocolsOf(system, url))
  const run = childRun(parent.run, options.run)
  const token = await addNarrowing(parent.token, {
    run,
    jti: randomUUID(),
    allow: options.allow,
    metadata: metadataOf(options.metadata),
    expiresAtMs: options.ttl === undefined ? undefined : Date.now() + ttlMs(options.ttl),
  })
  if (Buffer.byteLength(token) > TOKEN_BYTES_MAX) {
    throw new CommandError(`the token would be longer than ${TOKEN_BYTES_MAX} bytes: write fewer allow lines`)
  }
  process.stdout.write(
    `${childShown(options.format, { run, token, systemName: parent.system, system, url })}\n`,
  )
}

function urlOf(text: string): URL | undefined {
  if (!text.includes('://')) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || PROTOCOL_OF_SCHEME[url.protocol] === undefined || url.password === '') {
    throw new CommandError('--token takes a token, or the connection URL that holds one as its password')
  }
  return url
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
    throw new CommandError('--token takes a token, or the connection URL that holds one as its password')
  }
}

function systemOf(config: string, name: string): SystemConfig | undefined {
  if (!existsSync(config)) return undefined
  return loadConfig(config, { environment: process.env, secrets: 'optional' }).config.systems.get(name)
}

function protocolsOf(system: SystemConfig | undefined, url: URL | undefined): readonly ProtocolName[] {
  const known = system?.protocol ?? PROTOCOL_OF_SCHEME[url?.protocol ?? '']
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

function metadataOf(level: string | undefined): MetadataLevel | undefined {
  const known = METADATA_LEVELS.find((one) => one === level)
  if (level !== undefined && known === undefined) {
    throw new CommandError(`--metadata is one of ${METADATA_LEVELS.join(', ')}`)
  }
  return known
}

function ttlMs(text: string): number {
  const ttl = duration.safeParse(text)
  if (!ttl.success) throw new CommandError(`--ttl: ${ttl.error.issues[0]?.message}`)
  return ttl.data
}

type Child = {
  readonly run: string
  readonly token: string
  readonly systemName: string
  readonly system: SystemConfig | undefined
  readonly url: URL | undefined
}

/** In the form that was asked for, or else the one that the parent was given in. */
function childShown(asked: string | undefined, { run, token, systemName, system, url }: Child): string {
  const format = asked === undefined ? (url === undefined ? 'token' : 'url') : asked
  const known = TOKEN_FORMATS.find((one) => one === format)
  if (known === undefined) throw new CommandError(`--format is one of ${TOKEN_FORMATS.join(', ')}`)
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
