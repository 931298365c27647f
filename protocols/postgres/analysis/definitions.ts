/** DDL on what is not a table: views, sequences, types, schemas, triggers, policies; and dropping and renaming. */
import type { Access } from '../../access.ts'
import type { StatementAction } from '../../analysis.ts'
import { keyOf } from '../catalog.ts'
import { walkExpression } from './expressions.ts'
import { checkFields } from './fields.ts'
import { useNamedFunction } from './functions.ts'
import type { Node } from './grammar.ts'
import { findRelation, isThisDatabase, nameOf } from './relations.ts'
import { EMPTY_SCOPE } from './scope.ts'
import { SEQUENCE_OPTIONS } from './sequences.ts'
import {
  changedScope,
  changedTable,
  definitionScope,
  refuseCascade,
  walkColumn,
  walkConstraint,
} from './tables.ts'
import { useType } from './types.ts'
import { isNode, listOf, nodeOf, stringOf, unwrap, type Walk, wordsOf } from './walk.ts'

type Name = { readonly schema: string; readonly name: string }

/** A qualified name given as a list of words; `undefined`: the trouble is noted. */
function nameOfWords(walk: Walk, words: readonly string[] | undefined): Name | undefined {
  const name = words?.at(-1)
  if (words === undefined || name === undefined || words.length > 3) {
    walk.findings.misunderstand('a name of an unknown shape')
    return undefined
  }
  if (words.length === 3 && !isThisDatabase(walk, words[0])) return undefined
  const schema = words.length > 1 ? (words.at(-2) ?? '') : walk.catalog.schema
  if (schema.startsWith('pg_') || schema === 'information_schema') {
    walk.findings.forbid(`\`${schema}\` is the server's own`)
    return undefined
  }
  return { schema, name }
}

export function walkView(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'ViewStmt', node)
  const written = isNode(node['view']) ? nameOf(walk, node['view']) : undefined
  if (written === undefined) walk.findings.misunderstand('CREATE VIEW without a name')
  else {
    const view = { schema: written.schema ?? walk.catalog.schema, name: written.name }
    walk.findings.touch('create', view)
    if (node['replace'] === true) walk.findings.touch('alter', view)
  }
  if (listOf(node['options']).length > 0) walk.findings.forbid('sets options of a view')
  walk.query(node['query'], EMPTY_SCOPE)
  return 'ddl'
}

export function walkRefresh(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'RefreshMatViewStmt', node)
  changedTable(walk, node['relation'], 'alter')
  return 'ddl'
}

export function walkSequenceDefinition(walk: Walk, type: string, node: Node): StatementAction {
  checkFields(walk.findings, type, node)
  const written = isNode(node['sequence']) ? nameOf(walk, node['sequence']) : undefined
  if (written === undefined) walk.findings.misunderstand('a sequence without a name')
  else {
    const action = type === 'CreateSeqStmt' ? 'create' : 'alter'
    walk.findings.add({
      kind: 'sequence',
      action,
      schema: written.schema ?? walk.catalog.schema,
      name: written.name,
    })
  }
  for (const value of listOf(node['options'])) useSequenceOption(walk, nodeOf(value, 'DefElem'))
  return 'ddl'
}

function useSequenceOption(walk: Walk, option: Node | undefined): void {
  const name = option?.['defname']
  if (option !== undefined && SEQUENCE_OPTIONS.has(name)) return
  if (option !== undefined && name === 'as' && nodeOf(option['arg'], 'TypeName') !== undefined) return
  if (name !== 'owned_by') {
    walk.findings.misunderstand('an option of a sequence that is not modelled')
    return
  }
  // The sequence goes when its column does.
  const words = wordsOf(nodeOf(option?.['arg'], 'List')?.['items'])
  if (words?.length === 1 && words[0] === 'none') return
  const owner = nameOfWords(walk, words?.slice(0, -1))
  if (owner !== undefined) walk.findings.touch('alter', owner)
}

