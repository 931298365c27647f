/** CREATE TABLE, ALTER TABLE, CREATE INDEX, and what their constraints and defaults run. */
import type { StatementAction } from '../../analysis.ts'
import type { Relation } from '../catalog.ts'
import { walkExpression, walkNode } from './expressions.ts'
import { checkFields } from './fields.ts'
import { useOperator } from './functions.ts'
import type { Node } from './grammar.ts'
import { charge, findRelation, nameOf, readRelation, relationItem } from './relations.ts'
import { type Item, type Origin, type Scope, scopeOf } from './scope.ts'
import { SEQUENCE_OPTIONS } from './sequences.ts'
import { useType } from './types.ts'
import { isNode, listOf, nodeOf, stringOf, unwrap, type Walk, wordOf, wordsOf } from './walk.ts'

/** A relation as the expressions of its own definition see it: naming its columns reads no row. */
export function definitionScope(
  name: string | undefined,
  columns: readonly string[] | undefined,
  more: readonly string[] = [],
): Scope {
  const names = [name, ...more]
  return scopeOf(
    names.map(
      (itemName): Item => ({
        name: itemName,
        schema: undefined,
        columns: (columns ?? []).map((column) => ({ name: column, charges: [] })),
        open: columns === undefined,
        origin: undefined,
        bases: [],
        bare: true,
        named: itemName !== undefined,
      }),
    ),
    undefined,
  )
}

/**
 * A table that is there as expressions over its rows see it: what they compute shows in other columns, in what
 * policies let through, or in errors (`invalid input syntax for type date: "…"`), so that their columns are read.
 *
 * @param also further names of its rows, as `old` and `new` in a trigger
 */
function rowsScope(relation: Relation, also: readonly string[] = []): Scope {
  const origin: Origin = { kind: 'table', relation, action: 'select' }
  const item = relationItem(origin, relation, undefined)
  // Columns that the same statement adds are not known.
  const open: Item = { ...item, origin: undefined, open: true }
  return scopeOf([open, ...also.map((name): Item => ({ ...open, name, schema: undefined }))], undefined)
}

/** The scope of the expressions in a definition over a table, which may not have been found. */
export function changedScope(relation: Relation | undefined, also: readonly string[] = []): Scope {
  return relation === undefined ? definitionScope(undefined, undefined, also) : rowsScope(relation, also)
}

/** The table that a definition statement changes, after noting the action on it. */
export function changedTable(
  walk: Walk,
  value: unknown,
  action: 'alter' | 'index' | 'trigger',
): Relation | undefined {
  const relation = isNode(value) ? findRelation(walk, value) : undefined
  if (!isNode(value)) walk.findings.misunderstand('a table is missing')
  if (relation === undefined) return undefined
  const { schema, name, kind } = relation
  if (schema.startsWith('pg_') || schema === 'information_schema') {
    walk.findings.forbid(`changes \`${schema}.${name}\`, which is the server's own`)
    return undefined
  }
  if (!'rpvmf'.includes(kind)) {
    walk.findings.misunderstand(`\`${schema}.${name}\` is not a table`)
    return undefined
  }
  walk.findings.touch(action, relation)
  return relation
}

export function walkCreateTable(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'CreateStmt', node)
  const created = isNode(node['relation']) ? nameOf(walk, node['relation']) : undefined
  if (created === undefined) {
    walk.findings.misunderstand('CREATE TABLE without a name')
    return 'ddl'
  }
  const table = { schema: created.schema ?? walk.catalog.schema, name: created.name }
  walk.findings.touch('create', table)
  refuseStorage(walk, node)
  const elements = listOf(node['tableElts'])
  const columns = elements.map((value) => stringOf(nodeOf(value, 'ColumnDef')?.['colname']))
  const known = columns.filter((name) => name !== undefined)
  // Inherited and copied columns are not in the text.
  const isOpen =
    node['inhRelations'] !== undefined ||
    node['ofTypename'] !== undefined ||
    elements.some((value) => nodeOf(value, 'TableLikeClause') !== undefined)
  const scope = definitionScope(table.name, isOpen ? undefined : known)
  for (const element of elements) walkTableElement(walk, element, scope, table)
  for (const value of listOf(node['constraints'])) walkConstraint(walk, value, scope, table)
  for (const value of listOf(node['nnconstraints'])) walkConstraint(walk, value, scope, table)
  for (const value of listOf(node['inhRelations'])) changedTable(walk, nodeOf(value, 'RangeVar'), 'alter')
  if (isNode(node['ofTypename'])) useType(walk, node['ofTypename'])
  walkPartitions(walk, node, scope)
  return 'ddl'
}

