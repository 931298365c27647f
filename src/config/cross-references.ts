/** The checks that need more than one section: grants against systems, listeners against each other. */
import type { ProtocolName } from '../../protocols/protocol.ts'
import { AllowLineError } from '../grants/allow-line-error.ts'
import { checkDecoy } from '../grants/decoys.ts'
import { checkAllowLine } from '../grants/grant.ts'
import type { Config, Reporter } from './config.ts'

export function checkCrossReferences(config: Config, report: Reporter): void {
  for (const [name, grant] of config.grants) {
    const system = config.systems.get(grant.system)
    if (system === undefined) {
      report(['grants', name, 'system'], `there is no system \`${grant.system}\``, {
        mend: `write one of ${[...config.systems.keys()].join(', ')}`,
      })
    } else if (system.decoy) {
      report(['grants', name, 'system'], `\`${grant.system}\` is a decoy, and nothing can be granted on it`, {
        mend: 'name a system with a backend',
      })
    } else {
      checkLines(grant.allow, ['grants', name, 'allow'], allowLines(system.protocol), report)
    }
  }
  for (const [name, system] of config.systems) {
    const { protocol, ceiling = [], decoys } = system
    checkLines(ceiling, ['systems', name, 'ceiling'], allowLines(protocol), report)
    checkLines(decoys, ['systems', name, 'decoys'], decoysOf(protocol), report)
    if (system.decoy && decoys.length > 0) {
      report(['systems', name, 'decoys'], 'a decoy is one whole, and has no decoys', { mend: 'remove it' })
    }
  }
  checkListeners(config, report)
  const issuers = new Set<string>()
  for (const [index, { issuer }] of config.issuers.entries()) {
    if (issuers.has(issuer))
      report(['issuers', index, 'issuer'], `\`${issuer}\` stands twice`, { mend: 'remove one' })
    issuers.add(issuer)
  }
}

/** A kind of line that is written in a protocol's own words. */
type LineKind = { readonly mistake: string; readonly check: (line: string) => void }

const allowLines = (protocol: ProtocolName): LineKind => ({
  mistake: 'not an allow line',
  check: (line) => checkAllowLine(line, protocol),
})

const decoysOf = (protocol: ProtocolName): LineKind => ({
  mistake: 'not a decoy',
  check: (line) => checkDecoy(line, protocol),
})

function checkLines(
  lines: readonly string[],
  path: readonly (string | number)[],
  kind: LineKind,
  report: Reporter,
): void {
  for (const [index, line] of lines.entries()) {
    try {
      kind.check(line)
    } catch (error) {
      if (!(error instanceof AllowLineError)) throw error
      report([...path, index], kind.mistake, { pointed: error.pointed(line), mend: error.mend })
    }
  }
}

function checkListeners(config: Config, report: Reporter): void {
  const seen = new Map<string, string>()
  const { listen: admin } = config.admin
  if (admin !== undefined) seen.set(`${admin.host}:${admin.port}`, 'admin')
  for (const [name, { listen }] of config.systems) {
    if (listen.port === 0) continue
    const address = `${listen.host}:${listen.port}`
    const other = seen.get(address)
    if (other !== undefined) {
      report(['systems', name, 'listen'], `\`${other}\` already listens on ${address}`, {
        mend: 'choose another port: each system has its own listener',
      })
    }
    seen.set(address, name)
  }
}
