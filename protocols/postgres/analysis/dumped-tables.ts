/**
 * How pg_dump reads the columns of the tables that it dumps, and of no other:
 *
 *     FROM unnest('{16394,16401}'::pg_catalog.oid[]) AS src(tbloid)
 *     JOIN pg_catalog.pg_attribute a ON (src.tbloid = a.attrelid)
 *
 * `a.attmissingval` holds a value of rows: what a column that was added with a default has in older ones. Where the join
 * keeps to tables that the text lists, reading it is reading those tables.
 */
import { keyOf } from '../catalog.ts'
import type { Node } from './grammar.ts'
import type { Column, Item, Origin } from './scope.ts'
import { constantOf, isNode, listOf, nodeOf, stringOf, type Walk, wordsOf } from './walk.ts'

/** pg_dump lists as many as fit; each is looked up. */
const TABLES_MAX = 1_000

/** The tables to which a join keeps its right side, where it has that form. */
export function tablesListed(walk: Walk, join: Node): readonly Origin[] | undefined {
  if (join['jointype'] !== 'JOIN_INNER' || join['isNatural'] === true || join['usingClause'] !== undefined)
    return undefined
  const list = nodeOf(join['larg'], 'RangeFunction')
  const attributes = nodeOf(join['rarg'], 'RangeVar')
  if (list === undefined || attributes === undefined) return undefined
  if (attributes['relname'] !== 'pg_attribute' || attributes['schemaname'] !== 'pg_catalog') return undefined
  // A function of the pinned schema could be taken for the one that gives the list as it is.
  if (walk.catalog.routines.has(keyOf(walk.catalog.schema, 'unnest'))) return undefined
  const oids = oidsOf(walk, list)
  const listAlias = aliasOf(list)
  const attributesAlias = aliasOf(attributes)
  if (oids === undefined || listAlias?.columns.length !== 1 || attributesAlias === undefined) return undefined
  if (attributesAlias.columns.length > 0) return undefined
  const left = [listAlias.name, listAlias.columns[0] ?? '']
  if (!isEquality(join['quals'], left, [attributesAlias.name, 'attrelid'])) return undefined
  const tables: Origin[] = []
  walk.work.spend(walk.catalog.relations.size)
  for (const relation of walk.catalog.relations.values())
    if (relation.oid !== undefined && oids.has(relation.oid))
      tables.push({ kind: 'table', relation, action: 'select' })
  return tables.length === oids.size ? tables : [{ kind: 'unlisted' }]
}

/** The numbers of `unnest('{…}'::pg_catalog.oid[])`, alone and without ORDINALITY. */
function oidsOf(walk: Walk, list: Node): ReadonlySet<number> | undefined {
  if (list['ordinality'] === true || list['is_rowsfrom'] === true || list['coldeflist'] !== undefined)
    return undefined
  const functions = listOf(list['functions'])
  const [callValue] = listOf(nodeOf(functions[0], 'List')?.['items'])
  const call = nodeOf(callValue, 'FuncCall')
  const args = listOf(call?.['args'])
  const name = wordsOf(call?.['funcname'])
  if (functions.length !== 1 || args.length !== 1) return undefined
  if (name?.join('\0') !== 'unnest' && name?.join('\0') !== 'pg_catalog\0unnest') return undefined
  const cast = nodeOf(args[0], 'TypeCast')
  const type = isNode(cast?.['typeName']) ? wordsOf(cast['typeName']['names'])?.join('\0') : undefined
  const text = constantOf(walk, cast?.['arg'])?.['sval']
  const written = isNode(text) ? stringOf(text['sval']) : undefined
  if (type !== 'pg_catalog\0oid' || written === undefined || !/^\{[0-9]+(,[0-9]+)*\}$/.test(written))
    return undefined
  const oids = new Set(written.slice(1, -1).split(',').map(Number))
  return oids.size > TABLES_MAX ? undefined : oids
}

type Alias = { readonly name: string; readonly columns: readonly string[] }

function aliasOf(item: Node): Alias | undefined {
  const alias = item['alias']
  if (!isNode(alias)) return undefined
  const columns = wordsOf(alias['colnames'] ?? [])
  const name = stringOf(alias['aliasname'])
  return name === undefined || columns === undefined ? undefined : { name, columns }
}

function isEquality(value: unknown, left: readonly string[], right: readonly string[]): boolean {
  const comparison = nodeOf(value, 'A_Expr')
  const operator = wordsOf(comparison?.['name'])
  if (comparison?.['kind'] !== 'AEXPR_OP' || operator?.length !== 1 || operator[0] !== '=') return false
  return isColumn(comparison['lexpr'], left) && isColumn(comparison['rexpr'], right)
}

/** Word by word: a quoted name may hold the dot between two. */
function isColumn(value: unknown, words: readonly string[]): boolean {
  const written = wordsOf(nodeOf(value, 'ColumnRef')?.['fields'])
  return written?.length === words.length && written.every((word, index) => word === words[index])
}

/** The right side of such a join: its hidden column is read as the tables are. */
export function attributesOfTables<
  T extends { readonly items: readonly Item[]; readonly columns: readonly Column[] },
>(right: T, tables: readonly Origin[] | undefined): T {
  if (tables === undefined) return right
  const ofTables = (column: Column): Column =>
    column.name === 'attmissingval'
      ? { ...column, charges: tables.map((origin) => ({ origin, column: undefined })) }
      : column
  return {
    ...right,
    items: right.items.map((item) => ({ ...item, columns: item.columns.map(ofTables) })),
    columns: right.columns.map(ofTables),
  }
}
