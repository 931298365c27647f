/**
 * The evasion corpus against the analyser and the decision, for both families of servers: every statement that
 * hides something is refused for the right reason, and every innocent one passes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import { compileLines, type MetadataLevel, parseLines } from '../../../src/grants/grant.ts'
import { decide, type Verdict } from '../../../src/policy/decide.ts'
import { ALLOW, catalogOf } from './database.ts'
import { HIDES } from './hides.ts'
import { DDL_ALLOW, INNOCENT, INNOCENT_DDL, INNOCENT_INTROSPECTION, INNOCENT_OF } from './innocent.ts'

const FLAVOURS = ['mysql', 'mariadb'] as const

const analysers = {
  mysql: new MysqlAnalyser(catalogOf('mysql')),
  mariadb: new MysqlAnalyser(catalogOf('mariadb')),
}

function verdictOn(
  flavour: 'mysql' | 'mariadb',
  statement: string,
  metadata: MetadataLevel,
  allow: readonly string[] = ALLOW,
): Verdict {
  const analyser = analysers[flavour]
  const matcher = compileLines(parseLines(allow, 'mysql'), analyser.naming)
  return decide({ matcher, bounds: [], decoys: undefined, metadata }, analyser.analyse(statement))
}

function shorten(statement: string): string {
  const printable = JSON.stringify(statement)
  return printable.length > 100 ? `${printable.slice(0, 100)}…` : printable
}

function passes(verdict: Verdict): void {
  assert.ok(
    verdict.allowed,
    verdict.allowed ? '' : `${verdict.reason}: ${verdict.why} ${JSON.stringify(verdict.missing)}`,
  )
}

for (const flavour of FLAVOURS) {
  for (const { trick, statements, reason, hop, flavour: only } of HIDES) {
    if (only !== undefined && only !== flavour) continue
    for (const statement of statements) {
      test(`${flavour}: a statement that ${trick} is refused: ${shorten(statement)}`, () => {
        const verdict = verdictOn(flavour, statement, 'introspect')
        assert.ok(!verdict.allowed, 'it was allowed')
        assert.equal(verdict.reason, reason, verdict.why)
        assert.equal(verdict.hops[0]?.kind, hop)
      })
    }
  }

  for (const statement of [...INNOCENT, ...INNOCENT_OF[flavour]]) {
    test(`${flavour}: an innocent statement passes: ${shorten(statement)}`, () => {
      passes(verdictOn(flavour, statement, 'driver'))
    })
  }

  for (const statement of INNOCENT_INTROSPECTION) {
    test(`${flavour}: a look at the schema passes with \`metadata: introspect\` only: ${shorten(statement)}`, () => {
      passes(verdictOn(flavour, statement, 'introspect'))
      const verdict = verdictOn(flavour, statement, 'driver')
      assert.ok(!verdict.allowed)
      assert.equal(verdict.reason, 'not_granted')
    })
  }

  for (const statement of INNOCENT_DDL) {
    test(`${flavour}: schema work passes where it is granted, and only there: ${shorten(statement)}`, () => {
      const catalog = catalogOf(flavour)
      const relations = new Map(catalog.relations)
      relations.set('sq_ts', { kind: 'table', columns: ['id', 'name', 'a', 'b'] })
      const analyser = new MysqlAnalyser({ ...catalog, relations })
      for (const [allow, isAllowed] of [
        [DDL_ALLOW, true],
        [ALLOW, false],
      ] as const) {
        const matcher = compileLines(parseLines(allow, 'mysql'), analyser.naming)
        const verdict = decide(
          { matcher, bounds: [], decoys: undefined, metadata: 'none' },
          analyser.analyse(statement),
        )
        assert.equal(verdict.allowed, isAllowed, JSON.stringify(verdict))
      }
    })
  }
}

test('with `metadata: none` variables and versions are closed, and a statement without them is not', () => {
  assert.ok(!verdictOn('mysql', 'select @@version', 'none').allowed)
  assert.ok(!verdictOn('mysql', 'select version()', 'none').allowed)
  assert.ok(!verdictOn('mysql', 'show tables', 'none').allowed)
  assert.ok(verdictOn('mysql', 'select id from orders', 'none').allowed)
})
