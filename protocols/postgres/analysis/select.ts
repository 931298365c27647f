/** SELECT, WITH and VALUES: which columns they read, and which they give. */
import { expandStar, referenceOf } from './columns.ts'
import { outputNameOf, walkExpression, walkNode } from './expressions.ts'
import { checkFields } from './fields.ts'
import { walkFrom } from './from.ts'
import type { Node } from './grammar.ts'
import { useInto } from './into.ts'
import { charge, chargeAll } from './relations.ts'
import {
  type Column,
  type Item,
  type Origin,
  passedOn,
  type Result,
  type Scope,
  SYSTEM_COLUMNS,
  UNKNOWN_RESULT,
} from './scope.ts'
import { changeSetting, isSettingLookup, settingChange, settingLookup } from './setting-lookup.ts'
import { isNode, listOf, NOTE_WORK, nodeOf, stringOf, type Walk, wordOf } from './walk.ts'

/** The server's own limit, MaxTupleAttributeNumber; a list of stars would make far more out of a short text. */
const TARGETS_MAX = 1664

/** The level with the common table expressions of a WITH clause. */
export function withClause(walk: Walk, value: unknown, level: Scope): Scope {
  if (value === undefined) return level
  if (!isNode(value)) {
    walk.findings.misunderstand('a WITH clause of an unknown shape')
    return level
  }
  checkFields(walk.findings, 'WithClause', value)
  walk.work.spend(level.ctes.size)
  const ctes = new Map(level.ctes)
  const scope: Scope = { items: level.items, ctes, parent: level.parent }
  const list = listOf(value['ctes']).map((cte) => nodeOf(cte, 'CommonTableExpr'))
  if (value['recursive'] === true) {
    // Each may name itself and those after it, before their columns are known.
    for (const cte of list) {
      if (cte !== undefined) ctes.set(stringOf(cte['ctename']) ?? '', UNKNOWN_RESULT)
    }
  }
  for (const cte of list) {
    if (cte === undefined) {
      walk.findings.misunderstand('a WITH clause of an unknown shape')
      continue
    }
    const result = walkCte(walk, cte, scope)
    ctes.set(stringOf(cte['ctename']) ?? '', result)
  }
  return scope
}

function walkCte(walk: Walk, cte: Node, scope: Scope): Result {
  checkFields(walk.findings, 'CommonTableExpr', cte)
  // Without RECURSIVE, this one and those after it are not in the map yet.
  const inner: Scope = { items: [], ctes: scope.ctes, parent: scope.parent }
  const result = walk.query(cte['ctequery'], { items: [], ctes: new Map(), parent: inner })
  const names = listOf(cte['aliascolnames']).map((name) => wordOf(name) ?? '')
  const columns = result.columns.map((column, index): Column => {
    const name = names[index]
    return name === undefined ? passedOn(column) : { name, charges: [] }
  })
  for (const name of names.slice(columns.length)) columns.push({ name, charges: [] })
  const extra = cycleColumns(walk, cte, inner)
  return { columns: [...columns, ...extra], open: result.open, bases: [] }
}

/** The columns that SEARCH and CYCLE add. */
function cycleColumns(walk: Walk, cte: Node, scope: Scope): readonly Column[] {
  const names: (string | undefined)[] = []
  const search = cte['search_clause']
  if (isNode(search)) {
    checkFields(walk.findings, 'CTESearchClause', search)
    names.push(stringOf(search['search_seq_column']))
  }
  const cycle = cte['cycle_clause']
  if (isNode(cycle)) {
    walkNode(walk, 'CTECycleClause', cycle, scope)
    names.push(stringOf(cycle['cycle_mark_column']), stringOf(cycle['cycle_path_column']))
  }
  return names.filter((name) => name !== undefined).map((name): Column => ({ name, charges: [] }))
}

export function walkSelect(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'SelectStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  if (node['larg'] !== undefined || node['rarg'] !== undefined) return walkSetOperation(walk, node, level)
  if (node['intoClause'] !== undefined) useInto(walk, node['intoClause'])
  if (isSettingLookup(walk, node)) return settingLookup(walk)
  const change = settingChange(node, level)
  if (change !== undefined) return changeSetting(walk, change)
  const items = walkFrom(walk, node['fromClause'], level)
  const scope: Scope = { items, ctes: level.ctes, parent: level.parent }
  const result =
    node['valuesLists'] === undefined
      ? walkTargets(walk, node['targetList'], scope)
      : walkValues(walk, node['valuesLists'], scope)
  walkExpression(walk, node['whereClause'], scope)
  walkExpression(walk, node['havingClause'], scope)
  walkByOutput(walk, node['groupClause'], scope, result, false)
  walkByOutput(walk, node['sortClause'], scope, result, true)
  walkByOutput(walk, node['distinctClause'], scope, result, true)
  walkExpression(walk, node['windowClause'], scope)
  walkExpression(walk, node['limitOffset'], scope)
  walkExpression(walk, node['limitCount'], scope)
  const bases = items.flatMap((item) => item.bases)
  lockRows(walk, node['lockingClause'], items)
  return { columns: result.columns, open: result.open, bases }
}

type Output = { readonly columns: readonly Column[]; readonly open: boolean }