export function walkTypeDefinition(walk: Walk, type: string, node: Node): StatementAction {
  checkFields(walk.findings, type, node)
  const scope = definitionScope(undefined, ['value'])
  switch (type) {
    case 'CompositeTypeStmt': {
      const written = isNode(node['typevar']) ? nameOf(walk, node['typevar']) : undefined
      const name =
        written === undefined
          ? undefined
          : { schema: written.schema ?? walk.catalog.schema, name: written.name }
      useTypeName(walk, name, 'create')
      for (const value of listOf(node['coldeflist'])) {
        const column = nodeOf(value, 'ColumnDef')
        if (column === undefined || name === undefined)
          walk.findings.misunderstand('a type of an unknown shape')
        else walkColumn(walk, column, scope, name)
      }
      break
    }
    case 'CreateDomainStmt': {
      const name = nameOfWords(walk, wordsOf(node['domainname']))
      useTypeName(walk, name, 'create')
      if (isNode(node['typeName'])) useType(walk, node['typeName'])
      for (const value of listOf(node['constraints'])) {
        if (name !== undefined) walkConstraint(walk, value, scope, name)
      }
      break
    }
    case 'CreateEnumStmt':
      useTypeName(walk, nameOfWords(walk, wordsOf(node['typeName'])), 'create')
      break
    default:
      useTypeName(walk, nameOfWords(walk, wordsOf(node['typeName'])), 'alter')
  }
  return 'ddl'
}

function useTypeName(walk: Walk, name: Name | undefined, action: 'create' | 'alter' | 'drop'): void {
  if (name !== undefined) walk.findings.add({ kind: 'type', action, ...name })
}

export function walkCreateSchema(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'CreateSchemaStmt', node)
  const name = stringOf(node['schemaname'])
  if (name === undefined || node['authrole'] !== undefined)
    walk.findings.forbid('creates a schema for a role')
  else walk.findings.add({ kind: 'schema', action: 'create', name })
  if (listOf(node['schemaElts']).length > 0) {
    walk.findings.misunderstand('CREATE SCHEMA with objects in it: create them in statements of their own')
  }
  return 'ddl'
}

/** A trigger runs its function whenever the table is changed, by anyone. */
export function walkTrigger(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'CreateTrigStmt', node)
  const relation = changedTable(walk, node['relation'], 'trigger')
  if (isNode(node['constrrel'])) {
    const other = findRelation(walk, node['constrrel'])
    if (other !== undefined) walk.findings.column('references', other, undefined)
  }
  const words = wordsOf(node['funcname'])
  const name = words?.at(-1)
  const schema = words !== undefined && words.length > 1 ? words.at(-2) : undefined
  if (name === undefined || words === undefined || words.length > 2) {
    walk.findings.misunderstand('a trigger without a function')
  } else if (!useNamedFunction(walk, { schema, name, args: [], action: 'execute' })) {
    walk.findings.unknown(`there is no function \`${name}\``)
  }
  walkExpression(walk, node['whenClause'], changedScope(relation, ['old', 'new']))
  return 'ddl'
}

export function walkPolicy(walk: Walk, type: string, node: Node): StatementAction {
  checkFields(walk.findings, type, node)
  const relation = changedTable(walk, node['table'], 'alter')
  const scope = changedScope(relation)
  walkExpression(walk, node['qual'], scope)
  walkExpression(walk, node['with_check'], scope)
  return 'ddl'
}

export function walkComment(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'CommentStmt', node)
  const words = wordsOf(nodeOf(node['object'], 'List')?.['items'])
  switch (node['objtype']) {
    case 'OBJECT_TABLE':
    case 'OBJECT_VIEW':
    case 'OBJECT_MATVIEW':
      alterNamed(walk, words)
      break
    case 'OBJECT_COLUMN':
      alterNamed(walk, words?.slice(0, -1))
      break
    default:
      walk.findings.forbid('comments on something that is not a table, view or column')
  }
  return 'ddl'
}

function alterNamed(walk: Walk, words: readonly string[] | undefined): void {
  const name = nameOfWords(walk, words)
  if (name !== undefined) walk.findings.touch('alter', name)
}

