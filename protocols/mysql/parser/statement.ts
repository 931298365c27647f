/**
 * One statement: its first word decides what is read on. What is not listed here is refused; of what is known and
 * refused, the reason is told.
 *
 * https://dev.mysql.com/doc/refman/8.4/en/sql-statements.html https://mariadb.com/kb/en/sql-statements/
 */
import type { HopKind, StatementAction } from '../../analysis.ts'
import type { CommonTables } from './common-tables.ts'
import { readAlter, readCreate, readDrop, readRename, readTruncate } from './ddl.ts'
import type { Edit } from './edit.ts'
import { readHandler, readLockTables, readUnlock } from './locking.ts'
import { objectName, routineName } from './objects.ts'
import { isQueryAhead, readTopQuery, readWith } from './query.ts'
import type { Reader } from './reader.ts'
import { forbidden, hop, notUnderstood, unknownColumn } from './refusal.ts'
import { Scope } from './scope.ts'
import { readEndOfTransaction, readStart } from './session.ts'
import { readSet } from './set.ts'
import { checkDatabase, readDescribe, readShow } from './show.ts'
import { readDelete, readInsert, readUpdate } from './write.ts'

/** A use of the name of a prepared statement, before its text is analysed. */
export type PreparedUse =
  | {
      readonly kind: 'prepare'
      readonly name: string
      readonly text: string
      readonly start: number
      readonly end: number
    }
  | { readonly kind: 'immediate'; readonly text: string; readonly start: number; readonly end: number }
  | { readonly kind: 'execute'; readonly name: string }
  | { readonly kind: 'deallocate'; readonly name: string }

export type StatementShape = {
  readonly action: StatementAction
  readonly edits: readonly Edit[]
  readonly use: PreparedUse | undefined
}

/** What the first word says, also of statements that are then refused. */
export function actionOf(word: string): StatementAction {
  return ACTIONS[word] ?? 'unknown'
}

const ACTIONS: Readonly<Record<string, StatementAction>> = {
  SELECT: 'select',
  WITH: 'select',
  TABLE: 'select',
  VALUES: 'select',
  '(': 'select',
  INSERT: 'insert',
  REPLACE: 'insert',
  UPDATE: 'update',
  DELETE: 'delete',
  TRUNCATE: 'truncate',
  LOAD: 'copy',
  CALL: 'call',
  DO: 'select',
  EXPLAIN: 'explain',
  DESCRIBE: 'explain',
  DESC: 'explain',
  ANALYZE: 'explain',
  LOCK: 'lock',
  UNLOCK: 'lock',
  CREATE: 'ddl',
  ALTER: 'ddl',
  DROP: 'ddl',
  RENAME: 'ddl',
  BEGIN: 'transaction',
  START: 'transaction',
  COMMIT: 'transaction',
  ROLLBACK: 'transaction',
  SAVEPOINT: 'transaction',
  RELEASE: 'transaction',
  XA: 'transaction',
  SET: 'session',
  USE: 'session',
  SHOW: 'show',
  PREPARE: 'prepare',
  EXECUTE: 'execute',
  DEALLOCATE: 'prepare',
  HANDLER: 'cursor',
  BACKUP: 'admin',
  BINLOG: 'admin',
  CACHE: 'admin',
  CHANGE: 'admin',
  CHECK: 'admin',
  CHECKSUM: 'admin',
  CLONE: 'admin',
  FLUSH: 'admin',
  GRANT: 'admin',
  IMPORT: 'admin',
  INSTALL: 'admin',
  KILL: 'admin',
  OPTIMIZE: 'admin',
  PURGE: 'admin',
  REPAIR: 'admin',
  RESET: 'admin',
  RESTART: 'admin',
  REVOKE: 'admin',
  SHUTDOWN: 'admin',
  STOP: 'admin',
  UNINSTALL: 'admin',
}

/** Statements that no run may send, whatever stands behind their first word. */
const REFUSED: ReadonlyMap<string, { readonly why: string; readonly hop?: HopKind }> = new Map([
  ['BACKUP', { why: 'backups are not made through the proxy' }],
  ['BINLOG', { why: 'replays events of the binary log' }],
  ['CACHE', { why: 'is for administration' }],
  ['CHANGE', { why: 'makes the server a replica of another', hop: 'outbound_reach' }],
  ['CHECK', { why: 'is for administration' }],
  ['CHECKSUM', { why: 'tells of a whole table' }],
  ['CLONE', { why: 'copies a whole server', hop: 'outbound_reach' }],
  ['FLUSH', { why: 'is for administration' }],
  ['GRANT', { why: 'rights are not granted through the proxy' }],
  ['IMPORT', { why: 'reads files of the server', hop: 'file_reach' }],
  ['INSTALL', { why: 'loads code into the server', hop: 'outbound_reach' }],
  ['KILL', { why: 'ends the statement of another session', hop: 'cross_run' }],
  ['LOAD', { why: 'reads a file of the server or of the client', hop: 'file_reach' }],
  ['OPTIMIZE', { why: 'is for administration' }],
  ['PURGE', { why: 'is for administration' }],
  ['REPAIR', { why: 'is for administration' }],
  ['RESET', { why: 'is for administration' }],
  ['RESTART', { why: 'is for administration' }],
  ['REVOKE', { why: 'rights are not revoked through the proxy' }],
  ['SHUTDOWN', { why: 'is for administration' }],
  ['STOP', { why: 'belongs to replication' }],
  ['UNINSTALL', { why: 'is for administration' }],
  ['XA', { why: 'a prepared transaction outlives its session' }],
])

