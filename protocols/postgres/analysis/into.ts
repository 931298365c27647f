import { checkFields } from './fields.ts'
import { nameOf } from './relations.ts'
import { isNode, listOf, type Walk } from './walk.ts'

/** The new relation of `SELECT INTO`, `CREATE TABLE AS` and `CREATE MATERIALIZED VIEW`. */
export function useInto(walk: Walk, value: unknown): void {
  const relation = isNode(value) ? value['rel'] : undefined
  if (!isNode(value) || !isNode(relation)) {
    walk.findings.misunderstand('INTO of an unknown shape')
    return
  }
  checkFields(walk.findings, 'IntoClause', value)
  if (value['tableSpaceName'] !== undefined) walk.findings.forbid('chooses a tablespace')
  if (value['accessMethod'] !== undefined) walk.findings.forbid('chooses a table access method')
  if (listOf(value['options']).length > 0) walk.findings.forbid('sets storage parameters')
  const created = nameOf(walk, relation)
  if (created === undefined) return
  walk.findings.touch('create', { schema: created.schema ?? walk.catalog.schema, name: created.name })
}
