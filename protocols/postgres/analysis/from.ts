/** FROM items: tables, subqueries, functions, joins, and the names that each brings into view. */
import { attributesOfTables, tablesListed } from './dumped-tables.ts'
import { walkExpression, walkNode } from './expressions.ts'
import { checkFields } from './fields.ts'
import { useUserOperator } from './functions.ts'
import type { Node } from './grammar.ts'
import { aliased, charge, chargeAll, findRelation, readRelation, relationItem } from './relations.ts'
import {
  type Column,
  findCte,
  type Item,
  type Origin,
  type Result,
  type Scope,
  withoutItems,
} from './scope.ts'
import { useType } from './types.ts'
import { isNode, listOf, nodeOf, stringOf, unwrap, type Walk, wordOf } from './walk.ts'

/** Every name is looked for in every item: a bound on both keeps a long text from taking minutes. */
const ITEMS_MAX = 250

/** What a FROM item brings: items to name, and the columns it has for a join around it. */
type Joined = {
  readonly items: readonly Item[]
  readonly columns: readonly Column[]
  readonly open: boolean
  readonly bases: readonly Origin[]
}

/** Walks a FROM list. @param level the query level without its items */
export function walkFrom(walk: Walk, list: unknown, level: Scope): readonly Item[] {
  const items: Item[] = []
  for (const element of listOf(list)) {
    items.push(...fromItem(walk, element, level, items).items)
    if (items.length > ITEMS_MAX) {
      walk.findings.misunderstand(`more than ${ITEMS_MAX} tables in one FROM`)
      break
    }
  }
  return items
}

/** @param left the items that a LATERAL item sees */
function fromItem(walk: Walk, value: unknown, level: Scope, left: readonly Item[]): Joined {
  const wrapped = unwrap(value)
  const lateral: Scope = { items: left, ctes: level.ctes, parent: level.parent }
  if (wrapped !== undefined) {
    const { type, node } = wrapped
    checkFields(walk.findings, type, node)
    switch (type) {
      case 'RangeVar':
        return single(walk, tableItem(walk, node, level))
      case 'RangeSubselect': {
        const inner = node['lateral'] === true ? lateral : withoutItems(level)
        const result = walk.query(node['subquery'], { items: [], ctes: new Map(), parent: inner })
        return single(walk, resultItem(walk, result, node['alias'], undefined))
      }
      case 'RangeFunction':
        return single(walk, functionItem(walk, node, lateral))
      case 'RangeTableFunc':
        return single(walk, tableFunctionItem(walk, node, lateral))
      case 'JsonTable':
        return single(walk, jsonTableItem(walk, node, lateral))
      case 'RangeTableSample':
        return sampleItem(walk, node, level, left)
      case 'JoinExpr':
        return joinItem(walk, node, level, left)
    }
  }
  walk.findings.misunderstand(`${wrapped?.type ?? 'something'} in FROM`)
  return single(walk, unknownItem(undefined))
}

/** Its columns were made for this one place. */
function single(walk: Walk, item: Item): Joined {
  walk.work.spend(item.columns.length)
  return { items: [item], columns: item.columns, open: item.open, bases: item.bases }
}

/** An item of which nothing is known; its own access, if any, is noted elsewhere. */
function unknownItem(name: string | undefined): Item {
  return {
    name,
    schema: undefined,
    columns: [],
    open: true,
    origin: undefined,
    bases: [],
    bare: true,
    named: name !== undefined,
  }
}

export function aliasOf(walk: Walk, value: unknown): Node | undefined {
  if (value === undefined) return undefined
  if (!isNode(value)) {
    walk.findings.misunderstand('an alias of an unknown shape')
    return undefined
  }
  checkFields(walk.findings, 'Alias', value)
  return value
}

function tableItem(walk: Walk, node: Node, level: Scope): Item {
  const alias = aliasOf(walk, node['alias'])
  const name = stringOf(node['relname']) ?? ''
  if (node['schemaname'] === undefined && node['catalogname'] === undefined) {
    const cte = findCte(level, name)
    if (cte !== undefined) return resultItem(walk, cte, node['alias'], name)
  }
  const relation = findRelation(walk, node)
  const origin = relation === undefined ? undefined : readRelation(walk, relation)
  if (relation === undefined || origin === undefined) {
    return unknownItem(stringOf(alias?.['aliasname']) ?? name)
  }
  return relationItem(origin, relation, alias)
}

