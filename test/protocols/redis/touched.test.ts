/** What a command that is refused whatever the grant touches or names all the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'

const analyser = new RedisAnalyser(offlineCatalog())

const CASES: readonly (readonly [line: string, outcome: string, keys: readonly string[]])[] = [
  ['MOVE admin:1 2', 'hop', ['admin:1']],
  ['COPY admin:1 b DB 3', 'hop', ['admin:1', 'b']],
  ['MIGRATE host 6379 admin:1 0 1000', 'hop', ['admin:1']],
  ['MIGRATE host 6379 "" 0 1000 COPY KEYS a admin:1', 'hop', ['', 'a', 'admin:1']],
  ['MIGRATE host 6379 "" 0 1000 AUTH secret', 'hop', ['']],
  ['PFDEBUG GETREG admin:1', 'forbidden', ['admin:1']],
  ['RESTORE-ASKING admin:1 0 x', 'forbidden', ['admin:1']],
  ['DEBUG OBJECT admin:1', 'forbidden', ['admin:1']],
  ['SET admin:1 v FOO', 'not_understood', ['admin:1']],
  ['MSET admin:1 1 b', 'not_understood', []],
  ['GET admin:1 extra', 'not_understood', []],
  ['CONFIG GET dir', 'forbidden', []],
  ['SELECT 7', 'hop', []],
  ['NONSENSE admin:1', 'not_understood', []],
]

for (const [line, outcome, keys] of CASES) {
  test(`${line} is ${outcome} and names ${keys.join(', ') || 'no key'}`, () => {
    const analysis = analyser.analyse(line)
    assert.equal(analysis.outcome, outcome)
    const touched = 'touched' in analysis ? (analysis.touched ?? []) : []
    const named = touched.flatMap((access) => {
      assert.ok(access.kind === 'command')
      return access.keys.map(({ key }) => key)
    })
    assert.deepEqual(named, keys)
  })
}