const NOTHING: readonly Edit[] = []

/** Reads the whole statement. Throws a `Refusal`. */
export function readStatement(reader: Reader): StatementShape {
  const { cursor } = reader
  const first = cursor.next
  const word = first.kind === 'word' || first.kind === 'operator' ? first.upper : ''
  const refused = REFUSED.get(word)
  if (refused !== undefined) {
    const why = `${word} ${refused.why}`
    if (refused.hop === undefined) forbidden(why)
    else hop(refused.hop, why, targetOf(reader))
  }
  const shape = readKnown(reader, word)
  cursor.acceptOperator(';')
  if (!cursor.isAtEnd) cursor.fail('the end of the statement was expected')
  const lost = reader.needs.columnOfNothing
  if (lost !== undefined) unknownColumn(lost)
  return shape
}

/** A literal behind the first words names what it aims at: a file, a number of a session. */
function targetOf(reader: Reader): string | undefined {
  for (let offset = 1; offset < 6; offset++) {
    const token = reader.cursor.peek(offset)
    if (token.kind === 'string' || token.kind === 'literal') return token.value
  }
  return undefined
}

function readKnown(reader: Reader, word: string): StatementShape {
  const { cursor } = reader
  let action = actionOf(word)
  let edits = NOTHING
  let use: PreparedUse | undefined
  switch (word) {
    case 'PREPARE':
    case 'EXECUTE':
    case 'DEALLOCATE':
      use = readPrepared(reader)
      break
    case 'DROP':
      if (cursor.isWordAt(1, 'PREPARE')) {
        use = readPrepared(reader)
        action = 'prepare'
      } else readPlain(reader, word)
      break
    case 'SET':
      cursor.advance()
      edits = readSet(reader)
      break
    case 'WITH':
      action = readWithStatement(reader)
      break
    default:
      readPlain(reader, word)
  }
  return { action, edits, use }
}

/** `WITH …` before SELECT, and in MySQL before UPDATE and DELETE. */
function readWithStatement(reader: Reader): StatementAction {
  const { cursor } = reader
  const place = { parent: undefined, commonTables: undefined, isDetached: false }
  const commonTables: CommonTables | undefined = readWith(reader, place)
  if (cursor.accept('UPDATE')) {
    readUpdate(reader, commonTables)
    return 'update'
  }
  if (cursor.accept('DELETE')) {
    readDelete(reader, commonTables)
    return 'delete'
  }
  readTopQuery(reader, commonTables)
  return 'select'
}

/** Statements that are told by their first word and change nothing of the text. */
function readPlain(reader: Reader, word: string): void {
  const { cursor, needs } = reader
  if (isQueryAhead(reader)) {
    readTopQuery(reader)
    return
  }
  const token = cursor.advance()
  switch (word) {
    case 'INSERT':
    case 'REPLACE':
      readInsert(reader, word === 'REPLACE')
      break
    case 'UPDATE':
      readUpdate(reader, undefined)
      break
    case 'DELETE':
      readDelete(reader, undefined)
      break
    case 'DO':
      inScope(reader, (scope) => cursor.list(() => reader.expression(reader, scope)))
      break
    case 'CALL':
      needs.routine('call', routineName(reader, objectName(reader, 'a procedure')))
      inScope(reader, (scope) => readCallArguments(reader, scope))
      break
    case 'EXPLAIN':
    case 'DESCRIBE':
    case 'DESC':
      readExplain(reader)
      break
    case 'ANALYZE':
      readAnalyze(reader)
      break
    case 'BEGIN':
      cursor.accept('WORK')
      break
    case 'START':
      if (!cursor.isWord('TRANSACTION')) forbidden('START of something else than a transaction')
      readStart(reader)
      break
    case 'COMMIT':
    case 'ROLLBACK':
      readEndOfTransaction(reader, word === 'ROLLBACK')
      break
    case 'SAVEPOINT':
      cursor.identifier('a savepoint')
      break
    case 'RELEASE':
      cursor.expect('SAVEPOINT')
      cursor.identifier('a savepoint')
      break
    case 'USE':
      checkDatabase(reader, cursor.identifier('a database').name)
      break
    case 'SHOW':
      readShow(reader)
      break
    case 'CREATE':
      readCreate(reader)
      break
    case 'ALTER':
      readAlter(reader)
      break
    case 'DROP':
      readDrop(reader)
      break
    case 'RENAME':
      readRename(reader)
      break
    case 'TRUNCATE':
      readTruncate(reader)
      break
    case 'LOCK':
      readLockTables(reader)
      break
    case 'UNLOCK':
      readUnlock(reader)
      break
    case 'HANDLER':
      readHandler(reader)
      break
    default:
      notUnderstood(token.kind === 'word' ? `${word} is not a statement that is modelled` : 'no statement')
  }
}

