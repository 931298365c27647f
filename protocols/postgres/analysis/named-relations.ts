/**
 * The relations that refused statements name, read off their tree. The walk over it stops where it is refused, and some
 * kinds of statement are not walked at all.
 */
import type { Access } from '../../access.ts'
import { keyOf, type PostgresCatalog } from '../catalog.ts'
import type { Node } from './grammar.ts'
import { schemaOf } from './relations.ts'
import { isNode, stringOf } from './walk.ts'

/** Every relation of the catalog that a RangeVar anywhere in the statements names, except where that may be a CTE. */
export function namedRelations(statements: readonly Node[], catalog: PostgresCatalog): readonly Access[] {
  const rangeVars: Node[] = []
  const commonTables = new Set<string>()
  // A list and not the stack: a statement may be refused for its depth.
  const open: unknown[] = [...statements]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    if (isNode(value)) {
      if (typeof value['relname'] === 'string') rangeVars.push(value)
      if (typeof value['ctename'] === 'string') commonTables.add(value['ctename'])
    }
    for (const inner of Object.values(value)) if (typeof inner === 'object') open.push(inner)
  }
  const named = new Map<string, Access>()
  for (const rangeVar of rangeVars) {
    const name = stringOf(rangeVar['relname']) ?? ''
    const database = stringOf(rangeVar['catalogname']) ?? catalog.database
    const written = stringOf(rangeVar['schemaname'])
    if (database !== catalog.database || (written === undefined && commonTables.has(name))) continue
    const schema = written ?? schemaOf(catalog, name)
    const key = keyOf(schema, name)
    if (!catalog.complete || catalog.relations.has(key))
      named.set(key, { kind: 'relation', action: 'select', schema, name, columns: undefined })
  }
  return [...named.values()]
}
