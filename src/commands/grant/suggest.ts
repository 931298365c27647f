import { stringify } from 'yaml'
import { compileLines, parseLines } from '../../grants/grant.ts'
import { type SuggestedGrant, suggestGrant } from '../../grants/suggest.ts'
import { configOf, type LogOptions } from '../audit/log-files.ts'
import { counted } from '../counted.ts'
import { CommandError, EXIT } from '../exit.ts'
import { type History, type HistoryFilter, readHistory } from './history.ts'

export type SuggestOptions = LogOptions &
  Omit<HistoryFilter, 'byGrant'> & {
    readonly generalise?: boolean
    readonly json?: boolean
  }

/** Allow lines of a grant (`src/config/schema.ts`). */
const LINES_MAX = 1_000

/** Prints the narrowest grant for each system that covers what was done there. @throws ConfigError, CommandError */
export async function suggest(options: SuggestOptions): Promise<void> {
  const { run, grant, since, until } = options
  if (run === undefined && grant === undefined && since === undefined) {
    throw new CommandError('say whose work: --run, --grant or --since')
  }
  const histories = await readHistory(configOf(options).auditFile, { ...options, byGrant: false })
  if (histories.size === 0) {
    throw new CommandError(
      `no statement is on record${[of('run', run), of('grant', grant)].join('')}${when(since, until)}`,
      EXIT.notFound,
    )
  }
  const suggested = [...histories.values()].map((history) => ({
    history,
    grant: suggestionOf(history, options),
  }))
  process.stdout.write(
    options.json ? `${JSON.stringify(asJson(suggested))}\n` : suggested.map(asYaml).join('\n'),
  )
}

const of = (kind: string, name: string | undefined): string =>
  name === undefined ? '' : ` of ${kind} \`${name}\``

function when(since: string | undefined, until: string | undefined): string {
  return `${since === undefined ? '' : ` since ${since}`}${until === undefined ? '' : ` until ${until}`}`
}

type Suggested = { readonly history: History; readonly grant: SuggestedGrant }

function suggestionOf(history: History, { generalise = false }: SuggestOptions): SuggestedGrant {
  const { protocol, naming, done } = history
  const grant = suggestGrant(done, { protocol, naming, generalise })
  if (grant.allow.length > LINES_MAX) {
    const mend =
      protocol === 'redis' && !generalise
        ? 'ask with --generalise, or for a shorter time'
        : 'ask for a shorter time'
    throw new CommandError(
      `what was done on ${history.system} takes ${grant.allow.length} allow lines, and a grant has at most ${LINES_MAX}: ${mend}`,
    )
  }
  const notes = [...grant.notes, ...notesOf(history, grant)]
  return { ...grant, notes }
}

/** @param cut statements whose record leaves accesses out */
export function cutWords(cut: number): string {
  return `left out: ${counted(cut, 'statement')} of which the record does not keep all`
}

function notesOf({ protocol, naming, done, cut }: History, { allow }: SuggestedGrant): string[] {
  const notes: string[] = []
  if (cut > 0) notes.push(cutWords(cut))
  const matcher = naming && compileLines(parseLines(allow, protocol), naming)
  const missing = done.filter(
    ({ access }) => access.kind !== 'metadata' && matcher?.covering(access) === undefined,
  )
  if (matcher !== undefined && missing.length > 0)
    notes.push(`no allow line can cover ${counted(missing.length, 'thing')} that was done`)
  return notes
}

/** What a grant is called until somebody names it. */
const nameOf = ({ system }: History): string => `suggested-${system}`.slice(0, 63)

function asYaml({ history, grant: { allow, metadata, notes } }: Suggested): string {
  const { statements, uncovered, runs, from, to, system } = history
  const lines = [
    `${counted(statements, 'statement')} of ${counted(runs.size, 'run')} on ${system}, ${from} to ${to}`,
    ...(uncovered > 0 ? [`${uncovered} of them the grant did not allow`] : []),
    ...notes,
  ]
  // A Redis system has no catalog.
  const seen = history.protocol === 'redis' ? {} : { metadata }
  const grants = { grants: { [nameOf(history)]: { system, ...seen, allow } } }
  return `${lines.map((line) => `# ${line}\n`).join('')}${stringify(grants, { lineWidth: 0 })}`
}

function asJson(suggested: readonly Suggested[]): unknown {
  return suggested.map(({ history, grant: { allow, metadata, notes } }) => ({
    name: nameOf(history),
    system: history.system,
    metadata,
    allow,
    statements: history.statements,
    uncovered: history.uncovered,
    cut: history.cut,
    runs: [...history.runs],
    from: history.from,
    to: history.to,
    notes,
  }))
}
