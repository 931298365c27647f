import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Access, RelationAction } from '../../../protocols/access.ts'
import type { Naming } from '../../../protocols/naming.ts'
import { compileSqlGrant } from '../../../src/grants/sql-matcher.ts'
import { parsePrivilegeLine } from '../../../src/grants/sql-privileges.ts'

/** Folds as PostgreSQL does. */
const naming: Naming = {
  defaultSchema: 'public',
  identifierQuote: '"',
  relation: (name, quoted) => (quoted ? name : name.toLowerCase()),
  column: (name, quoted) => (quoted ? name : name.toLowerCase()),
  routine: (name, quoted) => (quoted ? name : name.toLowerCase()),
}

const matcher = (...lines: string[]) =>
  compileSqlGrant(
    lines.map((line) => parsePrivilegeLine(line, '"', 'postgres')),
    naming,
  )

const on = (action: RelationAction, object: string, columns?: readonly string[]): Access => {
  const [schema, name] = object.split('.') as [string, string]
  return { kind: 'relation', action, schema, name, columns }
}

type Case = {
  readonly when: string
  readonly lines: string[]
  readonly access: Access
  readonly rules: number[] | undefined
}

const cases: readonly Case[] = [
  { when: 'nothing is granted', lines: [], access: on('select', 'public.t'), rules: undefined },
  { when: 'the table is granted', lines: ['select on t'], access: on('select', 'public.t'), rules: [0] },
  {
    when: 'a column of a granted table is read',
    lines: ['select on t'],
    access: on('select', 'public.t', ['a']),
    rules: [0],
  },
  {
    when: 'another action is granted',
    lines: ['insert on t'],
    access: on('select', 'public.t'),
    rules: undefined,
  },
  {
    when: 'the table is in another schema',
    lines: ['select on t'],
    access: on('select', 'app.t'),
    rules: undefined,
  },
  {
    when: 'names fold as the server folds them',
    lines: ['select on T'],
    access: on('select', 'public.t'),
    rules: [0],
  },
  {
    when: 'a quoted name keeps its case',
    lines: ['select on "T"'],
    access: on('select', 'public.t'),
    rules: undefined,
  },
  {
    when: 'a schema wildcard is granted',
    lines: ['select on app.*'],
    access: on('select', 'app.t'),
    rules: [0],
  },
  {
    when: 'a wildcard of another schema is granted',
    lines: ['select on app.*'],
    access: on('select', 'public.t'),
    rules: undefined,
  },
  {
    when: 'the columns are granted',
    lines: ['select (a, b) on t'],
    access: on('select', 'public.t', ['a']),
    rules: [0],
  },
  {
    when: 'one column is not granted',
    lines: ['select (a) on t'],
    access: on('select', 'public.t', ['a', 'b']),
    rules: undefined,
  },
  {
    when: 'columns of two lines add up',
    lines: ['select (a) on t', 'select (b) on t'],
    access: on('select', 'public.t', ['a', 'b']),
    rules: [0, 1],
  },
  {
    when: 'columns are granted and the whole table is needed',
    lines: ['select (a) on t'],
    access: on('select', 'public.t'),
    rules: undefined,
  },
  {
    when: 'columns are granted and no column is read',
    lines: ['select (a) on t'],
    access: on('select', 'public.t', []),
    rules: [0],
  },
  {
    when: 'nothing is granted and no column is read',
    lines: ['insert on t'],
    access: on('select', 'public.t', []),
    rules: undefined,
  },
  {
    when: 'columns of a wildcard and of the table add up',
    lines: ['select (a) on app.*', 'select (b) on app.t'],
    access: on('select', 'app.t', ['a', 'b']),
    rules: [1, 0],
  },
  {
    when: 'a procedure is called under `execute`',
    lines: ['execute on procedure p'],
    access: { kind: 'routine', action: 'call', schema: 'public', name: 'p' },
    rules: [0],
  },
  {
    when: 'a function is run under a table privilege',
    lines: ['select on f'],
    access: { kind: 'routine', action: 'execute', schema: 'public', name: 'f' },
    rules: undefined,
  },
  {
    when: 'a channel is listened to',
    lines: ['listen on channel jobs'],
    access: { kind: 'channel', action: 'listen', name: 'jobs' },
    rules: [0],
  },
  {
    when: 'another channel is listened to',
    lines: ['listen on channel jobs'],
    access: { kind: 'channel', action: 'listen', name: 'job' },
    rules: undefined,
  },
  {
    when: 'metadata is read, which no line covers',
    lines: ['select on pg_catalog.pg_type'],
    access: { kind: 'metadata', level: 'driver', name: 'pg_catalog.pg_type' },
    rules: undefined,
  },
]
for (const { when, lines, access, rules } of cases) {
  test(`${when}: ${rules === undefined ? 'not covered' : `covered by line ${rules.join(' and ')}`}`, () => {
    assert.deepEqual(matcher(...lines).covering(access), rules)
  })
}

test('a name cannot be made to run into another by the separator', () => {
  const forged: Access = {
    kind: 'relation',
    action: 'select',
    schema: 'public\u0000t',
    name: '',
    columns: undefined,
  }
  assert.equal(matcher('select on t').covering(forged), undefined)
})
