/**
 * How pg_dump reads the columns of the tables that it dumps, and of no other:
 *
 *     FROM unnest('{16394,16401}'::pg_catalog.oid[]) AS src(tbloid)
 *     JOIN pg_catalog.pg_attribute a ON (src.tbloid = a.attrelid)
 *
 * `a.attmissingval` holds a value of rows: what a column that was added with a default has in older ones. Where the join
 * keeps to tables that the text lists, reading it is reading those tables.
 */
import type { Relation } from '../catalog.ts'
import type { Node } from './grammar.ts'
import type { Column, Item, Origin } from './scope.ts'
import { isNode, listOf, nodeOf, stringOf, type Walk, wordsOf } from './walk.ts'

/** pg_dump lists as many as fit; each is looked up. */
const TABLES_MAX = 1_000

/** The tables to which a join keeps its right side, where it has that form; each is to be charged as a whole. */
export function tablesListed(walk: Walk, join: Node): readonly Relation[] | undefined {
  if (join['jointype'] !== 'JOIN_INNER' || join['isNatural'] === true || join['usingClause'] !== undefined)
    return undefined
  const list = nodeOf(join['larg'], 'RangeFunction')
  const attributes = nodeOf(join['rarg'], 'RangeVar')
  if (list === undefined || attributes === undefined) return undefined
  if (attributes['relname'] !== 'pg_attribute' || attributes['schemaname'] !== 'pg_catalog') return undefined
  const oids = oidsOf(list)
  const listAlias = aliasOf(list)
  const attributesAlias = aliasOf(attributes)
  if (oids === undefined || listAlias?.columns.length !== 1 || attributesAlias === undefined) return undefined
  if (attributesAlias.columns.length > 0) return undefined
  const left = `${listAlias.name}.${listAlias.columns[0]}`
  if (!isEquality(join['quals'], left, `${attributesAlias.name}.attrelid`)) return undefined
  const relations: Relation[] = []
  walk.work.spend(walk.catalog.relations.size)
  for (const relation of walk.catalog.relations.values())
    if (relation.oid !== undefined && oids.has(relation.oid)) relations.push(relation)
  return relations.length === oids.size ? relations : undefined
}

/** The numbers of `unnest('{…}'::pg_catalog.oid[])`, alone and without ORDINALITY. */
function oidsOf(list: Node): ReadonlySet<number> | undefined {
  if (list['ordinality'] === true || list['is_rowsfrom'] === true || list['coldeflist'] !== undefined)
    return undefined
  const functions = listOf(list['functions'])
  const [callValue] = listOf(nodeOf(functions[0], 'List')?.['items'])
  const call = nodeOf(callValue, 'FuncCall')
  const args = listOf(call?.['args'])
  const name = wordsOf(call?.['funcname'])
  if (functions.length !== 1 || args.length !== 1) return undefined
  if (name?.join('.') !== 'unnest' && name?.join('.') !== 'pg_catalog.unnest') return undefined
  const cast = nodeOf(args[0], 'TypeCast')
  const type = isNode(cast?.['typeName']) ? wordsOf(cast['typeName']['names'])?.join('.') : undefined
  const text = nodeOf(cast?.['arg'], 'A_Const')?.['sval']
  const written = isNode(text) ? stringOf(text['sval']) : undefined
  if (type !== 'pg_catalog.oid' || written === undefined || !/^\{[0-9]+(,[0-9]+)*\}$/.test(written))
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

function isEquality(value: unknown, left: string, right: string): boolean {
  const comparison = nodeOf(value, 'A_Expr')
  if (comparison?.['kind'] !== 'AEXPR_OP' || wordsOf(comparison['name'])?.join('.') !== '=') return false
  const written = (side: unknown): string | undefined =>
    wordsOf(nodeOf(side, 'ColumnRef')?.['fields'])?.join('.')
  return written(comparison['lexpr']) === left && written(comparison['rexpr']) === right
}

/** The right side of such a join: its hidden column is read as the tables are. */
export function attributesOfTables<
  T extends { readonly items: readonly Item[]; readonly columns: readonly Column[] },
>(right: T, tables: readonly Relation[] | undefined): T {
  if (tables === undefined) return right
  const origins = tables.map((relation): Origin => ({ kind: 'table', relation, action: 'select' }))
  const ofTables = (column: Column): Column =>
    column.name === 'attmissingval'
      ? { ...column, charges: origins.map((origin) => ({ origin, column: undefined })) }
      : column
  return {
    ...right,
    items: right.items.map((item) => ({ ...item, columns: item.columns.map(ofTables) })),
    columns: right.columns.map(ofTables),
  }
}
