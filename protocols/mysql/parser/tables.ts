/**
 * The FROM clause: tables, joins, derived tables.
 * https://dev.mysql.com/doc/refman/8.4/en/join.html https://mariadb.com/kb/en/join-syntax/
 */

import { ownRows, quotedName } from '../information-schema.ts'
import { asciiLower } from '../naming.ts'
import type { Outputs } from './common-tables.ts'
import { aliasName, isInformationSchema, objectName, readTable } from './objects.ts'
import { QUERY_TAIL_WORDS, QUERY_WORDS, type QueryPlace, type QueryResult, type Reader } from './reader.ts'
import { forbidden, notUnderstood } from './refusal.ts'
import type { Scope } from './scope.ts'
import { readType } from './type.ts'

/** `t1, t2 JOIN t3 ON …`, into the scope. */
export function readTableReferences(reader: Reader, scope: Scope): void {
  reader.cursor.list(() => readJoins(reader, scope))
}

/** MAX_TABLES of the servers is 61: more cannot be joined, and would only cost time. */
const SOURCES_MAX = 64

function tooManyTables(): never {
  return notUnderstood(`more than ${SOURCES_MAX} tables in one query block`)
}

function readJoins(reader: Reader, scope: Scope): void {
  reader.cursor.nested(() => {
    readFactor(reader, scope)
    continueJoins(reader, scope)
    if (scope.sources.length > SOURCES_MAX) tooManyTables()
  })
}

/** Joins and their conditions, in any order that the server may accept. */
function continueJoins(reader: Reader, scope: Scope): void {
  const { cursor, needs } = reader
  for (;;) {
    // `INSERT … SELECT … FROM t ON DUPLICATE KEY UPDATE …` is no join.
    if (cursor.isWord('ON') && cursor.isWordAt(1, 'DUPLICATE') && cursor.isWordAt(2, 'KEY')) return
    if (cursor.accept('ON')) {
      // Only the joined tables are in sight here, then those further out: neighbours are not.
      scope.isWeak = true
      reader.expression(reader, scope)
      scope.isWeak = false
    } else if (cursor.accept('USING')) {
      cursor.expectOperator('(')
      cursor.list(() => scope.refer({ column: cursor.identifier('a column').name }))
      cursor.expectOperator(')')
    } else {
      const isNatural = cursor.accept('NATURAL')
      if (!acceptJoin(reader, isNatural)) return
      if (scope.sources.length > SOURCES_MAX) tooManyTables()
      readFactor(reader, scope)
      if (isNatural) {
        // A natural join of information_schema ended a server (MariaDB 10.11.19).
        if (needs.readsInformationSchema) forbidden('a natural join with information_schema')
        // It reads the columns that both sides have, which a change of either would change.
        scope.referAll(needs)
      }
    }
  }
}

function acceptJoin(reader: Reader, isNatural: boolean): boolean {
  const { cursor } = reader
  if (!isNatural && cursor.accept('STRAIGHT_JOIN')) return true
  if (cursor.accept('INNER') || cursor.accept('CROSS')) {
    cursor.expect('JOIN')
    return true
  }
  if (cursor.accept('LEFT') || cursor.accept('RIGHT')) {
    cursor.accept('OUTER')
    cursor.expect('JOIN')
    return true
  }
  if (cursor.accept('JOIN')) return true
  if (isNatural) cursor.fail('JOIN was expected')
  return false
}

function readFactor(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  if (cursor.isOperator('(')) {
    const query = readParenthesis(reader, scope)
    if (query !== undefined) addDerived(reader, scope, query)
    return
  }
  if (cursor.acceptOperator('{')) {
    cursor.expect('OJ')
    readJoins(reader, scope)
    cursor.expectOperator('}')
    return
  }
  if (cursor.accept('LATERAL')) {
    const place: QueryPlace = { parent: scope, commonTables: scope.commonTables, isDetached: true }
    cursor.expectOperator('(')
    const query = reader.query(reader, place)
    cursor.expectOperator(')')
    addDerived(reader, scope, query)
    return
  }
  if (cursor.isWord('JSON_TABLE') && cursor.isOperatorAt(1, '(')) {
    readJsonTable(reader, scope)
    return
  }
  if (cursor.accept('DUAL')) return
  readPlainTable(reader, scope)
}

/**
 * Reads `(…)`. What stands in it is a query, which is then given back to be named, or tables. Behind `((` the
 * answer comes from inside: nothing is read twice.
 */
function readParenthesis(reader: Reader, scope: Scope): QueryResult | undefined {
  const { cursor } = reader
  return cursor.nested(() => {
    cursor.expectOperator('(')
    const place: QueryPlace = { parent: scope.parent, commonTables: scope.commonTables, isDetached: true }
    if (cursor.isOneOf(QUERY_WORDS)) {
      const query = reader.query(reader, place)
      cursor.expectOperator(')')
      return query
    }
    if (cursor.isOperator('(')) {
      const inner = readParenthesis(reader, scope)
      if (inner !== undefined) {
        if (cursor.acceptOperator(')')) return inner
        if (cursor.isOneOf(QUERY_TAIL_WORDS)) {
          const query = reader.queryTail(reader, place, inner)
          cursor.expectOperator(')')
          return query
        }
        addDerived(reader, scope, inner)
      }
      continueJoins(reader, scope)
      while (cursor.acceptOperator(',')) readJoins(reader, scope)
    } else readTableReferences(reader, scope)
    cursor.expectOperator(')')
    return undefined
  })
}

