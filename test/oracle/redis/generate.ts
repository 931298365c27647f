/** Random grants and random commands, the same for the same seed. */
import type { CommandRow } from '../../../protocols/redis/commands/row.ts'
import { COMMANDS } from '../../../protocols/redis/index.ts'
import { shapeOf } from './shapes.ts'

export type Word = Buffer | string

/** A small generator of pseudo-random numbers (mulberry32): a failure can be had again by its seed. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 ≤ n < `below`. */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }

  chance(percent: number): boolean {
    return this.int(100) < percent
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.int(from.length)]
    if (picked === undefined) throw new RangeError('nothing to pick from')
    return picked
  }
}

const PATTERNS = [
  ...[
    'a:*',
    'b:*',
    'a:1',
    'b:1',
    '*',
    '?:1',
    'a:[12]',
    'a:[^1]',
    '[a-b]:*',
    'a:\\*',
    '*:1',
    'a*1',
    '**1',
    'a:?',
  ],
  ...['GET', 'STORE', 'STREAMS', 'BY', 'a:[', 'a:[1', '[]a:1', 'a:\\', '*a*:*1*', 'a:[1-', '[b-a]:1', 'é*'],
]

const KEYS: readonly Word[] = [
  ...[
    'a:1',
    'a:2',
    'b:1',
    'b:2',
    'c:1',
    'a:*',
    '',
    'a:',
    'GET',
    'STORE',
    'STREAMS',
    'BY',
    'LIMIT',
    'a:[',
    'é:1',
  ],
  Buffer.from('a:\0', 'latin1'),
  Buffer.from('a:1\0', 'latin1'),
  Buffer.from([0x61, 0x3a, 0xff]),
]

const CHANNELS = ['ch:1', 'ch:2', 'other', 'ch:*', '*', '__keyspace@0__:a:1', '__key*', 'ch:?']

const OPTIONS = [
  ...[
    'STORE',
    'STOREDIST',
    'BY',
    'GET',
    'LIMIT',
    'ASC',
    'ALPHA',
    'STREAMS',
    'GROUP',
    'COUNT',
    'BLOCK',
    'NOACK',
    'DB',
  ],
  ...[
    'REPLACE',
    'NX',
    'XX',
    'EX',
    'INCR',
    'MATCH',
    'TYPE',
    'WEIGHTS',
    'AGGREGATE',
    'SET',
    'INCRBY',
    'OVERFLOW',
    'ANY',
  ],
  ...[
    'WITHDIST',
    'store',
    'Get',
    'KEYS',
    'IFEQ',
    'KEEPTTL',
    'LEFT',
    'RIGHT',
    'WITHSCORES',
    'MAXLEN',
    '#',
    '$',
    '>',
  ],
]

const NUMBERS = ['0', '1', '2', '3', '-1', '01', '+1', ' 1', '1.0', '0x1', '99999999999', '10', '']

/** Commands of the table that a server has. */
export function commandsOf(names: ReadonlySet<string>): CommandRow[] {
  return [...COMMANDS.values()].filter((row) => names.has(row.name))
}

/** One allow line; only names that the server knows, or it would refuse the whole user. */
export function allowLine(dice: Dice, rows: readonly CommandRow[]): string {
  const words: string[] = []
  const categories = [...new Set(rows.flatMap((row) => [...row.categories]))]
  const grantable = rows.filter(({ decision }) => decision.is === 'grantable' || decision.is === 'named')
  for (let n = 1 + dice.int(4); n > 0; n--) {
    const sign = dice.chance(80) ? '+' : '-'
    if (dice.chance(50)) words.push(`${sign}@${dice.chance(25) ? 'all' : dice.pick(categories)}`)
    else words.push(`${sign}${dice.pick(grantable).name}`)
  }
  if (dice.chance(25)) words.push('allcommands')
  if (!words.some((word) => word.startsWith('+') || word === 'allcommands')) words.unshift('+@all')
  const patterns: string[] = []
  for (let n = dice.int(5); n > 0; n--) {
    patterns.push(`${dice.pick(['~', '~', '%R~', '%W~', '%RW~'])}${dice.pick(PATTERNS)}`)
  }
  if (dice.chance(15)) patterns.push('allkeys')
  const channels = dice.chance(40) ? [`&${dice.pick(CHANNELS)}`] : []
  if (dice.chance(10)) channels.push('allchannels')
  words.push(
    ...everythingLast(patterns, ['~*', 'allkeys']),
    ...everythingLast(channels, ['&*', 'allchannels']),
  )
  return words.join(' ')
}

/** The server refuses a pattern behind the one that covers everything. */
function everythingLast(words: readonly string[], everything: readonly string[]): string[] {
  const others = words.filter((word) => !everything.includes(word))
  const found = words.find((word) => everything.includes(word))
  return found === undefined ? others : [...others, found]
}

/** A command with arguments that are mostly where they must be. */
export function command(dice: Dice, row: CommandRow): Word[] {
  const words: Word[] = row.name.split('|').map((word) => recased(dice, word))
  const known = words.length
  const shape = dice.chance(50) ? shapeOf(dice, row.name) : undefined
  if (shape !== undefined) {
    words.push(...shape.map((word) => (word === 'K' ? dice.pick(KEYS) : word)))
    return dice.chance(15) ? mutated(dice, words) : words
  }
  const size = Math.abs(row.arity) - known + (row.arity < 0 ? dice.int(5) : 0)
  for (let n = 0; n < size; n++) words.push(argument(dice))
  for (const spec of row.keys) {
    if (spec.at === 'numkeys' && dice.chance(90)) placeCounted(dice, words, spec.index)
  }
  const written = row.parser === undefined ? words : structured(dice, row, words)
  return dice.chance(15) ? mutated(dice, written) : written
}

