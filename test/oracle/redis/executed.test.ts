/**
 * What commands really do, against what they are said to touch: each is executed on a server whose every key holds a
 * mark of its own. No key may change that is not said to be written, and no mark may turn up, in the reply or in
 * another key, of a key that is not said to be read. Longer, or against another server, by hand:
 *
 *     BULKHEAD_ORACLE_COMMANDS=100000 BULKHEAD_ORACLE_PORT=6379 npm run test:one -- test/oracle/redis/executed.test.ts
 *
 * (It empties that server's database 0.)
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import type { KeyUse } from '../../../protocols/access.ts'
import { Args } from '../../../protocols/redis/args.ts'
import type { CommandRow } from '../../../protocols/redis/commands/row.ts'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { serverCommands } from '../../../src/backends/redis.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { ownRedisServer } from '../../support/servers.ts'
import { command, commandsOf, Dice, type Word } from './generate.ts'

const COMMANDS = Number(process.env['BULKHEAD_ORACLE_COMMANDS'] ?? 3_000)
const SEED = Number(process.env['BULKHEAD_ORACLE_SEED'] ?? 1)
const PORT = process.env['BULKHEAD_ORACLE_PORT']

/** Trials in one pipeline. */
const BATCH = 50

/** Keys by type; some are named like options. The mark of a key is `mark<n>.`. */
const KEYS: (readonly [key: string, type: string])[] = [
  ['a:1', 'string'],
  ['STORE', 'string'],
  ['GET', 'string'],
  ['l:1', 'list'],
  ['BY', 'list'],
  ['s:1', 'set'],
  ['s:2', 'set'],
  ['z:1', 'sortedset'],
  ['z:2', 'sortedset'],
  ['h:1', 'hash'],
  ['x:1', 'stream'],
  ['STREAMS', 'stream'],
  ['p:1', 'hyperloglog'],
  ['g:1', 'geo'],
]

const markOf = (index: number) => `mark${index}.`

let server: DatabaseServer | undefined
let client: Redis
let dumps: Buffer[] = []
/** Every command of the server. */
let names: ReadonlySet<string>

before(async () => {
  if (PORT === undefined) server = await ownRedisServer({ settings: ['--rdbcompression', 'no'] })
  client = new Redis({
    host: '127.0.0.1',
    port: server?.port ?? Number(PORT),
    ...(server?.password !== undefined && { password: server.password }),
    protocol: 2,
    replyMapping: 'legacy',
  })
  names = new Set(serverCommands(await client.call('COMMAND')).map(({ name }) => name))
  await client.config('SET', 'rdbcompression', 'no')
  // SORT makes a small sorted set a big one inside, and a DUMP shows it.
  await client.config('SET', 'zset-max-listpack-entries', '0')
  await client.flushdb()
  if (names.has('vadd')) KEYS.push(['v:1', 'vectorset'], ['v:2', 'vectorset'])
  for (const [i, [key, type]] of KEYS.entries()) await client.call(...seedOf(key, type, markOf(i)))
  for (const [key, type] of KEYS) if (type === 'stream') await client.xgroup('CREATE', key, 'g', '0')
  dumps = await Promise.all(KEYS.map(([key]) => client.dumpBuffer(key)))
})

after(async () => {
  client.disconnect()
  await server?.stop()
})

function seedOf(key: string, type: string, mark: string): [string, ...string[]] {
  switch (type) {
    case 'list':
      return ['RPUSH', key, mark, `${mark}b`]
    case 'set':
      // One member: the order of several in a DUMP is not always the same.
      return ['SADD', key, mark]
    case 'sortedset':
      return ['ZADD', key, '1', mark, '2', 'common']
    case 'geo':
      return ['GEOADD', key, '1', '1', mark]
    case 'hash':
      return ['HSET', key, 'f', mark]
    case 'stream':
      return ['XADD', key, '1-1', 'f', mark]
    case 'hyperloglog':
      return ['PFADD', key, mark]
    case 'vectorset':
      return ['VADD', key, 'VALUES', '2', '1', '1', mark]
    default:
      return ['SET', key, mark]
  }
}

/** The command with most of its keys of the type that it works on, so that it does something. */
function fitting(dice: Dice, row: CommandRow): Word[] {
  // The commands of vector sets are in no category.
  const ofVectors = row.categories.size === 0 ? 'vectorset' : undefined
  const type = KEYS.find(([, name]) => row.categories.has(name))?.[1] ?? ofVectors
  const own = KEYS.filter(([, name]) => name === type).map(([key]) => key)
  const all = KEYS.map(([key]) => key)
  const ownWords = new Set(row.name.split('|'))
  return command(dice, row).map((word) => {
    const text = word.toString('latin1')
    const isKey = /^[abc]:/.test(text) || ['GET', 'STORE', 'STREAMS', 'BY'].includes(text)
    if (!isKey || ownWords.has(text.toLowerCase()) || dice.chance(15)) return word
    // Options keep their place often enough; the rest become keys.
    if (/^[A-Z]/.test(text) && dice.chance(60)) return word
    return dice.pick(own.length > 0 && dice.chance(80) ? own : all)
  })
}