function refuseStorage(walk: Walk, node: Node): void {
  if (node['tablespacename'] !== undefined) walk.findings.forbid('chooses a tablespace')
  if (node['accessMethod'] !== undefined) walk.findings.forbid('chooses a table access method')
  if (listOf(node['options']).length > 0) walk.findings.forbid('sets storage parameters')
}

function walkPartitions(walk: Walk, node: Node, scope: Scope): void {
  if (isNode(node['partbound'])) walkBound(walk, node['partbound'])
  const spec = node['partspec']
  if (!isNode(spec)) return
  checkFields(walk.findings, 'PartitionSpec', spec)
  for (const value of listOf(spec['partParams'])) {
    const element = nodeOf(value, 'PartitionElem')
    if (element === undefined) walk.findings.misunderstand('a partition key of an unknown shape')
    else walkNode(walk, 'PartitionElem', element, scope)
  }
}

/** The bounds of a partition, in which MINVALUE and MAXVALUE look like columns. */
function walkBound(walk: Walk, bound: Node): void {
  walkNode(walk, 'PartitionBoundSpec', bound, definitionScope(undefined, ['minvalue', 'maxvalue']))
}

function walkTableElement(
  walk: Walk,
  value: unknown,
  scope: Scope,
  table: { readonly schema: string; readonly name: string },
): void {
  const wrapped = unwrap(value)
  if (wrapped?.type === 'ColumnDef') walkColumn(walk, wrapped.node, scope, table)
  else if (wrapped?.type === 'Constraint') walkConstraint(walk, value, scope, table)
  else if (wrapped?.type === 'TableLikeClause') {
    checkFields(walk.findings, 'TableLikeClause', wrapped.node)
    const source = isNode(wrapped.node['relation']) ? findRelation(walk, wrapped.node['relation']) : undefined
    const origin = source === undefined ? undefined : readRelation(walk, source)
    if (origin !== undefined) charge(walk, origin, undefined)
  } else walk.findings.misunderstand(`${wrapped?.type ?? 'something'} in CREATE TABLE`)
}

/** A column, with its type, default and constraints. */
export function walkColumn(
  walk: Walk,
  column: Node,
  scope: Scope,
  table: { readonly schema: string; readonly name: string },
): void {
  // Pseudo-types that make a sequence of the column's own.
  const typeName = column['typeName']
  const words = isNode(typeName) ? wordsOf(typeName['names']) : undefined
  const isSerial = words?.length === 1 && /^(small|big)?serial[248]?$/.test(words[0] ?? '')
  walkNode(walk, 'ColumnDef', isSerial ? without(column, 'typeName') : column, scope)
  if (column['fdwoptions'] !== undefined) walk.findings.forbid('sets options of a foreign table')
  for (const value of listOf(column['constraints'])) walkConstraint(walk, value, scope, table)
}

function without(node: Node, field: string): Node {
  return Object.fromEntries(Object.entries(node).filter(([name]) => name !== field))
}

