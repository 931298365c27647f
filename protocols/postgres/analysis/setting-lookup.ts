/**
 * `SELECT setting FROM pg_settings WHERE name = 'max_index_keys'`: how some drivers read a setting. `pg_settings`
 * as a whole is refused, this one shape is read as SHOW is. And
 * `SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'y'`: how pg_dump changes one that the server may
 * not have; read as the same call with the name in its place.
 */
import { literalOf, useFunction, useUserOperator } from './functions.ts'
import type { Node } from './grammar.ts'
import { findCte, type Result, type Scope } from './scope.ts'
import { isReadableSetting } from './settings.ts'
import { listOf, nodeOf, type Walk, wordsOf } from './walk.ts'

/** The fields that the shape has; `limitOption` and `op` are always given. */
const FIELDS: ReadonlySet<string> = new Set(['targetList', 'fromClause', 'whereClause', 'limitOption', 'op'])

export function isSettingLookup(walk: Walk, select: Node): boolean {
  // Named by its schema, so that it is no common table expression.
  if (tableOf(select)?.['schemaname'] !== 'pg_catalog') return false
  const setting = literalOf(walk, settingNamed(select['whereClause']))
  if (setting === undefined || !isReadableSetting(setting)) return false
  return listOf(select['targetList']).every(isSettingColumn)
}

/** `pg_settings`, where the query has the shape so far. */
function tableOf(select: Node): Node | undefined {
  const from = listOf(select['fromClause'])
  const table = nodeOf(from[0], 'RangeVar')
  if (from.length !== 1 || table === undefined || table['relname'] !== 'pg_settings') return undefined
  if (table['catalogname'] !== undefined || table['alias'] !== undefined) return undefined
  return Object.keys(select).every((field) => FIELDS.has(field)) ? table : undefined
}

/** The call of `set_config` that the query makes, with the name of the setting; `undefined`: it is another query. */
export function settingChange(select: Node, level: Scope): Node | undefined {
  const table = tableOf(select)
  const schema = table?.['schemaname']
  if (table === undefined || (schema !== undefined && schema !== 'pg_catalog')) return undefined
  if (schema === undefined && findCte(level, 'pg_settings') !== undefined) return undefined
  const targets = listOf(select['targetList'])
  const target = nodeOf(targets[0], 'ResTarget')
  const call = nodeOf(target?.['val'], 'FuncCall')
  if (targets.length !== 1 || call === undefined || target?.['indirection'] !== undefined) return undefined
  if (!Object.keys(call).every((field) => CALL_FIELDS.has(field))) return undefined
  const [name, value, isLocal, ...more] = listOf(call['args'])
  const column = wordsOf(nodeOf(name, 'ColumnRef')?.['fields'])
  const setting = settingNamed(select['whereClause'])
  if (wordsOf(call['funcname'])?.at(-1) !== 'set_config' || column?.join() !== 'name' || more.length > 0)
    return undefined
  if (setting === undefined || nodeOf(isLocal, 'A_Const') === undefined) return undefined
  return { ...call, args: [setting, value, isLocal] }
}

/** What a plain call has. */
const CALL_FIELDS: ReadonlySet<string> = new Set(['funcname', 'args', 'funcformat', 'location'])

export function changeSetting(walk: Walk, call: Node): Result {
  useUserOperator(walk, walk.catalog.schema, '=')
  walk.findings.metadata('driver', 'pg_catalog.pg_settings')
  useFunction(walk, call)
  return { columns: [{ name: 'set_config', charges: [] }], open: false, bases: [] }
}

function isSettingColumn(value: unknown): boolean {
  const target = nodeOf(value, 'ResTarget')
  const words = wordsOf(nodeOf(target?.['val'], 'ColumnRef')?.['fields'])
  return target?.['indirection'] === undefined && words?.length === 1 && words[0] === 'setting'
}

/** The constant of `name = 'x'`. */
function settingNamed(value: unknown): unknown {
  const comparison = nodeOf(value, 'A_Expr')
  if (comparison === undefined || comparison['kind'] !== 'AEXPR_OP') return undefined
  const operator = wordsOf(comparison['name'])
  const column = wordsOf(nodeOf(comparison['lexpr'], 'ColumnRef')?.['fields'])
  if (operator?.join() !== '=' || column?.join() !== 'name') return undefined
  return nodeOf(comparison['rexpr'], 'A_Const') === undefined ? undefined : comparison['rexpr']
}

export function settingLookup(walk: Walk): Result {
  useUserOperator(walk, walk.catalog.schema, '=')
  walk.findings.metadata('driver', 'pg_catalog.pg_settings')
  return { columns: [{ name: 'setting', charges: [] }], open: false, bases: [] }
}
