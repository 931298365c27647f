/** What a statement that is refused whatever the grant touches or names all the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PostgresAnalyser } from '../../../../protocols/postgres/analyser.ts'
import { GRAMMAR_MAJORS, loadGrammar } from '../../../../src/backends/postgres-grammar.ts'
import { smallCatalog } from './small-catalog.ts'

/** More columns to look at than one statement may ask for. */
function itemsTimes(count: number): string {
  return Array.from({ length: count }, (_, number) => `items i${number}`).join(', ')
}

const CASES: readonly (readonly [statement: string, outcome: string, touched: readonly string[]])[] = [
  ['select pg_sleep(1) from hr.salaries', 'forbidden', ['hr.salaries']],
  ['SELECT PG_SLEEP(1) FROM "hr"."salaries"', 'forbidden', ['hr.salaries']],
  ['select pg_sleep(1) from salaries', 'forbidden', []],
  ['select 1 from orders where exists (select pg_sleep(1) from items)', 'forbidden', ['items', 'orders']],
  ['with x as (select 1 from items) select pg_sleep(1) from x', 'forbidden', ['items']],
  ['with orders as (select 1) select pg_sleep(1) from orders', 'forbidden', []],
  ['with orders as (select 1) select pg_sleep(1) from public.orders', 'forbidden', ['orders']],
  ['select * from orders; vacuum items', 'forbidden', ['items', 'orders']],
  ['vacuum items; select * from orders', 'forbidden', ['items', 'orders']],
  ['drop table items cascade', 'forbidden', ['items']],
  ['truncate items cascade', 'forbidden', ['items']],
  ['grant select on items to public', 'forbidden', ['items']],
  ['create rule r as on insert to items do nothing', 'forbidden', ['items']],
  ['alter table items owner to root', 'forbidden', ['items']],
  ['alter table items set schema hr', 'forbidden', ['items']],
  ['create temp table t as select * from items', 'forbidden', ['items']],
  ['prepare p as select pg_sleep(1) from items', 'forbidden', ['items']],
  ['declare c cursor for select pg_sleep(1) from items', 'forbidden', ['items']],
  ['do $$ begin perform 1 from items; end $$', 'forbidden', []],
  ['explain (settings) select * from items', 'not_understood', ['items']],
  [`select ${'('.repeat(20_000)}1${')'.repeat(20_000)} from items`, 'not_understood', []],
  [`select ${'id, '.repeat(3_000)}1 from ${itemsTimes(3_000)}`, 'not_understood', ['items']],
  ['select * from items order', 'not_understood', []],
  ["copy items to '/tmp/x'", 'hop', ['items']],
  ["copy (select * from items) to program 'sh'", 'hop', ['items']],
  ["select * from items, dblink('a', 'b') as t(x int)", 'hop', ['items']],
  ['select * from other.public.items, orders', 'hop', ['orders']],
  ['select * from nowhere, items', 'unknown_object', ['items']],
]

for (const major of GRAMMAR_MAJORS) {
  const analyser = new PostgresAnalyser(smallCatalog(major * 10_000), await loadGrammar(major))
  for (const [statement, outcome, touched] of CASES) {
    test(`${major}: ${statement.slice(0, 70)} is ${outcome} and names ${touched.join(', ') || 'nothing'}`, () => {
      const analysis = analyser.analyse(statement)
      assert.equal(analysis.outcome, outcome)
      const accesses = [
        ...('accesses' in analysis ? analysis.accesses : []),
        ...(('touched' in analysis && analysis.touched) || []),
      ]
      const names = accesses.map((access) => {
        assert.ok(access.kind === 'relation')
        return access.schema === 'public' ? access.name : `${access.schema}.${access.name}`
      })
      assert.deepEqual([...new Set(names)].sort(), touched)
    })
  }
}
