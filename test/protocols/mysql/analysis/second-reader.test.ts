import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lex } from '../../../../protocols/mysql/lexer/lexer.ts'
import { MysqlNaming } from '../../../../protocols/mysql/naming.ts'
import { Needs } from '../../../../protocols/mysql/parser/needs.ts'
import { SecondReader } from '../../../../protocols/mysql/second-reader.ts'

const reader = new SecondReader('mysql', new MysqlNaming({ database: 'crm', lowerCaseTableNames: 0 }))

/** Asks about a statement of which we claim to have found these tables. */
function objectionTo(
  text: string,
  tables: readonly string[],
  locals: readonly string[] = [],
): string | undefined {
  const lexed = lex(text, { flavour: 'mysql', versionNumber: 90_704 })
  assert.ok(lexed.ok)
  const needs = new Needs('crm')
  for (const table of tables) needs.touch('select', table)
  for (const name of locals) needs.addLocalName(name)
  return reader.objection('select', lexed.text, lexed.tokens, needs)
}

test('a table that only the second reader finds is an objection', () => {
  assert.match(objectionTo('select 1 from orders, secret', ['orders']) ?? '', /secret/)
  assert.equal(objectionTo('select 1 from orders, secret', ['orders', 'secret']), undefined)
})

test('a statement of another kind is an objection', () => {
  assert.match(objectionTo('delete from orders', ['orders']) ?? '', /delete/)
})

test('names of common table expressions and aliases are no tables', () => {
  assert.equal(objectionTo('with q as (select 1) select * from q', [], ['q']), undefined)
})

test('what it cannot parse it has no opinion of', () => {
  assert.equal(objectionTo('table secret', []), undefined)
})

test('what is beyond its bounds it is not shown', () => {
  const deep = `select ${'('.repeat(40)}1${')'.repeat(40)} from secret`
  assert.equal(objectionTo(deep, []), undefined)
  assert.equal(objectionTo(`select ${Array(400).fill('1').join(', ')} from secret`, []), undefined)
})

test('what takes it too long it has no opinion of: its time trebles with each cast in a cast', () => {
  const nested = (levels: number): string => `${'cast('.repeat(levels)}1${' as char)'.repeat(levels)}`
  assert.match(objectionTo(`select ${nested(2)} from secret`, []) ?? '', /secret/)
  const started = performance.now()
  assert.equal(objectionTo(`select ${nested(15)} from secret`, []), undefined)
  assert.ok(performance.now() - started < 5_000)
})

test('statements that differ in literals only are one shape', () => {
  assert.match(objectionTo("select 'a' from secret where a = 1", []) ?? '', /secret/)
  assert.match(objectionTo("select 'it''s' from secret where a = 0xff", []) ?? '', /secret/)
})
