/**
 * The server as oracle, bounded: statements of a generator and mutants of them. Whatever the server asks a
 * privilege for, the analysis has found, or the statement was refused. The long form is `run.ts`.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import type { MysqlCatalog } from '../../../protocols/mysql/catalog.ts'
import { startMariadb } from '../../../src/demo/servers/mariadb.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { GENERATED_SCHEMA, Generator, randomOf } from './generate.ts'
import { keywordSchema, keywordStatements } from './keyword-names.ts'
import { Prober } from './prober.ts'

/** Enough to meet every production many times, and few enough for some seconds. */
const STATEMENTS = 250
const MUTANTS = 500

/** Of each group some; all words, and as many statements as there is patience for, in the long form. */
const IS_LONG = process.env['BULKHEAD_LONG'] !== undefined
const KEYWORDS = IS_LONG ? Number.POSITIVE_INFINITY : 60
const KEYWORD_STATEMENTS = IS_LONG ? 100_000 : 500

let server: DatabaseServer
let prober: Prober
let catalog: MysqlCatalog
let analyser: MysqlAnalyser
let keywords: readonly string[]

before(async () => {
  // One of its own: random statements have ended a server before (MariaDB 10.11.19).
  server = await startMariadb({ folder: temporaryFolder() })
  const { host, port, user, password = '' } = server
  prober = await Prober.open({ host, port, user, password }, `oracle_${process.pid}`)
  keywords = await someKeywords(3)
  for (const statement of [...GENERATED_SCHEMA, ...keywordSchema(keywords)])
    assert.ok(await prober.setUp(statement), statement)
  catalog = await prober.catalog()
  // A second reader would refuse, and so hide, most of what the parser does not see.
  analyser = new MysqlAnalyser(catalog, { secondReader: false })
})
after(async () => {
  await prober.close()
  await server.stop()
})

/** Words that this server has a grammar for, reserved or not. @param seed chooses among them */
async function someKeywords(seed: number): Promise<readonly string[]> {
  const { host, port, user, password = '' } = server
  const root = await createConnection({ host, port, user, password })
  const [rows] = await root.query<RowDataPacket[]>(
    'select lower(word) as word from information_schema.keywords',
  )
  await root.end()
  const random = randomOf(seed)
  // Not those that are names of the templates as well.
  const words = rows.map(({ word }) => String(word)).filter((word) => /^[a-z_][a-z_0-9]+$/.test(word))
  return [...new Set(words)]
    .map((word) => ({ word, place: random() }))
    .sort((a, b) => a.place - b.place)
    .slice(0, KEYWORDS)
    .map(({ word }) => word)
}

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

test('nor of statements in which a word of its grammar is a name', async () => {
  const generator = keywordStatements(keywords, { database: catalog.database, seed: 4 })
  const statements = Array.from({ length: KEYWORD_STATEMENTS }, () => generator.next().value)
  const accepted = await compare(statements)
  assert.ok(accepted > KEYWORD_STATEMENTS / 5, `only ${accepted} were run at all`)
})
