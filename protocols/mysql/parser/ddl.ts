/**
 * Schema work: CREATE, ALTER, DROP, RENAME and TRUNCATE of tables, indexes, views and sequences.
 * https://dev.mysql.com/doc/refman/8.4/en/sql-data-definition-statements.html
 *
 * Whatever runs later under another's rights (routines, triggers, events), accounts, servers and tablespaces are
 * refused with their reason.
 */
import type { HopKind } from '../../analysis.ts'
import { baseTable, objectName } from './objects.ts'
import { isQueryAhead, readTopQuery } from './query.ts'
import type { Reader } from './reader.ts'
import { forbidden, hop, notUnderstood } from './refusal.ts'
import { Scope } from './scope.ts'
import { checkDatabase } from './show.ts'
import {
  isConstraintAhead,
  readColumn,
  readConstraint,
  readDefinitions,
  readIfNotExists,
  readIndex,
  readTableOption,
  readTableOptions,
} from './table-definition.ts'
import { readColumnNames } from './tables.ts'

const REFUSED_OBJECTS: ReadonlyMap<string, { readonly why: string; readonly hop?: HopKind }> = new Map([
  ['AGGREGATE', { why: 'loads code into the server', hop: 'outbound_reach' }],
  ['DEFINER', { why: 'runs under the rights of another account' }],
  ['EVENT', { why: 'runs later, unseen by the proxy' }],
  ['FUNCTION', { why: 'runs unseen by the proxy' }],
  ['INSTANCE', { why: 'is for administration' }],
  ['LIBRARY', { why: 'runs unseen by the proxy' }],
  ['LOGFILE', { why: 'makes files of the server', hop: 'file_reach' }],
  ['PACKAGE', { why: 'runs unseen by the proxy' }],
  ['PROCEDURE', { why: 'runs unseen by the proxy' }],
  ['RESOURCE', { why: 'is for administration' }],
  ['ROLE', { why: 'accounts are not changed through the proxy' }],
  ['SERVER', { why: 'names another server to connect to', hop: 'outbound_reach' }],
  ['TABLESPACE', { why: 'makes files of the server', hop: 'file_reach' }],
  ['TEMPORARY', { why: 'a temporary table hides the table of its name' }],
  ['TRIGGER', { why: 'runs unseen by the proxy' }],
  ['UNDO', { why: 'makes files of the server', hop: 'file_reach' }],
  ['USER', { why: 'accounts are not changed through the proxy' }],
])

function refuseObject(reader: Reader, verb: string): void {
  const word = reader.cursor.next.upper
  const refused = REFUSED_OBJECTS.get(word)
  if (refused === undefined) return
  const why = `${verb} ${word}: ${refused.why}`
  if (refused.hop === undefined) forbidden(why)
  else hop(refused.hop, why)
}

/** A table that need not exist yet: its canonical name. */
function newTable(reader: Reader): string {
  const { schema, name } = objectName(reader, 'a table')
  if (schema !== undefined) checkDatabase(reader, schema.name)
  return reader.rules.names.relation(name.name, name.quoted)
}

/** Behind `CREATE`. */
export function readCreate(reader: Reader): void {
  const { cursor, needs } = reader
  const isReplaced = cursor.acceptAll('OR', 'REPLACE')
  refuseSoname(reader)
  readViewOptions(reader)
  refuseObject(reader, 'CREATE')
  if (cursor.accept('TABLE')) readCreateTable(reader, isReplaced)
  else if (cursor.accept('VIEW')) readCreateView(reader, isReplaced)
  else if (cursor.accept('SEQUENCE')) {
    readIfNotExists(reader)
    const name = newTable(reader)
    needs.sequence('create', name)
    if (isReplaced) needs.sequence('drop', name)
    readSequenceOptions(reader)
  } else if (cursor.accept('DATABASE') || cursor.accept('SCHEMA')) {
    readIfNotExists(reader)
    checkDatabase(reader, cursor.identifier('a database').name)
    needs.schema('create')
    readTableOptions(reader)
  } else readCreateIndex(reader)
}