function walkSetOperation(walk: Walk, node: Node, level: Scope): Result {
  const results: Result[] = []
  for (const side of [node['larg'], node['rarg']]) {
    if (!isNode(side)) {
      walk.findings.misunderstand('a set operation of an unknown shape')
      continue
    }
    results.push(walkSelect(walk, side, { items: [], ctes: level.ctes, parent: level.parent }))
  }
  // The names are those of the left side.
  const output = results[0] ?? UNKNOWN_RESULT
  const item: Item = {
    name: undefined,
    schema: undefined,
    columns: output.columns,
    open: output.open,
    origin: undefined,
    bases: [],
    bare: true,
    named: false,
  }
  const scope: Scope = { items: [item], ctes: level.ctes, parent: level.parent }
  walkByOutput(walk, node['sortClause'], scope, output, true)
  walkExpression(walk, node['limitOffset'], scope)
  walkExpression(walk, node['limitCount'], scope)
  const bases = results.flatMap((result) => result.bases)
  if (node['lockingClause'] !== undefined) {
    walk.findings.misunderstand('FOR UPDATE on a set operation')
  }
  return { columns: output.columns, open: output.open, bases }
}

/** Walks a target list (also of RETURNING) and gives its columns. */
export function walkTargets(walk: Walk, list: unknown, scope: Scope): Output {
  const columns: Column[] = []
  let open = false
  for (const value of listOf(list)) {
    const target = nodeOf(value, 'ResTarget')
    if (target === undefined) {
      walk.findings.misunderstand('a target list of an unknown shape')
      continue
    }
    if (columns.length > TARGETS_MAX) {
      walk.findings.misunderstand(`a target list of more than ${TARGETS_MAX} columns`)
      break
    }
    checkFields(walk.findings, 'ResTarget', target)
    const column = nodeOf(target['val'], 'ColumnRef')
    const reference = column === undefined ? undefined : referenceOf(column)
    if (column !== undefined && reference?.star === true) {
      const expanded = expandStar(walk, column, reference.words, scope)
      columns.push(...expanded.columns)
      open ||= expanded.open
      continue
    }
    walkExpression(walk, target['val'], scope)
    const indirection = nodeOf(target['val'], 'A_Indirection')
    if (nodeOf(listOf(indirection?.['indirection']).at(-1), 'A_Star') !== undefined) open = true
    const name = stringOf(target['name']) ?? outputNameOf(target['val'])
    // A column whose name is not worked out may have any.
    if (name === undefined) open = true
    columns.push({ name: name ?? '', charges: [] })
  }
  return { columns, open }
}

function walkValues(walk: Walk, lists: unknown, scope: Scope): Output {
  walkExpression(walk, lists, scope)
  const width = listOf(nodeOf(listOf(lists)[0], 'List')?.['items']).length
  const columns = Array.from(
    { length: width },
    (_, index): Column => ({ name: `column${index + 1}`, charges: [] }),
  )
  return { columns, open: false }
}

/**
 * Walks ORDER BY, DISTINCT ON or GROUP BY, whose bare names may be those of result columns
 * (findTargetlistEntrySQL92 in parse_clause.c).
 *
 * @param outputFirst true where a result column hides an input column; GROUP BY has it the other way round
 */
function walkByOutput(walk: Walk, list: unknown, scope: Scope, output: Output, outputFirst: boolean): void {
  for (const value of listOf(list)) {
    const sort = nodeOf(value, 'SortBy')
    const key = sort === undefined ? value : sort['node']
    const name = bareName(key)
    if (name !== undefined) walk.work.spend(output.columns.length)
    // A name that a `*` brought may be gone when the server reads this: then it is that of an input column.
    if (name !== undefined && output.columns.some((column) => column.name === name && !column.ofTable)) {
      // Grouping by an input column reads it; the result column of that name may be another.
      if (!outputFirst) readIfPresent(walk, name, scope)
      if (sort !== undefined) walkNode(walk, 'SortBy', { ...sort, node: undefined }, scope)
      continue
    }
    const set = nodeOf(value, 'GroupingSet')
    if (set === undefined) walkExpression(walk, value, scope)
    else {
      checkFields(walk.findings, 'GroupingSet', set)
      walkByOutput(walk, set['content'], scope, output, outputFirst)
    }
  }
}

function bareName(value: unknown): string | undefined {
  const column = nodeOf(value, 'ColumnRef')
  const fields = listOf(column?.['fields'])
  return fields.length === 1 ? wordOf(fields[0]) : undefined
}

function readIfPresent(walk: Walk, name: string, scope: Scope): void {
  for (const item of scope.items) {
    walk.work.spend(1 + item.columns.length)
    if (!item.bare) continue
    for (const column of item.columns) {
      if (column.name !== name) continue
      chargeAll(walk, column.charges)
    }
    if (item.origin !== undefined && SYSTEM_COLUMNS.has(name)) charge(walk, item.origin, name)
  }
}

/** FOR UPDATE and its like need `update`, on any column, of every table that they lock. */
function lockRows(walk: Walk, clauses: unknown, items: readonly Item[]): void {
  for (const value of listOf(clauses)) {
    const clause = nodeOf(value, 'LockingClause')
    if (clause === undefined) {
      walk.findings.misunderstand('a locking clause of an unknown shape')
      continue
    }
    checkFields(walk.findings, 'LockingClause', clause)
    const tables = listOf(clause['lockedRels'])
    if (tables.length === 0) for (const item of items) lockBases(walk, item.bases)
    for (const table of tables) {
      const name = stringOf(nodeOf(table, 'RangeVar')?.['relname'])
      walk.work.spend(items.length)
      const item = items.find((candidate) => candidate.named && candidate.name === name)
      if (item === undefined) walk.findings.unknown(`\`${name}\` of FOR UPDATE is not in FROM`)
      else lockBases(walk, item.bases)
    }
  }
}

function lockBases(walk: Walk, bases: readonly Origin[]): void {
  walk.work.spend(bases.length * NOTE_WORK)
  for (const base of bases) {
    if (base.kind === 'table') walk.findings.touch('update', base.relation)
    else walk.findings.forbid('locks rows of something that is not a table')
  }
}