/** Mostly keys, because keys decide. */
function argument(dice: Dice): Word {
  const roll = dice.int(100)
  if (roll < 60) return dice.pick(KEYS)
  if (roll < 75) return dice.pick(NUMBERS)
  if (roll < 85) return dice.pick(CHANNELS)
  return dice.pick(OPTIONS)
}

function recased(dice: Dice, word: string): string {
  return dice.chance(70) ? word : [...word].map((c) => (dice.chance(50) ? c.toUpperCase() : c)).join('')
}

function placeCounted(dice: Dice, words: Word[], index: number): void {
  while (words.length <= index) words.push(argument(dice))
  const count = dice.int(4)
  words[index] = dice.chance(92) ? String(count) : dice.pick(NUMBERS)
  while (words.length < index + 1 + count) words.push(dice.pick(KEYS))
}

/** The grammar of commands with options, with some options in surprising places. */
function structured(dice: Dice, row: CommandRow, plain: Word[]): Word[] {
  const key = () => dice.pick(KEYS)
  const head = plain.slice(0, row.name.split('|').length)
  const some = (options: readonly (() => Word[])[]): Word[] =>
    Array.from({ length: dice.int(4) }, () => dice.pick(options)()).flat()
  switch (row.parser) {
    case 'sort':
    case 'sort_ro':
      return [
        ...head,
        key(),
        ...some([
          () => ['STORE', dice.pick(['STORE', 'LIMIT', key(), key()])],
          () => ['BY', dice.pick(['nosort', 'w:*', 'STORE', key()])],
          () => ['GET', dice.pick(['#', 'w:*', 'STORE', key()])],
          () => ['LIMIT', '0', '1'],
          () => [dice.pick(['ASC', 'DESC', 'ALPHA'])],
        ]),
      ]
    case 'georadius':
    case 'georadiusbymember':
      return [
        ...head,
        key(),
        ...(row.parser === 'georadius' ? ['1', '1', '1'] : [key(), '1']),
        'km',
        ...some([
          () => [
            dice.pick(['STORE', 'STOREDIST', 'storedist']),
            dice.pick(['STORE', 'StoreDist', key(), key()]),
          ],
          () => ['COUNT', dice.pick(['1', '1', 'STORE'])],
          () => [dice.pick(['WITHDIST', 'ASC', 'ANY'])],
        ]),
      ]
    case 'xread':
    case 'xreadgroup': {
      const streams = 1 + dice.int(3)
      const before = [
        () => ['COUNT', dice.pick(['1', '1', 'STREAMS'])],
        () => ['BLOCK', dice.pick(['1', '1', 'streams'])],
        () => ['NOACK'],
      ]
      const group = row.parser === 'xreadgroup' || dice.chance(10) ? ['GROUP', key(), key()] : []
      const parts = [group, some(before)]
      if (dice.chance(30)) parts.reverse()
      const keys = Array.from({ length: streams }, key)
      const ids = Array.from({ length: streams }, () => dice.pick(['0', '$', '>', '0-0']))
      return [...head, ...parts.flat(), 'STREAMS', ...keys, ...ids]
    }
    case 'set':
      return [
        ...head,
        key(),
        key(),
        ...some([
          () => ['GET'],
          () => ['NX'],
          () => [dice.pick(['EX', 'PXAT']), dice.pick(['10', '10', 'Get'])],
          () => ['KEEPTTL'],
        ]),
      ]
    case 'bitfield':
      return [
        ...head,
        key(),
        ...some([
          () => ['GET', 'u8', '0'],
          () => ['SET', 'u8', '0', '1'],
          () => ['INCRBY', 'u8', '0', '1'],
          () => ['OVERFLOW', 'WRAP'],
        ]),
      ]
    case 'zadd':
      return [...head, key(), ...some([() => ['NX'], () => ['INCR'], () => ['CH']]), '1', key()]
    case 'copy':
      return [...head, key(), key(), ...some([() => ['REPLACE'], () => ['DB', dice.pick(['0', '1'])]])]
    default:
      return plain
  }
}

/** What a generator of correct commands would never write. */
function mutated(dice: Dice, words: readonly Word[]): Word[] {
  const changed = [...words]
  const at = 1 + dice.int(changed.length)
  switch (dice.int(6)) {
    case 0:
      changed.splice(at, 0, dice.pick(OPTIONS))
      break
    case 1:
      changed.splice(at, 1)
      break
    case 2:
      changed.splice(at, 0, dice.pick(OPTIONS), dice.pick(KEYS))
      break
    case 3: {
      const word = changed[at]
      if (word !== undefined) changed[at] = Buffer.concat([Buffer.from(word), Buffer.from('\0x')])
      break
    }
    case 4:
      if (at < changed.length) changed[at] = dice.pick([...NUMBERS, ...OPTIONS])
      break
    default:
      changed.push(...changed.slice(at))
  }
  return changed
}
