import type { Access, ChannelUse, CommandAccess, KeyUse } from '../access.ts'
import { type Analysis, type NativeError, type StatementAction, touching } from '../analysis.ts'
import type { Analyser } from '../protocol.ts'
import { Args } from './args.ts'
import { ABSENT, type RedisCatalog } from './catalog.ts'
import { splitLine } from './command-line.ts'
import type { CommandRow, Decision, KeySpec } from './commands/row.ts'
import { findName, type Named } from './commands/table.ts'
import { parseHello } from './hello.ts'
import { keyCountError } from './key-count.ts'
import { channelPlaces, KeyUses, readKeys } from './keys.ts'
import { redisNaming } from './naming.ts'
import { PATTERN_BYTES_MAX, PATTERN_TOO_LONG, type Parsed, parseCommand } from './parsers.ts'
import { redactCommand, UNREADABLE } from './redact.ts'
import { uncut } from './statements.ts'

const NO_CHANNELS: readonly ChannelUse[] = []

/** Settings that name a file or a folder of the server, or make it load one. */
const FILE_SETTINGS =
  /^(?:dir|dbfilename|appendfilename|appenddirname|aclfile|logfile|pidfile|unixsocket|include|loadmodule|.*-file|.*-dir|enable-debug-command|enable-module-command|enable-protected-configs)$/

/** What is left to be said of a command that reaches nothing, one for each action. */
const NOTHING = new Map<StatementAction, Analysis>()

function nothing(action: StatementAction): Analysis {
  const known = NOTHING.get(action)
  if (known !== undefined) return known
  const made: Analysis = { outcome: 'accesses', action, accesses: [] }
  NOTHING.set(action, made)
  return made
}

/** Reads commands of one backend: what each of them touches, by the vetted table and the catalog. */
export class RedisAnalyser implements Analyser {
  readonly naming = redisNaming
  readonly catalog: RedisCatalog

  constructor(catalog: RedisCatalog) {
    this.catalog = catalog
  }

  /** @param text one command line as typed in redis-cli, quotes and escapes as there */
  analyse(text: string): Analysis {
    const words = splitLine(text)
    if (words === undefined || words.length === 0) return notUnderstood('unknown', 'unbalanced quotes')
    return this.read(Args.of(words))
  }

  /** The command, its options and the keys and channels that it names; every other word is a `?`. */
  redact(text: string): string {
    const { line, more } = uncut(text)
    const words = splitLine(line)
    if (words === undefined || words.length === 0) return UNREADABLE
    const args = Args.of(words)
    return `${redactCommand(args, this.commandOf(args), this.catalog)}${more}`
  }

  /** The row of the vetted table that a command is of; `undefined` for one that is not there. */
  commandOf(args: Args): CommandRow | undefined {
    const named = args.count === 0 ? undefined : findName(args.buffer, args.start(0), args.end(0))
    if (named === undefined) return undefined
    return named.subs.size === 0 ? named.row : subcommand(named, args)
  }

  /** True where a command of these arguments and one more is judged alike whatever that one is. */
  ignoresNext(args: Args): boolean {
    const command = this.commandOf(args)
    if (command === undefined) return false
    // Behind the value of SET stand its options, where there are any.
    if (command.parser === 'set') return args.count === 2
    return command.dataFrom !== undefined && args.count >= command.dataFrom
  }

  /**
   * Never throws. The analysis keeps no reference to the bytes of `args`.
   * @param command what `commandOf(args)` gives, where the caller has asked already
   */
  read(args: Args, command: CommandRow | undefined = this.commandOf(args)): Analysis {
    if (args.count === 0) return notUnderstood('unknown', 'an empty command')
    if (command === undefined) return this.#unknown(args)
    const refused = this.catalog.refused.get(command.name)
    if (refused === ABSENT) return this.#unknown(args)
    if (!hasArity(command, args.count)) return wrongArity(command)
    const analysis =
      refused === undefined ? this.#decide(command, args) : notUnderstood(command.action, refused)
    // What an allow line may cover has its keys already; of the rest, the keys are known where the row has them.
    return analysis.outcome === 'accesses' ? analysis : touching(analysis, namedKeys(command, args))
  }

