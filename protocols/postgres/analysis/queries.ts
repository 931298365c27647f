/**
 * SELECT, INSERT, UPDATE, DELETE and MERGE: which privileges they need on which columns, as
 * `ExecCheckOneRelPerms` in src/backend/executor/execMain.c will ask.
 */
import { expandStar, referenceOf } from './columns.ts'
import { outputNameOf, useIndirection, walkExpression, walkNode } from './expressions.ts'
import { checkFields } from './fields.ts'
import { aliasOf, walkFrom } from './from.ts'
import type { Node } from './grammar.ts'
import { useInto } from './into.ts'
import { charge, findRelation, readRelation, relationItem } from './relations.ts'
import { type Column, type Item, NO_RESULT, type Origin, type Result, type Scope } from './scope.ts'
import { isSettingLookup, settingLookup } from './setting-lookup.ts'
import { isNode, listOf, nodeOf, stringOf, unwrap, type Walk, wordOf } from './walk.ts'

/** The server's own limit, MaxTupleAttributeNumber; a list of stars would make far more out of a short text. */
const TARGETS_MAX = 1664

const UNKNOWN_RESULT: Result = { columns: [], open: true, bases: [] }

/**
 * Walks a wrapped query.
 *
 * @param level the query's own level, without items yet: its `ctes` are those of a WITH around it
 */
export function walkQuery(walk: Walk, value: unknown, level: Scope): Result {
  const wrapped = unwrap(value)
  switch (wrapped?.type) {
    case 'SelectStmt':
      return walkSelect(walk, wrapped.node, level)
    case 'InsertStmt':
      return walkInsert(walk, wrapped.node, level)
    case 'UpdateStmt':
      return walkUpdate(walk, wrapped.node, level)
    case 'DeleteStmt':
      return walkDelete(walk, wrapped.node, level)
    case 'MergeStmt':
      return walkMerge(walk, wrapped.node, level)
    default:
      walk.findings.misunderstand(`${wrapped?.type ?? 'something'} in the place of a query`)
      return UNKNOWN_RESULT
  }
}

