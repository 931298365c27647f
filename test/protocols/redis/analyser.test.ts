import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Analysis } from '../../../protocols/analysis.ts'
import { Args } from '../../../protocols/redis/args.ts'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'

const analyser = new RedisAnalyser(offlineCatalog())

/** The analysis in short: `get: R a`, `free`, `hop wrong_database 3`, `not understood`, `forbidden`. */
function short(analysis: Analysis): string {
  switch (analysis.outcome) {
    case 'accesses': {
      const [access] = analysis.accesses
      if (access === undefined) return 'free'
      if (access.kind !== 'command') return access.kind
      const keys = access.keys.map(
        ({ key, read, write, pattern }) =>
          `${read ? 'R' : ''}${write ? 'W' : ''}${pattern === true ? '*' : ''} ${key}`,
      )
      const channels = access.channels.map(({ channel, pattern }) => `${pattern ? '&&' : '&'}${channel}`)
      const name = access.subcommand === undefined ? access.command : `${access.command}|${access.subcommand}`
      return `${name}: ${[...keys, ...channels, ...(access.allKeys ? ['all'] : [])].join(', ')}`
    }
    case 'hop':
      return `hop ${analysis.hop}${analysis.target === undefined ? '' : ` ${analysis.target}`}`
    case 'not_understood':
      return 'not understood'
    default:
      return analysis.outcome
  }
}

