/**
 * Types named in a statement. A cast to a built-in type runs built-in code; a cast to a domain runs its checks, a
 * cast that a user defined runs that user's function, and the `reg*` types look names up in the catalog.
 */
import { keyOf, type UserType } from '../catalog.ts'
import { checkFields } from './fields.ts'
import type { Node } from './grammar.ts'
import { touchColumn } from './relation-columns.ts'
import { isThisDatabase } from './relations.ts'
import { EMPTY_SCOPE } from './scope.ts'
import { errorAt, type Walk, wordsOf } from './walk.ts'

/** Built-in types whose input and output run nothing but built-in code on the value alone. */
const PLAIN_TYPES = words(`
  bit bool box bpchar bytea char cid cidr circle date datemultirange daterange float4 float8 inet int2
  int2vector int4 int4multirange int4range int8 int8multirange int8range interval json jsonb jsonpath line lseg
  macaddr macaddr8 money name numeric nummultirange numrange oid oidvector path pg_lsn pg_snapshot point polygon
  record refcursor text tid time timestamp timestamptz timetz tsmultirange tsquery tsrange tstzmultirange
  tstzrange tsvector txid_snapshot unknown uuid varbit varchar xid xid8 xml void
`)

/** Built-in types that look a name up in the catalog, and the metadata bundle that this belongs to. */
const CATALOG_TYPES: ReadonlyMap<string, 'driver' | 'introspect'> = new Map([
  // pg_type itself is in the driver bundle.
  ['regtype', 'driver'],
  ['regconfig', 'driver'],
  ['regdictionary', 'driver'],
  ['regclass', 'introspect'],
  ['regcollation', 'introspect'],
  ['regnamespace', 'introspect'],
  ['regoper', 'introspect'],
  ['regoperator', 'introspect'],
  ['regproc', 'introspect'],
  ['regprocedure', 'introspect'],
  ['regrole', 'introspect'],
  ['aclitem', 'introspect'],
])

/** Notes what naming a type in a cast or a column definition needs. */
export function useType(walk: Walk, typeName: Node): void {
  checkFields(walk.findings, 'TypeName', typeName)
  if (typeName['pct_type'] === true) {
    walk.findings.misunderstand('a type given as the type of a column')
    return
  }
  walk.expression(typeName['typmods'], EMPTY_SCOPE)
  const parts = wordsOf(typeName['names'])
  if (parts === undefined || parts.length === 0 || parts.length > 3) {
    walk.findings.misunderstand('a type without a name')
    return
  }
  if (parts.length === 3 && !isThisDatabase(walk, parts[0])) return
  const name = parts[parts.length - 1] ?? ''
  const schema = parts.length > 1 ? parts[parts.length - 2] : undefined
  if (!useNamedType(walk, schema, name)) {
    const shown = schema === undefined ? name : `${schema}.${name}`
    walk.findings.unknown(`there is no type \`${shown}\``, () =>
      errorAt(walk, typeName, '42704', `type "${shown}" does not exist`),
    )
  }
}

/** @returns false where there is no such type */
export function useNamedType(walk: Walk, schema: string | undefined, name: string): boolean {
  const { catalog, findings } = walk
  if (schema === undefined || schema === 'pg_catalog') {
    const element = name.startsWith('_') ? name.slice(1) : name
    if (PLAIN_TYPES.has(element)) {
      useCasts(walk, keyOf('pg_catalog', element))
      return true
    }
    const level = CATALOG_TYPES.get(element)
    if (level !== undefined) {
      findings.metadata(level, `pg_catalog.${element}`)
      return true
    }
    const builtin = catalog.types.get(keyOf('pg_catalog', name))
    if (builtin !== undefined) {
      findings.misunderstand(`the type \`pg_catalog.${name}\` is not in the list of known types`)
      return true
    }
    if (schema !== undefined) return false
  }
  const where = schema ?? catalog.schema
  const type = catalog.types.get(keyOf(where, name))
  if (type !== undefined) {
    useUserType(walk, type)
    return true
  }
  if (catalog.complete) return false
  findings.add({ kind: 'type', action: 'usage', schema: where, name })
  return true
}

function useUserType(walk: Walk, type: UserType): void {
  useCasts(walk, keyOf(type.schema, type.name))
  if (type.rowOf !== undefined) {
    // The row type tells the columns of its relation, and converts to theirs.
    const row = { schema: type.schema, name: type.rowOf }
    const relation = walk.catalog.relations.get(keyOf(row.schema, row.name))
    if (relation === undefined) walk.findings.column('select', row, undefined)
    else touchColumn(walk, 'select', relation, undefined)
    return
  }
  if (!type.free) {
    walk.findings.add({ kind: 'type', action: 'usage', schema: type.schema, name: type.name })
  }
}

/** User-defined casts from or to a type that is named run their functions. */
function useCasts(walk: Walk, key: string): void {
  for (const { schema, name } of walk.catalog.casts.get(key) ?? []) {
    walk.findings.add({ kind: 'routine', action: 'execute', schema, name })
  }
}

/** True where a function call by this name would be a cast: `date('2026-01-01')`. */
export function isTypeName(walk: Walk, schema: string | undefined, name: string): boolean {
  return isBuiltinTypeName(schema, name) || userTypeOf(walk, schema, name) !== undefined
}

/** The type of this name that is not built in: those that are hide it. */
export function userTypeOf(walk: Walk, schema: string | undefined, name: string): UserType | undefined {
  if (isBuiltinTypeName(schema, name)) return undefined
  return walk.catalog.types.get(keyOf(schema ?? walk.catalog.schema, name))
}

export function isBuiltinTypeName(schema: string | undefined, name: string): boolean {
  return (
    (schema === undefined || schema === 'pg_catalog') && (PLAIN_TYPES.has(name) || CATALOG_TYPES.has(name))
  )
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}
