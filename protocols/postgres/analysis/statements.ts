/** Statements: which code reads which kind. */
import type { Analysis, StatementAction } from '../../analysis.ts'
import {
  walkComment,
  walkCreateSchema,
  walkDrop,
  walkPolicy,
  walkRefresh,
  walkRename,
  walkSequenceDefinition,
  walkTrigger,
  walkTypeDefinition,
  walkView,
} from './definitions.ts'
import { walkExpression } from './expressions.ts'
import { checkFields } from './fields.ts'
import { Findings } from './findings.ts'
import { useFunction } from './functions.ts'
import type { Node } from './grammar.ts'
import { useInto } from './into.ts'
import { refuse } from './refused-statements.ts'
import { charge, findRelation, readRelation, relationItem } from './relations.ts'
import { EMPTY_SCOPE, scopeOf } from './scope.ts'
import {
  nameIn,
  useParameterTypes,
  walkChannel,
  walkClose,
  walkConstraintsSet,
  walkDeallocate,
  walkDiscard,
  walkExecute,
  walkFetch,
  walkSet,
  walkShow,
  walkTransaction,
} from './session-statements.ts'
import { walkAlterTable, walkCreateIndex, walkCreateTable } from './tables.ts'
import { isNode, listOf, nodeOf, stringOf, unwrap, type Walk, wordOf } from './walk.ts'

/** Walks a wrapped statement. @returns what it mainly does */
export function walkStatement(walk: Walk, value: unknown): StatementAction {
  const wrapped = unwrap(value)
  if (wrapped === undefined) {
    walk.findings.misunderstand('a statement of an unknown shape')
    return 'unknown'
  }
  const { type, node } = wrapped
  switch (type) {
    case 'SelectStmt':
      walk.query(value, EMPTY_SCOPE)
      return node['intoClause'] === undefined ? 'select' : 'ddl'
    case 'InsertStmt':
      walk.query(value, EMPTY_SCOPE)
      return 'insert'
    case 'UpdateStmt':
      walk.query(value, EMPTY_SCOPE)
      return 'update'
    case 'DeleteStmt':
      walk.query(value, EMPTY_SCOPE)
      return 'delete'
    case 'MergeStmt':
      walk.query(value, EMPTY_SCOPE)
      return 'merge'
    case 'TransactionStmt':
      return walkTransaction(walk, node)
    case 'VariableSetStmt':
      return walkSet(walk, node)
    case 'VariableShowStmt':
      return walkShow(walk, node)
    case 'DiscardStmt':
      return walkDiscard(walk, node)
    case 'ConstraintsSetStmt':
      return walkConstraintsSet(walk, node)
    case 'PrepareStmt':
      return walkPrepare(walk, node)
    case 'ExecuteStmt':
      return walkExecute(walk, node)
    case 'DeallocateStmt':
      return walkDeallocate(walk, node)
    case 'DeclareCursorStmt':
      return walkDeclare(walk, node)
    case 'FetchStmt':
      return walkFetch(walk, node)
    case 'ClosePortalStmt':
      return walkClose(walk, node)
    case 'ListenStmt':
    case 'NotifyStmt':
      return walkChannel(walk, type, node)
    case 'UnlistenStmt':
      checkFields(walk.findings, type, node)
      return 'listen'
    case 'ExplainStmt':
      return walkExplain(walk, node)
    case 'CopyStmt':
      return walkCopy(walk, node)
    case 'LockStmt':
      return walkLock(walk, node)
    case 'TruncateStmt':
      return walkTruncate(walk, node)
    case 'CallStmt':
      return walkCall(walk, node)
    case 'CreateTableAsStmt':
      return walkCreateTableAs(walk, node)
    case 'CreateStmt':
      return walkCreateTable(walk, node)
    case 'AlterTableStmt':
      return walkAlterTable(walk, node)
    case 'IndexStmt':
      return walkCreateIndex(walk, node)
    case 'ViewStmt':
      return walkView(walk, node)
    case 'RefreshMatViewStmt':
      return walkRefresh(walk, node)
    case 'CreateSeqStmt':
    case 'AlterSeqStmt':
      return walkSequenceDefinition(walk, type, node)
    case 'AlterEnumStmt':
    case 'CompositeTypeStmt':
    case 'CreateDomainStmt':
    case 'CreateEnumStmt':
      return walkTypeDefinition(walk, type, node)
    case 'CreateSchemaStmt':
      return walkCreateSchema(walk, node)
    case 'CreateTrigStmt':
      return walkTrigger(walk, node)
    case 'CreatePolicyStmt':
    case 'AlterPolicyStmt':
      return walkPolicy(walk, type, node)
    case 'CommentStmt':
      return walkComment(walk, node)
    case 'DropStmt':
      return walkDrop(walk, node)
    case 'RenameStmt':
      return walkRename(walk, node)
    default:
      return refuse(walk, type)
  }
}