const CASES: readonly (readonly [line: string, short: string])[] = [
  // Strings
  ['GET a', 'get: R a'],
  ['gEt a', 'get: R a'],
  ['SET a v', 'set: W a'],
  ['SET a v GET', 'set: RW a'],
  ['SET a v EX 10 NX get', 'set: RW a'],
  ['SET a v IFEQ x', 'set: RW a'],
  ['SET a GET', 'set: W a'],
  ['SET a v EX', 'not understood'],
  ['SET a v FOO', 'not understood'],
  ['SET a v "GET\\x00"', 'not understood'],
  ['MGET a b c', 'mget: R a, R b, R c'],
  ['MSET a 1 b 2', 'mset: W a, W b'],
  ['MSET a 1 b', 'not understood'],
  ['GETDEL a', 'getdel: RW a'],
  ['GETEX a PERSIST', 'getex: RW a'],
  ['APPEND a x', 'append: W a'],
  ['INCR a', 'incr: RW a'],
  ['LCS a b LEN', 'lcs: R a, R b'],
  ['BITOP AND d a b', 'bitop: W d, R a, R b'],
  ['BITFIELD a GET u8 0', 'bitfield: R a'],
  ['BITFIELD a GET u8 0 SET u8 0 1', 'bitfield: RW a'],
  ['BITFIELD a OVERFLOW SAT INCRBY u8 0 1', 'bitfield: RW a'],
  ['BITFIELD a SET u8 0', 'not understood'],
  ['PFMERGE a', 'pfmerge: RW a'],
  ['PFMERGE a b c', 'pfmerge: RW a, R b, R c'],
  ['PFCOUNT a b', 'pfcount: R a, R b'],
  ['MSETEX 2 a 1 b 2', 'msetex: W a, W b'],
  ['MSETEX 3 a 1 b 2', 'not understood'],
  // Keys
  ['DEL a b', 'del: W a, W b'],
  ['EXISTS a', 'exists: R a'],
  ['RENAME a b', 'rename: RW a, W b'],
  ['COPY a b', 'copy: R a, W b'],
  ['COPY a b DB 0 REPLACE', 'copy: R a, W b'],
  ['COPY a b DB 1', 'hop wrong_database 1'],
  ['COPY a b DB 01', 'not understood'],
  ['MOVE a 1', 'hop wrong_database 1'],
  ['SWAPDB 0 1', 'hop wrong_database 1'],
  ['SELECT 0', 'free'],
  ['SELECT 1', 'hop wrong_database 1'],
  ['SELECT 00', 'not understood'],
  ['OBJECT ENCODING a', 'object|encoding: R a'],
  ['MEMORY USAGE a', 'memory|usage: R a'],
  ['DUMP a', 'dump: R a'],
  ['RESTORE a 0 x', 'restore: W a'],
  ['KEYS a:*', 'keys: R* a:*'],
  ['SCAN 0', 'scan: all'],
  ['SCAN 0 MATCH a:* COUNT 10', 'scan: R* a:*'],
  ['SCAN 0 COUNT 10 match a:*', 'scan: R* a:*'],
  ['SCAN 0 MATCH a:* MATCH *', 'not understood'],
  ['SCAN 0 MATCH', 'not understood'],
  ['RANDOMKEY', 'randomkey: all'],
  ['DBSIZE', 'dbsize: all'],
  ['FLUSHDB', 'flushdb: all'],
  ['FLUSHALL', 'forbidden'],
  // Sorting
  ['SORT a', 'sort: R a'],
  ['SORT a STORE b', 'sort: R a, W b'],
  ['SORT a store b STORE c', 'sort: R a, W b, W c'],
  ['SORT a BY STORE STORE c', 'sort: R a, W c'],
  ['SORT a BY nosort GET #', 'sort: R a'],
  ['SORT a BY w:*', 'sort: R a, all'],
  ['SORT a GET w:*', 'sort: R a, all'],
  ['SORT a GET x', 'sort: R a, all'],
  ['SORT a LIMIT 0 STORE', 'sort: R a'],
  ['SORT a LIMIT STORE', 'not understood'],
  ['SORT a "STORE\\x00z" b', 'not understood'],
  ['SORT_RO a BY w:*', 'sort_ro: R a, all'],
  ['SORT_RO a STORE b', 'not understood'],
  // Geospatial
  ['GEORADIUS a 1 1 1 km STORE b STORE c', 'georadius: R a, W b, W c'],
  ['GEORADIUS a 1 1 1 km STOREDIST b COUNT 1 ANY', 'georadius: R a, W b'],
  ['GEORADIUS a 1 1 1 km STORE', 'not understood'],
  ['GEORADIUS a 1 1 1 km FOO', 'not understood'],
  ['GEORADIUSBYMEMBER a m 1 km store b', 'georadiusbymember: R a, W b'],
  ['GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 km', 'geosearchstore: W d, R a'],
  // Sets and sorted sets
  ['SINTERSTORE d a b', 'sinterstore: W d, R a, R b'],
  ['SINTERCARD 2 a b LIMIT 1', 'sintercard: R a, R b'],
  ['SMOVE a b m', 'smove: RW a, W b'],
  ['ZADD a 1 m', 'zadd: W a'],
  ['ZADD a XX INCR 1 m', 'zadd: RW a'],
  ['ZADD a NX', 'not understood'],
  ['ZUNIONSTORE d 2 a b WEIGHTS 1 2', 'zunionstore: W d, R a, R b'],
  ['ZUNIONSTORE d 3 a b', 'not understood'],
  ['ZUNIONSTORE d -1 a', 'not understood'],
  ['ZUNIONSTORE d 0x2 a b', 'not understood'],
  ['ZUNION 0 a', 'not understood'],
  ['ZMPOP 1 a MIN', 'zmpop: RW a'],
  ['BZMPOP 0 2 a b MAX', 'bzmpop: RW a, RW b'],
  ['ZRANGESTORE d a 0 1', 'zrangestore: W d, R a'],
  // Lists
  ['BLPOP a b 0', 'blpop: RW a, RW b'],
  ['LMOVE a b LEFT RIGHT', 'lmove: RW a, W b'],
  ['LMPOP 2 a b LEFT', 'lmpop: RW a, RW b'],
  ['BLMPOP 0 1 a LEFT', 'blmpop: RW a'],
  // Streams
  ['XADD a * f v', 'xadd: W a'],
  ['XREAD STREAMS a b 0 0', 'xread: R a, R b'],
  ['XREAD COUNT 1 BLOCK 5 STREAMS a $', 'xread: R a'],
  ['XREAD STREAMS a b 0', 'not understood'],
  ['XREAD GROUP g c STREAMS a >', 'not understood'],
  ['XREADGROUP GROUP g c NOACK STREAMS a >', 'xreadgroup: RW a'],
  ['XREADGROUP COUNT 1 GROUP STREAMS a STREAMS b 0', 'not understood'],
  ['XREADGROUP COUNT 1 COUNT 1 STREAMS a >', 'not understood'],
  ['XREAD "STREAMS\\x00" a 0', 'not understood'],
  ['XGROUP CREATE a g $', 'xgroup|create: W a'],
  ['XINFO STREAM a', 'xinfo|stream: R a'],
  ['XCLAIM a g c 0 1-1', 'xclaim: RW a'],
  // Channels
  ['SUBSCRIBE c d', 'subscribe: &c, &d'],
  ['PSUBSCRIBE c*', 'psubscribe: &&c*'],
  ['SSUBSCRIBE c', 'ssubscribe: &c'],
  ['UNSUBSCRIBE', 'free'],
  ['PUBLISH c m', 'publish: &c'],
  ['SPUBLISH c m', 'spublish: &c'],
  ['PUBSUB NUMSUB c d', 'pubsub|numsub: &c, &d'],
  ['PUBSUB CHANNELS', 'forbidden'],
  // Scripts
  ['EVAL "return 1" 0', 'eval: all'],
  ['EVAL "return 1" 2 a b x', 'eval: RW a, RW b, all'],
  ['EVALSHA_RO x 1 a', 'evalsha_ro: R a, all'],
  ['EVAL "return 1" 1000000000', 'not understood'],
  ['EVAL "return 1" -1', 'not understood'],
  ['EVAL "return 1" 1e0 a', 'not understood'],
  ['FCALL f 1 a', 'fcall: RW a, all'],
  ['SCRIPT FLUSH', 'forbidden'],
  ['FUNCTION LOAD x', 'forbidden'],
  // Connection
  ['PING', 'free'],
  ['MULTI', 'free'],
  ['WATCH a', 'watch: R a'],
  ['CLIENT SETNAME x', 'free'],
  ['CLIENT TRACKING ON', 'free'],
  ['CLIENT TRACKING ON BCAST', 'client|tracking: all'],
  ['CLIENT TRACKING ON BCAST PREFIX a: PREFIX b*', 'client|tracking: R* a:*, R* b\\**'],
  ['CLIENT TRACKING ON REDIRECT 7', 'hop cross_run client'],
  ['CLIENT REPLY OFF', 'forbidden'],
  ['CLIENT LIST', 'hop cross_run'],
  ['CLIENT KILL ID 1', 'hop cross_run'],
  ['CLIENT NOSUCH', 'not understood'],
  ['CLIENT', 'not understood'],
  ['CLIENT CAPA redirect', 'not understood'],
  ['CLIENT MAINT_NOTIFICATIONS ON', 'not understood'],
  ['HELLO 3', 'free'],
  ['HELLO 3 SETNAME x', 'free'],
  ['HELLO 4', 'not understood'],
  ['HELLO 3 AUTH a b', 'hop identity_switch'],
  ['AUTH a b', 'hop identity_switch'],
  ['RESET', 'hop identity_switch'],
  ['ACL SETUSER x on', 'hop identity_switch'],
  ['ACL LIST', 'forbidden'],
  // The server and others
  ['MONITOR', 'hop cross_run'],
  ['MIGRATE 10.0.0.7 6379 a 0 100', 'hop outbound_reach 10.0.0.7:6379'],
  ['REPLICAOF 10.0.0.7 6379', 'hop outbound_reach 10.0.0.7:6379'],
  ['CLUSTER MEET 10.0.0.7 6379', 'hop outbound_reach 10.0.0.7:6379'],
  ['CLUSTER NODES', 'not understood'],
  ['MODULE LOAD /tmp/x.so', 'hop outbound_reach /tmp/x.so'],
  ['PSYNC ? -1', 'hop outbound_reach'],
  ['SAVE', 'hop file_reach'],
  ['CONFIG SET dir /tmp', 'hop file_reach dir'],
  ['CONFIG SET maxmemory 1 dbfilename x', 'hop file_reach dbfilename'],
  ['CONFIG SET "dir\\x00" /tmp', 'hop file_reach a name with bytes that no name has'],
  ['CONFIG SET maxmemory 1', 'forbidden'],
  ['CONFIG GET dir', 'forbidden'],
  ['DEBUG RELOAD', 'hop file_reach'],
  ['DEBUG SLEEP 1', 'forbidden'],
  ['SHUTDOWN', 'forbidden'],
  ['SLOWLOG GET', 'forbidden'],
  // Names
  ['GETT a', 'not understood'],
  ['"GET\\x00" a', 'not understood'],
  ['"GET " a', 'not understood'],
  ['"\\xc7ET" a', 'not understood'],
  ['OBJECT "FREQ\\x00" a', 'not understood'],
  ['GET', 'not understood'],
  ['GET a b', 'not understood'],
  ['JSON.GET a', 'not understood'],
  ['FT.SEARCH i q', 'not understood'],
  ['SENTINEL masters', 'not understood'],
]

