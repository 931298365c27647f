import type { HopKind, StatementAction } from '../../analysis.ts'

/** How a command uses a key. */
export type Use = 'R' | 'W' | 'RW'

/**
 * Where keys stand among the arguments, in the terms of the server's key specifications
 * (https://redis.io/docs/latest/develop/reference/key-specs/).
 */
export type KeySpec =
  | {
      readonly at: 'range'
      /** Index of the first key. */
      readonly first: number
      /** Index of the last: from `first` on where not negative, else from the end (-1 is the last argument). */
      readonly last: number
      readonly step: number
      readonly use: Use
      /** True where no key at all is correct. */
      readonly mayBeEmpty: boolean
    }
  | {
      readonly at: 'numkeys'
      /** Index of the argument that says how many keys follow. */
      readonly index: number
      readonly step: number
      readonly use: Use
      /** True where a count of 0 is correct. */
      readonly mayBeEmpty: boolean
    }

/** Commands whose options decide what they touch; each has a parser of its own in `parsers.ts`. */
export type ParserName =
  | 'set'
  | 'bitfield'
  | 'zadd'
  | 'sort'
  | 'sort_ro'
  | 'georadius'
  | 'georadiusbymember'
  | 'xread'
  | 'xreadgroup'
  | 'copy'
  | 'scan'
  | 'keys'
  | 'tracking'

/** What is decided of a command before any grant is asked. */
export type Decision =
  /** An allow line may cover it, by name or by category. */
  | { readonly is: 'grantable' }
  /** An allow line may cover it, but only by its name: no category word and no `allcommands` reaches it. */
  | { readonly is: 'named' }
  /** Reaches nothing: needs no allow line. */
  | { readonly is: 'free' }
  /** Reaches nothing, and the proxy answers it itself: the server's answer would tell what an agent may not know. */
  | { readonly is: 'answered' }
  | { readonly is: 'forbidden'; readonly why: string }
  | { readonly is: 'hop'; readonly hop: HopKind; readonly why: string }
  /** Refused in the words of a server that does not have it. */
  | { readonly is: 'absent'; readonly message: string }
  /** Decided by its arguments, in `analyser.ts`. */
  | { readonly is: 'judged'; readonly by: 'select' | 'config_set' | 'debug' | 'hello' }

/** One command, or one subcommand of a container, of the vetted table. */
export type CommandRow = {
  /** Lower case; a subcommand as `client|setname`. */
  readonly name: string
  /** As `COMMAND` says it: the number of arguments with the name, negative for a minimum. */
  readonly arity: number
  /** What else `COMMAND` of a known server says: its arities in other versions. */
  readonly otherArities: readonly number[]
  readonly keys: readonly KeySpec[]
  readonly parser: ParserName | undefined
  /** What `COMMAND` of the known servers says of keys, where that is not what `keys` says. */
  readonly serverKeys: readonly string[]
  /** Arguments that are channel names: none, one, or all from the first on. */
  readonly channels: 'none' | 'first' | 'all' | 'patterns'
  readonly categories: ReadonlySet<string>
  /** The category words that reach it in an allow line: none where it must be named; else also `all`. */
  readonly grantCategories: ReadonlySet<string>
  /** What else a known server says of its categories. */
  readonly otherCategories: readonly string[]
  /** Touches keys that it does not name. */
  readonly allKeys: boolean
  /** Arguments from this one on are data: nothing of them is read to judge it. `undefined`: every one may matter. */
  readonly dataFrom: number | undefined
  readonly action: StatementAction
  readonly decision: Decision
}

/** What a row may say beyond name, arity, keys and categories. */
export type Extra = {
  readonly decision?: Decision
  readonly channels?: CommandRow['channels']
  readonly allKeys?: boolean
  readonly parser?: ParserName
  readonly otherArities?: readonly number[]
  readonly otherCategories?: readonly string[]
  readonly serverKeys?: readonly string[]
}

