/**
 * SET: variables by allow-list of names and values, for this session only.
 * https://dev.mysql.com/doc/refman/8.4/en/set-variable.html https://mariadb.com/kb/en/set/
 */
import { asciiLower } from '../naming.ts'
import {
  areSqlModesAllowed,
  isUtf8,
  isUtf8Collation,
  SETTABLE_VARIABLES,
  SQL_MODES_ALLOWED,
} from '../variables.ts'
import type { Edit } from './edit.ts'
import type { Reader } from './reader.ts'
import { forbidden, hop, notUnderstood } from './refusal.ts'
import { Scope } from './scope.ts'
import { readVariable, variableName } from './variable.ts'

const SCOPES: ReadonlySet<string> = new Set(['GLOBAL', 'PERSIST', 'PERSIST_ONLY', 'SESSION', 'LOCAL'])

/** Behind `SET`. @returns what is to be changed in the forwarded text */
export function readSet(reader: Reader): readonly Edit[] {
  const { cursor } = reader
  const edits: Edit[] = []
  const before = cursor.next
  if (cursor.accept('ROLE')) hop('identity_switch', 'takes another role')
  if (cursor.acceptAll('SESSION', 'AUTHORIZATION')) hop('identity_switch', 'becomes another user')
  if (cursor.isWord('PASSWORD') || cursor.isWordAt(1, 'ROLE'))
    forbidden('accounts are not changed through the proxy')
  if (cursor.isWord('STATEMENT') || cursor.isWord('RESOURCE')) forbidden(`SET ${before.upper}`)
  if (readTransaction(reader)) return edits
  cursor.list(() => readAssignment(reader, edits))
  return edits
}

/** `[SESSION] TRANSACTION ISOLATION LEVEL …, READ ONLY`. */
function readTransaction(reader: Reader): boolean {
  const { cursor } = reader
  const offset = cursor.isOneOf(SCOPES) ? 1 : 0
  if (!cursor.isWordAt(offset, 'TRANSACTION')) return false
  if (offset === 1) readScope(reader)
  cursor.expect('TRANSACTION')
  cursor.list(() => {
    if (cursor.acceptAll('ISOLATION', 'LEVEL')) {
      const isLevel =
        cursor.accept('SERIALIZABLE') ||
        cursor.acceptAll('REPEATABLE', 'READ') ||
        cursor.acceptAll('READ', 'COMMITTED') ||
        cursor.acceptAll('READ', 'UNCOMMITTED')
      if (!isLevel) cursor.fail('an isolation level was expected')
    } else {
      cursor.expect('READ')
      if (!cursor.accept('ONLY')) cursor.expect('WRITE')
    }
  })
  return true
}

function readScope(reader: Reader): void {
  const scope = reader.cursor.acceptOneOf(SCOPES)
  if (scope !== undefined) checkScope(scope)
}

function checkScope(scope: string): void {
  if (scope !== 'SESSION' && scope !== 'LOCAL') forbidden(`SET ${scope} reaches beyond this session`)
}

function readAssignment(reader: Reader, edits: Edit[]): void {
  const { cursor } = reader
  const { kind, value, upper } = cursor.next
  if (kind === 'user_variable') {
    cursor.advance()
    expectAssign(reader)
    const scope = new Scope({ parent: undefined, commonTables: undefined })
    reader.expression(reader, scope)
    scope.close(reader.needs)
    return
  }
  if (kind === 'system_variable') {
    cursor.advance()
    if (upper.includes('.')) checkScope(upper.slice(0, upper.indexOf('.')))
    readVariableAssignment(reader, edits, variableName(upper))
    return
  }
  if (cursor.accept('NAMES')) {
    readValue(reader, 'NAMES', isUtf8)
    if (cursor.accept('COLLATE')) readValue(reader, 'COLLATE', isUtf8Collation)
    return
  }
  if (cursor.acceptAll('CHARACTER', 'SET') || cursor.accept('CHARSET') || cursor.acceptAll('CHAR', 'SET')) {
    readValue(reader, 'CHARACTER SET', isUtf8)
    return
  }
  readScope(reader)
  if (!cursor.isIdentifier) cursor.fail('a variable was expected')
  if (cursor.isOperatorAt(1, '.')) notUnderstood(`a variable of the structure \`${value}\``)
  const name = cursor.advance().value
  // What is beyond ASCII is in no list.
  readVariableAssignment(reader, edits, asciiLower(name))
}

function expectAssign(reader: Reader): void {
  if (!reader.cursor.acceptOperator('=')) reader.cursor.expectOperator(':=')
}

function readVariableAssignment(reader: Reader, edits: Edit[], name: string): void {
  expectAssign(reader)
  if (name === 'sql_mode') {
    readSqlMode(reader, edits)
    return
  }
  if (name === 'session_track_system_variables') {
    readTrackedVariables(reader, edits)
    return
  }
  const rule = SETTABLE_VARIABLES.get(name)
  if (rule === undefined) forbidden(`\`${name}\` is not a variable that runs may set`)
  else readValue(reader, name, rule)
}