for (const [line, expected] of CASES) {
  test(`${line} → ${expected}`, () => assert.equal(short(analyser.analyse(line)), expected))
}

test('an analysis keeps nothing of the bytes that it was made of', () => {
  const args = Args.of(['GET', 'abc'])
  const analysis = analyser.read(args)
  args.buffer.fill(0x78)
  assert.equal(short(analysis), 'get: R abc')
})

test('streams without their ids are refused as each server words it', () => {
  const told = (server: 'redis' | 'valkey', line: string) => {
    const analysis = new RedisAnalyser(offlineCatalog({ server })).analyse(line)
    return analysis.outcome === 'not_understood' ? analysis.nativeError?.message : undefined
  }
  const sentence = (command: string, ids: string) =>
    `Unbalanced '${command}' list of streams: for each stream key an ${ids} must be specified.`
  assert.equal(told('redis', 'XREAD COUNT 1 STREAMS a'), sentence('xread', "ID, '+', or '$'"))
  assert.equal(told('valkey', 'XREAD STREAMS a b 0'), sentence('xread', "ID or '$'"))
  for (const server of ['redis', 'valkey'] as const) {
    assert.equal(told(server, 'XREADGROUP GROUP g c STREAMS a b 0'), sentence('xreadgroup', "ID or '>'"))
  }
})

