/**
 * Names of relations, resolved as the server does under the pinned search path `<schema>, pg_temp`:
 * `pg_catalog` first, because the path does not list it, and temporary relations last.
 *
 * https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH
 */
import type { RelationAction } from '../../access.ts'
import { keyOf, type PostgresCatalog, type Relation } from '../catalog.ts'
import { catalogHop, catalogRelation, isCatalogSchema } from './catalog-relations.ts'
import { checkFields } from './fields.ts'
import type { Node } from './grammar.ts'
import { touchColumn } from './relation-columns.ts'
import { type Charge, type Column, type Item, type Origin, SYSTEM_COLUMNS } from './scope.ts'
import { errorAt, listOf, NOTE_WORK, stringOf, type Walk, wordOf } from './walk.ts'

/** The schema-qualified name that a RangeVar means, after the checks that do not depend on what is there. */
export function nameOf(
  walk: Walk,
  rangeVar: Node,
): { readonly schema: string | undefined; readonly name: string } | undefined {
  checkFields(walk.findings, 'RangeVar', rangeVar)
  const name = stringOf(rangeVar['relname'])
  const schema = stringOf(rangeVar['schemaname'])
  const database = stringOf(rangeVar['catalogname'])
  if (name === undefined) {
    walk.findings.misunderstand('a relation without a name')
    return undefined
  }
  if (!isThisDatabase(walk, database)) return undefined
  if (schema?.startsWith('pg_temp') || rangeVar['relpersistence'] === 't') {
    walk.findings.forbid('temporary relations can hide granted ones, so they are not relayed')
    return undefined
  }
  return { schema, name }
}

export function isThisDatabase(walk: Walk, database: string | undefined): boolean {
  if (database === undefined || database === walk.catalog.database) return true
  walk.findings.hop('wrong_database', `names another database: \`${database}\``, database)
  return false
}

/** The relation that a RangeVar names; `undefined`: the trouble is noted. */
export function findRelation(walk: Walk, rangeVar: Node): Relation | undefined {
  const written = nameOf(walk, rangeVar)
  if (written === undefined) return undefined
  const { catalog, findings } = walk
  const { name } = written
  const schema = written.schema ?? schemaOf(catalog, name)
  const relation = catalog.relations.get(keyOf(schema, name))
  if (relation !== undefined) return relation
  if (isCatalogSchema(schema) && !catalog.complete) {
    return { schema, name, kind: 'v', columns: undefined }
  }
  if (!catalog.complete) return { schema, name, kind: 'r', columns: undefined }
  const shown = written.schema === undefined ? name : `${schema}.${name}`
  const native = () =>
    written.schema !== undefined && !catalog.schemas.has(schema)
      ? errorAt(walk, rangeVar, '3F000', `schema "${schema}" does not exist`)
      : errorAt(walk, rangeVar, '42P01', `relation "${shown}" does not exist`)
  findings.unknown(`there is no relation \`${shown}\``, native)
  return undefined
}

/** The schema in which an unqualified relation name is found. */
export function schemaOf(catalog: PostgresCatalog, name: string): string {
  if (catalog.relations.has(keyOf('pg_catalog', name))) return 'pg_catalog'
  if (!catalog.complete && (name.startsWith('pg_') || catalogRelation('pg_catalog', name) !== undefined)) {
    return 'pg_catalog'
  }
  return catalog.schema
}

/**
 * The origin of a relation that is read, after noting that it is. `undefined`: it may not be read by anyone, and
 * that is noted.
 */
export function readRelation(
  walk: Walk,
  relation: Relation,
  action: RelationAction = 'select',
): Origin | undefined {
  const { findings } = walk
  const { schema, name, kind } = relation
  const shown = `${schema}.${name}`
  if (isCatalogSchema(schema)) {
    const known = catalogRelation(schema, name)
    if (known !== undefined) {
      findings.metadata(known.level, shown)
      return { kind: 'catalog', relation: known, name: shown }
    }
    const hop = catalogHop(name)
    if (hop !== undefined) findings.hop(hop, `reads \`${shown}\``, shown)
    else findings.forbid(`\`${shown}\` is not part of the catalog that a run may read`)
    return undefined
  }
  if (schema.startsWith('pg_')) {
    // pg_toast holds the long values of all tables; other runs' temporary schemas are theirs.
    findings.forbid(`\`${shown}\` is in a schema of the server's own`)
    return undefined
  }
  const hop = catalogHop(name)
  if (hop !== undefined && name.startsWith('pg_')) {
    // pg_stat_statements and its like live in the schema their extension was put in.
    findings.hop(hop, `reads \`${shown}\``, shown)
    return undefined
  }
  switch (kind) {
    case 'r':
    case 'p':
    case 'v':
    case 'm':
    case 'f':
      findings.touch(action, relation)
      return { kind: 'table', relation, action }
    case 'S':
      findings.add({ kind: 'sequence', action: 'select', schema, name })
      return { kind: 'sequence', relation }
    case 'c':
    case 'i':
    case 'I':
    case 't':
      findings.misunderstand(`\`${shown}\` is not a table`)
      return undefined
  }
}

/** Notes that a column of a relation is read; `undefined`: all of it. */
export function charge(walk: Walk, origin: Origin, column: string | undefined): void {
  switch (origin.kind) {
    case 'table':
      // Privileges on system columns cannot be granted one by one: reading one needs the whole table.
      touchColumn(
        walk,
        origin.action,
        origin.relation,
        column !== undefined && SYSTEM_COLUMNS.has(column) ? undefined : column,
      )
      return
    case 'sequence':
      return
    case 'unlisted':
      walk.findings.unknown('a table is named by its number that there is not')
      return
    case 'catalog': {
      const { hidden } = origin.relation
      if (hidden.size === 0) return
      if (column === undefined) {
        walk.findings.forbid(`\`${origin.name}\` has columns that may not be read: ${[...hidden].join(', ')}`)
      } else if (hidden.has(column) && !walk.catalog.blank.has(`${origin.name}.${column}`)) {
        walk.findings.forbid(`\`${origin.name}.${column}\` may not be read`)
      }
    }
  }
}

export function chargeAll(walk: Walk, charges: readonly Charge[]): void {
  walk.work.spend(charges.length * NOTE_WORK)
  for (const { origin, column } of charges) charge(walk, origin, column)
}

/** A relation as a FROM item, with its alias applied. */
export function relationItem(origin: Origin, relation: Relation, alias: Node | undefined, bare = true): Item {
  const columns = (relation.columns ?? []).map(
    (name): Column => ({
      name,
      charges: [{ origin, column: name }],
      // Those of the catalog stay as they are.
      ...(origin.kind === 'table' && { ofTable: true }),
    }),
  )
  const item: Item = {
    name: relation.name,
    schema: relation.schema,
    columns,
    open: relation.columns === undefined,
    origin,
    bases: [origin],
    bare,
    named: true,
  }
  return alias === undefined ? item : aliased(item, alias)
}

/** An item under an alias: `users AS u (a, b)` renames its first columns. */
export function aliased(item: Item, alias: Node): Item {
  const names = listOf(alias['colnames']).map((name) => wordOf(name) ?? '')
  const columns = item.columns.map((column, index): Column => {
    const name = names[index]
    return name === undefined ? column : { name, charges: column.charges }
  })
  // More names than known columns: those of a function, or of a table that is not known.
  for (const name of names.slice(columns.length)) {
    columns.push({
      name,
      charges: item.origin === undefined ? [] : [{ origin: item.origin, column: undefined }],
    })
  }
  return { ...item, name: stringOf(alias['aliasname']), schema: undefined, columns }
}
