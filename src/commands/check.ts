import type { Analysis } from '../../protocols/analysis.ts'
import { recordedAccesses } from '../audit/accesses.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import type { Grant } from '../grants/grant.ts'
import { readIssuers } from '../grants/keys.ts'
import { grantOfToken } from '../grants/resolve.ts'
import { TOKEN_BYTES_MAX, type TokenFault, verifyToken } from '../grants/token.ts'
import type { Verdict } from '../policy/decide.ts'
import { Judge, type Judgement } from '../policy/judge.ts'
import { accessWords, type VerdictWord } from '../policy/words.ts'
import { loadProtocol } from '../protocols.ts'
import { colors } from './colors.ts'
import { CommandError, EXIT } from './exit.ts'
import { grantNamed } from './option-values.ts'
import { tokenOption } from './token-option.ts'

export type CheckOptions = {
  readonly config: string
  /** One of the two. */
  readonly grant?: string
  readonly token?: string
  readonly json?: boolean
}

/**
 * Tries a statement against a grant without a server. Without a catalog every named table is taken to exist and no
 * column is known, so that the answer can be stricter than the proxy's (`select *` needs the whole table), never looser.
 * @throws ConfigError, CommandError
 */
export async function check(statement: string, options: CheckOptions): Promise<void> {
  const { config } = loadConfig(options.config, { environment: process.env, secrets: 'optional' })
  const grant = await grantOf(config, options)
  const system = config.systems.get(grant.system)
  if (system?.backend === undefined) throw new CommandError(`\`${grant.system}\` has no backend`)
  const { offline } = await loadProtocol(system.protocol)
  const analyser = await offline(system.backend)
  const analysis = analyser.analyse(statement)
  const judge = new Judge(grant, system, analyser.naming)
  const judgement = judge.judge(analysis)
  process.exitCode = judgement.verdict.allowed ? EXIT.ok : EXIT.denied
  process.stdout.write(
    options.json ? `${JSON.stringify(asJson(analysis, judgement, grant.allow))}\n` : asText(analysis, judge),
  )
}

/** @throws CommandError, KeyError */
async function grantOf(config: Config, { grant: name, token }: CheckOptions): Promise<Grant> {
  if ((name === undefined) === (token === undefined)) {
    throw new CommandError('say which grant: --grant, or --token for the one of a token')
  }
  return token === undefined ? grantNamed(name ?? '', config) : grantOfText(config, tokenOption(token).token)
}

/** What each fault means for whoever holds the token; agents are not told. */
const FAULTS: Readonly<Partial<Record<TokenFault, string>>> = {
  missing: 'nothing was given',
  too_large: `it is longer than ${TOKEN_BYTES_MAX} bytes`,
  malformed: 'this is not a JSON Web Token',
  unknown_issuer: 'the configuration does not have its issuer',
  bad_signature: 'it was not signed with a key of its issuer',
  bad_claims: 'it does not say what a run token says (docs/tokens.md)',
  not_bound: 'no `bind` rule of its issuer fits it',
  bad_chain: 'its narrowings are incomplete or were changed',
  not_yet_valid: 'its time has not begun',
  expired: 'its time is over',
  wrong_system: 'its audience names no system of the configuration',
  unknown_grant: 'the configuration does not have its grant on its system',
  inline_not_allowed: 'its issuer may only name grants (`grants: by-name`)',
  keys_unavailable: 'the keys of its issuer cannot be had',
}

function refused(fault: TokenFault): CommandError {
  const words = FAULTS[fault]
  return new CommandError(`the token is refused: ${fault}${words === undefined ? '' : `: ${words}`}`)
}

/** What the proxy would grant to whoever shows this token now, narrowings and ceilings included. */
async function grantOfText(config: Config, shown: string): Promise<Grant> {
  const verdict = await verifyToken(shown, await readIssuers(config.issuers), {
    nowMs: Date.now(),
    clockSkewMs: config.clockSkewMs,
  })
  if (!verdict.valid) throw refused(verdict.fault)
  const system = config.systems.get(verdict.token.system)
  const grant = system && grantOfToken(verdict.token, system, config.grants)
  if (grant === undefined) throw refused('unknown_grant')
  return grant
}

function asJson(analysis: Analysis, { verdict, word }: Judgement, allow: readonly string[]): unknown {
  return {
    verdict: word,
    action: analysis.action,
    accesses: 'accesses' in analysis ? recordedAccesses(analysis.accesses) : [],
    ...(verdict.allowed
      ? { rules: verdict.rules.map((index) => allow[index]) }
      : {
          reason: verdict.reason,
          why: verdict.why,
          // The first is what the statement is by itself; a program that asks for one finds it here.
          hop: verdict.hops[0]?.kind,
          ...(verdict.hops.length > 0 && { hops: verdict.hops.map(({ kind }) => kind) }),
          missing: recordedAccesses(verdict.missing),
        }),
  }
}

function headOf(verdict: Verdict, word: VerdictWord): string {
  if (verdict.allowed) return colors.green('ALLOW')
  const kinds = verdict.hops.map(({ kind }) => kind).join(', ')
  const reason = kinds === '' ? verdict.reason : `${verdict.reason} (${kinds})`
  return word === 'deny'
    ? colors.red(`DENY  ${reason}`)
    : colors.yellow(`WOULD DENY  ${reason}, and relay it: the grant only observes`)
}

function asText(analysis: Analysis, judge: Judge): string {
  const { verdict, word: verdictWord, denial } = judge.judge(analysis)
  const lines = [headOf(verdict, verdictWord)]
  const accesses = 'accesses' in analysis ? analysis.accesses : []
  if (accesses.length === 0 && verdict.allowed) lines.push('  reaches nothing that needs a grant')
  for (const access of accesses) {
    const alone = judge.judge({ outcome: 'accesses', action: analysis.action, accesses: [access] })
    const word = alone.verdict.allowed ? colors.green('covered') : colors.red('missing')
    lines.push(`  ${word}  ${accessWords(access)}`)
  }
  if (verdict.allowed) {
    for (const index of verdict.rules) lines.push(colors.dim(`  by       ${judge.grant.allow[index]}`))
  }
  if (denial !== undefined) lines.push(`  ${denial.message}`)
  if (denial?.hint !== undefined) lines.push(colors.dim(`  ${denial.hint}`))
  return `${lines.join('\n')}\n`
}
