import type { Analysis } from '../analysis.ts'
import type { Naming } from '../naming.ts'
import type { Analyser } from '../protocol.ts'
import type { MysqlCatalog } from './catalog.ts'
import { MysqlNaming } from './naming.ts'

/** What a statement does to the names of SQL-level prepared statements (`PREPARE`, `EXECUTE`, `DEALLOCATE`). */
export type NameUse =
  /** Takes effect when the server answers OK. */
  | { readonly kind: 'prepare'; readonly name: string; readonly analysis: Analysis }
  | { readonly kind: 'execute'; readonly name: string }
  | { readonly kind: 'deallocate'; readonly name: string }

/** One statement text, read. */
export type Reading = {
  readonly analysis: Analysis
  /** What is to be sent: the tokens that were analysed with their white space, each comment as one blank. */
  readonly forward: Buffer
  readonly uses: readonly NameUse[]
}

export class MysqlAnalyser implements Analyser {
  readonly catalog: MysqlCatalog
  readonly naming: Naming
  readonly #names: MysqlNaming

  constructor(catalog: MysqlCatalog, _options: { readonly secondReader?: boolean } = {}) {
    this.catalog = catalog
    this.#names = new MysqlNaming(catalog)
    this.naming = this.#names
  }

  /**
   * Reads one statement as the server would under the pinned session.
   *
   * @param text the bytes of the statement in utf8mb4
   * @param options.ignoreSpace the client asked for CLIENT_IGNORE_SPACE: `count (*)` is forwarded as `count(*)`
   */
  read(text: Buffer, _options: { readonly ignoreSpace: boolean }): Reading {
    return { analysis: this.analyse(text.toString('utf8')), forward: text, uses: [] }
  }

  analyse(_text: string): Analysis {
    return { outcome: 'not_understood', action: 'unknown', why: 'the statement could not be parsed' }
  }

  /** Judges COM_INIT_DB and the database named in the handshake. */
  useDatabase(name: string): Analysis {
    if (this.#names.database(name) === this.catalog.database) {
      return { outcome: 'accesses', action: 'session', accesses: [] }
    }
    return {
      outcome: 'hop',
      action: 'session',
      hop: 'wrong_database',
      why: 'another database of the same server',
      target: name,
    }
  }
}