test('keys are read byte for byte', () => {
  const analysis = analyser.read(Args.of(['GET', Buffer.from([0, 0x0d, 0xff])]))
  assert.equal(short(analysis), 'get: R \0\r\xff')
})

test('what a server does not have or describes otherwise is refused', () => {
  const refused = new Map([['get', '`get` is not what was vetted: its arity is 3, not 2']])
  const other = new RedisAnalyser({ ...offlineCatalog(), refused })
  const { outcome, why } = { why: undefined, ...other.analyse('GET a') }
  assert.equal(outcome, 'not_understood')
  assert.equal(why, '`get` is not what was vetted: its arity is 3, not 2')
  assert.equal(short(other.analyse('STRLEN a')), 'strlen: R a')
})

test('the pinned database is the one of the catalog', () => {
  const third = new RedisAnalyser(offlineCatalog({ database: 3 }))
  assert.equal(short(third.analyse('SELECT 3')), 'free')
  assert.equal(short(third.analyse('SELECT 0')), 'hop wrong_database 0')
  assert.equal(short(third.analyse('COPY a b DB 3')), 'copy: R a, W b')
})

test('any words give an analysis and never an exception', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'sort',
      'xread',
      'set',
      'eval',
      'client',
      'tracking',
      'hello',
      'config',
      'debug',
      'copy',
      'zadd',
    ),
    fc.constantFrom(
      'streams',
      'store',
      'by',
      'get',
      '0',
      '1',
      '-1',
      '2',
      'db',
      'auth',
      'on',
      'bcast',
      'prefix',
      '',
    ),
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (words) => {
      assert.ok(analyser.read(Args.of(words)).outcome.length > 0)
    }),
    { numRuns: 3000 },
  )
})

test('any text gives an analysis and never an exception', () => {
  fc.assert(fc.property(fc.string(), (text) => assert.ok(analyser.analyse(text).outcome.length > 0)))
})

test('no pattern that could hold everybody up is read', () => {
  const short = '*'.repeat(4_096)
  const commands = [
    ['keys'],
    ['scan', '0', 'match'],
    ['psubscribe', 'a'],
    ['client', 'tracking', 'on', 'bcast', 'prefix'],
  ]
  for (const words of commands) {
    assert.equal(analyser.read(Args.of([...words, short])).outcome, 'accesses', words.join(' '))
    // Where it was escaped, one of 60 MB ended the process.
    for (const long of [`${short}*`, '*'.repeat(60_000_000)])
      assert.equal(analyser.read(Args.of([...words, long])).outcome, 'not_understood', words.join(' '))
  }
})

test('HELLO sets no name that would be too much to answer with again and again', () => {
  const hello = (size: number) => analyser.read(Args.of(['hello', '3', 'setname', 'x'.repeat(size)]))
  assert.equal(hello(256).outcome, 'accesses')
  assert.equal(hello(257).outcome, 'not_understood')
})
