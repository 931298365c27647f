/** Rules of a selector that nothing needed. */
import type { Access, CommandAccess, KeyUse } from '../../protocols/access.ts'
import { globCovers } from './glob.ts'
import { compileRedisGrant, parseSelectorLine, type SelectorLine } from './redis-selector.ts'
import type { UnusedPart } from './unused.ts'

/** @throws AllowLineError */
export function unusedOfSelector(text: string, accesses: readonly Access[]): UnusedPart {
  const line = parseSelectorLine(text)
  const used = coveredBy(text, accesses)
  const unused: string[] = []
  const wider: string[] = []
  const commands = commandWords(text)
  for (const { word, alone } of commands) {
    const names = new Set(coveredBy(alone, used).map(nameOf))
    if (names.size === 0) unused.push(word)
    else if (names.size > 1 || !names.has(word.slice(1).toLowerCase())) {
      wider.push(`${word}: ${[...names].sort().join(', ')}`)
    }
  }
  for (const key of line.keys) {
    const { read, write } = useOf(key, used)
    const word = keyWord(key)
    if (!read && !write) unused.push(word)
    else if (key.read && key.write && !(read && write))
      wider.push(`${word}: ${read ? 'read' : 'written'} only`)
  }
  for (const { pattern, glob } of line.channels) {
    const isUsed = used.some(({ channels }) =>
      channels.some((use) => (use.pattern ? pattern === '*' || pattern === use.channel : glob(use.channel))),
    )
    if (!isUsed) unused.push(`&${asText(pattern)}`)
  }
  return { unused, wider, rights: commands.length + line.keys.length + line.channels.length }
}

function coveredBy(text: string, accesses: readonly Access[]): readonly CommandAccess[] {
  const matcher = compileRedisGrant([parseSelectorLine(text)])
  return accesses.filter(
    (access): access is CommandAccess => access.kind === 'command' && matcher.covering(access) !== undefined,
  )
}

/** Each word that grants commands, and the line with no other such word: what it takes away stays where it stands. */
function commandWords(text: string): readonly { readonly word: string; readonly alone: string }[] {
  const words = text.split(/[ \t]+/).filter((word) => word !== '')
  const grants = (word: string): boolean => word.startsWith('+') || word.toLowerCase() === 'allcommands'
  return words.flatMap((word, index) =>
    grants(word)
      ? [{ word, alone: words.filter((other, at) => at === index || !grants(other)).join(' ') }]
      : [],
  )
}

function nameOf({ command, subcommand }: CommandAccess): string {
  return subcommand === undefined ? command : `${command}|${subcommand}`
}

/** How the keys of a pattern were used; a command that reaches keys it does not name uses the pattern of all keys. */
function useOf(
  { pattern, glob }: SelectorLine['keys'][number],
  used: readonly CommandAccess[],
): { readonly read: boolean; readonly write: boolean } {
  const matches = (use: KeyUse): boolean =>
    use.pattern === true ? globCovers(pattern, use.key) : glob(use.key)
  const uses = used.flatMap(({ keys }) => keys.filter(matches))
  const all = pattern === '*' ? used.filter(({ allKeys }) => allKeys) : []
  return {
    read: all.length > 0 || uses.some(({ read }) => read),
    write: all.some(({ categories }) => categories.has('write')) || uses.some(({ write }) => write),
  }
}

function keyWord({ pattern, read, write }: SelectorLine['keys'][number]): string {
  return `${read && write ? '' : read ? '%R' : '%W'}~${asText(pattern)}`
}

/** Patterns are kept as bytes. */
function asText(pattern: string): string {
  return Buffer.from(pattern, 'latin1').toString('utf8')
}
