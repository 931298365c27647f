/**
 * INSERT, UPDATE, DELETE and MERGE: which privileges they need on which columns, as `ExecCheckOneRelPerms` in
 * src/backend/executor/execMain.c will ask.
 */
import { useIndirection, walkExpression, walkNode } from './expressions.ts'
import { checkFields } from './fields.ts'
import { aliasOf, walkFrom } from './from.ts'
import type { Node } from './grammar.ts'
import { touchColumn } from './relation-columns.ts'
import { charge, findRelation, readRelation, relationItem } from './relations.ts'
import { type Item, NO_RESULT, type Origin, type Result, type Scope, UNKNOWN_RESULT } from './scope.ts'
import { walkTargets, withClause } from './select.ts'
import { isNode, listOf, nodeOf, stringOf, type Walk } from './walk.ts'

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
    touchColumn(walk, action, relation, name)
    useIndirection(walk, column['indirection'], scope)
    walkExpression(walk, column['val'], scope)
  }
}

export function walkInsert(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'InsertStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  const target = targetOf(walk, node['relation'], 'insert')
  if (node['selectStmt'] !== undefined) {
    walk.query(node['selectStmt'], { items: [], ctes: level.ctes, parent: level.parent })
  }
  if (target === undefined || target.origin.kind !== 'table') return UNKNOWN_RESULT
  const { relation } = target.origin
  if (node['cols'] !== undefined) {
    writeColumns(walk, target, 'insert', node['cols'], level)
  } else if (node['selectStmt'] !== undefined) {
    // Without a list the values are for all columns from the left.
    if (relation.columns === undefined) touchColumn(walk, 'insert', relation, undefined)
    for (const column of relation.columns ?? []) touchColumn(walk, 'insert', relation, column)
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

export function walkUpdate(walk: Walk, node: Node, outer: Scope): Result {
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

export function walkDelete(walk: Walk, node: Node, outer: Scope): Result {
  checkFields(walk.findings, 'DeleteStmt', node)
  const level = withClause(walk, node['withClause'], outer)
  const target = targetOf(walk, node['relation'], 'delete')
  const using = walkFrom(walk, node['usingClause'], level)
  if (target === undefined) return UNKNOWN_RESULT
  const scope: Scope = { items: [target.item, ...using], ctes: level.ctes, parent: level.parent }
  walkExpression(walk, node['whereClause'], scope)
  return returning(walk, node, target, using, level)
}

export function walkMerge(walk: Walk, node: Node, outer: Scope): Result {
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
          if (clause['values'] !== undefined) touchColumn(walk, 'insert', relation, undefined)
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
