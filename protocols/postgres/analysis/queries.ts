/** Which code walks which kind of query. */
import { walkDelete, walkInsert, walkMerge, walkUpdate } from './changes.ts'
import { type Result, type Scope, UNKNOWN_RESULT } from './scope.ts'
import { walkSelect } from './select.ts'
import { unwrap, type Walk } from './walk.ts'

/**
 * Walks a wrapped query.
 *
 * @param level the query's own level, without items yet: its `ctes` are those of a WITH around it
 */
export function walkQuery(walk: Walk, value: unknown, level: Scope): Result {
  const wrapped = unwrap(value)
  switch (wrapped?.type) {
    case 'SelectStmt':
      return walkSelect(walk, wrapped.node, level)
    case 'InsertStmt':
      return walkInsert(walk, wrapped.node, level)
    case 'UpdateStmt':
      return walkUpdate(walk, wrapped.node, level)
    case 'DeleteStmt':
      return walkDelete(walk, wrapped.node, level)
    case 'MergeStmt':
      return walkMerge(walk, wrapped.node, level)
    default:
      walk.findings.misunderstand(`${wrapped?.type ?? 'something'} in the place of a query`)
      return UNKNOWN_RESULT
  }
}
