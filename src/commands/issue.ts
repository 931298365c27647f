import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { importJWK, type JWK } from 'jose'
import type { Config, SystemConfig } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { AGENT_CHARACTERS_MAX, RUN_ID, signToken } from '../grants/token.ts'
import { BUILT_IN_ISSUER } from '../runs/secrets.ts'
import { addressText, reachable } from './address.ts'
import { runningProxy, warnUnsaved, whoAsks } from './admin-client.ts'
import { CommandError } from './exit.ts'
import { durationOption, grantNamed, wordOption } from './option-values.ts'

export const TOKEN_FORMATS = ['url', 'token', 'env', 'json'] as const
type TokenFormat = (typeof TOKEN_FORMATS)[number]

/** Times in a token are whole seconds. */
const TTL_MS_MIN = 1_000

export type IssueOptions = {
  readonly config: string
  readonly grant: string
  readonly run: string
  readonly agent: string
  readonly ttl: string
  readonly format: string
  readonly key: string
  readonly json?: true
  /** False for a short token that no holder can narrow. */
  readonly narrow: boolean
  /** A run secret instead of a token, made by the running proxy. */
  readonly secret?: true
}

/** Signs a token, or has the proxy make a secret, and prints how to connect with it. @throws ConfigError, CommandError */
export async function issue(options: IssueOptions): Promise<void> {
  const format = options.json === true ? 'json' : wordOption('--format', options.format, TOKEN_FORMATS)
  if (!RUN_ID.test(options.run)) {
    throw new CommandError(
      '--run takes 1 to 64 letters, digits, `_`, `.`, `:` or `-`, beginning with a letter or digit',
    )
  }
  if (options.agent === '' || options.agent.length > AGENT_CHARACTERS_MAX) {
    throw new CommandError(`--agent takes 1 to ${AGENT_CHARACTERS_MAX} characters`)
  }
  const ttlMs = ttlOption(options.ttl)
  const { config } = loadConfig(options.config, { environment: process.env, secrets: 'optional' })
  const system = systemOf(config, options.grant)
  const { run, agent, grant } = options
  if (options.secret === true) {
    const { secretAnswer } = await import('../admin/schemas.ts')
    const body = { run, agent, grant, ttl_ms: ttlMs, by: whoAsks() }
    const { secret, saved } = await runningProxy(options.config).post('/v1/secrets', body, secretAnswer)
    process.stdout.write(`${shown(format, system, { run, token: secret })}\n`)
    warnUnsaved(saved)
    return
  }
  trustsOurs(config)
  const token = await signToken(
    {
      issuer: BUILT_IN_ISSUER,
      agent,
      run,
      system: system.name,
      grant,
      jti: randomUUID(),
      nowMs: Date.now(),
      ttlMs,
      narrowable: options.narrow,
    },
    await readPrivateKey(options.key),
  )
  process.stdout.write(`${shown(format, system, { run, token })}\n`)
}

function systemOf(config: Config, name: string): SystemConfig {
  const system = config.systems.get(grantNamed(name, config).system)
  if (system === undefined) throw new CommandError(`grant \`${name}\` names no known system`)
  return system
}

function trustsOurs(config: Config): void {
  if (config.issuers.some(({ issuer }) => issuer === BUILT_IN_ISSUER)) return
  throw new CommandError(`the configuration does not trust the issuer \`${BUILT_IN_ISSUER}\``)
}

async function readPrivateKey(file: string): Promise<JWK> {
  let jwk: Partial<JWK> | null
  try {
    jwk = JSON.parse(readFileSync(file, 'utf8')) as Partial<JWK> | null
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CommandError(
      code === 'ENOENT'
        ? `there is no key ${file}: make one with \`bulkhead init\`, or name it with --key`
        : `cannot read the key ${file}: ${code ?? 'it is not a JSON Web Key'}`,
    )
  }
  if (jwk?.d === undefined || jwk.crv !== 'Ed25519' || !(await canSign(jwk)))
    throw new CommandError(`${file} is not a private Ed25519 key`)
  return jwk
}

async function canSign(jwk: JWK): Promise<boolean> {
  return importJWK(jwk, 'EdDSA').then(
    () => true,
    () => false,
  )
}

/** Milliseconds. @throws CommandError */
export function ttlOption(text: string): number {
  const ttlMs = durationOption('--ttl', text)
  if (ttlMs < TTL_MS_MIN) throw new CommandError('--ttl is `1s` or longer: tokens count in seconds')
  return ttlMs
}

/** The connection URL of a run, as ordinary drivers take it. */
function connectionUrl(system: SystemConfig, run: string, token: string): string {
  const scheme = system.protocol === 'redis' && system.tls !== undefined ? 'rediss' : system.protocol
  const database = encodeURIComponent(system.backend?.database ?? '')
  return `${scheme}://${encodeURIComponent(run)}:${token}@${addressText(reachable(system.listen))}/${database}`
}

/** The token in the form that was asked for. */
export function shown(
  format: TokenFormat,
  system: SystemConfig,
  holder: { readonly run: string; readonly token: string },
): string {
  const url = connectionUrl(system, holder.run, holder.token)
  switch (format) {
    case 'token':
      return holder.token
    case 'url':
      return url
    case 'env':
      return Object.entries(environment(system, holder, url))
        .map(([name, value]) => `${name}=${value}`)
        .join('\n')
    case 'json':
      return JSON.stringify({ system: system.name, run: holder.run, token: holder.token, url })
  }
}

/** The variables that the database's own clients read. */
function environment(
  system: SystemConfig,
  { run, token }: { readonly run: string; readonly token: string },
  url: string,
): Record<string, string> {
  const { host, port: number } = reachable(system.listen)
  const port = String(number)
  const database = system.backend?.database ?? ''
  switch (system.protocol) {
    case 'postgres':
      return {
        PGHOST: host,
        PGPORT: port,
        PGUSER: run,
        PGPASSWORD: token,
        PGDATABASE: database,
        DATABASE_URL: url,
      }
    case 'mysql':
      return { MYSQL_HOST: host, MYSQL_TCP_PORT: port, MYSQL_USER: run, MYSQL_PWD: token, DATABASE_URL: url }
    case 'redis':
      return { REDISCLI_AUTH: token, REDIS_URL: url }
  }
}
