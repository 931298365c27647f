/**
 * INSERT, REPLACE, UPDATE and DELETE.
 * https://dev.mysql.com/doc/refman/8.4/en/insert.html …/update.html …/delete.html
 * https://mariadb.com/kb/en/insert/ …/insertreturning/ …/delete/
 */
import type { CommonTables } from './common-tables.ts'
import { findCommonTable } from './common-tables.ts'
import type { Identifier } from './cursor.ts'
import { referQualified } from './expression.ts'
import { aliasName, type ObjectName, objectName, ownName, readTargetColumn, writtenTable } from './objects.ts'
import { isQueryAhead, readLimit, readOrder, readTopQuery } from './query.ts'
import type { Reader } from './reader.ts'
import { notUnderstood } from './refusal.ts'
import { Scope, type Source } from './scope.ts'
import { readColumnNames, readPartitions, readTableReferences } from './tables.ts'

const PRIORITIES: ReadonlySet<string> = new Set(['LOW_PRIORITY', 'DELAYED', 'HIGH_PRIORITY', 'IGNORE'])

/** Not reserved: anywhere but here QUICK is a table. */
const PRIORITIES_OF_DELETE: ReadonlySet<string> = new Set([...PRIORITIES, 'QUICK'])

/** @returns true where DELAYED is among them; nothing else of them changes what is touched */
function skipPriorities(reader: Reader, priorities = PRIORITIES): boolean {
  let isDelayed = false
  let word = reader.cursor.acceptOneOf(priorities)
  while (word !== undefined) {
    isDelayed ||= word === 'DELAYED'
    word = reader.cursor.acceptOneOf(priorities)
  }
  return isDelayed
}

/** Behind `INSERT` or `REPLACE`. */
export function readInsert(reader: Reader, isReplace: boolean): void {
  const { cursor, needs, rules } = reader
  const isDelayed = skipPriorities(reader)
  cursor.accept('INTO')
  const written = objectName(reader, 'a table')
  const table = writtenTable(reader, written)
  needs.touch('insert', table)
  if (isReplace) needs.touch('delete', table)
  // The thread that inserts later fills in every column.
  if (isDelayed) needs.whole('insert', table)
  readPartitions(reader)
  const scope = new Scope({ parent: undefined, commonTables: undefined })
  const values = new Scope({ parent: undefined, commonTables: undefined, isInserted: true })
  for (const { sources } of [scope, values]) {
    const alias = ownName(reader, written)
    sources.push({ alias, relation: table, columns: rules.columns(table) })
  }
  if (cursor.accept('SET')) readInsertSet(reader, values, table)
  else {
    readInsertColumns(reader, table)
    scope.sources.push(...readInsertSource(reader, values))
  }
  values.close(needs)
  if (cursor.accept('AS')) readRowAlias(reader, scope, table)
  if (cursor.acceptAll('ON', 'DUPLICATE', 'KEY', 'UPDATE')) {
    needs.touch('update', table)
    scope.isWeak = true
    scope.upsertTable = table
    readUpserts(reader, scope, table)
    scope.isWeak = false
  }
  if (!rules.isMysql && cursor.accept('RETURNING')) {
    // The server asks SELECT of every column that is written, whichever are returned.
    needs.copyColumns('insert', 'select', table)
    readReturning(reader, scope)
  }
  scope.close(needs)
}

function readInsertSet(reader: Reader, scope: Scope, table: string): void {
  const { cursor } = reader
  cursor.list(() => {
    reader.needs.column('insert', table, readTargetColumn(reader))
    if (!cursor.acceptOperator('=')) cursor.expectOperator(':=')
    reader.expression(reader, scope)
  })
}

/** `(a, b)`; without it all columns are written. */
function readInsertColumns(reader: Reader, table: string): void {
  const { cursor, needs, rules } = reader
  if (!cursor.isOperator('(') || isQueryAhead(reader)) {
    needs.whole('insert', table)
    return
  }
  cursor.expectOperator('(')
  if (cursor.acceptOperator(')')) {
    // `() VALUES ()` takes the defaults; before anything else, an empty list is no list. For a default that is an
    // expression MySQL asks INSERT of its column.
    const isRow = !rules.isMysql && (cursor.isWord('VALUES') || cursor.isWord('VALUE'))
    if (!isRow || !cursor.isOperatorAt(1, '(') || !cursor.isOperatorAt(2, ')')) needs.whole('insert', table)
    return
  }
  cursor.list(() => needs.column('insert', table, readTargetColumn(reader)))
  cursor.expectOperator(')')
}

