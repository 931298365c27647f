/**
 * SHOW and DESCRIBE by allow-list.
 * https://dev.mysql.com/doc/refman/8.4/en/show.html https://mariadb.com/kb/en/show/
 */
import { isOwnDatabase } from '../information-schema.ts'
import { READABLE_VARIABLES } from '../variables.ts'
import { type ObjectName, objectName, readTable, writtenTable } from './objects.ts'
import { readLimit } from './query.ts'
import type { Reader } from './reader.ts'
import { forbidden, hop } from './refusal.ts'
import { Scope } from './scope.ts'

/** Status counters that drivers ask for; all others are statistics of the whole server. */
const READABLE_STATUS: ReadonlySet<string> = new Set(['ssl_cipher', 'ssl_version', 'uptime', 'wsrep_ready'])

/** Behind `SHOW`. */
export function readShow(reader: Reader): void {
  const { cursor, needs } = reader
  const { upper } = cursor.next
  const isExtended = cursor.accept('EXTENDED')
  const isFull = cursor.accept('FULL')
  if (cursor.accept('COLUMNS') || cursor.accept('FIELDS')) readShowOfTable(reader)
  else if (cursor.accept('TABLES')) {
    readDatabase(reader)
    readLike(reader)
    needs.metadata('introspect', 'show tables')
  } else if (isFull) forbidden(`SHOW FULL ${cursor.next.upper} is not open to runs`)
  else if (cursor.accept('INDEX') || cursor.accept('INDEXES') || cursor.accept('KEYS'))
    readShowOfTable(reader)
  else if (isExtended) cursor.fail('COLUMNS was expected')
  else if (cursor.acceptAll('TABLE', 'STATUS')) {
    readDatabase(reader)
    readLike(reader)
    needs.metadata('introspect', 'show table status')
  } else if (cursor.accept('DATABASES') || cursor.accept('SCHEMAS')) {
    readOwnDatabases(reader)
    needs.metadata('introspect', 'show databases')
  } else if (cursor.accept('CREATE')) readShowCreate(reader)
  else if (!readShowOfSession(reader)) readShowOfServer(reader, upper)
}

/** What this session has done itself. */
function readShowOfSession(reader: Reader): boolean {
  const { cursor } = reader
  if (cursor.accept('WARNINGS') || cursor.accept('ERRORS')) {
    if (cursor.accept('LIMIT')) readLimit(reader, new Scope({ parent: undefined, commonTables: undefined }))
    return true
  }
  if (!cursor.accept('COUNT')) return false
  cursor.expectOperator('(')
  cursor.expectOperator('*')
  cursor.expectOperator(')')
  if (!cursor.accept('WARNINGS')) cursor.expect('ERRORS')
  return true
}

function readShowOfServer(reader: Reader, word: string): void {
  const { cursor } = reader
  if (cursor.acceptAll('CHARACTER', 'SET') || cursor.accept('CHARSET'))
    readServerList(reader, 'character sets')
  else if (cursor.accept('COLLATION')) readServerList(reader, 'collations')
  else if (cursor.accept('ENGINES') || cursor.acceptAll('STORAGE', 'ENGINES'))
    readServerList(reader, 'engines')
  else {
    if (!cursor.accept('GLOBAL') && !cursor.accept('SESSION')) cursor.accept('LOCAL')
    if (cursor.accept('VARIABLES')) readNamed(reader, '@@', READABLE_VARIABLES)
    else if (cursor.accept('STATUS')) readNamed(reader, 'status ', READABLE_STATUS)
    else forbidden(`SHOW ${word} is not open to runs`)
  }
}

function readServerList(reader: Reader, name: string): void {
  readLike(reader)
  reader.needs.metadata('driver', `show ${name}`)
}

/** `[FROM db]`, which must be the pinned one. */
function readDatabase(reader: Reader): void {
  const { cursor } = reader
  if (cursor.accept('FROM') || cursor.accept('IN'))
    checkDatabase(reader, cursor.identifier('a database').name)
}

export function checkDatabase(reader: Reader, name: string): void {
  const { names } = reader.rules
  if (names.database(name) !== names.defaultSchema)
    hop('wrong_database', `\`${name}\` is another database`, name)
}

