import type { Analysis, StatementAction } from '../../../protocols/analysis.ts'
import { MysqlAnalyser, type Reading } from '../../../protocols/mysql/analyser.ts'
import { type MysqlCatalog, offlineCatalog } from '../../../protocols/mysql/catalog.ts'

export const CATALOG: MysqlCatalog = {
  ...offlineCatalog({ flavour: 'mariadb', database: 'crm', serverVersion: '10.11.19-MariaDB' }),
  complete: true,
  baseSqlMode: 'STRICT_TRANS_TABLES',
}

/**
 * An analyser for tests of the wire: reads just enough of a text to know which table it names (`from x`) and what it
 * does to names of prepared statements, so that these tests do not depend on the grammar.
 */
export class KnownTexts extends MysqlAnalyser {
  readonly #memo = new Map<string, Reading>()

  constructor(catalog: Partial<MysqlCatalog> = {}) {
    super({ ...CATALOG, ...catalog })
  }

  override read(bytes: Buffer): Reading {
    const sql = bytes.toString('utf8')
    const known = this.#memo.get(sql) ?? { ...readText(sql), forward: forwardOf(bytes) }
    this.#memo.set(sql, known)
    return known
  }

  override analyse(sql: string): Analysis {
    return this.read(Buffer.from(sql)).analysis
  }
}

function forwardOf(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(/\/\*.*?\*\//g, ' '), 'latin1')
}

function readText(sql: string): Pick<Reading, 'analysis' | 'uses'> {
  const [verb = '', second = ''] = sql.split(/[ (]/)
  const analysis = analysisOf(sql)
  switch (verb) {
    case 'prepare':
      return { analysis, uses: [{ kind: 'prepare', name: second, analysis }] }
    case 'execute':
      return { analysis: touching([]), uses: [{ kind: 'execute', name: second }] }
    case 'deallocate':
      return { analysis: touching([]), uses: [{ kind: 'deallocate', name: second }] }
    default:
      return { analysis, uses: [] }
  }
}

function analysisOf(sql: string): Analysis {
  if (sql.includes('gibberish')) {
    return { outcome: 'not_understood', action: 'unknown', why: 'the statement could not be parsed' }
  }
  if (sql.startsWith('call')) {
    const name = /call (\w+)/.exec(sql)?.[1] ?? ''
    return {
      outcome: 'accesses',
      action: 'call',
      accesses: [{ kind: 'routine', action: 'call', schema: 'crm', name }],
    }
  }
  const table = /from `?(\w+)/i.exec(sql)?.[1]
  return touching(table === undefined ? [] : [table])
}

function touching(tables: readonly string[], action: StatementAction = 'select'): Analysis {
  return {
    outcome: 'accesses',
    action,
    accesses: tables.map((name) => ({
      kind: 'relation',
      action: 'select',
      schema: 'crm',
      name,
      columns: undefined,
    })),
  }
}