/** A query's result as an item. */
function resultItem(walk: Walk, result: Result, aliasValue: unknown, name: string | undefined): Item {
  const alias = aliasOf(walk, aliasValue)
  const item: Item = {
    ...unknownItem(name),
    columns: result.columns,
    open: result.open,
    bases: result.bases,
  }
  return alias === undefined ? item : { ...aliased(item, alias), named: true }
}

function functionItem(walk: Walk, node: Node, scope: Scope): Item {
  const alias = aliasOf(walk, node['alias'])
  const names: string[] = []
  let name: string | undefined
  // Each element is a list of the call and its column definitions.
  for (const element of listOf(node['functions'])) {
    const [call, definitions] = listOf(nodeOf(element, 'List')?.['items'])
    walkExpression(walk, call, scope)
    name = wordOf(listOf(nodeOf(call, 'FuncCall')?.['funcname']).at(-1))
    names.push(...columnDefinitions(walk, listOf(nodeOf(definitions, 'List')?.['items'])))
  }
  names.push(...columnDefinitions(walk, listOf(node['coldeflist'])))
  const item: Item = {
    ...unknownItem(name),
    columns: names.map((column) => ({ name: column, charges: [] })),
  }
  return alias === undefined ? item : { ...aliased(item, alias), named: true }
}

/** Notes the types of `AS (a int, b text)` and gives the names. */
function columnDefinitions(walk: Walk, definitions: readonly unknown[]): readonly string[] {
  const names: string[] = []
  for (const definition of definitions) {
    const node = nodeOf(definition, 'ColumnDef')
    const typeName = node?.['typeName']
    if (
      node === undefined ||
      !isNode(typeName) ||
      node['constraints'] !== undefined ||
      node['raw_default'] !== undefined
    ) {
      walk.findings.misunderstand('a column definition of an unknown shape')
      continue
    }
    checkFields(walk.findings, 'ColumnDef', node)
    useType(walk, typeName)
    names.push(stringOf(node['colname']) ?? '')
  }
  return names
}

function tableFunctionItem(walk: Walk, node: Node, scope: Scope): Item {
  walkNode(walk, 'RangeTableFunc', node, scope)
  const names: string[] = []
  for (const value of listOf(node['columns'])) {
    const column = nodeOf(value, 'RangeTableFuncCol')
    if (column === undefined) {
      walk.findings.misunderstand('a column of XMLTABLE of an unknown shape')
      continue
    }
    walkNode(walk, 'RangeTableFuncCol', column, scope)
    names.push(stringOf(column['colname']) ?? '')
  }
  return namedColumns(walk, names, node['alias'], 'xmltable')
}

function jsonTableItem(walk: Walk, node: Node, scope: Scope): Item {
  walkNode(walk, 'JsonTable', node, scope)
  return namedColumns(walk, jsonColumns(walk, node, scope), node['alias'], 'json_table')
}

function jsonColumns(walk: Walk, node: Node, scope: Scope): string[] {
  const names: string[] = []
  for (const value of listOf(node['columns'])) {
    const column = nodeOf(value, 'JsonTableColumn')
    if (column === undefined) {
      walk.findings.misunderstand('a column of JSON_TABLE of an unknown shape')
      continue
    }
    walkNode(walk, 'JsonTableColumn', column, scope)
    const name = stringOf(column['name'])
    if (name !== undefined) names.push(name)
    names.push(...jsonColumns(walk, column, scope))
  }
  return names
}

function namedColumns(walk: Walk, names: readonly string[], aliasValue: unknown, name: string): Item {
  const columns = names.map((column): Column => ({ name: column, charges: [] }))
  return resultItem(walk, { columns, open: false, bases: [] }, aliasValue, name)
}

