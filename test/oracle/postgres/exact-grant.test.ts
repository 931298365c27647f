/**
 * A bounded run of the oracle: every statement of the evasion corpora and some seconds of random ones, each run by a
 * role that has exactly what the analysis says it needs. `regression.ts` is the long form.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Client } from 'pg'
import type { PostgresAnalyser } from '../../../protocols/postgres/analyser.ts'
import { openPostgresBackend } from '../../../src/backends/postgres.ts'
import { SCHEMA } from '../../evasion/postgres/database.ts'
import { HIDES } from '../../evasion/postgres/hides.ts'
import { INNOCENT } from '../../evasion/postgres/innocent.ts'
import {
  connection,
  type FreshDatabase,
  freshPostgresDatabase,
  postgresServer,
} from '../../support/servers.ts'
import { type Comparison, ExactGrantOracle } from './exact-grant.ts'
import { StatementGenerator, seeded } from './generator.ts'

/** How long random statements are made, in milliseconds. `ORACLE_SECONDS` asks for more. */
const RANDOM_MS = Number(process.env['ORACLE_SECONDS'] ?? 6) * 1000
/** Another one every day; `ORACLE_SEED` repeats a run. */
const SEED = Number(process.env['ORACLE_SEED'] ?? Math.floor(Date.now() / 86_400_000))

let database: FreshDatabase
let client: Client
let analyser: PostgresAnalyser
let oracle: ExactGrantOracle
const role = `oracle_${process.pid}`

before(async () => {
  database = await freshPostgresDatabase(await postgresServer())
  client = new Client({ ...connection(database), options: '-c search_path=public,pg_temp' })
  await client.connect()
  await client.query(SCHEMA)
  const backend = openPostgresBackend(
    { ...database, schema: 'public', tls: 'prefer', ca: undefined },
    () => {},
  )
  await backend.start()
  assert.ok(backend.knowledge.current)
  analyser = backend.knowledge.current
  await backend.close()
  oracle = await ExactGrantOracle.prepare(client, analyser, role)
})
after(async () => {
  await client.query(`drop owned by ${role}; drop role ${role}`)
  await client.end()
  await database.drop()
})

async function compareAll(statements: Iterable<string>): Promise<ReadonlyMap<Comparison['kind'], number>> {
  const counts = new Map<Comparison['kind'], number>()
  for (const statement of statements) {
    const comparison = await oracle.compare(statement)
    counts.set(comparison.kind, (counts.get(comparison.kind) ?? 0) + 1)
    assert.ok(
      comparison.kind !== 'miss',
      `the server asked for more than the analysis found (seed ${SEED}): ${JSON.stringify(comparison)}: ${statement}`,
    )
  }
  return counts
}

test('the server finds nothing missing for the statements of the evasion corpora', async () => {
  const counts = await compareAll([...INNOCENT, ...HIDES.flatMap(({ statements }) => statements)])
  // The comparison is worth something only where the statements ran.
  assert.ok((counts.get('agrees') ?? 0) > 200, JSON.stringify([...counts]))
})

test('the server finds nothing missing for random statements', async () => {
  const generator = new StatementGenerator(seeded(SEED))
  const endMs = performance.now() + RANDOM_MS
  let count = 0
  function* statements(): Generator<string> {
    while (performance.now() < endMs) {
      count += 1
      yield generator.statement()
    }
  }
  const counts = await compareAll(statements())
  assert.ok((counts.get('agrees') ?? 0) > count / 3, JSON.stringify([...counts]))
})

test('an analysis that leaves something out is found out', async () => {
  const forgetful = oracle.readBy({
    read(text) {
      const reading = analyser.read(text)
      const { analysis } = reading
      if (analysis.outcome !== 'accesses') return reading
      return { ...reading, analysis: { ...analysis, accesses: analysis.accesses.slice(1) } }
    },
  })
  for (const statement of ['select id from orders', 'delete from secret', 'select leak()']) {
    assert.equal((await oracle.compare(statement)).kind, 'agrees')
    assert.equal((await forgetful.compare(statement)).kind, 'miss')
  }
})
