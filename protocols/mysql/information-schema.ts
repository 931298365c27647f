/**
 * The tables of information_schema that may be read: those from which ORMs and tools learn names, columns, types
 * and keys. All others tell of other sessions, accounts, files, statistics, or the text of routines and triggers.
 *
 * https://dev.mysql.com/doc/refman/8.4/en/information-schema.html
 */
import { asciiLower } from './naming.ts'
import type { Needs } from './parser/needs.ts'
import type { Rules } from './parser/reader.ts'
import { forbidden } from './parser/refusal.ts'

export const INFORMATION_SCHEMA = 'information_schema'

/** Each with the column that says which database a row is about; `undefined`: its rows are about none. */
const READABLE: ReadonlyMap<string, string | undefined> = new Map([
  ['character_sets', undefined],
  ['check_constraints', 'CONSTRAINT_SCHEMA'],
  ['collation_character_set_applicability', undefined],
  ['collations', undefined],
  ['columns', 'TABLE_SCHEMA'],
  ['engines', undefined],
  ['key_column_usage', 'TABLE_SCHEMA'],
  ['keywords', undefined],
  ['referential_constraints', 'CONSTRAINT_SCHEMA'],
  ['schemata', 'SCHEMA_NAME'],
  ['sequences', 'SEQUENCE_SCHEMA'],
  ['statistics', 'TABLE_SCHEMA'],
  ['table_constraints', 'TABLE_SCHEMA'],
  ['tables', 'TABLE_SCHEMA'],
  ['views', 'TABLE_SCHEMA'],
])

/** Notes the read, or refuses it. The columns are not known: they differ between versions. */
export function readInformationSchema(needs: Needs, name: string): undefined {
  const folded = asciiLower(name)
  if (!READABLE.has(folded)) forbidden(`information_schema.${folded} is not open to runs`)
  needs.metadata('introspect', `${INFORMATION_SCHEMA}.${folded}`)
  return undefined
}

/**
 * A query for those rows of the table that are about the pinned database, to be read in its place; `undefined`: every row
 * may be read. The backend's account may see other databases, of which a run learns not even the names.
 */
export function ownRows(rules: Rules, name: string): string | undefined {
  const column = READABLE.get(asciiLower(name))
  if (column === undefined) return undefined
  return `SELECT * FROM ${INFORMATION_SCHEMA}.${quotedName(name)} WHERE ${isOwnDatabase(rules, column)}`
}

/** @param column of a table of information_schema, or of the answer to `SHOW DATABASES` */
export function isOwnDatabase({ catalog, isMysql }: Rules, column: string): string {
  const literal = `'${catalog.database.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
  const equals = `${column} = ${literal}`
  // MariaDB compares them without regard to case even where databases differ by it; the first half finds the row quickly.
  return isMysql || catalog.lowerCaseTableNames === 2 ? equals : `${equals} AND BINARY ${column} = ${literal}`
}

export function quotedName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}