/** Walks a statement on its own, for a name that will carry it. */
function analyseInner(walk: Walk, value: unknown): Analysis {
  const findings = new Findings()
  const action = walkStatement(walk.apart(findings), value)
  walk.findings.merge(findings)
  return findings.result(action)
}

function walkPrepare(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'PrepareStmt', node)
  useParameterTypes(walk, node['argtypes'])
  const name = nameIn(walk, node['name'])
  const analysis = analyseInner(walk, node['query'])
  if (name !== undefined) walk.findings.uses.push({ kind: 'prepare', name, analysis })
  return 'prepare'
}

function walkDeclare(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'DeclareCursorStmt', node)
  const name = nameIn(walk, node['portalname'])
  const analysis = analyseInner(walk, node['query'])
  if (name !== undefined) walk.findings.uses.push({ kind: 'declare', name, analysis })
  return 'cursor'
}

/** EXPLAIN needs what its statement needs: with ANALYZE it runs it, without it still reads statistics. */
function walkExplain(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'ExplainStmt', node)
  for (const value of listOf(node['options'])) {
    const option = nodeOf(value, 'DefElem')
    if (option === undefined || !EXPLAIN_OPTIONS.has(String(option['defname']))) {
      walk.findings.misunderstand('an option of EXPLAIN that is not modelled')
    }
  }
  // The cursor is not made: its name would be known for a statement that the server does not know it for.
  const cursor = nodeOf(node['query'], 'DeclareCursorStmt')
  if (cursor === undefined) walkStatement(walk, node['query'])
  else {
    checkFields(walk.findings, 'DeclareCursorStmt', cursor)
    walk.query(cursor['query'], EMPTY_SCOPE)
  }
  return 'explain'
}

/** https://www.postgresql.org/docs/current/sql-explain.html; `settings` shows settings and is left out. */
const EXPLAIN_OPTIONS: ReadonlySet<string> = new Set([
  'analyze',
  'verbose',
  'costs',
  'generic_plan',
  'buffers',
  'serialize',
  'wal',
  'timing',
  'summary',
  'memory',
  'format',
])

function walkCreateTableAs(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'CreateTableAsStmt', node)
  if (node['objtype'] !== 'OBJECT_TABLE' && node['objtype'] !== 'OBJECT_MATVIEW') {
    walk.findings.misunderstand('CREATE … AS of an unknown kind')
  }
  useInto(walk, node['into'])
  walkStatement(walk, node['query'])
  return 'ddl'
}

/** https://www.postgresql.org/docs/current/sql-copy.html; options without a list of columns need no check. */
const COPY_OPTIONS: ReadonlySet<unknown> = new Set([
  'format',
  'freeze',
  'delimiter',
  'null',
  'default',
  'header',
  'quote',
  'escape',
  'force_quote',
  'force_not_null',
  'force_null',
  'on_error',
  'reject_limit',
  'encoding',
  'log_verbosity',
])