function inScope(reader: Reader, read: (scope: Scope) => void): void {
  const scope = new Scope({ parent: undefined, commonTables: undefined })
  read(scope)
  scope.close(reader.needs)
}

function readCallArguments(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  if (!cursor.acceptOperator('(')) return
  if (!cursor.isOperator(')')) cursor.list(() => reader.expression(reader, scope))
  cursor.expectOperator(')')
}

const EXPLAINED: ReadonlySet<string> = new Set(['INSERT', 'REPLACE', 'UPDATE', 'DELETE'])

/** Behind `EXPLAIN`: a table, or a statement, which needs what it would need itself. */
function readExplain(reader: Reader): void {
  const { cursor } = reader
  if (cursor.isWord('FOR') && cursor.isWordAt(1, 'CONNECTION'))
    hop('cross_run', 'explains what another session runs')
  const { next } = cursor
  // MySQL runs the statement then.
  cursor.accept('ANALYZE')
  if (!cursor.accept('EXTENDED')) cursor.accept('PARTITIONS')
  if (cursor.isWord('FORMAT') && cursor.isOperatorAt(1, '=')) {
    cursor.advance()
    cursor.advance()
    if (cursor.next.kind === 'string') cursor.advance()
    else cursor.identifier('a format')
  }
  if (isQueryAhead(reader) || cursor.isOneOf(EXPLAINED)) readExplained(reader)
  else if (cursor.next === next) readDescribe(reader)
  // `EXPLAIN extended t` is about the column `t` of a table `extended`.
  else cursor.fail('a statement to explain was expected')
}

/** MariaDB: `ANALYZE [FORMAT=JSON] SELECT …` runs the statement. */
function readAnalyze(reader: Reader): void {
  const { cursor } = reader
  if (cursor.isWord('FORMAT') && cursor.isOperatorAt(1, '=')) {
    cursor.advance()
    cursor.advance()
    cursor.identifier('a format')
  }
  const isStatement = isQueryAhead(reader) || cursor.isOneOf(EXPLAINED)
  if (!isStatement || cursor.isWord('TABLE')) forbidden('ANALYZE TABLE is for administration')
  readExplained(reader)
}

function readExplained(reader: Reader): void {
  const { cursor } = reader
  if (cursor.isWord('WITH')) readWithStatement(reader)
  else readPlain(reader, cursor.next.upper)
  // The plan shows the tables behind a view; the server demands rights on those, which the proxy cannot see.
  if (reader.needs.relationNames.some((name) => reader.rules.relation(name)?.kind === 'view')) {
    forbidden('EXPLAIN of a view shows the tables behind it')
  }
}

/** PREPARE, EXECUTE and DEALLOCATE: a text that is not in the statement is not run. */
function readPrepared(reader: Reader): PreparedUse {
  const { cursor } = reader
  const { upper } = cursor.advance()
  if (upper === 'EXECUTE' && cursor.accept('IMMEDIATE')) {
    const literal = readText(reader)
    readUsing(reader)
    return { kind: 'immediate', ...literal }
  }
  if (upper === 'DEALLOCATE' || upper === 'DROP') cursor.expect('PREPARE')
  // Names of prepared statements do not depend on case, beyond ASCII neither; to MySQL, nor on blanks at their end.
  const { name } = cursor.identifier('a name')
  if (!/^[\x20-\x7e]*[\x21-\x7e]$/.test(name)) notUnderstood('a prepared statement whose name is not plain')
  const folded = name.toLowerCase()
  if (upper === 'EXECUTE') {
    readUsing(reader)
    return { kind: 'execute', name: folded }
  }
  if (upper !== 'PREPARE') return { kind: 'deallocate', name: folded }
  cursor.expect('FROM')
  return { kind: 'prepare', name: folded, ...readText(reader) }
}

function readText(reader: Reader): { readonly text: string; readonly start: number; readonly end: number } {
  const { kind, value, start, end } = reader.cursor.advance()
  const isWhole = reader.cursor.isAtEnd || reader.cursor.isOperator(';') || reader.cursor.isWord('USING')
  if (kind !== 'string' || !isWhole) forbidden('a statement whose text is worked out by the server')
  return { text: value, start, end }
}

function readUsing(reader: Reader): void {
  const { cursor } = reader
  if (cursor.accept('USING')) inScope(reader, (scope) => cursor.list(() => reader.operand(reader, scope)))
}
