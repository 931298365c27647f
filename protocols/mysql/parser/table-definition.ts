/**
 * What stands in CREATE TABLE and ALTER TABLE: columns, keys, checks and options.
 * https://dev.mysql.com/doc/refman/8.4/en/create-table.html https://mariadb.com/kb/en/create-table/
 */
import { baseTable, objectName } from './objects.ts'
import type { Reader } from './reader.ts'
import { hop, notUnderstood } from './refusal.ts'
import { Scope } from './scope.ts'
import { readColumnNames } from './tables.ts'
import { readType } from './type.ts'

/** The words that a key or a check begins with, where a column might. */
const CONSTRAINT_WORDS: ReadonlySet<string> = new Set([
  ...['CONSTRAINT', 'PRIMARY', 'UNIQUE', 'INDEX', 'KEY', 'FULLTEXT', 'SPATIAL', 'FOREIGN', 'CHECK'],
])

export function isConstraintAhead(reader: Reader): boolean {
  return reader.cursor.isOneOf(CONSTRAINT_WORDS)
}

/** `(a INT, KEY (a), …)` @param table the table that is defined, for its own columns in expressions */
export function readDefinitions(reader: Reader, table: string): void {
  const { cursor } = reader
  cursor.expectOperator('(')
  cursor.list(() => {
    if (isConstraintAhead(reader)) readConstraint(reader, table)
    else readColumn(reader, table)
  })
  cursor.expectOperator(')')
}

/** An expression over the columns of the table itself, which needs no right to read them. */
function readOwnExpression(reader: Reader, inParentheses: boolean): void {
  const scope = new Scope({ parent: undefined, commonTables: undefined })
  scope.sources.push({ alias: '', relation: undefined, columns: undefined })
  if (inParentheses) reader.cursor.expectOperator('(')
  reader.expression(reader, scope)
  if (inParentheses) reader.cursor.expectOperator(')')
  scope.close(reader.needs)
}

/** `name TYPE attributes` */
export function readColumn(reader: Reader, table: string): void {
  reader.cursor.identifier('a column')
  readType(reader)
  while (readColumnAttribute(reader, table)) {
    // Any order, as the servers have it.
  }
}

/** Attributes that are one word. */
const ATTRIBUTES: ReadonlySet<string> = new Set([
  ...['NULL', 'AUTO_INCREMENT', 'KEY', 'UNIQUE', 'INVISIBLE', 'VISIBLE', 'VIRTUAL', 'STORED', 'PERSISTENT'],
  ...['COMPRESSED', 'ENFORCED', 'SERIAL'],
])

function readColumnAttribute(reader: Reader, table: string): boolean {
  const { cursor } = reader
  if (cursor.acceptAll('NOT', 'NULL') || cursor.acceptAll('NOT', 'ENFORCED')) return true
  if (cursor.acceptAll('PRIMARY', 'KEY')) return true
  if (cursor.acceptOneOf(ATTRIBUTES) !== undefined) return true
  if (cursor.accept('DEFAULT') || cursor.acceptAll('ON', 'UPDATE')) readDefault(reader)
  else if (cursor.acceptAll('GENERATED', 'ALWAYS', 'AS') || cursor.accept('AS'))
    readOwnExpression(reader, true)
  else if (cursor.accept('COMMENT')) expectString(reader)
  else if (cursor.accept('COLLATE')) readName(reader)
  else if (cursor.accept('SRID')) expectLiteral(reader)
  else if (cursor.isWord('CONSTRAINT') || cursor.isWord('CHECK')) readConstraint(reader, table)
  else if (cursor.accept('REFERENCES')) readReferences(reader, table)
  else if (cursor.accept('COLUMN_FORMAT') || cursor.accept('STORAGE')) {
    if (!cursor.accept('DEFAULT')) cursor.identifier('a format')
  } else return false
  return true
}

function readDefault(reader: Reader): void {
  const scope = new Scope({ parent: undefined, commonTables: undefined })
  scope.sources.push({ alias: '', relation: undefined, columns: undefined })
  reader.operand(reader, scope)
  scope.close(reader.needs)
}

function readName(reader: Reader): void {
  const { cursor } = reader
  if (cursor.next.kind === 'string' || cursor.isWord('BINARY') || cursor.isWord('DEFAULT')) cursor.advance()
  else cursor.identifier('a name')
}

function expectString(reader: Reader): void {
  if (reader.cursor.next.kind !== 'string') reader.cursor.fail('a string was expected')
  reader.cursor.advance()
}

function expectLiteral(reader: Reader): void {
  if (reader.cursor.next.kind !== 'literal') reader.cursor.fail('a number was expected')
  reader.cursor.advance()
}

/** A key, a foreign key or a check. */
export function readConstraint(reader: Reader, table: string): void {
  const { cursor } = reader
  if (cursor.accept('CONSTRAINT') && !isConstraintAhead(reader)) cursor.identifier('a constraint')
  if (cursor.accept('CHECK')) {
    readOwnExpression(reader, true)
    if (!cursor.acceptAll('NOT', 'ENFORCED')) cursor.accept('ENFORCED')
    return
  }
  if (cursor.acceptAll('FOREIGN', 'KEY')) {
    readIfNotExists(reader)
    if (!cursor.isOperator('(')) cursor.identifier('a foreign key')
    readColumnNames(reader)
    cursor.expect('REFERENCES')
    readReferences(reader, table)
    return
  }
  if (cursor.accept('PRIMARY')) cursor.expect('KEY')
  else if (cursor.accept('UNIQUE') || cursor.accept('FULLTEXT') || cursor.accept('SPATIAL')) {
    if (!cursor.accept('INDEX')) cursor.accept('KEY')
  } else if (!cursor.accept('INDEX')) cursor.expect('KEY')
  readIfNotExists(reader)
  if (!cursor.isOperator('(') && !cursor.isWord('USING')) cursor.identifier('an index')
  readIndex(reader)
}