function walkCopy(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'CopyStmt', node)
  const { findings } = walk
  const filename = stringOf(node['filename'])
  if (node['is_program'] === true) findings.hop('outbound_reach', 'runs a program on the server', filename)
  else if (filename !== undefined)
    findings.hop('file_reach', "reads or writes a file of the server's", filename)
  for (const value of listOf(node['options'])) {
    const option = nodeOf(value, 'DefElem')
    if (option === undefined || !COPY_OPTIONS.has(option['defname'])) {
      findings.misunderstand('an option of COPY that is not modelled')
    }
    // Another encoding would have the data read in another way than it was judged.
    if (option?.['defname'] === 'encoding') findings.forbid('COPY in another encoding')
  }
  if (node['query'] !== undefined) {
    walk.query(node['query'], EMPTY_SCOPE)
    return 'copy'
  }
  const rangeVar = node['relation']
  const relation = isNode(rangeVar) ? findRelation(walk, rangeVar) : undefined
  if (relation === undefined) {
    if (!isNode(rangeVar)) findings.misunderstand('COPY without a table')
    return 'copy'
  }
  const action = node['is_from'] === true ? 'insert' : 'select'
  const origin = readRelation(walk, relation, action)
  if (origin === undefined) return 'copy'
  if (action === 'insert' && origin.kind !== 'table')
    findings.forbid('COPY into something that is not a table')
  const columns =
    node['attlist'] === undefined
      ? relation.columns
      : listOf(node['attlist']).map((name) => wordOf(name) ?? '')
  if (columns === undefined) charge(walk, origin, undefined)
  for (const column of columns ?? []) charge(walk, origin, column)
  // WHERE sees the incoming row, which is not the table's.
  const incoming = {
    ...relationItem(origin, relation, undefined),
    columns: (relation.columns ?? []).map((name) => ({ name, charges: [] })),
    origin: undefined,
    bases: [],
  }
  walkExpression(walk, node['whereClause'], scopeOf([incoming], undefined))
  return 'copy'
}

/** https://www.postgresql.org/docs/current/sql-lock.html: `mode` is 1 for ACCESS SHARE to 8. */
function walkLock(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'LockStmt', node)
  const { mode } = node
  // ACCESS SHARE needs no more than reading; others need one of the privileges to change the table.
  const action = mode === 1 ? 'select' : 'update'
  for (const value of listOf(node['relations'])) {
    const rangeVar = nodeOf(value, 'RangeVar')
    const relation = rangeVar === undefined ? undefined : findRelation(walk, rangeVar)
    if (rangeVar === undefined) walk.findings.misunderstand('LOCK of an unknown shape')
    if (relation === undefined) continue
    const origin = readRelation(walk, relation, action)
    if (origin?.kind === 'table') charge(walk, origin, undefined)
    else walk.findings.forbid('locks something that is not a table')
  }
  return 'lock'
}

function walkTruncate(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'TruncateStmt', node)
  if (node['behavior'] === 'DROP_CASCADE') {
    walk.findings.forbid('CASCADE truncates tables that the statement does not name')
  }
  for (const value of listOf(node['relations'])) {
    const rangeVar = nodeOf(value, 'RangeVar')
    const relation = rangeVar === undefined ? undefined : findRelation(walk, rangeVar)
    if (rangeVar === undefined) walk.findings.misunderstand('TRUNCATE of an unknown shape')
    if (relation === undefined) continue
    const origin = readRelation(walk, relation, 'truncate')
    if (origin?.kind !== 'table') walk.findings.forbid('truncates something that is not a table')
  }
  return 'truncate'
}

function walkCall(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'CallStmt', node)
  const call = node['funccall']
  if (!isNode(call)) {
    walk.findings.misunderstand('CALL of an unknown shape')
    return 'call'
  }
  useFunction(walk, call, 'call')
  walkExpression(walk, call['args'], EMPTY_SCOPE)
  for (const field of Object.keys(call)) {
    if (!CALL_FIELDS.has(field)) walk.findings.misunderstand(`CALL with ${field}`)
  }
  return 'call'
}

const CALL_FIELDS: ReadonlySet<string> = new Set([
  'funcname',
  'args',
  'funcformat',
  'func_variadic',
  'location',
])
