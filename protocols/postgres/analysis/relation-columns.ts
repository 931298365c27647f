/** Columns that are read or written, and what the server runs on their values unasked. */
import type { RelationAction } from '../../access.ts'
import type { Relation } from '../catalog.ts'
import type { Walk } from './walk.ts'

/**
 * Notes that a column is touched, with the casts that users have made implicit from or to its type: which of them the server puts
 * into an expression depends on the types of all its parts, so that each counts.
 *
 * @param column `undefined`: the whole relation
 */
export function touchColumn(
  walk: Walk,
  action: RelationAction,
  relation: Relation,
  column: string | undefined,
): void {
  walk.findings.column(action, relation, column)
  const { casts } = relation
  if (casts === undefined) return
  for (const [name, calls] of casts) {
    if (column !== undefined && column !== name) continue
    for (const call of calls) walk.findings.add({ kind: 'routine', action: 'execute', ...call })
  }
}