/** `CREATE FUNCTION f RETURNS STRING SONAME 'x.so'` loads a library: told apart from what is merely forbidden. */
function refuseSoname(reader: Reader): void {
  const { cursor } = reader
  if (!cursor.isWord('FUNCTION')) return
  for (let offset = 1; offset < 12; offset++) {
    if (cursor.isWordAt(offset, 'SONAME'))
      hop('outbound_reach', 'CREATE FUNCTION: loads code into the server')
  }
}

function readCreateTable(reader: Reader, isReplaced: boolean): void {
  const { cursor, needs } = reader
  readIfNotExists(reader)
  const table = newTable(reader)
  needs.touch('create', table)
  if (isReplaced) needs.touch('drop', table)
  if (cursor.accept('LIKE')) {
    needs.whole('select', baseTable(reader, objectName(reader, 'a table')))
    return
  }
  if (cursor.isOperator('(') && cursor.isWordAt(1, 'LIKE')) {
    cursor.advance()
    cursor.advance()
    needs.whole('select', baseTable(reader, objectName(reader, 'a table')))
    cursor.expectOperator(')')
    return
  }
  if (cursor.isOperator('(') && !isQueryAhead(reader)) readDefinitions(reader, table)
  readTableOptions(reader)
  if (!cursor.accept('IGNORE')) cursor.accept('REPLACE')
  cursor.accept('AS')
  if (!isQueryAhead(reader)) return
  // The rows are inserted with the rights of the one who asks.
  needs.whole('insert', table)
  readTopQuery(reader)
}

/** `ALGORITHM = MERGE SQL SECURITY INVOKER`, before `VIEW`. */
function readViewOptions(reader: Reader): void {
  const { cursor } = reader
  if (cursor.accept('ALGORITHM')) {
    cursor.expectOperator('=')
    if (!cursor.accept('UNDEFINED') && !cursor.accept('MERGE')) cursor.expect('TEMPTABLE')
  }
  refuseObject(reader, 'CREATE')
  if (cursor.acceptAll('SQL', 'SECURITY') && !cursor.accept('DEFINER')) cursor.expect('INVOKER')
}

function readCreateView(reader: Reader, isReplaced: boolean): void {
  const { cursor, needs } = reader
  readIfNotExists(reader)
  const view = newTable(reader)
  needs.touch('create', view)
  if (isReplaced) needs.touch('drop', view)
  if (cursor.isOperator('(')) readColumnNames(reader)
  cursor.expect('AS')
  readTopQuery(reader)
  if (cursor.accept('WITH')) {
    if (!cursor.accept('CASCADED')) cursor.accept('LOCAL')
    cursor.expect('CHECK')
    cursor.expect('OPTION')
  }
}

function readCreateIndex(reader: Reader): void {
  const { cursor, needs } = reader
  if (!cursor.accept('UNIQUE') && !cursor.accept('FULLTEXT')) cursor.accept('SPATIAL')
  cursor.expect('INDEX')
  readIfNotExists(reader)
  cursor.identifier('an index')
  if (cursor.accept('USING') && !cursor.accept('BTREE')) cursor.expect('HASH')
  cursor.expect('ON')
  needs.touch('index', baseTable(reader, objectName(reader, 'a table')))
  readIndex(reader)
  readAlgorithmAndLock(reader)
}

function readAlgorithmAndLock(reader: Reader): boolean {
  const { cursor } = reader
  let found = false
  while (cursor.accept('ALGORITHM') || cursor.accept('LOCK')) {
    cursor.acceptOperator('=')
    if (!cursor.accept('DEFAULT')) cursor.identifier('a way')
    found = true
  }
  return found
}