function sampleItem(walk: Walk, node: Node, level: Scope, left: readonly Item[]): Joined {
  const method = listOf(node['method']).map(wordOf)
  const name = method.at(-1)
  if (
    (name !== 'bernoulli' && name !== 'system') ||
    (method.length > 1 && method[0] !== 'pg_catalog') ||
    method.length > 2
  ) {
    walk.findings.misunderstand('a sampling method that is not built in')
  }
  walkNode(walk, 'RangeTableSample', node, { items: left, ctes: level.ctes, parent: level.parent })
  return fromItem(walk, node['relation'], level, left)
}

function joinItem(walk: Walk, node: Node, level: Scope, outer: readonly Item[]): Joined {
  const left = fromItem(walk, node['larg'], level, outer)
  const listed = tablesListed(walk, node)
  const right = attributesOfTables(fromItem(walk, node['rarg'], level, [...outer, ...left.items]), listed)
  const merged = mergedColumns(walk, node, left, right)
  const sides = [...left.items, ...right.items]
  walk.work.spend(sides.length + left.columns.length + right.columns.length)
  walkExpression(walk, node['quals'], { items: sides, ctes: level.ctes, parent: level.parent })
  const item: Item = {
    ...unknownItem(undefined),
    columns: joinedColumns(walk, merged, left, right),
    open: left.open || right.open,
    bases: [...left.bases, ...right.bases],
  }
  const alias = aliasOf(walk, node['alias'])
  if (alias !== undefined) {
    // New names go by position, which moves when a table on the left loses a column: any of them may be meant.
    if (alias['colnames'] !== undefined) for (const column of item.columns) chargeAll(walk, column.charges)
    // The alias hides both sides.
    return single(walk, { ...aliased(item, alias), named: true })
  }
  // A side whose columns are not all known stays in view: an unqualified name may be one of them.
  const items = sides.map((side): Item => (side.open ? side : { ...side, bare: false }))
  const usingAlias = aliasOf(walk, node['join_using_alias'])
  if (usingAlias !== undefined) {
    items.push({
      ...unknownItem(stringOf(usingAlias['aliasname'])),
      columns: merged,
      open: false,
      bare: false,
    })
  }
  items.push(item)
  return { items, columns: item.columns, open: item.open, bases: item.bases }
}

/** Making a list of columns anew costs as much as looking at so many of each: it is where wide tables take their time. */
const LIST_WORK = 10

/** All that a join offers: the columns that it has made one come first. */
function joinedColumns(
  walk: Walk,
  merged: readonly Column[],
  left: Joined,
  right: Joined,
): readonly Column[] {
  if (merged.length === 0) return left.columns.concat(right.columns)
  walk.work.spend(LIST_WORK * (left.columns.length + right.columns.length))
  const names = new Set(merged.map((column) => column.name))
  return merged.concat([...left.columns, ...right.columns].filter((column) => !names.has(column.name)))
}

/** The columns that USING or NATURAL joins, read on both sides. */
function mergedColumns(walk: Walk, node: Node, left: Joined, right: Joined): readonly Column[] {
  const using = node['usingClause']
  const natural = node['isNatural'] === true
  if (using === undefined && !natural) return []
  useUserOperator(walk, walk.catalog.schema, '=')
  const names = natural ? commonNames(walk, left, right) : listOf(using).map((name) => wordOf(name) ?? '')
  walk.work.spend((names.length + 1) * (left.columns.length + right.columns.length))
  return names.map((name): Column => {
    const charges = [...left.columns, ...right.columns]
      .filter((column) => column.name === name)
      .flatMap((column) => column.charges)
    chargeAll(walk, charges)
    for (const side of [left, right]) {
      if (!side.open || side.columns.some((column) => column.name === name)) continue
      for (const base of side.bases) charge(walk, base, side.bases.length === 1 ? name : undefined)
    }
    return { name, charges }
  })
}

function commonNames(walk: Walk, left: Joined, right: Joined): readonly string[] {
  const names = new Set(right.columns.map((column) => column.name))
  const common = left.columns.map((column) => column.name).filter((name) => names.has(name))
  // Any column is common with one that is not known, or that the other table is given before the server reads this.
  for (const column of [...left.columns, ...right.columns]) chargeAll(walk, column.charges)
  for (const side of [left, right])
    if (side.open) for (const base of side.bases) charge(walk, base, undefined)
  return common
}
