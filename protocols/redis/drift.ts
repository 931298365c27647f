/**
 * Holds the vetted table against what a server says of its commands (`COMMAND`). The server's word is not the truth,
 * but a difference is news: another version, a renamed command or a module gives a name another meaning, and what
 * has another meaning than the vetted one is refused.
 */
import { ABSENT } from './catalog.ts'
import type { CommandRow, KeySpec } from './commands/row.ts'
import { COMMANDS } from './commands/table.ts'

/** One entry of `COMMAND`, flattened: `name`, or `container|subcommand`. */
export type ServerCommand = {
  /** The name under which a client reaches it. */
  readonly name: string
  /** What the server itself calls it: another name where it was renamed. */
  readonly calls: string
  readonly arity: number
  /** Without `@`. */
  readonly categories: readonly string[]
  readonly keys: readonly ServerKeySpec[]
}

/** A key specification as text: its flags, and where it begins and finds its keys: `i1/r(-1,1,0)`. */
export type ServerKeySpec = { readonly flags: readonly string[]; readonly place: string }

/** Commands of the vetted table that must not be used on this server, with the reason. */
export function compareWithServer(commands: readonly ServerCommand[]): {
  readonly refused: ReadonlyMap<string, string>
} {
  const refused = new Map<string, string>()
  const seen = new Set<string>()
  for (const command of commands) {
    seen.add(command.name)
    const row = COMMANDS.get(command.name)
    if (row === undefined) continue
    const difference = differenceOf(row, command)
    if (difference !== undefined)
      refused.set(row.name, `\`${row.name}\` is not what was vetted: ${difference}`)
  }
  for (const [name, { decision }] of COMMANDS) {
    // What is answered here needs no server: older ones do not have CLIENT SETINFO, which every driver sends.
    if (!seen.has(name) && decision.is !== 'answered') refused.set(name, ABSENT)
  }
  return { refused }
}

function differenceOf(row: CommandRow, command: ServerCommand): string | undefined {
  if (command.calls !== command.name) return `the server calls \`${command.calls}\` by that name`
  if (command.arity !== row.arity && !row.otherArities.includes(command.arity)) {
    return `its arity is ${command.arity}, not ${row.arity}`
  }
  // What no grant can allow needs no comparison of what it touches.
  if (row.decision.is === 'forbidden' || row.decision.is === 'hop' || row.decision.is === 'absent')
    return undefined
  const categories = sorted(command.categories)
  if (categories !== sorted([...row.categories])) {
    const others = row.otherCategories.map((text) => sorted(text.split(' ')))
    if (!others.includes(categories)) return `its categories are \`${categories}\``
  }
  return row.parser !== undefined || row.serverKeys.length > 0
    ? differenceOfPlaces(row, command)
    : differenceOfKeys(row, command)
}

function sorted(words: readonly string[]): string {
  return [...words]
    .filter((word) => word !== '')
    .sort()
    .join(' ')
}

/** Commands with a parser of their own: the server must look for keys where it did when the parser was written. */
function differenceOfPlaces(row: CommandRow, command: ServerCommand): string | undefined {
  const vetted = row.serverKeys.length > 0 ? row.serverKeys : row.keys.map(placeOf)
  const known = new Set(vetted.map((text) => text.slice(text.indexOf('@') + 1)))
  for (const spec of command.keys) {
    if (!known.has(spec.place)) return `it has keys at ${spec.place}`
  }
  return undefined
}

/** Other commands: the same places, and no more use of them than is asked of a grant. */
function differenceOfKeys(row: CommandRow, command: ServerCommand): string | undefined {
  if (command.keys.length !== row.keys.length) return `it has ${command.keys.length} key specifications`
  for (const [i, spec] of command.keys.entries()) {
    const vetted = row.keys[i]
    if (vetted === undefined || placeOf(vetted) !== spec.place) return `it has keys at ${spec.place}`
    if (row.categories.size > 0 && !covers(vetted, spec)) return `it uses keys as ${spec.flags.join(' ')}`
  }
  return undefined
}

/** The server's spelling of a place. */
function placeOf(spec: KeySpec): string {
  return spec.at === 'range'
    ? `i${spec.first}/r(${spec.last},${spec.step},0)`
    : `i${spec.index}/n(0,1,${spec.step})`
}

/** The rule of the server's ACL: `access` needs reading; `insert`, `update`, `delete` need writing. */
function covers(vetted: KeySpec, spec: ServerKeySpec): boolean {
  const has = (flag: string) => spec.flags.includes(flag)
  // PFCOUNT caches what it counted in the value itself: RW, but `access` alone.
  if (has('access') && vetted.use === 'W') return false
  const writes = has('insert') || has('update') || has('delete')
  return !(writes && vetted.use === 'R')
}