/** Behind `DROP`. */
export function readDrop(reader: Reader): void {
  const { cursor, needs } = reader
  refuseObject(reader, 'DROP')
  if (cursor.accept('INDEX')) {
    readIfExists(reader)
    cursor.identifier('an index')
    cursor.expect('ON')
    needs.touch('index', baseTable(reader, objectName(reader, 'a table')))
    readAlgorithmAndLock(reader)
    return
  }
  if (cursor.accept('DATABASE') || cursor.accept('SCHEMA')) {
    readIfExists(reader)
    checkDatabase(reader, cursor.identifier('a database').name)
    needs.schema('drop')
    return
  }
  const isSequence = cursor.accept('SEQUENCE')
  if (!isSequence && !cursor.accept('TABLE') && !cursor.accept('TABLES')) cursor.expect('VIEW')
  // With IF EXISTS the table need not exist.
  const mayBeMissing = readIfExists(reader)
  cursor.list(() => {
    const name = mayBeMissing ? newTable(reader) : baseTable(reader, objectName(reader, 'a table'))
    if (isSequence) needs.sequence('drop', name)
    else needs.touch('drop', name)
  })
  if (!cursor.accept('RESTRICT')) cursor.accept('CASCADE')
}

function readIfExists(reader: Reader): boolean {
  return reader.cursor.acceptAll('IF', 'EXISTS')
}

/** Behind `TRUNCATE`. */
export function readTruncate(reader: Reader): void {
  reader.cursor.accept('TABLE')
  reader.needs.touch('truncate', baseTable(reader, objectName(reader, 'a table')))
}

/** Behind `RENAME`. */
export function readRename(reader: Reader): void {
  const { cursor } = reader
  if (cursor.isWord('USER')) forbidden('RENAME USER: accounts are not changed through the proxy')
  if (!cursor.accept('TABLE')) cursor.expect('TABLES')
  cursor.list(() => {
    // A table of the list may have got its name in the same list.
    const from = newTable(reader)
    cursor.expect('TO')
    needRename(reader, from, newTable(reader))
  })
}

function needRename({ needs }: Reader, from: string, to: string): void {
  needs.touch('alter', from)
  needs.touch('drop', from)
  needs.touch('create', to)
  needs.whole('insert', to)
}

/** Behind `ALTER`. */
export function readAlter(reader: Reader): void {
  const { cursor, needs } = reader
  if (!cursor.accept('ONLINE')) cursor.accept('OFFLINE')
  cursor.accept('IGNORE')
  readViewOptions(reader)
  refuseObject(reader, 'ALTER')
  if (cursor.accept('VIEW')) {
    const view = baseTable(reader, objectName(reader, 'a view'))
    needs.touch('create', view)
    needs.touch('drop', view)
    if (cursor.isOperator('(')) readColumnNames(reader)
    cursor.expect('AS')
    readTopQuery(reader)
  } else if (cursor.accept('SEQUENCE')) {
    readIfExists(reader)
    needs.sequence('alter', baseTable(reader, objectName(reader, 'a sequence')))
    readSequenceOptions(reader)
  } else if (cursor.accept('DATABASE') || cursor.accept('SCHEMA')) {
    if (cursor.isIdentifier && !cursor.isWord('DEFAULT'))
      checkDatabase(reader, cursor.identifier('a database').name)
    needs.schema('alter')
    readTableOptions(reader)
  } else {
    cursor.expect('TABLE')
    readIfExists(reader)
    const table = baseTable(reader, objectName(reader, 'a table'))
    needs.touch('alter', table)
    cursor.list(() => readAlteration(reader, table))
  }
}

function readAlteration(reader: Reader, table: string): void {
  const { cursor } = reader
  if (cursor.accept('ADD')) readAdd(reader, table)
  else if (cursor.accept('DROP')) readDropPart(reader)
  else if (cursor.accept('MODIFY') || cursor.isWord('CHANGE')) {
    const isRenamed = cursor.accept('CHANGE')
    cursor.accept('COLUMN')
    readIfExists(reader)
    if (isRenamed) cursor.identifier('a column')
    readColumn(reader, table)
    readPlace(reader)
  } else if (cursor.accept('ALTER')) readAlterPart(reader)
  else if (cursor.accept('RENAME')) readRenamePart(reader, table)
  else if (cursor.acceptAll('CONVERT', 'TO')) {
    if (!readTableOption(reader)) cursor.fail('a character set was expected')
    readTableOption(reader)
  } else if (
    cursor.acceptAll('ENABLE', 'KEYS') ||
    cursor.acceptAll('DISABLE', 'KEYS') ||
    cursor.accept('FORCE')
  ) {
    // Changes nothing of what the table holds.
  } else if (cursor.acceptAll('ORDER', 'BY')) {
    cursor.list(() => {
      const { name, quoted } = cursor.identifier('a column')
      reader.needs.column('select', table, reader.rules.names.column(name, quoted))
      if (!cursor.accept('ASC')) cursor.accept('DESC')
    })
  } else if (!readAlgorithmAndLock(reader)) {
    if (!readTableOption(reader)) cursor.fail('a change of the table was expected')
    readTableOptions(reader)
  }
}