export function walkConstraint(
  walk: Walk,
  value: unknown,
  scope: Scope,
  table: { readonly schema: string; readonly name: string },
): void {
  const node = nodeOf(value, 'Constraint')
  if (node === undefined) {
    walk.findings.misunderstand('a constraint of an unknown shape')
    return
  }
  walkNode(walk, 'Constraint', node, scope)
  if (node['indexspace'] !== undefined) walk.findings.forbid('chooses a tablespace')
  // The options of an identity column are those of its sequence; elsewhere they are storage parameters.
  if (node['contype'] === 'CONSTR_IDENTITY') useIdentityOptions(walk, node['options'])
  else if (listOf(node['options']).length > 0) walk.findings.forbid('sets storage parameters')
  for (const exclusion of listOf(node['exclusions'])) {
    const [element, operator] = listOf(nodeOf(exclusion, 'List')?.['items'])
    const index = nodeOf(element, 'IndexElem')
    if (index === undefined) walk.findings.misunderstand('an exclusion of an unknown shape')
    else walkNode(walk, 'IndexElem', index, scope)
    useOperator(walk, listOf(nodeOf(operator, 'List')?.['items']))
  }
  if (isNode(node['pktable'])) references(walk, node['pktable'], node['pk_attrs'], table)
}

/** An identity column's sequence has the column's name; another would be made anywhere (`SEQUENCE NAME hr.s`). */
function useIdentityOptions(walk: Walk, options: unknown): void {
  for (const value of listOf(options)) {
    const name = nodeOf(value, 'DefElem')?.['defname']
    // ALWAYS or BY DEFAULT is the column's own option; the others are its sequence's.
    if (name !== 'generated' && !SEQUENCE_OPTIONS.has(name))
      walk.findings.forbid('names the sequence of an identity column, or its owner')
  }
}

/** A foreign key: inserting into its table then tells what the other holds. */
function references(
  walk: Walk,
  rangeVar: Node,
  columns: unknown,
  table: { readonly schema: string; readonly name: string },
): void {
  const written = nameOf(walk, rangeVar)
  if (written === undefined) return
  if (written.name === table.name && (written.schema ?? walk.catalog.schema) === table.schema) return
  const relation = findRelation(walk, rangeVar)
  const origin = relation === undefined ? undefined : readRelation(walk, relation, 'references')
  if (relation === undefined || origin === undefined) return
  if (origin.kind !== 'table') walk.findings.forbid('refers to something that is not a table')
  const names = listOf(columns).map(wordOf)
  if (names.length === 0) charge(walk, origin, undefined)
  for (const name of names) charge(walk, origin, name)
}

/** Changes of a table by ALTER TABLE that `alter` covers. Not owners, triggers, tablespaces, storage or typed tables. */
const ALTERATIONS: ReadonlySet<unknown> = new Set([
  'AT_AddColumn',
  'AT_AddConstraint',
  'AT_AddIdentity',
  'AT_AlterColumnType',
  'AT_AlterConstraint',
  'AT_AttachPartition',
  'AT_ColumnDefault',
  'AT_DetachPartition',
  'AT_DisableRowSecurity',
  'AT_DropColumn',
  'AT_DropConstraint',
  'AT_DropExpression',
  'AT_DropIdentity',
  'AT_DropNotNull',
  'AT_EnableRowSecurity',
  'AT_ForceRowSecurity',
  'AT_NoForceRowSecurity',
  'AT_SetIdentity',
  'AT_SetNotNull',
  'AT_SetStatistics',
  'AT_ValidateConstraint',
])

export function walkAlterTable(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'AlterTableStmt', node)
  if (node['objtype'] !== 'OBJECT_TABLE') {
    walk.findings.forbid('alters something that is not a table')
    return 'ddl'
  }
  const relation = changedTable(walk, node['relation'], 'alter')
  if (relation === undefined) return 'ddl'
  const scope = rowsScope(relation)
  for (const value of listOf(node['cmds'])) {
    const command = nodeOf(value, 'AlterTableCmd')
    if (command === undefined || !ALTERATIONS.has(command['subtype'])) {
      walk.findings.forbid(
        `${String(command?.['subtype'] ?? 'a change')} is not a change that a run may make`,
      )
      continue
    }
    checkFields(walk.findings, 'AlterTableCmd', command)
    if (command['newowner'] !== undefined) walk.findings.forbid('changes an owner')
    refuseCascade(walk, command)
    readByAlteration(walk, command, relation)
    walkAlteration(walk, command['def'], scope, relation)
  }
  return 'ddl'
}