export function walkDrop(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'DropStmt', node)
  refuseCascade(walk, node)
  for (const value of listOf(node['objects'])) {
    const words = dropWords(value)
    switch (node['removeType']) {
      case 'OBJECT_TABLE':
      case 'OBJECT_VIEW':
      case 'OBJECT_MATVIEW':
        dropRelation(walk, node, words)
        break
      case 'OBJECT_INDEX':
        dropIndex(walk, node, words)
        break
      case 'OBJECT_SEQUENCE':
        dropOther(walk, words, (name) => ({ kind: 'sequence', action: 'drop', ...name }))
        break
      case 'OBJECT_TYPE':
      case 'OBJECT_DOMAIN':
        dropOther(walk, words, (name) => ({ kind: 'type', action: 'drop', ...name }))
        break
      case 'OBJECT_SCHEMA':
        dropOther(walk, words, ({ name }) => ({ kind: 'schema', action: 'drop', name }))
        break
      case 'OBJECT_TRIGGER': {
        const table = nameOfWords(walk, words?.slice(0, -1))
        if (table !== undefined) walk.findings.touch('trigger', table)
        break
      }
      case 'OBJECT_POLICY':
        alterNamed(walk, words?.slice(0, -1))
        break
      default:
        walk.findings.forbid('drops something that a run may not drop')
    }
  }
  return 'ddl'
}

/** The name of a dropped object, which is a list, a type name or one word, by its kind. */
function dropWords(value: unknown): readonly string[] | undefined {
  const wrapped = unwrap(value)
  switch (wrapped?.type) {
    case 'List':
      return wordsOf(wrapped.node['items'])
    case 'TypeName':
      return wordsOf(wrapped.node['names'])
    case 'String':
      return wordsOf([value])
    default:
      return undefined
  }
}

function dropRelation(walk: Walk, node: Node, words: readonly string[] | undefined): void {
  const name = nameOfWords(walk, words)
  if (name === undefined) return
  walk.findings.touch('drop', name)
  if (node['missing_ok'] === true || !walk.catalog.complete) return
  if (walk.catalog.relations.has(keyOf(name.schema, name.name))) return
  const shown = words?.join('.') ?? name.name
  walk.findings.unknown(`there is no table \`${shown}\``, () => ({
    code: '42P01',
    message: `table "${shown}" does not exist`,
  }))
}

/** Dropping an index needs what creating one does: `index` on its table. */
function dropIndex(walk: Walk, node: Node, words: readonly string[] | undefined): void {
  const name = nameOfWords(walk, words)
  if (name === undefined) return
  const index = walk.catalog.relations.get(keyOf(name.schema, name.name))
  if (index?.indexOf !== undefined) walk.findings.touch('index', index.indexOf)
  else if (node['missing_ok'] !== true || index !== undefined || !walk.catalog.complete) {
    walk.findings.unknown(`there is no index \`${name.name}\``, () => ({
      code: '42704',
      message: `index "${name.name}" does not exist`,
    }))
  }
}

function dropOther(walk: Walk, words: readonly string[] | undefined, access: (name: Name) => Access): void {
  const name = nameOfWords(walk, words)
  if (name !== undefined) walk.findings.add(access(name))
}

/**
 * Renaming gives a name that grants may cover to something else, so it needs `create` for the new name; renaming
 * a column does the same with columns, so it needs all of the table.
 */
export function walkRename(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'RenameStmt', node)
  refuseCascade(walk, node)
  const kind = node['renameType']
  if (kind === 'OBJECT_DATABASE') {
    walk.findings.hop('wrong_database', 'renames a database')
    return 'ddl'
  }
  if (kind === 'OBJECT_INDEX') {
    renameIndex(walk, node)
    return 'ddl'
  }
  if (
    kind !== 'OBJECT_TABLE' &&
    kind !== 'OBJECT_VIEW' &&
    kind !== 'OBJECT_MATVIEW' &&
    kind !== 'OBJECT_COLUMN' &&
    kind !== 'OBJECT_TABCONSTRAINT'
  ) {
    walk.findings.forbid('renames something that a run may not rename')
    return 'ddl'
  }
  const relation = changedTable(walk, node['relation'], 'alter')
  if (relation === undefined) return 'ddl'
  if (kind === 'OBJECT_COLUMN') {
    for (const action of ['select', 'insert', 'update'] as const) {
      walk.findings.column(action, relation, undefined)
    }
  } else if (kind !== 'OBJECT_TABCONSTRAINT') {
    walk.findings.touch('drop', relation)
    walk.findings.touch('create', { schema: relation.schema, name: stringOf(node['newname']) ?? '' })
  }
  return 'ddl'
}

function renameIndex(walk: Walk, node: Node): void {
  const index = isNode(node['relation']) ? findRelation(walk, node['relation']) : undefined
  if (index?.indexOf !== undefined) walk.findings.touch('index', index.indexOf)
  else if (index !== undefined) walk.findings.misunderstand(`\`${index.name}\` is not an index`)
}
