import type { Grant } from '../../grants/grant.ts'
import { type UnusedRights, unusedRights } from '../../grants/unused.ts'
import type { PeriodOptions } from '../audit/filter-options.ts'
import { configOf, type LogOptions } from '../audit/log-files.ts'
import { colors } from '../colors.ts'
import { counted } from '../counted.ts'
import { grantNamed } from '../option-values.ts'
import { type History, historyKey, readHistory } from './history.ts'
import { cutWords } from './suggest.ts'

export type UnusedOptions = LogOptions &
  PeriodOptions & {
    readonly grant?: string
    readonly json?: boolean
  }

type Found = {
  readonly grant: Grant
  readonly history: History | undefined
  readonly rights: UnusedRights | undefined
}

/** Prints which rights of the configured grants no run has used. @throws ConfigError, CommandError */
export async function unused(options: UnusedOptions): Promise<void> {
  const { auditFile, grants } = configOf(options)
  const { grant: only } = options
  const asked = only === undefined ? [...grants.values()] : [grantNamed(only, { grants })]
  const histories = await readHistory(auditFile, { ...options, byGrant: true })
  const found = asked.map((grant) => {
    const history = histories.get(historyKey(grant.system, grant.name))
    return { grant, history, rights: rightsOf(grant, history) }
  })
  process.stdout.write(options.json ? `${JSON.stringify(found.map(asJson))}\n` : found.map(asText).join(''))
}

/** `undefined`: nothing of the grant was used, or the log does not say how its names are read. */
function rightsOf(grant: Grant, history: History | undefined): UnusedRights | undefined {
  if (history?.naming === undefined) return undefined
  const { protocol, naming, done } = history
  return unusedRights(
    grant,
    done.map(({ access }) => access),
    { protocol, naming },
  )
}

function asJson({ grant, history, rights }: Found): unknown {
  return {
    grant: grant.name,
    system: grant.system,
    statements: history?.statements ?? 0,
    runs: history?.runs.size ?? 0,
    cut: history?.cut ?? 0,
    lines:
      rights?.lines ??
      grant.allow.map((text, line) => ({ line, text, unused: [text], whole: true, wider: [] })),
    metadata: rights?.metadata,
  }
}

function asText({ grant, history, rights }: Found): string {
  const head = colors.bold(`${grant.name} on ${grant.system}`)
  if (history === undefined || rights === undefined)
    return `${head}: no statement on record, nothing of it was used\n`
  const lines = [
    `${head}: ${counted(history.statements, 'statement')} of ${counted(history.runs.size, 'run')}`,
  ]
  if (history.cut > 0) lines.push(`  ${cutWords(history.cut)}`)
  for (const { line, text, unused: rightsUnused, whole, wider } of rights.lines) {
    const place = `line ${line + 1}`
    if (whole) lines.push(`  ${colors.red('unused')}  ${place}  ${text}`)
    else for (const right of rightsUnused) lines.push(`  ${colors.red('unused')}  ${place}  ${right}`)
    for (const less of wider) lines.push(`  ${colors.yellow('wider ')}  ${place}  ${less}`)
  }
  if (rights.metadata !== undefined) {
    lines.push(
      `  ${colors.yellow('wider ')}  metadata: ${rights.metadata.granted}, of which ${rights.metadata.used} was used`,
    )
  }
  if (lines.length === 1) lines.push('  every right was used')
  return `${lines.join('\n')}\n`
}
