import type { Access } from '../../../protocols/access.ts'
import type { Analysis } from '../../../protocols/analysis.ts'
import type { NameUse, PostgresAnalyser, Reading } from '../../../protocols/postgres/analyser.ts'
import { offlineCatalog } from '../../../protocols/postgres/catalog.ts'

/**
 * Reads just enough SQL for the tests of the wire: what a text does to names, and whether it is a COPY. What it may
 * do is decided by the tests, from the text.
 */
export class FakeReader {
  readonly catalog = offlineCatalog({ schema: 'public', database: 'postgres', serverVersionNum: 150_000 })
  readonly #memo = new Map<string, Reading>()

  constructor(serverVersionNum = 150_000) {
    this.catalog = { ...this.catalog, serverVersionNum }
  }

  read(text: Buffer): Reading {
    const sql = text.toString()
    const known = this.#memo.get(sql)
    if (known !== undefined) return known
    const reading = readText(sql)
    this.#memo.set(sql, reading)
    return reading
  }

  /** In the tests' place of the real one. */
  asAnalyser(): PostgresAnalyser {
    return this as unknown as PostgresAnalyser
  }
}

function readText(sql: string): Reading {
  const statements = sql.split(';').filter((part) => part.trim() !== '')
  const uses = statements.flatMap((statement) => usesOf(statement.trim()))
  const blanked = sql.replace(/\/\*blank me\*\//g, (comment) => ' '.repeat(comment.length))
  return {
    analysis: analysisOf(statements),
    forward: blanked === sql ? undefined : Buffer.from(blanked),
    statementCount: statements.length,
    uses,
  }
}

function analysisOf(statements: readonly string[]): Analysis {
  const isCopy = statements.some((statement) => /^\s*copy/i.test(statement))
  const direct = statements.filter((statement) => !/^\s*(prepare|declare|fetch)/i.test(statement))
  return {
    outcome: 'accesses',
    action: isCopy ? 'copy' : 'select',
    accesses: direct.flatMap(accessesOf),
  }
}

function usesOf(statement: string): NameUse[] {
  const words = statement.split(/\s+/)
  const name = words[1] ?? ''
  switch (words[0]?.toLowerCase()) {
    case 'prepare':
      return [{ kind: 'prepare', name, analysis: madeAnalysis(statement) }]
    case 'declare':
      return [{ kind: 'declare', name, analysis: madeAnalysis(statement) }]
    case 'execute':
      return [{ kind: 'execute', name: name.replace(/\(.*/, '') }]
    case 'fetch':
      return [{ kind: 'fetch', name: words.at(-1) ?? '' }]
    case 'close':
      return [{ kind: 'close_cursor', name: name.toLowerCase() === 'all' ? undefined : name }]
    case 'deallocate':
      return [{ kind: 'deallocate', name: name.toLowerCase() === 'all' ? undefined : name }]
    case 'discard':
      return name.toLowerCase() === 'all' ? [{ kind: 'discard_all' }] : [{ kind: 'discard_plans' }]
    default:
      return []
  }
}

function madeAnalysis(statement: string): Analysis {
  return { outcome: 'accesses', action: 'select', accesses: accessesOf(statement) }
}

/** An access named after a word of the text, so that a test can see whose accesses were joined. */
function accessesOf(statement: string): Access[] {
  const table = /from (\w+)/.exec(statement)?.[1]
  if (table === undefined) return []
  return [{ kind: 'relation', action: 'select', schema: 'public', name: table, columns: undefined }]
}