/**
 * A line of the table: name, arity, keys, categories and the rest. Keys are written `R 1` (argument 1 is read),
 * `RW 1..-2` (1 to the last but one), `W 1..-1/2` (every second), `R #2` (argument 2 says how many follow), and a
 * final `?` where there may be none; several are joined by `;`.
 */
export type Line = readonly [
  name: string,
  arity: number,
  keys: string,
  categories: string,
  decisionOrExtra?: Decision | Extra,
]

export const NAMED: Decision = { is: 'named' }
export const FREE: Decision = { is: 'free' }
export const ANSWERED: Decision = { is: 'answered' }
const GRANTABLE: Decision = { is: 'grantable' }

export function forbidden(why: string): Decision {
  return { is: 'forbidden', why }
}

export function hop(kind: HopKind, why: string): Decision {
  return { is: 'hop', hop: kind, why }
}

export function absent(message: string): Decision {
  return { is: 'absent', message }
}

const SPEC = /^(R|W|RW) (?:(\d+)(?:\.\.(-?\d+))?(?:\/(\d+))?|#(\d+)(?:\/(\d+))?)(\?)?$/

/** Reads one key specification of a line; throws on a mistake in the table. */
function keySpec(text: string): KeySpec {
  const match = SPEC.exec(text)
  if (match === null) throw new Error(`a key specification that cannot be read: \`${text}\``)
  const [, use, first, last, step, numkeys, numkeysStep, optional] = match
  if (use !== 'R' && use !== 'W' && use !== 'RW') throw new Error(`a key use that is not one: \`${text}\``)
  const mayBeEmpty = optional !== undefined
  if (numkeys !== undefined)
    return { at: 'numkeys', index: Number(numkeys), step: Number(numkeysStep ?? 1), use, mayBeEmpty }
  const end = Number(last ?? first)
  return {
    at: 'range',
    first: Number(first),
    // The table counts from the name, the server from the first key.
    last: end < 0 ? end : end - Number(first),
    step: Number(step ?? 1),
    use,
    mayBeEmpty,
  }
}

/** The nature of a command, as the metric's label. */
function actionOf(categories: ReadonlySet<string>): StatementAction {
  if (categories.has('scripting')) return 'scripting'
  if (categories.has('pubsub')) return 'pubsub'
  if (categories.has('transaction')) return 'transaction'
  if (categories.has('admin')) return 'admin'
  if (categories.has('write')) return 'write'
  if (categories.has('read')) return 'read'
  return categories.has('connection') ? 'session' : 'command'
}

/** Behind the last key and channel, where all of them have fixed places and no options decide. */
function dataFrom(decision: Decision, extra: Extra, keys: readonly KeySpec[]): number | undefined {
  const isPlain = decision.is === 'grantable' || decision.is === 'named' || decision.is === 'free'
  if (!isPlain || extra.parser !== undefined) return undefined
  if (extra.channels === 'all' || extra.channels === 'patterns') return undefined
  // Argument 1 may be a subcommand, even of a command that has a meaning without one.
  let from = 2
  for (const spec of keys) {
    if (spec.at === 'numkeys' || spec.last < 0) return undefined
    from = Math.max(from, spec.first + spec.last + 1)
  }
  return from
}

/** Makes a row of a line; throws on a mistake in the table. */
export function row(line: Line): CommandRow {
  const [name, arity, keys, categories, given = {}] = line
  const extra: Extra = 'is' in given ? { decision: given } : given
  const set = new Set(categories === '' ? [] : categories.split(' '))
  const decision = extra.decision ?? GRANTABLE
  const specs = keys === '' ? [] : keys.split('; ').map(keySpec)
  return {
    name,
    arity,
    otherArities: extra.otherArities ?? [],
    keys: specs,
    parser: extra.parser,
    serverKeys: extra.serverKeys ?? [],
    channels: extra.channels ?? 'none',
    categories: set,
    grantCategories: decision.is === 'named' ? new Set() : new Set([...set, 'all']),
    otherCategories: extra.otherCategories ?? [],
    allKeys: extra.allKeys ?? false,
    dataFrom: dataFrom(decision, extra, specs),
    action: actionOf(set),
    decision,
  }
}
