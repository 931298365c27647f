/** Transactions, settings, prepared names, cursors and channels. */
import type { StatementAction } from '../../analysis.ts'
import { truncateIdentifier } from '../naming.ts'
import { walkExpression } from './expressions.ts'
import { checkFields } from './fields.ts'
import type { Node } from './grammar.ts'
import { EMPTY_SCOPE } from './scope.ts'
import { isPinnedValue, isReadableSetting, useSetting } from './settings.ts'
import { useType } from './types.ts'
import { constantOf, isNode, listOf, nodeOf, stringOf, type Walk } from './walk.ts'

/** https://www.postgresql.org/docs/current/sql-begin.html */
const TRANSACTION_KINDS: ReadonlySet<unknown> = new Set([
  'TRANS_STMT_BEGIN',
  'TRANS_STMT_START',
  'TRANS_STMT_COMMIT',
  'TRANS_STMT_ROLLBACK',
  'TRANS_STMT_SAVEPOINT',
  'TRANS_STMT_RELEASE',
  'TRANS_STMT_ROLLBACK_TO',
])

const TRANSACTION_OPTIONS: ReadonlySet<unknown> = new Set([
  'transaction_isolation',
  'transaction_read_only',
  'transaction_deferrable',
])

export function walkTransaction(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'TransactionStmt', node)
  if (!TRANSACTION_KINDS.has(node['kind'])) {
    walk.findings.forbid('a prepared transaction outlives its session and is seen by others')
  }
  checkTransactionModes(walk, node['options'])
  return 'transaction'
}

function checkTransactionModes(walk: Walk, options: unknown): void {
  for (const value of listOf(options)) {
    const option = nodeOf(value, 'DefElem')
    if (option === undefined || !TRANSACTION_OPTIONS.has(option['defname'])) {
      walk.findings.misunderstand('a transaction mode that is not modelled')
    }
  }
}

export function walkSet(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'VariableSetStmt', node)
  const name = stringOf(node['name']) ?? ''
  switch (node['kind']) {
    case 'VAR_SET_VALUE': {
      const values = settingValues(walk, node['args'])
      if (values !== undefined && isPinnedValue(walk, name, values)) {
        const local = node['is_local'] === true ? 'LOCAL ' : ''
        walk.findings.replacement = `SET ${local}${name.toLowerCase()} TO DEFAULT`
        break
      }
      useSetting(walk, name, values)
      break
    }
    case 'VAR_SET_MULTI':
      if (name === 'TRANSACTION' || name === 'SESSION CHARACTERISTICS')
        checkTransactionModes(walk, node['args'])
      else walk.findings.forbid('takes the snapshot of another transaction')
      break
    case 'VAR_SET_DEFAULT':
    case 'VAR_RESET':
      resetSetting(walk, name)
      break
    case 'VAR_SET_CURRENT':
      walk.findings.forbid('makes a function setting')
      break
    case 'VAR_RESET_ALL':
      // Returns to the values of the startup message, where the proxy has put the pinned ones.
      break
    default:
      walk.findings.misunderstand('a form of SET that is not modelled')
  }
  return 'session'
}

/** Any setting may go back to what the proxy gave at login; that includes the login role. */
function resetSetting(walk: Walk, name: string): void {
  const setting = name.toLowerCase()
  if (setting !== 'role' && setting !== 'session_authorization') return
  if (walk.catalog.roleIsSwitched) walk.findings.hop('identity_switch', `resets \`${setting}\``)
}

/** The values as the server reads them: `flatten_set_variable_args` in guc_funcs.c. */
function settingValues(walk: Walk, args: unknown): readonly string[] | undefined {
  const values: string[] = []
  for (const value of listOf(args)) {
    const constant = constantOf(walk, value)
    // SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE
    if (constant === undefined) return undefined
    const { sval, ival, fval, boolval } = constant
    if (isNode(sval)) values.push(stringOf(sval['sval']) ?? '')
    else if (isNode(ival)) values.push(String(ival['ival'] ?? 0))
    else if (isNode(fval)) values.push(String(fval['fval']))
    else if (isNode(boolval)) values.push(String(boolval['boolval'] ?? false))
    else return undefined
  }
  return values
}

export function walkShow(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'VariableShowStmt', node)
  const name = stringOf(node['name']) ?? ''
  if (!isReadableSetting(name)) walk.findings.forbid(`the setting \`${name}\` may not be read`)
  return 'show'
}

export function walkDiscard(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'DiscardStmt', node)
  switch (node['target']) {
    case 'DISCARD_ALL':
      // It also does SET SESSION AUTHORIZATION DEFAULT, which ends a role set at login.
      if (walk.catalog.roleIsSwitched)
        walk.findings.hop('identity_switch', 'resets the session authorization')
      walk.findings.uses.push({ kind: 'discard_all' })
      break
    case 'DISCARD_PLANS':
      walk.findings.uses.push({ kind: 'discard_plans' })
      break
    case 'DISCARD_SEQUENCES':
    case 'DISCARD_TEMP':
      break
    default:
      walk.findings.misunderstand('a form of DISCARD that is not modelled')
  }
  return 'session'
}

export function walkConstraintsSet(walk: Walk, node: Node): StatementAction {
  // Whether checks run now or at commit; named or not, they are those of tables the run may change.
  checkFields(walk.findings, 'ConstraintsSetStmt', node)
  return 'transaction'
}

export function walkExecute(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'ExecuteStmt', node)
  walkExpression(walk, node['params'], EMPTY_SCOPE)
  const name = nameIn(walk, node['name'])
  if (name !== undefined) walk.findings.uses.push({ kind: 'execute', name })
  return 'execute'
}

export function walkDeallocate(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'DeallocateStmt', node)
  walk.findings.uses.push({ kind: 'deallocate', name: stringOf(node['name']) })
  return 'session'
}

export function walkFetch(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'FetchStmt', node)
  const name = nameIn(walk, node['portalname'])
  if (name !== undefined) walk.findings.uses.push({ kind: 'fetch', name })
  return 'cursor'
}

export function walkClose(walk: Walk, node: Node): StatementAction {
  checkFields(walk.findings, 'ClosePortalStmt', node)
  walk.findings.uses.push({ kind: 'close_cursor', name: stringOf(node['portalname']) })
  return 'cursor'
}

export function walkChannel(walk: Walk, type: string, node: Node): StatementAction {
  checkFields(walk.findings, type, node)
  const name = nameIn(walk, node['conditionname'])
  const action = type === 'ListenStmt' ? 'listen' : 'notify'
  if (name !== undefined) walk.findings.add({ kind: 'channel', action, name: truncateIdentifier(name) })
  return action
}

/** Notes the parameter types of a PREPARE. */
export function useParameterTypes(walk: Walk, types: unknown): void {
  for (const value of listOf(types)) {
    const type = nodeOf(value, 'TypeName')
    if (type === undefined) walk.findings.misunderstand('a parameter type of an unknown shape')
    else useType(walk, type)
  }
}

export function nameIn(walk: Walk, value: unknown): string | undefined {
  const name = stringOf(value)
  if (name === undefined) walk.findings.misunderstand('a name is missing')
  return name
}
