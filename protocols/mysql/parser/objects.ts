/** Names of tables and routines: which object of which database they mean. */
import { INFORMATION_SCHEMA, readInformationSchema } from '../information-schema.ts'
import { asciiLower } from '../naming.ts'
import { type CommonTables, findCommonTable } from './common-tables.ts'
import type { Identifier } from './cursor.ts'
import type { Reader } from './reader.ts'
import { hop, notUnderstood, unknownObject } from './refusal.ts'
import { isAscii, type Source } from './scope.ts'

/** A name of one or two parts, as written. */
export type ObjectName = { readonly schema: Identifier | undefined; readonly name: Identifier }

export function objectName(reader: Reader, what: string): ObjectName {
  const { cursor } = reader
  const first = cursor.identifier(what)
  if (!cursor.acceptOperator('.')) return { schema: undefined, name: first }
  return { schema: first, name: cursor.identifier(what) }
}

/** Refuses every database but the pinned one; true where the name is `information_schema`. */
export function isInformationSchema(reader: Reader, { schema }: ObjectName): boolean {
  if (schema === undefined) return false
  const { names } = reader.rules
  if (names.database(schema.name) === names.defaultSchema) return false
  if (asciiLower(schema.name) === INFORMATION_SCHEMA) return true
  return hop('wrong_database', `\`${schema.name}\` is another database`, schema.name)
}

/** The canonical name of a table of the pinned database, which must exist where the catalog is complete. */
export function baseTable(reader: Reader, written: ObjectName): string {
  const { rules } = reader
  if (isInformationSchema(reader, written)) return notUnderstood('information_schema is only read from')
  const name = rules.names.relation(written.name.name, written.name.quoted)
  if (rules.catalog.complete && rules.relation(name) === undefined) {
    const full = `${rules.catalog.database}.${name}`
    unknownObject(`there is no table \`${full}\``, {
      code: '42S02',
      message: `Table '${full}' doesn't exist`,
    })
  }
  return name
}

/** Refuses names that the server compares by tables that we do not have. */
export function aliasName(reader: Reader, name: string): string {
  if (reader.rules.catalog.lowerCaseTableNames !== 0 && !isAscii(name)) {
    notUnderstood('an alias beyond ASCII on a server that does not compare table names exactly')
  }
  const folded = reader.rules.names.relation(name, true)
  reader.needs.addLocalName(folded)
  return folded
}

/** The name under which a table without an alias goes. */
export function ownName(reader: Reader, { name }: ObjectName): string {
  return reader.rules.names.relation(name.name, name.quoted)
}

/** A table that is read from: notes the need and gives what it brings to a scope. */
export function readTable(
  reader: Reader,
  written: ObjectName,
  options: { readonly alias: string | undefined; readonly commonTables: CommonTables | undefined },
): Source {
  const { rules, needs } = reader
  const alias = options.alias === undefined ? ownName(reader, written) : aliasName(reader, options.alias)
  if (written.schema === undefined && options.commonTables !== undefined) {
    needs.spend(options.commonTables.depth)
    const common = findCommonTable(options.commonTables, written.name.name)
    if (common !== undefined) return { alias, relation: undefined, columns: common.columns }
  }
  if (isInformationSchema(reader, written)) {
    return { alias, relation: undefined, columns: readInformationSchema(needs, written.name.name) }
  }
  const name = baseTable(reader, written)
  if (rules.relation(name)?.kind === 'sequence') {
    needs.sequence('select', name)
    return { alias, relation: undefined, columns: rules.columns(name) }
  }
  needs.touch('select', name)
  return { alias, relation: name, columns: rules.columns(name) }
}

/** A table that is written to. */
export function writtenTable(reader: Reader, written: ObjectName): string {
  const name = baseTable(reader, written)
  if (reader.rules.relation(name)?.kind === 'sequence')
    notUnderstood('a sequence is not written to like a table')
  return name
}

/** The canonical name of a routine of the pinned database. */
export function routineName(reader: Reader, written: ObjectName): string {
  if (isInformationSchema(reader, written)) notUnderstood('a routine of information_schema')
  const { name, quoted } = written.name
  if (!isAscii(name)) notUnderstood('a routine whose name is beyond ASCII')
  return reader.rules.names.routine(name, quoted)
}

/** A call of a function that is not built in. */
export function storedFunction(reader: Reader, written: ObjectName): void {
  const { catalog } = reader.rules
  const name = routineName(reader, written)
  if (catalog.complete && !catalog.functions.has(name)) {
    const full = `${catalog.database}.${name}`
    unknownObject(`there is no function \`${full}\``, {
      code: '42000',
      message: `FUNCTION ${full} does not exist`,
    })
  }
  reader.needs.routine('execute', name)
}

/** The last part of `c`, `t.c` or `db.t.c`, folded: a column of a table that is known from elsewhere. */
export function readTargetColumn(reader: Reader): string {
  const { cursor, rules } = reader
  let column = cursor.identifier('a column')
  for (let parts = 1; parts < 3 && cursor.acceptOperator('.'); parts++) column = cursor.identifier('a column')
  return rules.names.column(column.name, column.quoted)
}
