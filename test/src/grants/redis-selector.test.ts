import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { AllowLineError } from '../../../src/grants/allow-line-error.ts'
import { compileRedisGrant, parseSelectorLine } from '../../../src/grants/redis-selector.ts'

const analyser = new RedisAnalyser(offlineCatalog())

/** True where the allow lines cover the command line. */
function covers(lines: readonly string[], command: string): boolean {
  const analysis = analyser.analyse(command)
  assert.equal(analysis.outcome, 'accesses', command)
  const grant = compileRedisGrant(lines.map(parseSelectorLine))
  return (
    analysis.outcome === 'accesses' &&
    analysis.accesses.every((access) => grant.covering(access) !== undefined)
  )
}

describe('a line covers a command', () => {
  for (const [line, command] of [
    ['+get ~a', 'GET a'],
    ['+@read ~a:*', 'GET a:1'],
    ['allcommands allkeys', 'GET a'],
    ['+@all ~*', 'SET a 1'],
    ['+get %R~a', 'GET a'],
    ['+set %W~a', 'SET a 1'],
    ['+set %RW~a', 'SET a 1 GET'],
    ['+set %R~a %W~a', 'SET a 1 GET'],
    ['+object|encoding ~a', 'OBJECT ENCODING a'],
    ['+object ~a', 'OBJECT ENCODING a'],
    ['-@all +get ~a', 'GET a'],
    ['+@read -get +get ~a', 'GET a'],
    ['+GET ~a', 'get a'],
    ['+subscribe &c:*', 'SUBSCRIBE c:1 c:2'],
    ['+psubscribe &c:*', 'PSUBSCRIBE c:*'],
    ['+psubscribe &c:*', 'PSUBSCRIBE c:* c:*'],
    ['+psubscribe allchannels', 'PSUBSCRIBE news*'],
    ['+subscribe &__key*', 'SUBSCRIBE __keyspace@0__:a'],
    ['+scan ~a:*', 'SCAN 0 MATCH a:1*'],
    ['+scan allkeys', 'SCAN 0'],
    ['+dbsize allkeys', 'DBSIZE'],
    ['+sort %R~*', 'SORT a'],
    ['+eval allkeys', 'EVAL x 0'],
    ['+mget ~a:* ~b:*', 'MGET a:1 b:1'],
    ['+get ~é', 'GET é'],
    ['+publish &*', 'PUBLISH c m'],
  ] as const) {
    test(`${line} → ${command}`, () => assert.equal(covers([line], command), true))
  }
})

describe('a line does not cover a command', () => {
  for (const [line, command] of [
    ['+get ~a', 'GET b'],
    ['+get ~a', 'SET a 1'],
    ['+get', 'GET a'],
    ['+get %W~a', 'GET a'],
    ['+set %W~a', 'SET a 1 GET'],
    ['+set %R~a* %W~*a', 'SET a 1 GET'],
    ['+@read ~a', 'SET a 1'],
    ['+@all -set ~a', 'SET a 1'],
    ['+@all -@write ~a', 'SET a 1'],
    ['+object -object|encoding ~a', 'OBJECT ENCODING a'],
    ['+object|freq ~a', 'OBJECT ENCODING a'],
    ['+mget ~a:*', 'MGET a:1 b:1'],
    ['+subscribe ~c', 'SUBSCRIBE c'],
    ['+subscribe &c', 'SUBSCRIBE c d'],
    ['+psubscribe &c:*', 'PSUBSCRIBE c:1*'],
    ['+psubscribe &c:*', 'PSUBSCRIBE *'],
    ['+psubscribe allchannels', 'PSUBSCRIBE *'],
    ['+psubscribe allchannels', 'PSUBSCRIBE _*'],
    ['+subscribe allchannels', 'SUBSCRIBE __keyevent@0__:del'],
    ['+publish allchannels', 'PUBLISH __sentinel__:hello x'],
    ['+subscribe &__sentinel__:*', 'SUBSCRIBE __sentinel__:hello'],
    ['+psubscribe &__key* &*', 'PSUBSCRIBE *'],
    ['+psubscribe allchannels', 'PSUBSCRIBE *hello'],
    ['+scan ~a:*', 'SCAN 0'],
    ['+scan ~a:*', 'SCAN 0 MATCH *'],
    ['+keys ~a:*', 'KEYS [a]:*'],
    ['+dbsize ~a:*', 'DBSIZE'],
    ['+sort ~a', 'SORT a BY w:*'],
    ['+sort %R~* %W~b', 'SORT a BY w:* STORE b'],
    ['allcommands allkeys', 'EVAL x 0'],
    ['+@scripting allkeys', 'EVAL x 0'],
    ['+eval ~a', 'EVAL x 1 a'],
    ['+eval -@scripting allkeys', 'EVAL x 0'],
    ['+eval -@all allkeys +get', 'EVAL x 0'],
    ['allcommands allkeys', 'RESTORE a 0 x'],
    ['+get %R~*', 'GET ""'],
    ['+xreadgroup %R~a', 'XREADGROUP GROUP g c STREAMS a >'],
    ['+exists %W~a', 'EXISTS a'],
  ] as const) {
    test(`${line} ↛ ${command}`, () => assert.equal(covers([line], command), false))
  }
})

test('one line covers the whole command: two halves are not enough', () => {
  assert.equal(covers(['+mget ~a:*', '+mget ~b:*'], 'MGET a:1 b:1'), false)
  assert.equal(covers(['+get ~a', '+set ~b'], 'SET a 1'), false)
})

test('the line that covers is named', () => {
  const grant = compileRedisGrant(['+get ~a', '+get ~b'].map(parseSelectorLine))
  const analysis = analyser.analyse('GET b')
  assert.ok(analysis.outcome === 'accesses' && analysis.accesses[0] !== undefined)
  assert.deepEqual(grant.covering(analysis.accesses[0]), [1])
})

test('an access of another kind is not covered', () => {
  const grant = compileRedisGrant([parseSelectorLine('allcommands allkeys')])
  const access = { kind: 'routine', action: 'call', schema: 's', name: 'get' } as const
  assert.equal(grant.covering(access), undefined)
})

describe('a mistake is pointed at', () => {
  for (const [line, at, message] of [
    ['+get +gett ~a', 6, 'no command is called `gett`'],
    ['+@raed', 2, 'no command category is called `raed`'],
    ['+client|foo', 8, '`client` has no subcommand `foo`'],
    ['+get|foo', 5, '`get` has no subcommand `foo`'],
    ['+get cart:*', 5, '`cart:*` is not a rule of a selector'],
    ['+get %X~a', 5, '`%X~a` is not a key pattern'],
    ['+get %a', 5, '`%a` is not a key pattern'],
    ['~a', 2, 'a line that allows no command'],
    ['', 0, 'a line that allows no command'],
    ['-get ~a', 7, 'a line that allows no command'],
    ['+get ~[é]', 6, 'a class with characters outside ASCII'],
    ['+flushall', 1, 'no grant can allow `flushall`: it empties every database of the server'],
    ['+replicaof', 1, 'no grant can allow `replicaof`: it makes or feeds a replica'],
    [`+get ~${'a'.repeat(600)}`, 6, 'a pattern that is too long'],
    ['+get ~a\x01b', 7, 'a control character in a pattern'],
  ] as const) {
    test(message, () => {
      assert.throws(
        () => parseSelectorLine(line),
        (error) => error instanceof AllowLineError && error.at === at && error.message === message,
      )
    })
  }
})
