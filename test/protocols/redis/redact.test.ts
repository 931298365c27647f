/** The shape of a statement: names stay, data does not. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Args } from '../../../protocols/redis/args.ts'
import { quoteWord } from '../../../protocols/redis/command-line.ts'
import { COMMANDS, offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { statementText } from '../../../protocols/redis/statements.ts'

const analyser = new RedisAnalyser(offlineCatalog())

describe('is shown as', () => {
  const cases: [string, string][] = [
    ['SET cart:7 v EX 10 NX', 'SET cart:7 ? EX ? NX'],
    ['set "a b" "x y"', 'set "a b" ?'],
    ['MSET a 1 b 2', 'MSET a ? b ?'],
    ['HSET cart:7 items 3', 'HSET cart:7 ? ?'],
    ['EVAL "return 1" 2 a b x', 'EVAL ? ? a b ?'],
    ['XREAD COUNT 1 STREAMS a b 0 0', 'XREAD COUNT ? STREAMS a b ? ?'],
    ['SORT a BY w:* STORE c', 'SORT a BY ? STORE c'],
    ['GEORADIUS a 1 2 3 km WITHDIST STORE b', 'GEORADIUS a ? ? ? ? WITHDIST STORE b'],
    ['SCAN 0 MATCH c:* COUNT 5', 'SCAN ? MATCH c:* COUNT ?'],
    ['PUBLISH c hello', 'PUBLISH c ?'],
    ['PUBSUB NUMSUB c d', 'PUBSUB NUMSUB c d'],
    ['CLIENT SETNAME me', 'CLIENT SETNAME ?'],
    ['CLIENT TRACKING ON BCAST PREFIX a:', 'CLIENT TRACKING ON BCAST PREFIX a:'],
    ['CONFIG SET requirepass x', 'CONFIG SET ? ?'],
    ['AUTH r-42 x', 'AUTH ? ?'],
    ['MIGRATE 10.0.0.7 6379 a 0 100', 'MIGRATE ? ? ? ? ?'],
  ]
  for (const [line, shape] of cases)
    test(`${line} → ${shape}`, () => assert.equal(analyser.redact(line), shape))
})

describe('what only looks like a name is data', () => {
  const cases: [string, string, string][] = [
    ['a value that reads like an option', 'SET a nx', 'SET a ?'],
    ['a member that reads like an option', 'ZADD a 1 nx', 'ZADD a ? ?'],
    ['an argument of an option that reads like one', 'LPOS a x RANK COUNT', 'LPOS a ? RANK ?'],
    ['a command that is not in the table', 'MYSECRET a', '? ?'],
    ['a subcommand that is not in the table', 'CLIENT hunter2 a', 'CLIENT ? ?'],
    ['everything where the keys are not where they must be', 'MSET a 1 b', 'MSET ? ? ?'],
    ['everything where the number of arguments is wrong', 'GET a b', 'GET ? ?'],
    ['everything where an option is not one', 'SET a v FOO', 'SET ? ? ?'],
    ['a text whose quotes do not close', 'SET a "v', '?'],
    ['a text without a word', ' ', '?'],
  ]
  for (const [what, line, shape] of cases) test(what, () => assert.equal(analyser.redact(line), shape))
})

test('a record that was cut is read as it was written', () => {
  const big = Buffer.alloc(70_000, 'x y')
  const many = ['RPUSH', 'a', big, ...Array.from({ length: 80 }, (_, i) => `v${i}`)]
  assert.equal(analyser.redact(statementText(Args.of(many))), `RPUSH a ${'? '.repeat(62)}… 19 more`)
  assert.equal(analyser.redact(statementText(Args.of(['SET', 'a', big]))), 'SET a ?')
  assert.equal(analyser.redact(statementText(Args.of(['AUTH', 'r-42', 'hunter2']))), 'AUTH ?')
  assert.equal(
    analyser.redact(statementText(Args.of(['ACL', 'SETUSER', 'u', '>hunter2']))),
    'ACL SETUSER ? ?',
  )
})

test('no value of any command is shown: what is shown of the data are keys and channels that it is judged by', () => {
  const names = [...COMMANDS.keys()]
  const word = fc.oneof(
    { weight: 5, arbitrary: fc.nat(999).map((n) => `datum${n}`) },
    { weight: 2, arbitrary: fc.nat(3).map(String) },
    {
      weight: 2,
      arbitrary: fc.constantFrom('nx', 'STORE', 'get', 'STREAMS', 'MATCH', 'EX', 'LIMIT', 'count', 'on', '"'),
    },
  )
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.array(word, { maxLength: 9 }), (name, rest) => {
      const given = [...name.split('|'), ...rest]
      const text = given.map(quoteWord).join(' ')
      const shown = analyser.redact(text).split(' ')
      const analysis = analyser.analyse(text)
      const judgedBy = new Set<string>()
      for (const access of analysis.outcome === 'accesses' ? analysis.accesses : []) {
        if (access.kind !== 'command') continue
        for (const { key } of access.keys) judgedBy.add(key)
        for (const { channel } of access.channels) judgedBy.add(channel)
      }
      for (const one of shown) {
        // The keys of what no grant allows are not judged: MOVE, PFDEBUG.
        const isJudged = analysis.outcome !== 'hop' && analysis.outcome !== 'forbidden'
        if (one.startsWith('datum') && isJudged) {
          assert.ok(judgedBy.has(one), `${text} is shown as ${shown.join(' ')}`)
        }
      }
      assert.equal(shown.length, given.length)
    }),
    { numRuns: 20_000 },
  )
})

test('any text has a shape and never an exception', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(typeof analyser.redact(text), 'string')
    }),
  )
})