/** What an alteration reads of the rows that are there, besides the columns in its expressions. */
function readByAlteration(walk: Walk, command: Node, relation: Relation): void {
  const { findings } = walk
  switch (command['subtype']) {
    case 'AT_AlterColumnType':
      // Each value is converted, and the error of one that cannot be shows it.
      findings.column('select', relation, stringOf(command['name']))
      return
    case 'AT_DropColumn':
      // The columns after it move up, under what positional names (`t AS x (a, b)`) were judged for.
      findings.column('select', relation, undefined)
      return
    case 'AT_AddConstraint':
      readByConstraint(walk, nodeOf(command['def'], 'Constraint'), relation)
      return
    case 'AT_AttachPartition': {
      // All rows of the partition become rows of the table.
      const partition = nodeOf(command['def'], 'PartitionCmd')?.['name']
      const child = isNode(partition) ? findRelation(walk, partition) : undefined
      if (child === undefined) return
      for (const action of ['select', 'insert', 'update'] as const) findings.column(action, child, undefined)
      findings.touch('delete', child)
    }
  }
}

/** Keys that the rows do not fulfil are shown: `Key (email)=(…) is duplicated`. */
function readByConstraint(walk: Walk, constraint: Node | undefined, relation: Relation): void {
  for (const list of [constraint?.['keys'], constraint?.['fk_attrs']]) {
    for (const name of listOf(list)) walk.findings.column('select', relation, wordOf(name))
  }
  // The keys are those of an index that is there.
  if (constraint?.['indexname'] !== undefined) walk.findings.column('select', relation, undefined)
  for (const exclusion of listOf(constraint?.['exclusions'])) {
    const [element] = listOf(nodeOf(exclusion, 'List')?.['items'])
    readByIndex(walk, nodeOf(element, 'IndexElem'), relation)
  }
}

function readByIndex(walk: Walk, element: Node | undefined, relation: Relation): void {
  const name = stringOf(element?.['name'])
  if (name !== undefined) walk.findings.column('select', relation, name)
}

function walkAlteration(walk: Walk, definition: unknown, scope: Scope, relation: Relation): void {
  if (definition === undefined) return
  const wrapped = unwrap(definition)
  switch (wrapped?.type) {
    case 'ColumnDef':
      walkColumn(walk, wrapped.node, scope, relation)
      return
    case 'Constraint':
      walkConstraint(walk, definition, scope, relation)
      return
    case 'PartitionCmd':
      walkNode(walk, 'PartitionCmd', without(wrapped.node, 'bound'), scope)
      if (isNode(wrapped.node['bound'])) walkBound(walk, wrapped.node['bound'])
      changedTable(walk, wrapped.node['name'], 'alter')
      return
    case 'List':
      useIdentityOptions(walk, wrapped.node['items'])
      return
    case 'ATAlterConstraint':
      return
    case 'Integer':
      return
    default:
      // A new default.
      walkExpression(walk, definition, scope)
  }
}

export function refuseCascade(walk: Walk, node: Node): void {
  if (node['behavior'] === 'DROP_CASCADE') {
    walk.findings.forbid('CASCADE drops objects that the statement does not name')
  }
}

export function walkCreateIndex(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'IndexStmt', node)
  const relation = changedTable(walk, node['relation'], 'index')
  if (node['tableSpace'] !== undefined) walk.findings.forbid('chooses a tablespace')
  const scope = changedScope(relation)
  for (const value of listOf(node['indexParams'])) {
    const element = nodeOf(value, 'IndexElem')
    if (element === undefined) walk.findings.misunderstand('an index column of an unknown shape')
    else {
      walkNode(walk, 'IndexElem', element, scope)
      if (relation !== undefined && node['unique'] === true) readByIndex(walk, element, relation)
    }
  }
  walkExpression(walk, node['whereClause'], scope)
  return 'ddl'
}
