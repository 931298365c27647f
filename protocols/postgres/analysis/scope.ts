/**
 * The names that an expression can see, as the server's parser sees them (`p_namespace` and `p_ctenamespace` in
 * src/backend/parser/parse_relation.c): the FROM items of this query level, then those of the levels around it.
 */
import type { RelationAction } from '../../access.ts'
import type { Relation } from '../catalog.ts'
import type { CatalogRelation } from './catalog-relations.ts'

/** Where a column comes from, and so what reading it needs. */
export type Origin =
  | { readonly kind: 'table'; readonly relation: Relation; readonly action: RelationAction }
  | { readonly kind: 'sequence'; readonly relation: Relation }
  | { readonly kind: 'catalog'; readonly relation: CatalogRelation; readonly name: string }
  /** Tables named by their numbers, not all of which the snapshot holds. */
  | { readonly kind: 'unlisted' }

/** `column` is `undefined` where it may be any column. */
export type Charge = { readonly origin: Origin; readonly column: string | undefined }

/** A column that a FROM item offers. Columns of a subquery charge nothing: the subquery has paid. */
export type Column = {
  readonly name: string
  readonly charges: readonly Charge[]
  /**
   * Set where the name is not in the text but a table's. When the server reads the text, the table may have been
   * altered since (in a transaction that nobody else sees yet, too), and the name be that of something else.
   */
  readonly ofTable?: true
}

/** The same column under another name, or as that of a result that has been paid for. */
export function passedOn({ name, ofTable }: Column): Column {
  return { name, charges: [], ...(ofTable === true && { ofTable }) }
}

/** A FROM item as names see it. */
export type Item = {
  /** The alias or table name; `undefined` for a join without alias and what may not be named. */
  readonly name: string | undefined
  /** Set where `schema.name.column` may name it: a table without alias. */
  readonly schema: string | undefined
  readonly columns: readonly Column[]
  /** True where it may have more columns than are known. */
  readonly open: boolean
  /** The relation itself, for whole-row references and system columns. */
  readonly origin: Origin | undefined
  /** All relations beneath, for `FOR UPDATE`. */
  readonly bases: readonly Origin[]
  /** False: its columns are found only with a qualifier (`excluded`), or not any more (under a join's USING). */
  readonly bare: boolean
  /** False: it cannot be named, only its columns can. */
  readonly named: boolean
}

/** The columns of a query's result, and the relations that locking it locks. */
export type Result = {
  readonly columns: readonly Column[]
  readonly open: boolean
  readonly bases: readonly Origin[]
}

export const NO_RESULT: Result = { columns: [], open: false, bases: [] }

/** Of a query whose columns are not worked out. */
export const UNKNOWN_RESULT: Result = { columns: [], open: true, bases: [] }

/** One query level. */
export type Scope = {
  readonly items: readonly Item[]
  /** Common table expressions defined at this level; names are looked up through all levels. */
  readonly ctes: ReadonlyMap<string, Result>
  readonly parent: Scope | undefined
}

const NO_CTES: ReadonlyMap<string, Result> = new Map()

export const EMPTY_SCOPE: Scope = { items: [], ctes: NO_CTES, parent: undefined }

export function scopeOf(items: readonly Item[], parent: Scope | undefined): Scope {
  return { items, ctes: NO_CTES, parent }
}

/** The same level without its FROM items: what a subquery in FROM sees where it is not LATERAL. */
export function withoutItems(scope: Scope): Scope {
  return { items: [], ctes: scope.ctes, parent: scope.parent }
}

export function findCte(scope: Scope | undefined, name: string): Result | undefined {
  for (let level = scope; level !== undefined; level = level.parent) {
    const cte = level.ctes.get(name)
    if (cte !== undefined) return cte
  }
  return undefined
}

/** https://www.postgresql.org/docs/current/ddl-system-columns.html */
export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set([
  'ctid',
  'xmin',
  'xmax',
  'cmin',
  'cmax',
  'tableoid',
])
