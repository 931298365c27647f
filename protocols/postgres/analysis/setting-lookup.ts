/**
 * `SELECT setting FROM pg_settings WHERE name = 'max_index_keys'`: how some drivers read a setting. `pg_settings`
 * as a whole is refused, this one shape is read as SHOW is.
 */
import { literalOf, useUserOperator } from './functions.ts'
import type { Node } from './grammar.ts'
import type { Result } from './scope.ts'
import { isReadableSetting } from './settings.ts'
import { isNode, listOf, nodeOf, type Walk, wordsOf } from './walk.ts'

/** The fields that the shape has; `limitOption` and `op` are always given. */
const FIELDS: ReadonlySet<string> = new Set(['targetList', 'fromClause', 'whereClause', 'limitOption', 'op'])

export function isSettingLookup(select: Node): boolean {
  const from = listOf(select['fromClause'])
  const table = nodeOf(from[0], 'RangeVar')
  if (from.length !== 1 || table === undefined || table['relname'] !== 'pg_settings') return false
  // Named by its schema, so that it is no common table expression.
  if (
    table['schemaname'] !== 'pg_catalog' ||
    table['catalogname'] !== undefined ||
    table['alias'] !== undefined
  ) {
    return false
  }
  if (!Object.keys(select).every((field) => FIELDS.has(field))) return false
  return listOf(select['targetList']).every(isSettingColumn) && namesReadableSetting(select['whereClause'])
}

function isSettingColumn(value: unknown): boolean {
  const target = nodeOf(value, 'ResTarget')
  const words = wordsOf(nodeOf(target?.['val'], 'ColumnRef')?.['fields'])
  return target?.['indirection'] === undefined && words?.length === 1 && words[0] === 'setting'
}

function namesReadableSetting(value: unknown): boolean {
  const comparison = nodeOf(value, 'A_Expr')
  if (comparison === undefined || comparison['kind'] !== 'AEXPR_OP') return false
  const operator = wordsOf(comparison['name'])
  const column = wordsOf(nodeOf(comparison['lexpr'], 'ColumnRef')?.['fields'])
  const constant = nodeOf(comparison['rexpr'], 'A_Const')
  if (operator?.join() !== '=' || column?.join() !== 'name' || !isNode(constant)) return false
  const setting = literalOf(comparison['rexpr'])
  return setting !== undefined && isReadableSetting(setting)
}

export function settingLookup(walk: Walk): Result {
  useUserOperator(walk, walk.catalog.schema, '=')
  walk.findings.metadata('driver', 'pg_catalog.pg_settings')
  return { columns: [{ name: 'setting', charges: [] }], open: false, bases: [] }
}
