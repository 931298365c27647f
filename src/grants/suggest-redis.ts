/**
 * The narrowest selectors that cover what was done on a Redis system. What one line of the run's grant covered stays together
 * and apart from the rest: a line is judged whole, and two halves of two lines would make one that the grant does not have.
 */
import type { ChannelUse, CommandAccess, KeyUse } from '../../protocols/access.ts'
import type { Done, Granted, Suggestion } from './done.ts'
import { globCovers, literalPrefix } from './glob.ts'
import { escapedGlob, type WrittenPattern, writtenPattern } from './glob-writing.ts'
import type { SelectorLine } from './redis-selector.ts'

/** So many keys of one prefix are a pattern, where patterns are asked for. */
const ALIKE_MIN = 3

/** With more lines than any grant may have, none is looked for that another one holds. */
const COMPARED_LINES_MAX = 1_000

const APPROXIMATED =
  'a name that no allow line can hold as it is (blanks, bytes that are no text, great length) has a pattern'

/** A key pattern of a future line. */
type Key = { readonly pattern: string; readonly read: boolean; readonly write: boolean }

/** A future line: commands that were used with the same keys and channels. */
type Line = {
  readonly commands: string[]
  readonly keys: readonly Key[]
  readonly channels: readonly string[]
  readonly allKeys: 'none' | 'read' | 'write'
}

/**
 * @param generalise true: of keys that share all but what follows their last colon a pattern is made, where the grant has all that
 *   the pattern matches
 */
export function suggestRedis(done: readonly Done[], generalise: boolean): Suggestion {
  const byGranted = new Map<SelectorLine | undefined, CommandAccess[]>()
  for (const { access, granted } of done) {
    if (access.kind !== 'command') continue
    const line = granted && lineFor(access, granted)
    byGranted.set(line, [...(byGranted.get(line) ?? []), access])
  }
  const notes = new Set<string>()
  const allow = new Set<string>()
  for (const [line, accesses] of byGranted) {
    const writer = new Writer(line, generalise ? sharedPrefixes(accesses) : undefined, notes)
    for (const suggested of linesOf(accesses, writer)) allow.add(lineText(suggested))
  }
  return { allow: [...allow], notes: [...notes] }
}

function lineFor(access: CommandAccess, { lines, matcher }: Granted): SelectorLine | undefined {
  const [index] = matcher.covering(access) ?? []
  return lines.kind === 'redis' && index !== undefined ? lines.lines[index] : undefined
}

function linesOf(accesses: readonly CommandAccess[], writer: Writer): readonly Line[] {
  const lines: Line[] = []
  // Where a command has one name at a time its names may stand in one line: it brings no two of them together.
  const singles = new Map<string, { readonly keys: Key[]; readonly channels: Set<string> }>()
  for (const access of accesses) {
    const keys = access.keys.map((use) => writer.key(use))
    const channels = access.channels.map((use) => writer.channel(use))
    const name = nameOf(access)
    if (keys.length + channels.length > 1 || access.allKeys) {
      lines.push({
        commands: [name],
        keys: merged(keys),
        channels: [...new Set(channels)],
        allKeys: allKeysOf(access),
      })
      continue
    }
    const single = singles.get(name) ?? { keys: [], channels: new Set<string>() }
    singles.set(name, single)
    single.keys.push(...keys)
    for (const channel of channels) single.channels.add(channel)
  }
  for (const [name, { keys, channels }] of singles) {
    lines.push({ commands: [name], keys: merged(keys), channels: [...channels], allKeys: 'none' })
  }
  return joined(lines)
}

function nameOf({ command, subcommand }: CommandAccess): string {
  return subcommand === undefined ? command : `${command}|${subcommand}`
}

/** As the matcher asks: a command that writes keys which it does not name needs all keys to write. */
function allKeysOf({ allKeys, categories }: CommandAccess): Line['allKeys'] {
  if (!allKeys) return 'none'
  return categories.has('write') || categories.size === 0 ? 'write' : 'read'
}

/** Each pattern once, with all that is needed of it, in a fixed order. */
function merged(keys: readonly Key[]): readonly Key[] {
  const byPattern = new Map<string, Key>()
  for (const { pattern, read, write } of keys) {
    const known = byPattern.get(pattern)
    byPattern.set(pattern, {
      pattern,
      read: known?.read === true || read,
      write: known?.write === true || write,
    })
  }
  return [...byPattern.values()].sort((a, b) => (a.pattern < b.pattern ? -1 : 1))
}