function readAdd(reader: Reader, table: string): void {
  const { cursor } = reader
  if (cursor.isWord('PARTITION')) notUnderstood('partitions')
  if (isConstraintAhead(reader)) {
    readConstraint(reader, table)
    return
  }
  cursor.accept('COLUMN')
  readIfNotExists(reader)
  if (cursor.isOperator('(')) readDefinitions(reader, table)
  else {
    readColumn(reader, table)
    readPlace(reader)
  }
}

function readPlace(reader: Reader): void {
  if (reader.cursor.accept('FIRST')) return
  if (reader.cursor.accept('AFTER')) reader.cursor.identifier('a column')
}

function readDropPart(reader: Reader): void {
  const { cursor } = reader
  if (cursor.isWord('PARTITION')) notUnderstood('partitions')
  if (cursor.acceptAll('PRIMARY', 'KEY')) return
  if (!cursor.acceptAll('FOREIGN', 'KEY') && !cursor.accept('INDEX') && !cursor.accept('KEY')) {
    if (!cursor.accept('CONSTRAINT') && !cursor.accept('CHECK')) cursor.accept('COLUMN')
  }
  readIfExists(reader)
  cursor.identifier('a name')
  if (!cursor.accept('RESTRICT')) cursor.accept('CASCADE')
}

function readAlterPart(reader: Reader): void {
  const { cursor } = reader
  if (cursor.accept('INDEX') || cursor.accept('KEY')) {
    cursor.identifier('an index')
    if (!cursor.accept('VISIBLE')) cursor.expect('INVISIBLE')
    return
  }
  cursor.accept('COLUMN')
  cursor.identifier('a column')
  if (cursor.acceptAll('DROP', 'DEFAULT')) return
  cursor.expect('SET')
  if (cursor.accept('VISIBLE') || cursor.accept('INVISIBLE')) return
  cursor.expect('DEFAULT')
  const scope = new Scope({ parent: undefined, commonTables: undefined })
  reader.operand(reader, scope)
  scope.close(reader.needs)
}

function readRenamePart(reader: Reader, table: string): void {
  const { cursor } = reader
  if (cursor.accept('COLUMN') || cursor.accept('INDEX') || cursor.accept('KEY')) {
    cursor.identifier('a name')
    cursor.expect('TO')
    cursor.identifier('a name')
    return
  }
  if (!cursor.accept('TO') && !cursor.accept('AS')) cursor.acceptOperator('=')
  needRename(reader, table, newTable(reader))
}

const SEQUENCE_WORDS: ReadonlySet<string> = new Set([
  ...[
    'START',
    'WITH',
    'INCREMENT',
    'BY',
    'MINVALUE',
    'MAXVALUE',
    'NO',
    'NOMINVALUE',
    'NOMAXVALUE',
    'CACHE',
    'NOCACHE',
  ],
  ...['CYCLE', 'NOCYCLE', 'RESTART'],
])

/** https://mariadb.com/kb/en/create-sequence/ */
function readSequenceOptions(reader: Reader): void {
  const { cursor } = reader
  for (;;) {
    if (cursor.acceptOneOf(SEQUENCE_WORDS) !== undefined || cursor.acceptOperator('=')) continue
    if (cursor.isOperator('-') || cursor.next.kind === 'literal') cursor.advance()
    else break
  }
  readTableOptions(reader)
}