/**
 * @param values the scope of the rows
 * @returns what the rest of the statement sees beside the table
 */
function readInsertSource(reader: Reader, values: Scope): readonly Source[] {
  const { cursor } = reader
  const isRows = cursor.isWord('VALUES') && !cursor.isWordAt(1, 'ROW')
  if (!isRows && !cursor.isWord('VALUE')) {
    if (!isQueryAhead(reader)) cursor.fail('VALUES or a query was expected')
    // What follows sees the tables of a plain query too.
    return readTopQuery(reader).sources
  }
  cursor.advance()
  cursor.list(() => {
    cursor.expectOperator('(')
    if (!cursor.isOperator(')')) cursor.list(() => reader.expression(reader, values))
    cursor.expectOperator(')')
  })
  return []
}

/** MySQL: `VALUES (…) AS new (a, b)`: the row that was to be inserted. */
function readRowAlias(reader: Reader, scope: Scope, table: string): void {
  const { cursor, needs, rules } = reader
  const alias = aliasName(reader, cursor.identifier('an alias').name)
  // As for VALUES(c), the server asks SELECT of the column whose new value is named.
  if (cursor.isOperator('(')) {
    needs.copyColumns('insert', 'select', table)
    scope.sources.push({ alias, relation: undefined, columns: readColumnNames(reader) })
  } else scope.sources.push({ alias, relation: table, columns: rules.columns(table) })
}

/** ON DUPLICATE KEY UPDATE: the left sides are columns of the table itself. */
function readUpserts(reader: Reader, scope: Scope, table: string): void {
  const { cursor, needs } = reader
  cursor.list(() => {
    const column = readTargetColumn(reader)
    needs.column('update', table, column)
    if (!cursor.acceptOperator('=')) cursor.expectOperator(':=')
    scope.sawDefault = false
    reader.expression(reader, scope)
    // MariaDB asks SELECT of the column that is written, MySQL only for DEFAULT.
    if (scope.sawDefault || !reader.rules.isMysql) needs.column('select', table, column)
  })
}

/** `a = 1, t.b = a + 1`: the left sides are written, what the right sides name is read. */
function readAssignments(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.list(() => {
    const parts: Identifier[] = [cursor.identifier('a column')]
    while (parts.length < 3 && cursor.acceptOperator('.')) parts.push(cursor.identifier('a column'))
    const column = parts[parts.length - 1]?.name ?? ''
    const table = parts[parts.length - 2]?.name
    if (table === undefined) scope.refer({ column, action: 'update' })
    else {
      const schema = parts[parts.length - 3]?.name
      referQualified(reader, scope, { schema, table, column }, 'update')
    }
    if (!cursor.acceptOperator('=')) cursor.expectOperator(':=')
    reader.expression(reader, scope)
  })
}

/** Behind `UPDATE`. */
export function readUpdate(reader: Reader, commonTables: CommonTables | undefined): void {
  const { cursor, needs } = reader
  skipPriorities(reader)
  const scope = new Scope({ parent: undefined, commonTables })
  readTableReferences(reader, scope)
  const [only, another] = scope.sources
  const single = another === undefined ? only?.relation : undefined
  cursor.expect('SET')
  // An update of one table reads of it only what it names.
  if (single !== undefined) needs.forget('select', single)
  readAssignments(reader, scope)
  if (single !== undefined && (cursor.isWord('WHERE') || cursor.isWord('ORDER')))
    needs.touch('select', single)
  readFilter(reader, scope)
  scope.close(needs)
}

/** WHERE, ORDER BY, LIMIT and RETURNING of UPDATE and DELETE. */
function readFilter(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  if (cursor.accept('WHERE')) reader.expression(reader, scope)
  if (cursor.acceptAll('ORDER', 'BY')) readOrder(reader, scope)
  if (cursor.accept('LIMIT')) readLimit(reader, scope)
  if (!reader.rules.isMysql && cursor.accept('RETURNING')) readReturning(reader, scope)
}

