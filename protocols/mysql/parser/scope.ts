/**
 * Which table a column belongs to.
 *
 * A scope is one query block. Columns are met before the tables (`SELECT a FROM t`), so they wait in the scope
 * until it is closed; what the block's own tables do not explain goes on to the block around it, as in the
 * server. Where the server might look elsewhere than we do, a column is *weak*: it is counted for every table
 * that could have it, in this block and in all around it. Too much is a denial; too little would be a leak.
 */
import { asciiLower } from '../naming.ts'
import type { CommonTables } from './common-tables.ts'
import type { Needs } from './needs.ts'

/** Something with columns in a FROM clause. */
export type Source = {
  /** The name that qualifies its columns, as compared. */
  readonly alias: string
  /** Base tables and views: canonical name, of the pinned database. Undefined: derived, nothing to grant. */
  readonly relation: string | undefined
  /** Folded names. Undefined: not known, it may have any column. */
  readonly columns: ReadonlySet<string> | undefined
}

export type ColumnReference = {
  readonly action: 'select' | 'update'
  /** As compared; undefined: not qualified. */
  readonly qualifier: string | undefined
  /** Folded. */
  readonly column: string
  /** The server may look elsewhere than we do. */
  readonly isWeak: boolean
  /** True in ORDER BY, GROUP BY and HAVING, which see the names of the select list. */
  readonly seesOutputs: boolean
  /** Something may already explain it, so that no table need. */
  readonly isExplained: boolean
}

export class Scope {
  readonly parent: Scope | undefined
  readonly commonTables: CommonTables | undefined
  readonly sources: Source[] = []
  /** Names of the select list. */
  readonly outputs = new Set<string>()
  /** Set while reading a clause whose columns may be looked up otherwise than we do. */
  isWeak = false
  /** Set while reading a clause that sees the names of the select list. */
  seesOutputs = false
  /** The table of an INSERT while its ON DUPLICATE KEY UPDATE is read. */
  upsertTable: string | undefined
  /** Set by every DEFAULT that is read in it. */
  sawDefault = false
  /** True for the values of an INSERT: the server asks INSERT of the columns that they name. */
  readonly #isInserted: boolean
  /** True for a derived table: the server looks from there not to its neighbours but further out. */
  readonly #isDetached: boolean
  #references: ColumnReference[] = []

  constructor(options: {
    readonly parent: Scope | undefined
    readonly commonTables: CommonTables | undefined
    readonly isDetached?: boolean
    readonly isInserted?: boolean
  }) {
    this.parent = options.parent
    this.commonTables = options.commonTables
    this.#isDetached = options.isDetached ?? false
    this.#isInserted = options.isInserted ?? false
  }

  refer(reference: {
    readonly qualifier?: string | undefined
    readonly column: string
    readonly action?: 'select' | 'update'
    readonly isWeak?: boolean
  }): void {
    this.#references.push({
      action: reference.action ?? 'select',
      qualifier: reference.qualifier,
      column: asciiLower(reference.column),
      isWeak: this.isWeak || reference.isWeak === true,
      seesOutputs: this.seesOutputs,
      isExplained: false,
    })
  }

  /** All columns of all tables: `*`. */
  referAll(needs: Needs): void {
    for (const { relation } of this.sources) if (relation !== undefined) needs.whole('select', relation)
  }

  /** The tables are all known: attributes the columns that wait. */
  close(needs: Needs): void {
    for (const reference of this.#references) this.#attribute(reference, needs)
    this.#references = []
  }

  #attribute(reference: ColumnReference, needs: Needs): void {
    needs.spend(1 + this.sources.length)
    const found =
      reference.qualifier === undefined
        ? this.#attributeBare(reference, needs)
        : this.#attributeQualified(reference, reference.qualifier, needs)
    const isNamed =
      reference.seesOutputs && reference.qualifier === undefined && this.outputs.has(reference.column)
    if ((found === 'certain' || isNamed) && !reference.isWeak) return
    const isExplained = reference.isExplained || found !== 'none' || isNamed
    if (this.parent === undefined) {
      if (!isExplained) needs.lose(reference.action, reference.column)
      return
    }
    this.parent.#references.push({
      ...reference,
      // A block is closed while the clause that it stands in is read: what is weak there is so for its blocks too.
      isWeak: reference.isWeak || this.#isDetached || this.parent.isWeak,
      seesOutputs: false,
      isExplained,
    })
  }

  #attributeBare(reference: ColumnReference, needs: Needs): 'certain' | 'possible' | 'none' {
    const { action, column } = reference
    // The server compares names beyond ASCII by tables that we do not have.
    if (!isAscii(column)) {
      needs.stray(action)
      return 'possible'
    }
    let found: 'certain' | 'possible' | 'none' = 'none'
    for (const source of this.sources) {
      const has = hasColumn(source, column)
      if (has === 'no') continue
      if (source.relation !== undefined) {
        if (this.#isInserted) needs.column('insert', source.relation, column)
        if (has === 'perhaps' && source.columns !== undefined) needs.whole(action, source.relation)
        else needs.column(action, source.relation, column)
      }
      if (has === 'yes') found = 'certain'
      else if (found === 'none') found = 'possible'
    }
    const isHidden = found !== 'certain' && HIDDEN_COLUMNS.has(column)
    if (isHidden && this.sources.some(({ relation }) => relation !== undefined)) needs.stray(action)
    return found
  }

  #attributeQualified(reference: ColumnReference, qualifier: string, needs: Needs): 'certain' | 'none' {
    let found = false
    for (const source of this.sources) {
      if (source.alias !== qualifier) continue
      found = true
      if (source.relation === undefined) continue
      if (this.#isInserted) needs.column('insert', source.relation, reference.column)
      const has = isAscii(reference.column) ? hasColumn(source, reference.column) : 'no'
      if (has === 'yes' || (has === 'perhaps' && source.columns === undefined)) {
        needs.column(reference.action, source.relation, reference.column)
      } else needs.whole(reference.action, source.relation)
    }
    return found ? 'certain' : 'none'
  }
}

/**
 * Columns that tables may have and information_schema does not show: another name for the key, MySQL's generated one
 * (`show_gipk_in_create_table_and_information_schema`), and the times of MariaDB's system-versioned rows.
 */
const HIDDEN_COLUMNS: ReadonlySet<string> = new Set(['_rowid', 'my_row_id', 'row_start', 'row_end'])

const foldedColumns = new WeakMap<ReadonlySet<string>, boolean>()

/** `perhaps`: its columns are not known, or one of them is beyond ASCII, which may compare equal to this one. */
function hasColumn(source: Source, column: string): 'yes' | 'perhaps' | 'no' {
  const { columns } = source
  if (columns === undefined) return 'perhaps'
  if (columns.has(column)) return 'yes'
  let isVague = foldedColumns.get(columns)
  if (isVague === undefined) {
    isVague = [...columns].some((name) => !isAscii(name))
    foldedColumns.set(columns, isVague)
  }
  return isVague ? 'perhaps' : 'no'
}

export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false
  return true
}