  /** A command, or a subcommand, that is not there. */
  #unknown(args: Args): Analysis {
    const named = findName(args.buffer, args.start(0), args.end(0))
    if (named === undefined || named.subs.size === 0) return unknownCommand(args)
    const { refused } = this.catalog
    const isThere = [...named.subs.values()].some(({ name }) => refused.get(name) !== ABSENT)
    return isThere ? unknownSubcommand(named, args) : unknownCommand(args)
  }

  #decide(command: CommandRow, args: Args): Analysis {
    const { decision, action } = command
    switch (decision.is) {
      case 'grantable':
      case 'named':
      case 'free':
        return this.#accesses(command, args)
      case 'answered':
        return nothing(action)
      case 'forbidden':
        return { outcome: 'forbidden', action, why: `\`${command.name}\` ${decision.why}` }
      case 'hop':
        return this.#hop(command, decision, args)
      case 'absent':
        return notUnderstood(action, decision.message, { code: 'ERR', message: decision.message })
      case 'judged':
        return this.#judge(decision, command, args)
    }
  }

  #hop(command: CommandRow, decision: Extract<Decision, { is: 'hop' }>, args: Args): Analysis {
    const target = hopTarget(command.name, args)
    const why = `\`${command.name}\` ${decision.why}`
    const hop = { outcome: 'hop', action: command.action, hop: decision.hop, why } as const
    return target === undefined ? hop : { ...hop, target }
  }

  #accesses(command: CommandRow, args: Args): Analysis {
    const reader = new KeyUses()
    let allKeys = command.allKeys
    if (command.parser !== undefined) {
      const parsed: Parsed = parseCommand(command.parser, args, reader, this.catalog)
      if (parsed.found === 'error') {
        return notUnderstood(command.action, parsed.message, { code: 'ERR', message: parsed.message })
      }
      if (parsed.found === 'hop') {
        const { hop, why, target } = parsed
        return { outcome: 'hop', action: command.action, hop, why: `\`${command.name}\` ${why}`, target }
      }
      if (parsed.found === 'all_keys') allKeys = true
    } else {
      for (const spec of command.keys) {
        if (!readKeys(spec, args, reader)) return noKeys(command, spec, args)
      }
    }
    if (command.channels === 'patterns' && hasLongPattern(args)) {
      return notUnderstood(command.action, PATTERN_TOO_LONG, { code: 'ERR', message: PATTERN_TOO_LONG })
    }
    const keys = reader.uses
    if (command.decision.is === 'free' && keys.length === 0 && !allKeys) return nothing(command.action)
    const channels = command.channels === 'none' ? NO_CHANNELS : readChannels(command, args)
    const access = accessOf(command, keys, channels, allKeys)
    return { outcome: 'accesses', action: command.action, accesses: [access] }
  }

  #judge(decision: Extract<Decision, { is: 'judged' }>, command: CommandRow, args: Args): Analysis {
    switch (decision.by) {
      case 'select':
        return this.#select(args)
      case 'hello':
        return hello(args)
      case 'config_set':
        return configSet(command, args)
      case 'debug':
        return debug(command, args)
    }
  }

  #select(args: Args): Analysis {
    const database = args.integer(1)
    if (database === this.catalog.database) return nothing('session')
    if (database === undefined || database < 0) {
      const message =
        database === undefined ? 'value is not an integer or out of range' : 'DB index is out of range'
      return notUnderstood('session', message, { code: 'ERR', message })
    }
    return {
      outcome: 'hop',
      action: 'session',
      hop: 'wrong_database',
      why: `\`select\` leaves database ${this.catalog.database}`,
      target: String(database),
    }
  }
}

function subcommand(named: Named, args: Args): CommandRow | undefined {
  if (args.count < 2) return named.row
  const word = args.word(1)
  return word === undefined ? undefined : named.subs.get(word)
}

/** True where the server would not refuse the command for the number of its arguments. */
function hasArity(command: CommandRow, count: number): boolean {
  return command.arity < 0 ? count >= -command.arity : count === command.arity
}

function firstWord(name: string): string {
  const bar = name.indexOf('|')
  return bar === -1 ? name : name.slice(0, bar)
}

function secondWord(name: string): string | undefined {
  const bar = name.indexOf('|')
  return bar === -1 ? undefined : name.slice(bar + 1)
}

/** Of a command whose arguments are all patterns. */
function hasLongPattern(args: Args): boolean {
  for (let i = 1; i < args.count; i++) if (args.size(i) > PATTERN_BYTES_MAX) return true
  return false
}

function readChannels(command: CommandRow, args: Args): readonly ChannelUse[] {
  const [from, to] = channelPlaces(command, args)
  const uses: ChannelUse[] = []
  for (let i = from; i < to; i++)
    uses.push({ channel: args.latin1(i), pattern: command.channels === 'patterns' })
  return uses
}

/** The keys that a refused command names, as far as they are where its row says. */
function namedKeys(command: CommandRow, args: Args): readonly Access[] {
  const reader = new KeyUses()
  for (const spec of command.keys) readKeys(spec, args, reader)
  // Rows have no keys of commands that no grant reaches; of these two they tell what was aimed at.
  if (command.name === 'migrate') readMigrated(args, reader)
  if (command.name === 'debug' && args.count > 2) reader.key(args, 2, 'R')
  return reader.uses.length === 0 ? [] : [accessOf(command, reader.uses, NO_CHANNELS, false)]
}

