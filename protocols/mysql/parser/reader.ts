import type { MysqlCatalog, MysqlRelation } from '../catalog.ts'
import { RESERVED } from '../lexer/keywords.ts'
import { asciiLower, MysqlNaming } from '../naming.ts'
import type { CommonTables, Outputs } from './common-tables.ts'
import type { Cursor } from './cursor.ts'
import type { Edit } from './edit.ts'
import type { Needs } from './needs.ts'
import type { Scope, Source } from './scope.ts'

/** What the parser knows of the server: made once for each catalog. */
export class Rules {
  readonly catalog: MysqlCatalog
  readonly names: MysqlNaming
  readonly reserved: ReadonlySet<string>
  readonly isMysql: boolean
  /** Whether a default of any column asks a sequence. */
  readonly hasSequenceDefaults: boolean
  readonly #columns = new Map<string, ReadonlySet<string>>()

  constructor(catalog: MysqlCatalog) {
    this.catalog = catalog
    this.names = new MysqlNaming(catalog)
    this.reserved = RESERVED[catalog.flavour]
    this.isMysql = catalog.flavour === 'mysql'
    this.hasSequenceDefaults = [...catalog.relations.values()].some(
      ({ sequences }) => sequences !== undefined,
    )
  }

  relation(name: string): MysqlRelation | undefined {
    return this.catalog.relations.get(name)
  }

  /** Folded column names of a relation of the pinned database; undefined: not known. */
  columns(name: string): Outputs {
    const known = this.#columns.get(name)
    if (known !== undefined) return known
    const relation = this.catalog.relations.get(name)
    if (relation === undefined) return undefined
    const columns = new Set(relation.columns.map(asciiLower))
    this.#columns.set(name, columns)
    return columns
  }
}

/** Where a query stands. */
export type QueryPlace = {
  /** The block that its own blocks look into for columns that they do not have. */
  readonly parent: Scope | undefined
  readonly commonTables: CommonTables | undefined
  /** See {@link Scope}. */
  readonly isDetached: boolean
}

/** What an expression was, where it matters: a plain column, whose name a derived table takes on. */
export type ExpressionShape = { readonly column: string | undefined }

export type QueryResult = {
  readonly outputs: Outputs
  /** The tables of the query, where it is one plain block. */
  readonly sources: readonly Source[]
}

/** One statement being read. The parts of the grammar are functions over this. */
export type Reader = {
  readonly cursor: Cursor
  readonly needs: Needs
  readonly rules: Rules
  /** Where the text is to read otherwise than it was written, because it was analysed so. */
  readonly edits: Edit[]
  /** Where literals begin whose values nobody has looked at; UTF-16 units from the start of the text. */
  readonly indifferent: Set<number>
  /** Reads an expression; here, as the next three, because expressions, calls and queries contain each other. */
  readonly expression: (reader: Reader, scope: Scope) => ExpressionShape
  /** Reads one operand, leaving what operators may follow. */
  readonly operand: (reader: Reader, scope: Scope) => ExpressionShape
  /** Reads a query expression. */
  readonly query: (reader: Reader, place: QueryPlace) => QueryResult
  /**
   * Reads on behind a query that stood in parentheses: set operations, ORDER BY and LIMIT that make it a part of
   * a larger query.
   */
  readonly queryTail: (reader: Reader, place: QueryPlace, first: QueryResult) => QueryResult
}

/** The words that a query expression begins with. */
export const QUERY_WORDS: ReadonlySet<string> = new Set(['SELECT', 'WITH', 'TABLE', 'VALUES'])

/** The words that go on with a query behind one in parentheses. */
export const QUERY_TAIL_WORDS: ReadonlySet<string> = new Set([
  'UNION',
  'EXCEPT',
  'INTERSECT',
  'ORDER',
  'LIMIT',
  'FOR',
  'LOCK',
  'OFFSET',
  'FETCH',
])
