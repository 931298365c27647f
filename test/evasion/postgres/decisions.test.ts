/**
 * The evasion corpus against the analyser and the decision, on a catalog of a real server: every statement that
 * hides something is refused for the right reason, and every innocent one passes.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { Client } from 'pg'
import type { PostgresAnalyser } from '../../../protocols/postgres/analyser.ts'
import { openPostgresBackend } from '../../../src/backends/postgres.ts'
import { compileLines, type MetadataLevel, parseLines } from '../../../src/grants/grant.ts'
import { decide, type Verdict } from '../../../src/policy/decide.ts'
import {
  connection,
  type FreshDatabase,
  freshPostgresDatabase,
  postgresServer,
} from '../../support/servers.ts'
import { ALLOW, SCHEMA } from './database.ts'
import { HIDES } from './hides.ts'
import { INNOCENT, INNOCENT_INTROSPECTION } from './innocent.ts'

let database: FreshDatabase
let analyser: PostgresAnalyser

before(async () => {
  database = await freshPostgresDatabase(await postgresServer())
  const client = new Client(connection(database))
  await client.connect()
  await client.query(SCHEMA).finally(() => client.end())
  const backend = openPostgresBackend(
    { ...database, schema: 'public', tls: 'prefer', ca: undefined },
    () => {},
  )
  await backend.start()
  assert.ok(backend.knowledge.current)
  analyser = backend.knowledge.current
  await backend.close()
})
after(() => database.drop())

function verdictOn(statement: string, metadata: MetadataLevel): Verdict {
  const matcher = compileLines(parseLines(ALLOW, 'postgres'), analyser.naming)
  return decide({ matcher, bounds: [], decoys: undefined, metadata }, analyser.analyse(statement))
}

function shorten(statement: string): string {
  return statement.length > 100 ? `${statement.slice(0, 100)}…` : statement
}

for (const { trick, statements, reason, hop } of HIDES) {
  for (const statement of statements) {
    test(`a statement that ${trick} is refused: ${shorten(statement)}`, () => {
      const verdict = verdictOn(statement, 'introspect')
      assert.ok(!verdict.allowed, 'it was allowed')
      assert.equal(verdict.reason, reason, verdict.why)
      assert.equal(verdict.hops[0]?.kind, hop)
    })
  }
}

for (const statement of INNOCENT) {
  test(`an innocent statement passes: ${shorten(statement)}`, () => {
    assert.deepEqual(verdictOn(statement, 'driver'), { ...verdictOn(statement, 'driver'), allowed: true })
  })
}

for (const statement of INNOCENT_INTROSPECTION) {
  test(`a look at the schema passes with \`metadata: introspect\` only: ${shorten(statement)}`, () => {
    assert.deepEqual(verdictOn(statement, 'introspect'), {
      ...verdictOn(statement, 'introspect'),
      allowed: true,
    })
    const verdict = verdictOn(statement, 'driver')
    assert.ok(!verdict.allowed)
    assert.equal(verdict.reason, 'not_granted')
  })
}

/** What drivers, ORMs and psql were recorded to ask of the catalog, with the metadata bundle that it is part of. */
type Recorded = { readonly client: string; readonly metadata: 'driver' | 'introspect'; readonly sql: string }

test('what drivers, ORMs and psql ask of the catalog passes in its metadata bundle', () => {
  const file = readFileSync(new URL('./clients.jsonl', import.meta.url), 'utf8')
  const recorded = file
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recorded)
  assert.ok(recorded.length > 100)
  for (const { client, metadata, sql } of recorded) {
    const verdict = verdictOn(sql, metadata)
    assert.ok(verdict.allowed, `${client}: ${JSON.stringify(verdict)}: ${sql}`)
  }
})

test('with `metadata: none` the catalog is closed and a statement without it is not', () => {
  assert.ok(!verdictOn('select typname from pg_type', 'none').allowed)
  assert.ok(!verdictOn('select version()', 'none').allowed)
  assert.ok(verdictOn('select id from orders', 'none').allowed)
})