/** A derived table: its alias and the names of its columns. */
function addDerived(reader: Reader, scope: Scope, query: QueryResult): void {
  const { cursor } = reader
  cursor.accept('AS')
  const alias = cursor.identifier('an alias')
  const columns = cursor.isOperator('(') ? readColumnNames(reader) : query.outputs
  scope.sources.push({ alias: aliasName(reader, alias.name), relation: undefined, columns })
}

/** `(a, b)` → folded names. */
export function readColumnNames(reader: Reader): Outputs {
  const { cursor } = reader
  const names = new Set<string>()
  cursor.expectOperator('(')
  cursor.list(() => names.add(asciiLower(cursor.identifier('a column').name)))
  cursor.expectOperator(')')
  return names
}

function readPlainTable(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  const { start } = cursor.next
  const written = objectName(reader, 'a table')
  const end = cursor.lastEnd
  readPartitions(reader)
  readSystemTime(reader, scope)
  let alias: string | undefined
  if (cursor.accept('AS')) alias = cursor.identifier('an alias').name
  else if (cursor.isIdentifier) alias = cursor.identifier('an alias').name
  readIndexHints(reader)
  if (isInformationSchema(reader, written)) {
    const own = alias === undefined ? ` AS ${quotedName(written.name.name)}` : ''
    const text = ownRows(reader.rules, written.name.name)
    if (text !== undefined) reader.edits.push({ start, end, text: `(${text})${own}` })
  }
  scope.sources.push(readTable(reader, written, { alias, commonTables: scope.commonTables }))
}

/** `PARTITION (p0, p1)` */
export function readPartitions(reader: Reader): void {
  const { cursor } = reader
  if (!cursor.isWord('PARTITION') || !cursor.isOperatorAt(1, '(')) return
  cursor.advance()
  readColumnNames(reader)
}

/** MariaDB: `FOR SYSTEM_TIME AS OF …`. https://mariadb.com/kb/en/system-versioned-tables/ */
function readSystemTime(reader: Reader, scope: Scope): void {
  const { cursor, rules } = reader
  if (rules.isMysql || !cursor.acceptAll('FOR', 'SYSTEM_TIME')) return
  if (cursor.accept('ALL')) return
  if (cursor.acceptAll('AS', 'OF')) readPoint(reader, scope)
  else if (cursor.accept('BETWEEN')) {
    readPoint(reader, scope)
    cursor.expect('AND')
    readPoint(reader, scope)
  } else {
    cursor.expect('FROM')
    readPoint(reader, scope)
    cursor.expect('TO')
    readPoint(reader, scope)
  }
}

function readPoint(reader: Reader, scope: Scope): void {
  if (!reader.cursor.accept('TRANSACTION') && reader.cursor.peek(1).kind !== 'string') {
    reader.cursor.accept('TIMESTAMP')
  }
  reader.operand(reader, scope)
}

/** `USE INDEX FOR JOIN (a, b)` */
function readIndexHints(reader: Reader): void {
  const { cursor } = reader
  while (cursor.accept('USE') || cursor.accept('FORCE') || cursor.accept('IGNORE')) {
    if (!cursor.accept('INDEX')) cursor.expect('KEY')
    if (cursor.accept('FOR')) {
      if (!cursor.accept('JOIN')) {
        if (!cursor.accept('ORDER')) cursor.expect('GROUP')
        cursor.expect('BY')
      }
    }
    cursor.expectOperator('(')
    if (!cursor.isOperator(')')) {
      cursor.list(() => {
        if (!cursor.accept('PRIMARY')) cursor.identifier('an index')
      })
    }
    cursor.expectOperator(')')
  }
}

/** https://dev.mysql.com/doc/refman/8.4/en/json-table-functions.html */
function readJsonTable(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.advance()
  cursor.expectOperator('(')
  scope.isWeak = true
  reader.expression(reader, scope)
  scope.isWeak = false
  cursor.expectOperator(',')
  expectString(reader)
  readJsonColumns(reader)
  cursor.expectOperator(')')
  cursor.accept('AS')
  const alias = cursor.identifier('an alias')
  scope.sources.push({
    alias: aliasName(reader, alias.name),
    relation: undefined,
    columns: undefined,
  })
}

function readJsonColumns(reader: Reader): void {
  const { cursor } = reader
  cursor.expect('COLUMNS')
  cursor.nested(() => {
    cursor.expectOperator('(')
    cursor.list(() => readJsonColumn(reader))
    cursor.expectOperator(')')
  })
}

function readJsonColumn(reader: Reader): void {
  const { cursor } = reader
  if (cursor.accept('NESTED')) {
    cursor.accept('PATH')
    expectString(reader)
    readJsonColumns(reader)
    return
  }
  cursor.identifier('a column')
  if (cursor.acceptAll('FOR', 'ORDINALITY')) return
  readType(reader)
  cursor.accept('EXISTS')
  cursor.expect('PATH')
  expectString(reader)
  for (;;) {
    if (cursor.accept('DEFAULT')) expectString(reader)
    else if (!cursor.accept('NULL') && !cursor.accept('ERROR')) return
    cursor.expect('ON')
    if (!cursor.accept('EMPTY')) cursor.expect('ERROR')
  }
}

function expectString(reader: Reader): void {
  if (reader.cursor.next.kind !== 'string') reader.cursor.fail('a string was expected')
  reader.cursor.advance()
}