type Trial = { readonly name: string; readonly words: readonly Word[]; readonly uses: readonly KeyUse[] }

/** A command that would be relayed, under some grant, and names all that it touches. */
function trial(dice: Dice, analyser: RedisAnalyser, rows: readonly CommandRow[]): Trial {
  for (;;) {
    const row = dice.pick(rows)
    const words = fitting(dice, row)
    const analysis = analyser.read(Args.of(words))
    if (analysis.outcome !== 'accesses') continue
    const [access] = analysis.accesses
    if (access?.kind !== 'command' || access.allKeys || access.keys.some((use) => use.pattern === true))
      continue
    return { name: row.name, words, uses: access.keys }
  }
}

test('commands touch what they are said to touch, and nothing else', async (t) => {
  const dice = new Dice(SEED)
  const analyser = new RedisAnalyser(offlineCatalog())
  const rows = commandsOf(names).filter(
    ({ decision, channels, name, allKeys, parser }) =>
      decision.is === 'grantable' &&
      channels === 'none' &&
      name !== 'watch' &&
      // What names no key, or every key, is not what is tried here.
      !(allKeys || parser === 'keys' || parser === 'scan'),
  )
  let executed = 0
  let wrote = 0
  const succeeded = new Set<string>()
  for (let done = 0; done < COMMANDS; done += BATCH) {
    const trials = Array.from({ length: BATCH }, () => trial(dice, analyser, rows))
    const pipeline = client.pipeline()
    for (const { words } of trials) {
      pipeline.flushdb()
      for (const [i, [key]] of KEYS.entries()) pipeline.call('RESTORE', key, '0', dumps[i] ?? '')
      // In a transaction a command that would block answers at once.
      const [name = '', ...args] = words
      pipeline.call('MULTI')
      pipeline.call(name.toString('latin1'), ...args)
      pipeline.callBuffer('EXEC')
      for (const [key] of KEYS) pipeline.dumpBuffer(key)
      pipeline.keysBuffer('*')
    }
    const replies = (await pipeline.exec()) ?? []
    const size = 1 + KEYS.length + 3 + KEYS.length + 1
    for (const [n, { name, words, uses }] of trials.entries()) {
      const [exec, ...found] = replies
        .slice(n * size + 3 + KEYS.length, (n + 1) * size)
        .map(([, value]) => value)
      const keys = (found.pop() as Buffer[]).map((key) => key.toString('latin1'))
      const shown = words.map((word) => JSON.stringify(word.toString('latin1'))).join(' ')
      const failed = exec === null || exec === undefined || (Array.isArray(exec) && exec[0] instanceof Error)
      if (!failed) {
        executed += 1
        succeeded.add(name)
      }
      wrote += check({ uses, exec, found: found as (Buffer | null)[], keys, shown }) ? 1 : 0
    }
  }
  const never = rows.map(({ name }) => name).filter((name) => !succeeded.has(name))
  t.diagnostic(`of ${rows.length} commands all were executed but ${never.join(', ') || 'none'}`)
  t.diagnostic(`${executed} of ${COMMANDS} were executed without an error, ${wrote} changed something`)
  assert.ok(executed > COMMANDS / 5, `only ${executed} did anything`)
  assert.ok(wrote > COMMANDS / 20, `only ${wrote} changed anything`)
})

/** True where the command changed something. */
function check(outcome: {
  readonly uses: readonly KeyUse[]
  readonly exec: unknown
  readonly found: readonly (Buffer | null)[]
  readonly keys: readonly string[]
  readonly shown: string
}): boolean {
  const { uses, exec, found, keys, shown } = outcome
  const written = new Set(uses.filter(({ write }) => write).map(({ key }) => key))
  const read = new Set(uses.filter((use) => use.read).map(({ key }) => key))
  const known = new Set(KEYS.map(([key]) => key))
  for (const key of keys) assert.ok(known.has(key) || written.has(key), `${shown} made ${key}`)
  const reply = flat(exec)
  let changed = keys.some((key) => !known.has(key))
  for (const [i, [key]] of KEYS.entries()) {
    const before = dumps[i]
    const now = found[i]
    if (now === null || now === undefined || before === undefined || !before.equals(now)) {
      changed = true
      assert.ok(written.has(key) || isCount(shown), `${shown} changed ${key}`)
    }
    const mark = markOf(i)
    if (read.has(key)) continue
    assert.ok(!reply.includes(mark), `${shown} answered with what is in ${key}`)
    for (const [other, dump] of found.entries()) {
      if (other !== i && dump !== null) assert.ok(!dump.includes(mark), `${shown} carried ${key} elsewhere`)
    }
  }
  return changed
}

/** PFCOUNT keeps what it has counted in the value itself; nothing that can be read changes. */
function isCount(shown: string): boolean {
  return /^"pfcount"/i.test(shown)
}

function flat(value: unknown): string {
  if (Array.isArray(value)) return value.map(flat).join(' ')
  return Buffer.isBuffer(value) ? value.toString('latin1') : String(value)
}
