import pc from 'picocolors'
import type { Analysis } from '../../protocols/analysis.ts'
import { recordedAccesses } from '../audit/accesses.ts'
import { loadConfig } from '../config/load.ts'
import type { Verdict } from '../policy/decide.ts'
import { Judge } from '../policy/judge.ts'
import { accessWords } from '../policy/words.ts'
import { loadProtocol } from '../protocols.ts'
import { CommandError, EXIT } from './exit.ts'

export type CheckOptions = { readonly config: string; readonly grant: string; readonly json: boolean }

/**
 * Tries a statement against a grant without a server. Without a catalog every named table is taken to exist and no
 * column is known, so that the answer can be stricter than the proxy's (`select *` needs the whole table), never looser.
 * @throws ConfigError, CommandError
 */
export async function check(statement: string, options: CheckOptions): Promise<void> {
  const { config } = loadConfig(options.config, { environment: process.env, secrets: 'optional' })
  const grant = config.grants.get(options.grant)
  const system = config.systems.get(grant?.system ?? '')
  if (grant === undefined || system?.backend === undefined) {
    throw new CommandError(
      `there is no grant \`${options.grant}\`; the configuration has ${[...config.grants.keys()].join(', ')}`,
    )
  }
  const { offline } = await loadProtocol(system.protocol)
  const analyser = await offline(system.backend)
  const analysis = analyser.analyse(statement)
  const judge = new Judge(grant, system, analyser.naming)
  const { verdict } = judge.judge(analysis)
  process.exitCode = verdict.allowed ? EXIT.ok : EXIT.denied
  process.stdout.write(
    options.json ? `${JSON.stringify(asJson(analysis, verdict, grant.allow))}\n` : asText(analysis, judge),
  )
}

function asJson(analysis: Analysis, verdict: Verdict, allow: readonly string[]): unknown {
  return {
    verdict: verdict.allowed ? 'allow' : 'deny',
    action: analysis.action,
    accesses: 'accesses' in analysis ? recordedAccesses(analysis.accesses) : [],
    ...(verdict.allowed
      ? { rules: verdict.rules.map((index) => allow[index]) }
      : {
          reason: verdict.reason,
          why: verdict.why,
          hop: verdict.hop?.kind,
          missing: recordedAccesses(verdict.missing),
        }),
  }
}

function asText(analysis: Analysis, judge: Judge): string {
  const { verdict, denial } = judge.judge(analysis)
  const lines = [verdict.allowed ? pc.green('ALLOW') : pc.red(`DENY  ${verdict.reason}`)]
  const accesses = 'accesses' in analysis ? analysis.accesses : []
  if (accesses.length === 0 && verdict.allowed) lines.push('  reaches nothing that needs a grant')
  for (const access of accesses) {
    const alone = judge.judge({ outcome: 'accesses', action: analysis.action, accesses: [access] })
    const word = alone.verdict.allowed ? pc.green('covered') : pc.red('missing')
    lines.push(`  ${word}  ${accessWords(access)}`)
  }
  if (verdict.allowed) {
    for (const index of verdict.rules) lines.push(pc.dim(`  by       ${judge.grant.allow[index]}`))
  }
  if (denial !== undefined) lines.push(`  ${denial.message}`)
  if (denial?.hint !== undefined) lines.push(pc.dim(`  ${denial.hint}`))
  return `${lines.join('\n')}\n`
}
