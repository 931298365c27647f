/**
 * Allow lines of Redis systems: one ACL selector a line (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).
 * A command is granted when one line covers it whole: the command, every key with one pattern that carries all that
 * is needed of it, and every channel. Category words mean what the project's vetted table says, not what a server
 * says. Lines only grant: a `-` takes away from its own line alone.
 */
import type { Access, ChannelUse, CommandAccess, KeyUse } from '../../protocols/access.ts'
import { COMMANDS, NAMES } from '../../protocols/redis/index.ts'
import { AllowLineError } from './allow-line-error.ts'
import { classOutsideAscii, compileGlob, type Glob, globCovers, literalPrefix, matchGlob } from './glob.ts'

/** A longer pattern is a mistake, and would make matching slow. */
const PATTERN_CHARS_MAX = 512

/** `+get`, `-@dangerous`, `+client|id`: the last one that fits a command decides. */
type CommandRule = {
  readonly grants: boolean
  readonly what:
    | { readonly category: string }
    | { readonly command: string; readonly subcommand: string | undefined }
}

type KeyPattern = {
  readonly pattern: string
  readonly read: boolean
  readonly write: boolean
  readonly glob: Glob
}

type ChannelPattern = { readonly pattern: string; readonly glob: Glob }

/** One allow line, read. */
export type SelectorLine = {
  readonly commands: readonly CommandRule[]
  readonly keys: readonly KeyPattern[]
  readonly channels: readonly ChannelPattern[]
}

/** The category words of the vetted table, and `all`. */
const CATEGORIES: ReadonlySet<string> = new Set(
  [...COMMANDS.values()].flatMap((command) => [...command.categories]).concat('all'),
)

/** Reads one allow line. @throws AllowLineError at the first word that is wrong */
export function parseSelectorLine(line: string): SelectorLine {
  const commands: CommandRule[] = []
  const keys: KeyPattern[] = []
  const channels: ChannelPattern[] = []
  for (const found of line.matchAll(/[^ \t]+/g)) {
    const word = new Word(found[0], found.index)
    const [first] = word.text
    if (first === '+' || first === '-') commands.push(readCommand(word))
    else if (first === '~' || first === '%') addKeyPattern(keys, readKeyPattern(word))
    else if (first === '&') channels.push(readChannelPattern(word))
    else readKeyword(word, { commands, keys, channels })
  }
  if (!commands.some((rule) => rule.grants)) {
    throw new AllowLineError('a line that allows no command', {
      at: line.length,
      mend: 'add the commands: `+get`, `+@read` or `allcommands`',
    })
  }
  return { commands, keys, channels }
}

/** A word of the line and where it stands. */
class Word {
  readonly text: string
  readonly at: number

  constructor(text: string, at: number) {
    this.text = text
    this.at = at
  }

  fail(message: string, offset: number, mend: string): never {
    throw new AllowLineError(message, { at: this.at + offset, mend })
  }
}

function readKeyword(
  word: Word,
  line: { commands: CommandRule[]; keys: KeyPattern[]; channels: ChannelPattern[] },
): void {
  switch (word.text.toLowerCase()) {
    case 'allcommands':
      line.commands.push({ grants: true, what: { category: 'all' } })
      return
    case 'allkeys':
      addKeyPattern(line.keys, { pattern: '*', read: true, write: true, glob: () => true })
      return
    case 'allchannels':
      line.channels.push({ pattern: '*', glob: () => true })
      return
    default:
      word.fail(
        `\`${word.text}\` is not a rule of a selector`,
        0,
        'a rule is `+command`, `-command`, `+@category`, `~pattern`, `%R~pattern`, `&channel`, `allkeys`, `allchannels` or `allcommands`',
      )
  }
}

function readCommand(word: Word): CommandRule {
  const grants = word.text.startsWith('+')
  const name = word.text.slice(1).toLowerCase()
  if (name.startsWith('@')) {
    const category = name.slice(1)
    if (!CATEGORIES.has(category)) {
      word.fail(
        `no command category is called \`${category}\``,
        2,
        `one of: ${[...CATEGORIES].sort().join(', ')}`,
      )
    }
    return { grants, what: { category } }
  }
  const bar = name.indexOf('|')
  const command = bar === -1 ? name : name.slice(0, bar)
  const subcommand = bar === -1 ? undefined : name.slice(bar + 1)
  const named = NAMES.get(command)
  if (named === undefined)
    word.fail(`no command is called \`${command}\``, 1, 'commands are written as in the manual: `+get`')
  if (subcommand !== undefined && !named.subs.has(subcommand)) {
    word.fail(
      `\`${command}\` has no subcommand \`${subcommand}\``,
      command.length + 2,
      named.subs.size === 0 ? `write \`+${command}\`` : `one of: ${[...named.subs.keys()].sort().join(', ')}`,
    )
  }
  const row = subcommand === undefined ? named.row : named.subs.get(subcommand)
  if (grants && (row?.decision.is === 'forbidden' || row?.decision.is === 'hop')) {
    word.fail(`no grant can allow \`${name}\`: it ${row.decision.why}`, 1, 'leave it out')
  }
  return { grants, what: { command, subcommand } }
}

function readKeyPattern(word: Word): KeyPattern {
  const tilde = word.text.indexOf('~')
  const permissions = word.text.startsWith('%') ? word.text.slice(1, tilde).toUpperCase() : 'RW'
  if (tilde === -1 || !/^(?:R|W|RW|WR)$/.test(permissions)) {
    word.fail(
      `\`${word.text}\` is not a key pattern`,
      0,
      'write `~pattern`, `%R~pattern`, `%W~pattern` or `%RW~pattern`',
    )
  }
  const pattern = readPattern(word, tilde + 1)
  // `~*` is `allkeys` to the server; `%RW~*` is a pattern, and no pattern matches the empty key.
  const glob = word.text === '~*' ? () => true : compileGlob(pattern)
  return { pattern, read: permissions.includes('R'), write: permissions.includes('W'), glob }
}

