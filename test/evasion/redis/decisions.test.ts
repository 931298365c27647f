/** The corpus against the analyser and the grant, without a server. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { offlineCatalog, RedisAnalyser, redis } from '../../../protocols/redis/index.ts'
import { redisNaming } from '../../../protocols/redis/naming.ts'
import { compileLines, parseLines } from '../../../src/grants/grant.ts'
import { decide } from '../../../src/policy/decide.ts'
import { HIDES } from './hides.ts'
import { INNOCENT } from './innocent.ts'
import { GRANT } from './world.ts'

const analyser = new RedisAnalyser(offlineCatalog())
const grant = {
  matcher: compileLines(parseLines(GRANT, redis.name), redisNaming),
  bounds: [],
  decoys: undefined,
  metadata: 'driver',
} as const

for (const { trick, statements, reason, hop } of HIDES) {
  describe(`refused, because it ${trick}`, () => {
    for (const statement of statements) {
      test(statement, () => {
        const verdict = decide(grant, analyser.analyse(statement))
        assert.equal(verdict.allowed, false)
        if (verdict.allowed) return
        assert.equal(verdict.reason, reason)
        assert.equal(verdict.hops[0]?.kind, hop)
      })
    }
  })
}

describe('let through, because it only looks like it', () => {
  for (const statement of INNOCENT) {
    test(statement, () => assert.equal(decide(grant, analyser.analyse(statement)).allowed, true))
  }
})