/** `MIGRATE host port key|"" db timeout … [KEYS key …]`. */
function readMigrated(args: Args, reader: KeyUses): void {
  reader.key(args, 3, 'RW')
  let isKey = false
  for (let i = 6; i < args.count; i++) {
    if (isKey) reader.key(args, i, 'RW')
    else isKey = args.word(i) === 'keys'
  }
}

function accessOf(
  command: CommandRow,
  keys: readonly KeyUse[],
  channels: readonly ChannelUse[],
  allKeys: boolean,
): CommandAccess {
  return {
    kind: 'command',
    command: firstWord(command.name),
    subcommand: secondWord(command.name),
    categories: command.grantCategories,
    keys,
    channels,
    allKeys,
  }
}

function notUnderstood(action: StatementAction, why: string, nativeError?: NativeError): Analysis {
  const analysis = { outcome: 'not_understood', action, why } as const
  return nativeError === undefined ? analysis : { ...analysis, nativeError }
}

/** The keys are not where `spec` says. */
function noKeys(command: CommandRow, spec: KeySpec, args: Args): Analysis {
  // MSET k v k: to the server it is the number that is wrong.
  if (spec.at === 'range' && spec.step > 1) return wrongArity(command)
  const isCounted = spec.at === 'numkeys' && spec.index < args.count
  const message = isCounted ? keyCountError(command.name, args, spec.index) : 'syntax error'
  const why = `the keys of \`${command.name}\` are not where they must be`
  return notUnderstood(command.action, why, { code: 'ERR', message })
}

function wrongArity(command: CommandRow): Analysis {
  const message = `wrong number of arguments for '${command.name}' command`
  return notUnderstood(command.action, message, { code: 'ERR', message })
}

/** The server's own sentence: drivers look for it to fall back on an older command. */
function unknownCommand(args: Args): Analysis {
  const name = args.isPlain(0) ? args.latin1(0).slice(0, 128) : undefined
  if (name === undefined)
    return notUnderstood('unknown', 'the name of the command has bytes that no name has')
  // The server also quotes the beginning of the arguments, which may be secrets.
  const message = `unknown command '${name}', with args beginning with: `
  return notUnderstood('unknown', `\`${name}\` is not a command that is vetted`, { code: 'ERR', message })
}

function unknownSubcommand(named: Named, args: Args): Analysis {
  if (args.count < 2) {
    const message = `wrong number of arguments for '${named.name}' command`
    return notUnderstood('unknown', message, { code: 'ERR', message })
  }
  const word = args.isPlain(1) ? args.latin1(1).slice(0, 128) : undefined
  if (word === undefined) return notUnderstood('unknown', 'the subcommand has bytes that no name has')
  const message = `unknown subcommand '${word}'. Try ${named.name.toUpperCase()} HELP.`
  return notUnderstood('unknown', message, { code: 'ERR', message })
}

/** Where a hop aimed at, for the record: the host and port, or the database. */
function hopTarget(name: string, args: Args): string | undefined {
  const at = (i: number) => (i < args.count && args.isPlain(i) ? args.latin1(i).slice(0, 128) : '')
  switch (name) {
    case 'migrate':
    case 'replicaof':
    case 'slaveof':
      return `${at(1)}:${at(2)}`
    case 'cluster|meet':
      return `${at(2)}:${at(3)}`
    case 'swapdb':
    case 'move':
      return at(2)
    case 'module|load':
    case 'module|loadex':
      return at(2)
    default:
      return undefined
  }
}

/** `HELLO … AUTH` is another login. */
function hello(args: Args): Analysis {
  const parsed = parseHello(args)
  if ('code' in parsed) return notUnderstood('session', parsed.message, parsed)
  if (parsed.auth === undefined) return nothing('session')
  return {
    outcome: 'hop',
    action: 'session',
    hop: 'identity_switch',
    why: '`hello … auth`: a session keeps the identity that it began with',
  }
}

function configSet(command: CommandRow, args: Args): Analysis {
  for (let i = 2; i < args.count; i += 2) {
    const setting = args.word(i)
    if (setting === undefined || FILE_SETTINGS.test(setting)) {
      return {
        outcome: 'hop',
        action: command.action,
        hop: 'file_reach',
        why: '`config set` of a setting that names a file of the server',
        target: setting ?? 'a name with bytes that no name has',
      }
    }
  }
  return { outcome: 'forbidden', action: command.action, why: '`config|set` administers the server' }
}

/** `DEBUG RELOAD` and `LOADAOF` write and read the server's files; the rest is for those who mend the server. */
function debug(command: CommandRow, args: Args): Analysis {
  const word = args.count > 1 ? args.word(1) : undefined
  if (word === 'reload' || word === 'loadaof') {
    return {
      outcome: 'hop',
      action: command.action,
      hop: 'file_reach',
      why: `\`debug ${word}\` uses the server's files`,
    }
  }
  return { outcome: 'forbidden', action: command.action, why: '`debug` is for those who mend the server' }
}