/** Commands that reach the same share a line; what another line has as well is left out. */
function joined(lines: readonly Line[]): readonly Line[] {
  const byReach = new Map<string, Line>()
  for (const line of lines) {
    const reach = JSON.stringify([line.keys, [...line.channels].sort(), line.allKeys])
    const known = byReach.get(reach)
    if (known === undefined) byReach.set(reach, { ...line, commands: [...line.commands] })
    else for (const name of line.commands) if (!known.commands.includes(name)) known.commands.push(name)
  }
  const all = [...byReach.values()]
  if (all.length > COMPARED_LINES_MAX) return all
  return all.flatMap((line) => {
    const wider = all.filter((other) => other !== line && reaches(other, line))
    const commands = line.commands.filter((name) => !wider.some((other) => other.commands.includes(name)))
    return commands.length === 0 ? [] : [{ ...line, commands }]
  })
}

function reaches(wide: Line, narrow: Line): boolean {
  return (
    (narrow.allKeys === 'none' || narrow.allKeys === wide.allKeys) &&
    narrow.channels.every((channel) => wide.channels.includes(channel)) &&
    narrow.keys.every(({ pattern, read, write }) =>
      wide.keys.some((key) => key.pattern === pattern && (key.read || !read) && (key.write || !write)),
    )
  )
}

/** For a key the part up to its last colon, where at least {@link ALIKE_MIN} keys share it. */
function sharedPrefixes(accesses: readonly CommandAccess[]): (key: string) => string | undefined {
  const prefixOf = (key: string): string => key.slice(0, key.lastIndexOf(':') + 1)
  const keys = new Map<string, Set<string>>()
  for (const use of accesses.flatMap((access) => access.keys)) {
    if (use.pattern === true) continue
    const prefix = prefixOf(use.key)
    keys.set(prefix, (keys.get(prefix) ?? new Set<string>()).add(use.key))
  }
  return (key) => {
    const prefix = prefixOf(key)
    return prefix !== '' && (keys.get(prefix)?.size ?? 0) >= ALIKE_MIN ? prefix : undefined
  }
}

/** Puts names into the words of a line, within what the line of the grant has. */
class Writer {
  readonly #granted: SelectorLine | undefined
  readonly #prefixOf: ((key: string) => string | undefined) | undefined
  readonly #notes: Set<string>

  /** @param granted the line that covered it all; `undefined`: there was none, and nothing to stay within */
  constructor(
    granted: SelectorLine | undefined,
    prefixOf: ((key: string) => string | undefined) | undefined,
    notes: Set<string>,
  ) {
    this.#granted = granted
    this.#prefixOf = prefixOf
    this.#notes = notes
  }

  key(use: KeyUse): Key {
    const { read, write } = use
    const granted = this.#granted?.keys.filter((key) => (key.read || !read) && (key.write || !write))
    return {
      pattern: this.#pattern({ name: use.key, isPattern: use.pattern === true, granted }),
      read,
      write,
    }
  }

  channel({ channel, pattern }: ChannelUse): string {
    const own = writtenPattern(pattern ? channel : escapedGlob(channel))
    if (own.exact) return own.text
    // A pattern to subscribe to is granted letter for letter or with all channels, and this one cannot be written.
    if (pattern) return '*'
    return this.#pattern({ name: channel, isPattern: false, granted: this.#granted?.channels })
  }

  #pattern(wanted: {
    readonly name: string
    readonly isPattern: boolean
    readonly granted:
      | readonly { readonly pattern: string; readonly glob: (text: string) => boolean }[]
      | undefined
  }): string {
    const { name, isPattern, granted } = wanted
    const isGranted = ({ bytes }: WrittenPattern): boolean =>
      granted === undefined || granted.some(({ pattern }) => globCovers(pattern, bytes))
    const prefix = isPattern ? undefined : this.#prefixOf?.(name)
    if (prefix !== undefined) {
      const general = writtenPattern(`${escapedGlob(prefix)}*`)
      if (isGranted(general)) return general.text
    }
    const own = writtenPattern(isPattern ? name : escapedGlob(name))
    if (own.exact) return own.text
    this.#notes.add(APPROXIMATED)
    const near = isPattern ? writtenPattern(`${escapedGlob(literalPrefix(name))}*`) : own
    if (isGranted(near)) return near.text
    const covers = granted?.find(({ pattern, glob }) => (isPattern ? globCovers(pattern, name) : glob(name)))
    return Buffer.from(covers?.pattern ?? '*', 'latin1').toString('utf8')
  }
}

function lineText({ commands, keys, channels, allKeys }: Line): string {
  const words = commands.map((command) => `+${command}`)
  if (allKeys === 'write') words.push('allkeys')
  else {
    if (allKeys === 'read') words.push('%R~*')
    for (const { pattern, read, write } of keys)
      words.push(`${read && write ? '' : read ? '%R' : '%W'}~${pattern}`)
  }
  for (const channel of channels) words.push(`&${channel}`)
  return words.join(' ')
}
