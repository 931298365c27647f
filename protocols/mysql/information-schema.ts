/**
 * The tables of information_schema that may be read: those from which ORMs and tools learn names, columns, types
 * and keys. All others tell of other sessions, accounts, files, statistics, or the text of routines and triggers.
 *
 * https://dev.mysql.com/doc/refman/8.4/en/information-schema.html
 */
import { asciiLower } from './naming.ts'
import type { Needs } from './parser/needs.ts'
import { forbidden } from './parser/refusal.ts'

export const INFORMATION_SCHEMA = 'information_schema'

const READABLE: ReadonlySet<string> = new Set([
  'character_sets',
  'check_constraints',
  'collation_character_set_applicability',
  'collations',
  'columns',
  'engines',
  'key_column_usage',
  'keywords',
  'referential_constraints',
  'schemata',
  'sequences',
  'statistics',
  'table_constraints',
  'tables',
  'views',
])

/** Notes the read, or refuses it. The columns are not known: they differ between versions. */
export function readInformationSchema(needs: Needs, name: string): undefined {
  const folded = asciiLower(name)
  if (!READABLE.has(folded)) forbidden(`information_schema.${folded} is not open to runs`)
  needs.metadata('introspect', `${INFORMATION_SCHEMA}.${folded}`)
  return undefined
}