export function readIfNotExists(reader: Reader): void {
  reader.cursor.acceptAll('IF', 'NOT', 'EXISTS')
}

/** `[USING BTREE] (parts) options` */
export function readIndex(reader: Reader): void {
  const { cursor } = reader
  readIndexType(reader)
  cursor.expectOperator('(')
  cursor.list(() => {
    if (cursor.isOperator('(')) readOwnExpression(reader, true)
    else {
      cursor.identifier('a column')
      if (cursor.acceptOperator('(')) {
        expectLiteral(reader)
        cursor.expectOperator(')')
      }
    }
    if (!cursor.accept('ASC')) cursor.accept('DESC')
  })
  cursor.expectOperator(')')
  for (;;) {
    if (cursor.accept('COMMENT')) expectString(reader)
    else if (cursor.accept('KEY_BLOCK_SIZE')) {
      cursor.acceptOperator('=')
      expectLiteral(reader)
    } else if (cursor.acceptAll('WITH', 'PARSER')) cursor.identifier('a parser')
    else if (!readIndexType(reader) && !cursor.accept('VISIBLE') && !cursor.accept('INVISIBLE')) return
  }
}

function readIndexType(reader: Reader): boolean {
  const { cursor } = reader
  if (!cursor.accept('USING')) return false
  if (!cursor.accept('BTREE') && !cursor.accept('HASH')) cursor.expect('RTREE')
  return true
}

/** Behind `REFERENCES`: the other table must allow it. */
function readReferences(reader: Reader, table: string): void {
  const { cursor, needs, rules } = reader
  const written = objectName(reader, 'a table')
  const isItself = written.schema === undefined && rules.names.relation(written.name.name, true) === table
  // The servers ask REFERENCES of the table as a whole, and of a table that refers to itself too.
  needs.whole('references', isItself ? table : baseTable(reader, written))
  if (cursor.isOperator('(')) readColumnNames(reader)
  if (cursor.accept('MATCH') && !cursor.accept('FULL') && !cursor.accept('PARTIAL')) cursor.expect('SIMPLE')
  while (cursor.accept('ON')) {
    if (!cursor.accept('DELETE')) cursor.expect('UPDATE')
    if (cursor.accept('RESTRICT') || cursor.accept('CASCADE') || cursor.acceptAll('NO', 'ACTION')) continue
    cursor.expect('SET')
    if (!cursor.accept('NULL')) cursor.expect('DEFAULT')
  }
}

/** Engines that keep their data in this server. */
const ENGINES: ReadonlySet<string> = new Set(['ARIA', 'HEAP', 'INNODB', 'MEMORY', 'MYISAM', 'ROCKSDB'])

/** Engines that reach other servers. */
const REMOTE_ENGINES: ReadonlySet<string> = new Set([
  ...[
    'CONNECT',
    'FEDERATED',
    'FEDERATEDX',
    'MONGO',
    'NDB',
    'NDBCLUSTER',
    'OQGRAPH',
    'S3',
    'SPHINX',
    'SPIDER',
  ],
])

const OPTIONS: ReadonlySet<string> = new Set([
  ...[
    'AUTO_INCREMENT',
    'AVG_ROW_LENGTH',
    'CHECKSUM',
    'COLLATE',
    'COMMENT',
    'DELAY_KEY_WRITE',
    'KEY_BLOCK_SIZE',
  ],
  ...[
    'MAX_ROWS',
    'MIN_ROWS',
    'PACK_KEYS',
    'ROW_FORMAT',
    'STATS_AUTO_RECALC',
    'STATS_PERSISTENT',
    'PAGE_CHECKSUM',
  ],
  ...['STATS_SAMPLE_PAGES', 'TRANSACTIONAL', 'CHARSET'],
])

/** One `OPTION [=] value`; false: none is ahead. */
export function readTableOption(reader: Reader): boolean {
  const { cursor } = reader
  if (cursor.isWord('DATA') || cursor.isWord('INDEX')) {
    if (cursor.isWordAt(1, 'DIRECTORY')) hop('file_reach', 'puts a table into a folder of its own')
  }
  if (cursor.isWord('CONNECTION')) hop('outbound_reach', 'connects a table to another server')
  if (cursor.accept('ENGINE') || cursor.acceptAll('STORAGE', 'ENGINE')) {
    cursor.acceptOperator('=')
    const engine = cursor.advance().value.toUpperCase()
    if (REMOTE_ENGINES.has(engine)) hop('outbound_reach', `the engine ${engine} reaches other servers`)
    if (!ENGINES.has(engine)) notUnderstood('a storage engine that is not modelled')
    return true
  }
  const hasDefault = cursor.isWord('DEFAULT') ? 1 : 0
  const isCharacterSet = cursor.isWordAt(hasDefault, 'CHARACTER') && cursor.isWordAt(hasDefault + 1, 'SET')
  if (!isCharacterSet && !OPTIONS.has(cursor.peek(hasDefault).upper)) return false
  cursor.accept('DEFAULT')
  cursor.advance()
  cursor.accept('SET')
  cursor.acceptOperator('=')
  if (cursor.next.kind === 'literal') cursor.advance()
  else readName(reader)
  return true
}

export function readTableOptions(reader: Reader): void {
  while (readTableOption(reader)) reader.cursor.acceptOperator(',')
}
