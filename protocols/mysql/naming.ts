import type { Naming } from '../naming.ts'
import type { MysqlCatalog } from './catalog.ts'

/**
 * Lower case of the letters A to Z only. The server folds all of Unicode, by tables that differ between
 * versions (to it, U+212A KELVIN SIGN is a `k`); what lies beyond ASCII meets only its own exact bytes here, so
 * that no such name can be taken for a granted one.
 */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** How MySQL and MariaDB fold names: https://dev.mysql.com/doc/refman/8.4/en/identifier-case-sensitivity.html */
export class MysqlNaming implements Naming {
  readonly identifierQuote = '`'
  readonly defaultSchema: string
  readonly #foldsRelations: boolean

  constructor(catalog: Pick<MysqlCatalog, 'database' | 'lowerCaseTableNames'>) {
    this.defaultSchema = catalog.database
    this.#foldsRelations = catalog.lowerCaseTableNames !== 0
  }

  /** Table names: exact with `lower_case_table_names` 0, else in lower case. Quoting changes nothing. */
  relation(name: string, _quoted: boolean): string {
    return this.#foldsRelations ? asciiLower(name) : name
  }

  /** Database names follow the same rule as table names. */
  database(name: string): string {
    return this.#foldsRelations ? asciiLower(name) : name
  }

  /** Column names never depend on case. */
  column(name: string, _quoted: boolean): string {
    return asciiLower(name)
  }

  /** Names of stored routines never depend on case. */
  routine(name: string, _quoted: boolean): string {
    return asciiLower(name)
  }
}