/** `LIKE 'x'`, or WHERE over the columns of the answer. */
function readLike(reader: Reader): void {
  const { cursor } = reader
  if (cursor.accept('LIKE')) {
    if (cursor.next.kind !== 'string') cursor.fail('a pattern was expected')
    cursor.advance()
  } else if (cursor.accept('WHERE')) {
    const scope = new Scope({ parent: undefined, commonTables: undefined })
    scope.sources.push({ alias: '', relation: undefined, columns: undefined })
    reader.expression(reader, scope)
    scope.close(reader.needs)
  }
}

/** Behind `SHOW DATABASES`: the answer is only about the pinned one. */
function readOwnDatabases(reader: Reader): void {
  const { cursor, edits, rules } = reader
  const own = isOwnDatabase(rules, '`Database`')
  const isPattern = cursor.isWord('LIKE')
  const isCondition = cursor.isWord('WHERE')
  const { start, end } = cursor.next
  const behind = cursor.lastEnd
  readLike(reader)
  if (isPattern) edits.push({ start, end: start, text: `WHERE ${own} AND \`Database\` ` })
  else if (isCondition) {
    edits.push({ start, end, text: `WHERE ${own} AND (` })
    edits.push({ start: cursor.lastEnd, end: cursor.lastEnd, text: ')' })
  } else edits.push({ start: behind, end: behind, text: ` WHERE ${own}` })
}

/** `FROM t [FROM db]`: whoever may read some column of a table may learn its shape. */
function readShowOfTable(reader: Reader): void {
  const { cursor } = reader
  if (!cursor.accept('FROM')) cursor.expect('IN')
  let written = objectName(reader, 'a table')
  if (cursor.accept('FROM') || cursor.accept('IN')) {
    written = { schema: cursor.identifier('a database'), name: written.name }
  }
  describe(reader, written)
  readLike(reader)
}

function describe(reader: Reader, written: ObjectName): void {
  readTable(reader, written, { alias: undefined, commonTables: undefined })
  reader.needs.metadata('driver', 'columns and keys')
}

/** `DESCRIBE t [column]`, behind the word. */
export function readDescribe(reader: Reader): void {
  const { cursor } = reader
  describe(reader, objectName(reader, 'a table'))
  if (cursor.next.kind === 'string') cursor.advance()
  else if (cursor.isIdentifier) cursor.identifier('a column')
}

function readShowCreate(reader: Reader): void {
  const { cursor, needs } = reader
  if (cursor.accept('DATABASE') || cursor.accept('SCHEMA')) {
    cursor.acceptAll('IF', 'NOT', 'EXISTS')
    checkDatabase(reader, cursor.identifier('a database').name)
  } else {
    if (!cursor.accept('TABLE') && !cursor.accept('VIEW') && !cursor.accept('SEQUENCE')) {
      forbidden(`SHOW CREATE ${cursor.next.upper} is not open to runs`)
    }
    // The whole definition: defaults, checks, comments, the text of a view.
    needs.whole('select', writtenTable(reader, objectName(reader, 'a table')))
  }
  needs.metadata('introspect', 'show create')
}

/** `LIKE 'name'` or `WHERE Variable_name = 'a' OR Variable_name IN ('b', 'c')`, all of them in the list. */
function readNamed(reader: Reader, prefix: string, readable: ReadonlySet<string>): void {
  const { cursor } = reader
  const check = (): void => {
    const { kind, value } = cursor.advance()
    // `_` is a wildcard in a pattern, but no two variables differ in one such place only.
    const name = value.replaceAll('\\_', '_').toLowerCase()
    if (kind !== 'string' || !readable.has(name)) forbidden('SHOW of a variable that is not open to runs')
    reader.needs.metadata('driver', `${prefix}${name}`)
  }
  if (cursor.accept('LIKE')) {
    check()
    return
  }
  if (!cursor.accept('WHERE')) forbidden('SHOW of all variables is not open to runs')
  do {
    const column = cursor.identifier('Variable_name').name
    if (column.toLowerCase() !== 'variable_name') cursor.fail('only Variable_name may be compared')
    if (cursor.acceptOperator('=') || cursor.accept('LIKE')) check()
    else {
      cursor.expect('IN')
      cursor.expectOperator('(')
      cursor.list(check)
      cursor.expectOperator(')')
    }
  } while (cursor.accept('OR'))
}