function readReturning(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.list(() => {
    if (cursor.acceptOperator('*')) {
      scope.referAll(reader.needs)
      return
    }
    if (cursor.isIdentifier && cursor.isOperatorAt(1, '.') && cursor.isOperatorAt(2, '*')) {
      for (let i = 0; i < 3; i++) cursor.advance()
      scope.referAll(reader.needs)
      return
    }
    reader.expression(reader, scope)
    if (cursor.accept('AS') && cursor.next.kind === 'string') cursor.advance()
    else if (cursor.isIdentifier) cursor.identifier('an alias')
  })
}

/** Behind `DELETE`. */
export function readDelete(reader: Reader, commonTables: CommonTables | undefined): void {
  const { cursor } = reader
  skipPriorities(reader, PRIORITIES_OF_DELETE)
  const scope = new Scope({ parent: undefined, commonTables })
  if (!cursor.accept('FROM')) {
    const targets = readTargets(reader)
    cursor.expect('FROM')
    readMultiDelete(reader, scope, targets)
    return
  }
  const isList = cursor.isIdentifier && !isSingleDelete(reader)
  if (isList) {
    const targets = readTargets(reader)
    cursor.expect('USING')
    readMultiDelete(reader, scope, targets)
    return
  }
  readSingleDelete(reader, scope)
}

/** Looks past the first table name: a list of targets goes on with `.*`, `,` or USING. */
function isSingleDelete(reader: Reader): boolean {
  const { cursor } = reader
  let offset = 1
  while (cursor.isOperatorAt(offset, '.') && cursor.isIdentifierAt(offset + 1)) offset += 2
  return !(
    cursor.isOperatorAt(offset, '.') ||
    cursor.isOperatorAt(offset, ',') ||
    cursor.isWordAt(offset, 'USING')
  )
}

function readSingleDelete(reader: Reader, scope: Scope): void {
  const { cursor, needs, rules } = reader
  const written = objectName(reader, 'a table')
  if (written.schema === undefined && findCommonTable(scope.commonTables, written.name.name) !== undefined) {
    notUnderstood('a deletion from a common table expression')
  }
  const table = writtenTable(reader, written)
  needs.touch('delete', table)
  readPartitions(reader)
  let alias: string | undefined
  if (cursor.accept('AS') || cursor.isIdentifier) alias = cursor.identifier('an alias').name
  readPartitions(reader)
  scope.sources.push({
    alias: alias === undefined ? ownName(reader, written) : aliasName(reader, alias),
    relation: table,
    columns: rules.columns(table),
  })
  // A condition reads, even one that names no column: how many rows went tells what it found.
  if (cursor.isWord('WHERE') || cursor.isWord('ORDER')) needs.touch('select', table)
  readFilter(reader, scope)
  scope.close(needs)
}

/** `t1, db.t2.*` */
function readTargets(reader: Reader): ObjectName[] {
  const { cursor } = reader
  const targets: ObjectName[] = []
  cursor.list(() => {
    const first = cursor.identifier('a table')
    let target: ObjectName = { schema: undefined, name: first }
    if (cursor.isOperator('.') && !cursor.isOperatorAt(1, '*')) {
      cursor.advance()
      target = { schema: first, name: cursor.identifier('a table') }
    }
    if (cursor.acceptOperator('.')) cursor.expectOperator('*')
    targets.push(target)
  })
  return targets
}

function readMultiDelete(reader: Reader, scope: Scope, targets: readonly ObjectName[]): void {
  const { cursor, needs } = reader
  readTableReferences(reader, scope)
  for (const target of targets) markDeleted(reader, scope, target)
  if (cursor.accept('WHERE')) reader.expression(reader, scope)
  scope.close(needs)
}

/** A target names an alias, or a table of the list: both are counted where both could be meant. */
function markDeleted(reader: Reader, scope: Scope, { schema, name }: ObjectName): void {
  const { needs, rules } = reader
  if (schema !== undefined) writtenTable(reader, { schema, name })
  const wanted = rules.names.relation(name.name, name.quoted)
  const sources = scope.sources.filter(({ alias, relation }) => alias === wanted || relation === wanted)
  if (!sources.some(({ alias }) => alias === wanted))
    notUnderstood('a deletion from a table that is not in the list')
  for (const { relation } of sources) {
    if (relation === undefined) notUnderstood('a deletion from something that is not a table')
    needs.touch('delete', relation)
  }
}