/** The same pattern written twice is one with both permissions, as on the server. */
function addKeyPattern(keys: KeyPattern[], added: KeyPattern): void {
  const same = keys.findIndex(({ pattern }) => pattern === added.pattern)
  const known = keys[same]
  if (known === undefined) {
    keys.push(added)
    return
  }
  const glob = added.read && added.write ? added.glob : known.glob
  keys[same] = { ...known, read: known.read || added.read, write: known.write || added.write, glob }
}

function readChannelPattern(word: Word): ChannelPattern {
  const pattern = readPattern(word, 1)
  return { pattern, glob: pattern === '*' ? () => true : compileGlob(pattern) }
}

/** The pattern from `offset` on, one character a byte. */
function readPattern(word: Word, offset: number): string {
  const written = word.text.slice(offset)
  if (written.length > PATTERN_CHARS_MAX) {
    word.fail('a pattern that is too long', offset, `at most ${PATTERN_CHARS_MAX} characters`)
  }
  for (let i = 0; i < written.length; i++) {
    const code = written.charCodeAt(i)
    if (code < 0x20 || code === 0x7f)
      word.fail('a control character in a pattern', offset + i, 'leave it out')
  }
  const outside = classOutsideAscii(written)
  if (outside !== -1) {
    word.fail(
      'a class with characters outside ASCII',
      offset + outside,
      'write the characters as patterns of their own',
    )
  }
  return Buffer.from(written, 'utf8').toString('latin1')
}

/** What a grant of several lines covers. */
export function compileRedisGrant(lines: readonly SelectorLine[]): {
  covering(access: Access): readonly number[] | undefined
} {
  const compiled = lines.map((line) => new Selector(line))
  const indexes = compiled.map((_, index) => [index] as const)
  return {
    covering(access) {
      if (access.kind !== 'command') return undefined
      for (let i = 0; i < compiled.length; i++) {
        if (compiled[i]?.covers(access) === true) return indexes[i]
      }
      return undefined
    },
  }
}

/** One line, compiled: remembers which commands it allows, because there are few and they recur. */
class Selector {
  readonly #line: SelectorLine
  readonly #allowed = new Map<string, boolean>()
  /** True where the line names keyspace notifications itself: they carry the names of keys. */
  readonly #notifications: boolean

  constructor(line: SelectorLine) {
    this.#line = line
    this.#notifications = line.channels.some(({ pattern }) => pattern.startsWith('__key'))
  }

  covers(access: CommandAccess): boolean {
    if (!this.#allowsCommand(access)) return false
    for (const use of access.keys) if (!this.#coversKey(use)) return false
    for (const use of access.channels) if (!this.#coversChannel(use)) return false
    return !access.allKeys || this.#coversAllKeys(access)
  }

  #allowsCommand(access: CommandAccess): boolean {
    const { command, subcommand } = access
    const name = subcommand === undefined ? command : `${command}|${subcommand}`
    const known = this.#allowed.get(name)
    if (known !== undefined) return known
    let allowed = false
    for (const { grants, what } of this.#line.commands) {
      const fits =
        'category' in what
          ? inCategory(access, name, grants, what.category)
          : what.command === command && (what.subcommand === undefined || what.subcommand === subcommand)
      if (fits) allowed = grants
    }
    // Names come from the vetted table, so that this never grows past it.
    this.#allowed.set(name, allowed)
    return allowed
  }

  #coversKey(use: KeyUse): boolean {
    for (const { pattern, read, write, glob } of this.#line.keys) {
      if ((use.read && !read) || (use.write && !write)) continue
      if (use.pattern === true ? globCovers(pattern, use.key) : glob(use.key)) return true
    }
    return false
  }

  #coversAllKeys(access: CommandAccess): boolean {
    const writes = access.categories.has('write') || access.categories.size === 0
    return this.#line.keys.some(({ pattern, read, write }) => pattern === '*' && read && (write || !writes))
  }

  #coversChannel(use: ChannelUse): boolean {
    if (mayBeSentinel(use)) return false
    if (!this.#notifications && mayBeNotification(use)) return false
    // As on the server: a pattern to subscribe to must be granted letter for letter, or by all channels.
    return this.#line.channels.some(({ pattern, glob }) =>
      use.pattern ? pattern === '*' || pattern === use.channel : glob(use.channel),
    )
  }
}

/** A command that must be named is in no category that grants, but in all of its own where they take away. */
function inCategory(access: CommandAccess, name: string, grants: boolean, category: string): boolean {
  if (grants) return access.categories.has(category)
  const row = COMMANDS.get(name)
  const ofOthers =
    row?.otherCategories.some((categories) => categories.split(' ').includes(category)) === true
  return category === 'all' || ofOthers || row?.categories.has(category) === true
}

/**
 * True for the channel on which Sentinels speak to each other through the server: its messages name other servers, and
 * a false one moves their clients to another master. Not granted by any pattern.
 */
function mayBeSentinel(use: ChannelUse): boolean {
  return use.pattern ? matchGlob(use.channel, '__sentinel__:hello') : use.channel.startsWith('__sentinel__')
}

/** True where messages on the channel may be keyspace notifications (`__keyspace@0__:…`, `__keyevent@0__:…`). */
function mayBeNotification(use: ChannelUse): boolean {
  if (!use.pattern) return use.channel.startsWith('__key')
  const prefix = literalPrefix(use.channel)
  return prefix.startsWith('__key') || ('__key'.startsWith(prefix) && prefix.length < use.channel.length)
}