/** One value: a word, a string or a number, or the variable itself (`SET time_zone = @@time_zone`). */
function readValue(reader: Reader, name: string, rule: (value: string) => boolean): void {
  const { cursor } = reader
  const { kind, value, upper } = cursor.next
  const isSame =
    kind === 'system_variable' && upper.toLowerCase().replace(/^(?:session|local)\./, '') === name
  const isPlain =
    kind === 'word' ||
    kind === 'string' ||
    kind === 'literal' ||
    cursor.isOperator('+') ||
    cursor.isOperator('-')
  if (!isSame && (!isPlain || !rule(value)))
    forbidden(`this value of \`${name}\` is not one that runs may set`)
  cursor.advance()
}

/**
 * `sql_mode` decides how a text is read. Its new value is worked out from the text: whole names of modes that
 * change nothing of that, added to or taken from the present value, which by induction has none that does.
 */
function readSqlMode(reader: Reader, edits: Edit[]): void {
  const { cursor, rules } = reader
  const inParentheses = cursor.isOperator('(') && cursor.isWordAt(1, 'SELECT')
  if (inParentheses) {
    cursor.advance()
    cursor.advance()
  }
  const { kind, value, start, end } = cursor.next
  if (cursor.accept('DEFAULT')) {
    // The server's own default may hold a mode that the sessions are pinned without.
    edits.push({ start, end, text: `'${rules.catalog.baseSqlMode}'` })
  } else if (kind === 'word' && !cursor.isOperatorAt(1, '(')) {
    if (!areSqlModesAllowed(value)) forbidMode()
    cursor.advance()
  } else readModes(reader)
  if (inParentheses) cursor.expectOperator(')')
}

function forbidMode(): never {
  return forbidden('`sql_mode` with a mode that changes how statements are read')
}

/** `@@sql_mode` of this session. */
function readPresentMode(reader: Reader): void {
  const { kind, upper } = reader.cursor.next
  if (kind !== 'system_variable' || !/^(?:SESSION\.|LOCAL\.)?SQL_MODE$/.test(upper)) forbidMode()
  readVariable(reader, reader.cursor.advance().upper)
}

/**
 * Names of modes, the present value, or what CONCAT and REPLACE make of such; Rails has
 * `CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO')`.
 */
function readModes(reader: Reader): void {
  const { cursor } = reader
  if (cursor.next.kind === 'string') {
    if (!areSqlModesAllowed(cursor.advance().value)) forbidMode()
  } else if (!cursor.isOperatorAt(1, '(')) readPresentMode(reader)
  else if (cursor.accept('CONCAT')) {
    cursor.expectOperator('(')
    cursor.nested(() => cursor.list(() => readModes(reader)))
    cursor.expectOperator(')')
  } else if (cursor.accept('REPLACE')) readModeReplace(reader)
  else forbidMode()
}

/** `REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', '')`, behind the word: takes one whole name out. */
function readModeReplace(reader: Reader): void {
  const { cursor } = reader
  cursor.expectOperator('(')
  cursor.nested(() => readModes(reader))
  cursor.expectOperator(',')
  const wanted = cursor.next.value.toUpperCase().replace(/^,|,$/g, '')
  if (cursor.advance().kind !== 'string' || !SQL_MODES_ALLOWED.has(wanted)) forbidMode()
  cursor.expectOperator(',')
  if (cursor.next.kind !== 'string' || cursor.advance().value !== '') forbidMode()
  cursor.expectOperator(')')
}

/**
 * The list of variables whose changes the server reports is our tripwire: a client may add to it, never take
 * away. Whatever it sets becomes an addition to the session's own list.
 */
function readTrackedVariables(reader: Reader, edits: Edit[]): void {
  const { cursor } = reader
  const { start } = cursor.next
  let added = ''
  if (cursor.accept('CONCAT')) {
    cursor.expectOperator('(')
    const { kind, upper } = cursor.advance()
    if (kind !== 'system_variable' || variableName(upper) !== 'session_track_system_variables') {
      forbidden('this value of `session_track_system_variables` is not one that runs may set')
    }
    cursor.expectOperator(',')
    added = trackedNames(reader)
    const { end } = cursor.next
    cursor.expectOperator(')')
    edits.push({ start, end, text: additionOf(added) })
    return
  }
  const { end } = cursor.next
  added = trackedNames(reader)
  edits.push({ start, end, text: additionOf(added) })
}

function trackedNames(reader: Reader): string {
  const { kind, value } = reader.cursor.advance()
  if (kind !== 'string' || !/^(?:\*|[a-z_, ]*)$/i.test(value)) {
    forbidden('this value of `session_track_system_variables` is not one that runs may set')
  }
  return value.replace(/^,/, '')
}

function additionOf(names: string): string {
  const own = '@@session.session_track_system_variables'
  // MariaDB refuses a list with an empty name.
  return names.trim() === '' ? own : `CONCAT(${own},',${names}')`
}