/** The level with the common table expressions of a WITH clause. */
function withClause(walk: Walk, value: unknown, level: Scope): Scope {
  if (value === undefined) return level
  if (!isNode(value)) {
    walk.findings.misunderstand('a WITH clause of an unknown shape')
    return level
  }
  checkFields(walk.findings, 'WithClause', value)
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
  const result = walkQuery(walk, cte['ctequery'], { items: [], ctes: new Map(), parent: inner })
  const names = listOf(cte['aliascolnames']).map((name) => wordOf(name) ?? '')
  const columns = result.columns.map(
    ({ name }, index): Column => ({ name: names[index] ?? name, charges: [] }),
  )
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

function walkSelect(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'SelectStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  if (node['larg'] !== undefined || node['rarg'] !== undefined) return walkSetOperation(walk, node, level)
  if (node['intoClause'] !== undefined) useInto(walk, node['intoClause'])
  if (isSettingLookup(node)) return settingLookup(walk)
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
function walkTargets(walk: Walk, list: unknown, scope: Scope): Output {
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
    if (name !== undefined && output.columns.some((column) => column.name === name)) {
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
    if (!item.bare) continue
    for (const column of item.columns) {
      if (column.name !== name) continue
      for (const { origin, column: source } of column.charges) charge(walk, origin, source)
    }
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
      const item = items.find((candidate) => candidate.named && candidate.name === name)
      if (item === undefined) walk.findings.unknown(`\`${name}\` of FOR UPDATE is not in FROM`)
      else lockBases(walk, item.bases)
    }
  }
}

function lockBases(walk: Walk, bases: readonly Origin[]): void {
  for (const base of bases) {
    if (base.kind === 'table') walk.findings.touch('update', base.relation)
    else walk.findings.forbid('locks rows of something that is not a table')
  }
}

/** The target of INSERT, UPDATE, DELETE or MERGE. */
type Target = { readonly item: Item; readonly origin: Origin }

/** Resolves a target relation, which is never a common table expression, and notes the action on it. */
function targetOf(
  walk: Walk,
  value: unknown,
  action: 'insert' | 'update' | 'delete' | undefined,
): Target | undefined {
  if (!isNode(value)) {
    walk.findings.misunderstand('a target of an unknown shape')
    return undefined
  }
  const alias = aliasOf(walk, value['alias'])
  const relation = findRelation(walk, value)
  if (relation === undefined) return undefined
  if (relation.schema.startsWith('pg_') || relation.schema === 'information_schema') {
    readRelation(walk, relation)
    walk.findings.forbid(`changes \`${relation.schema}.${relation.name}\`, which is the server's own`)
    return undefined
  }
  if (!'rpvmf'.includes(relation.kind)) {
    walk.findings.misunderstand(`\`${relation.schema}.${relation.name}\` is not a table`)
    return undefined
  }
  if (action !== undefined) walk.findings.touch(action, relation)
  const origin: Origin = { kind: 'table', relation, action: 'select' }
  return { item: relationItem(origin, relation, alias), origin }
}

/** Notes the columns that an INSERT or UPDATE writes, and gives their names. */
function writeColumns(
  walk: Walk,
  target: Target,
  action: 'insert' | 'update',
  list: unknown,
  scope: Scope,
): void {
  if (target.origin.kind !== 'table') return
  const { relation } = target.origin
  for (const value of listOf(list)) {
    const column = nodeOf(value, 'ResTarget')
    const name = stringOf(column?.['name'])
    if (column === undefined || name === undefined) {
      walk.findings.misunderstand('an assignment of an unknown shape')
      continue
    }
    checkFields(walk.findings, 'ResTarget', column)
    if (relation.columns !== undefined && !relation.columns.includes(name)) {
      walk.findings.unknown(`there is no column \`${name}\` in \`${relation.name}\``, () => ({
        code: '42703',
        message: `column "${name}" of relation "${relation.name}" does not exist`,
      }))
    }
    walk.findings.column(action, relation, name)
    useIndirection(walk, column['indirection'], scope)
    walkExpression(walk, column['val'], scope)
  }
}

function walkInsert(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'InsertStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  const target = targetOf(walk, node['relation'], 'insert')
  if (node['selectStmt'] !== undefined) {
    walkQuery(walk, node['selectStmt'], { items: [], ctes: level.ctes, parent: level.parent })
  }
  if (target === undefined || target.origin.kind !== 'table') return UNKNOWN_RESULT
  const { relation } = target.origin
  if (node['cols'] !== undefined) {
    writeColumns(walk, target, 'insert', node['cols'], level)
  } else if (node['selectStmt'] !== undefined) {
    // Without a list the values are for all columns from the left.
    if (relation.columns === undefined) walk.findings.column('insert', relation, undefined)
    for (const column of relation.columns ?? []) walk.findings.column('insert', relation, column)
  }
  onConflict(walk, node['onConflictClause'], target, level)
  return returning(walk, node, target, [], level)
}

function onConflict(walk: Walk, value: unknown, target: Target, level: Scope): void {
  if (value === undefined) return
  if (!isNode(value)) {
    walk.findings.misunderstand('ON CONFLICT of an unknown shape')
    return
  }
  checkFields(walk.findings, 'OnConflictClause', value)
  const own: Scope = { items: [target.item], ctes: level.ctes, parent: level.parent }
  const infer = value['infer']
  if (isNode(infer)) {
    // Where no constraint is named, the columns that would conflict are read.
    walkNode(walk, 'InferClause', infer, own)
    if (infer['conname'] !== undefined) charge(walk, target.origin, undefined)
    for (const element of listOf(infer['indexElems'])) inferColumn(walk, element, target, own)
  }
  if (value['action'] !== 'ONCONFLICT_UPDATE') return
  const { origin } = target
  if (origin.kind !== 'table') return
  walk.findings.touch('update', origin.relation)
  // The row that could not be inserted; the server asks for `select` on the columns of it that are read.
  const excluded: Item = { ...target.item, name: 'excluded', schema: undefined, bare: false }
  const scope: Scope = { items: [target.item, excluded], ctes: level.ctes, parent: level.parent }
  writeColumns(walk, target, 'update', value['targetList'], scope)
  walkExpression(walk, value['whereClause'], scope)
}

function inferColumn(walk: Walk, value: unknown, target: Target, scope: Scope): void {
  const element = nodeOf(value, 'IndexElem')
  if (element === undefined || element['opclassopts'] !== undefined) {
    walk.findings.misunderstand('a conflict target of an unknown shape')
    return
  }
  walkNode(walk, 'IndexElem', element, scope)
  const name = stringOf(element['name'])
  if (name !== undefined) charge(walk, target.origin, name)
}

function walkUpdate(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'UpdateStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  const target = targetOf(walk, node['relation'], 'update')
  const from = walkFrom(walk, node['fromClause'], level)
  if (target === undefined) return UNKNOWN_RESULT
  const scope: Scope = { items: [target.item, ...from], ctes: level.ctes, parent: level.parent }
  writeColumns(walk, target, 'update', node['targetList'], scope)
  walkExpression(walk, node['whereClause'], scope)
  return returning(walk, node, target, from, level)
}

function walkDelete(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'DeleteStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  const target = targetOf(walk, node['relation'], 'delete')
  const using = walkFrom(walk, node['usingClause'], level)
  if (target === undefined) return UNKNOWN_RESULT
  const scope: Scope = { items: [target.item, ...using], ctes: level.ctes, parent: level.parent }
  walkExpression(walk, node['whereClause'], scope)
  return returning(walk, node, target, using, level)
}

function walkMerge(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'MergeStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  const target = targetOf(walk, node['relation'], undefined)
  const source = walkFrom(walk, [node['sourceRelation']], level)
  if (target === undefined || target.origin.kind !== 'table') return UNKNOWN_RESULT
  const { relation } = target.origin
  walk.findings.touch('select', relation)
  const scope: Scope = { items: [target.item, ...source], ctes: level.ctes, parent: level.parent }
  walkExpression(walk, node['joinCondition'], scope)
  for (const value of listOf(node['mergeWhenClauses'])) {
    const clause = nodeOf(value, 'MergeWhenClause')
    if (clause === undefined) {
      walk.findings.misunderstand('MERGE of an unknown shape')
      continue
    }
    checkFields(walk.findings, 'MergeWhenClause', clause)
    walkExpression(walk, clause['condition'], scope)
    walkExpression(walk, clause['values'], scope)
    switch (clause['commandType']) {
      case 'CMD_INSERT':
        walk.findings.touch('insert', relation)
        if (clause['targetList'] === undefined) {
          if (clause['values'] !== undefined) walk.findings.column('insert', relation, undefined)
        } else writeColumns(walk, target, 'insert', clause['targetList'], scope)
        break
      case 'CMD_UPDATE':
        walk.findings.touch('update', relation)
        writeColumns(walk, target, 'update', clause['targetList'], scope)
        break
      case 'CMD_DELETE':
        walk.findings.touch('delete', relation)
        break
      case 'CMD_NOTHING':
        break
      default:
        walk.findings.misunderstand('an action of MERGE that is not modelled')
    }
  }
  return returning(walk, node, target, source, level)
}

/** RETURNING, as a list up to version 17 and as a clause that may name the old and the new row since 18. */
function returning(walk: Walk, node: Node, target: Target, others: readonly Item[], level: Scope): Result {
  const clause = node['returningClause']
  const list = isNode(clause) ? clause['exprs'] : node['returningList']
  if (list === undefined) return NO_RESULT
  const names = { old: 'old', new: 'new' }
  if (isNode(clause)) {
    checkFields(walk.findings, 'ReturningClause', clause)
    for (const value of listOf(clause['options'])) {
      const option = nodeOf(value, 'ReturningOption')
      const name = stringOf(option?.['value'])
      if (option?.['option'] === 'RETURNING_OPTION_OLD' && name !== undefined) names.old = name
      else if (option?.['option'] === 'RETURNING_OPTION_NEW' && name !== undefined) names.new = name
      else walk.findings.misunderstand('an option of RETURNING that is not modelled')
    }
  }
  const rows = [names.old, names.new].map(
    (name): Item => ({ ...target.item, name, schema: undefined, bare: false }),
  )
  const scope: Scope = {
    items: [target.item, ...others, ...rows],
    ctes: level.ctes,
    parent: level.parent,
  }
  const output = walkTargets(walk, list, scope)
  return { columns: output.columns, open: output.open, bases: [] }
}
