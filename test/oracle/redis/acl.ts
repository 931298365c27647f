/** Compares verdicts with the ACL of a real server that has the same rules. */
import type { Redis } from 'ioredis'
import type { Analysis } from '../../../protocols/analysis.ts'
import { Args } from '../../../protocols/redis/args.ts'
import type { CommandRow } from '../../../protocols/redis/commands/row.ts'
import { RedisAnalyser, type RedisCatalog } from '../../../protocols/redis/index.ts'
import { compileRedisGrant, parseSelectorLine } from '../../../src/grants/redis-selector.ts'
import { allowLine, command, commandsOf, Dice, type Word } from './generate.ts'

export type Tally = {
  compared: number
  bothAllow: number
  bothDeny: number
  /** Ours allows, and the server refuses for the number of arguments, which differs between versions. */
  wrongArity: number
  /** Ours denies and the server's would not, by the reason. */
  readonly stricter: Map<string, number>
  /** Ours allows and the server's denies: each one is a hole. */
  readonly looser: string[]
  /** Stricter without a reason that was thought of. */
  readonly unexplained: string[]
  /** Names of commands that were compared, and of those that both have allowed at least once. */
  readonly names: Set<string>
  readonly namesAllowed: Set<string>
}

/** Needs no allow line here, so that the user of the server gets them at the root. */
function isFree({ decision, name }: CommandRow): boolean {
  return decision.is === 'free' || decision.is === 'answered' || name === 'select' || name === 'hello'
}

/** Why ours may be the stricter one. */
function reasonOf(row: CommandRow, analysis: Analysis): string | undefined {
  if (analysis.outcome !== 'accesses')
    return analysis.outcome === 'hop' ? `hop: ${analysis.hop}` : analysis.outcome
  const [access] = analysis.accesses
  if (access?.kind !== 'command') return undefined
  if (row.decision.is === 'named') return 'must be named'
  if (access.allKeys) return 'reaches keys that it does not name'
  if (access.keys.some((use) => use.pattern === true)) return 'names keys by a pattern'
  if (access.channels.some(({ channel }) => /^(?:_|\*|__key)/.test(channel)))
    return 'channels of the server itself'
  if (row.name === 'pfmerge') return 'PFMERGE of one key: the server sees none'
  if (row.name === 'xreadgroup') return 'XREADGROUP writes'
  if (row.name === 'xclaim' || row.name === 'xautoclaim' || row.name === 'delifeq')
    return 'answers with what it finds'
  if (row.name === 'zadd' || row.name === 'set') return 'an option that reads'
  if (row.name === 'sort' || row.name.startsWith('georadius')) return 'every STORE counts'
  if (row.name === 'wait') return 'a category of newer versions'
  if (METADATA.has(row.name)) return 'metadata is read'
  return row.name.startsWith('pubsub|') ? 'channels that are asked about' : undefined
}

/** `RO` without `access`: the server asks for no permission but some pattern on the key. */
const METADATA = new Set([
  ...[
    'exists',
    'type',
    'strlen',
    'llen',
    'scard',
    'sismember',
    'xlen',
    'zcard',
    'hlen',
    'hexists',
    'hstrlen',
  ],
  ...[
    'touch',
    'watch',
    'memory|usage',
    'object|encoding',
    'object|freq',
    'object|idletime',
    'object|refcount',
  ],
])

export type Run = {
  readonly client: Redis
  readonly catalog: RedisCatalog
  readonly names: ReadonlySet<string>
  readonly seed: number
  /** How many commands to compare. */
  readonly commands: number
}

/** Commands under one grant before the next is made. */
const COMMANDS_PER_GRANT = 500

export async function compare({ client, catalog, names, seed, commands }: Run): Promise<Tally> {
  const dice = new Dice(seed)
  const rows = commandsOf(names)
  // Most of the work goes where a grant decides.
  const grantable = rows.filter(({ decision }) => decision.is === 'grantable')
  const analyser = new RedisAnalyser(catalog)
  const tally: Tally = {
    ...{ compared: 0, bothAllow: 0, bothDeny: 0, wrongArity: 0 },
    ...{ stricter: new Map(), looser: [], unexplained: [], names: new Set(), namesAllowed: new Set() },
  }
  const free = rows.filter(isFree).map((row) => `+${row.name}`)
  while (tally.compared < commands) {
    const lines = Array.from({ length: 1 + dice.int(3) }, () => allowLine(dice, rows))
    const user = `u${seed}`
    await client.call(
      'ACL',
      'SETUSER',
      user,
      'reset',
      'on',
      'nopass',
      ...free,
      ...lines.map((line) => `(${line})`),
    )
    const grant = compileRedisGrant(lines.map(parseSelectorLine))
    const batch = Array.from({ length: COMMANDS_PER_GRANT }, () => {
      const row = dice.pick(dice.chance(80) ? grantable : rows)
      return { row, words: command(dice, row) }
    })
    const answers = await Promise.all(
      batch.map(({ words }) =>
        client.call('ACL', 'DRYRUN', user, ...words).then(
          (answer) => String(answer),
          (error: Error) => error.message,
        ),
      ),
    )
    for (const [i, { row, words }] of batch.entries()) {
      const analysis = analyser.read(Args.of(words))
      const ours =
        analysis.outcome === 'accesses' &&
        analysis.accesses.every((access) => grant.covering(access) !== undefined)
      count(tally, { row, words, lines, analysis, ours, server: answers[i] ?? '' })
    }
  }
  await client.call('ACL', 'DELUSER', `u${seed}`)
  return tally
}

function count(
  tally: Tally,
  found: {
    readonly row: CommandRow
    readonly words: readonly Word[]
    readonly lines: readonly string[]
    readonly analysis: Analysis
    readonly ours: boolean
    readonly server: string
  },
): void {
  const { row, words, lines, analysis, ours, server } = found
  const theirs = server === 'OK'
  tally.compared += 1
  tally.names.add(row.name)
  if (ours && theirs) tally.namesAllowed.add(row.name)
  if (ours && theirs) tally.bothAllow += 1
  else if (!ours && !theirs) tally.bothDeny += 1
  else if (ours && server.startsWith('ERR wrong number of arguments')) tally.wrongArity += 1
  else if (ours) tally.looser.push(shown(words, lines, server))
  else {
    const reason = reasonOf(row, analysis)
    if (reason === undefined) tally.unexplained.push(shown(words, lines, server))
    else tally.stricter.set(reason, (tally.stricter.get(reason) ?? 0) + 1)
  }
}

function shown(words: readonly Word[], lines: readonly string[], server: string): string {
  return `${words.map((word) => JSON.stringify(word.toString('latin1'))).join(' ')} under ${lines.join(' / ')}: ${server}`
}
