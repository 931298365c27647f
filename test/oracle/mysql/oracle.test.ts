/**
 * The server as oracle, bounded: statements of a generator and mutants of them. Whatever the server asks a
 * privilege for, the analysis has found, or the statement was refused. The long form is `run.ts`.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import type { MysqlCatalog } from '../../../protocols/mysql/catalog.ts'
import { startMariadb } from '../../../src/demo/servers/mariadb.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { GENERATED_SCHEMA, Generator } from './generate.ts'
import { Prober } from './prober.ts'

/** Enough to meet every production many times, and few enough for some seconds. */
const STATEMENTS = 250
const MUTANTS = 500

let server: DatabaseServer
let prober: Prober
let catalog: MysqlCatalog
let analyser: MysqlAnalyser

before(async () => {
  // One of its own: random statements have ended a server before (MariaDB 10.11.19).
  server = await startMariadb({ folder: temporaryFolder() })
  const { host, port, user, password = '' } = server
  prober = await Prober.open({ host, port, user, password }, `oracle_${process.pid}`)
  for (const statement of GENERATED_SCHEMA) assert.ok(await prober.setUp(statement), statement)
  catalog = await prober.catalog()
  analyser = new MysqlAnalyser(catalog)
})
after(async () => {
  await prober.close()
  await server.stop()
})

/** @returns how many were relayed by us and run by the server */
async function compare(statements: readonly string[]): Promise<number> {
  let accepted = 0
  for (const statement of statements) {
    const { analysis, forward } = analyser.read(Buffer.from(statement), { ignoreSpace: false })
    // Schema work would change what the others refer to.
    if (analysis.outcome !== 'accesses' || analysis.action === 'ddl') continue
    const probe = await prober.probe(forward.toString('utf8'), analysis.accesses, catalog)
    assert.ok(
      !probe.isDenied || !probe.isConclusive,
      `${statement}\n${probe.message}\n${JSON.stringify(analysis.accesses)}`,
    )
    if (probe.errno === 0) accepted++
  }
  return accepted
}

test('a server never asks a privilege of a generated statement that its analysis did not find', async () => {
  const generator = new Generator(1)
  const statements = Array.from({ length: STATEMENTS }, () => generator.statement())
  const accepted = await compare(statements)
  assert.ok(accepted > STATEMENTS / 3, `only ${accepted} were run at all`)
})

test('nor of mutants of such statements', async () => {
  const generator = new Generator(2)
  const seeds = Array.from({ length: 100 }, () => generator.statement())
  const mutants = Array.from({ length: MUTANTS }, (_, index) =>
    generator.mutant(seeds[index % 100] ?? '', seeds[(index * 7 + 3) % 100] ?? ''),
  )
  const accepted = await compare(mutants)
  assert.ok(accepted > 0, 'none was run at all')
})
