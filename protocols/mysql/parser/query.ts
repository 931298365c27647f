/**
 * Query expressions: SELECT, TABLE, VALUES, WITH and set operations.
 * https://dev.mysql.com/doc/refman/8.4/en/select.html https://dev.mysql.com/doc/refman/8.4/en/with.html
 */
import { INFORMATION_SCHEMA, ownRows, quotedName } from '../information-schema.ts'
import { asciiLower } from '../naming.ts'
import type { CommonTables, Outputs } from './common-tables.ts'
import { isInformationSchema, objectName, readTable } from './objects.ts'
import { QUERY_WORDS, type QueryPlace, type QueryResult, type Reader } from './reader.ts'
import { hop, notUnderstood } from './refusal.ts'
import { isAscii, Scope } from './scope.ts'
import { readColumnNames, readTableReferences } from './tables.ts'
import { readWindow } from './window.ts'

const SELECT_OPTIONS: ReadonlySet<string> = new Set([
  ...[
    'ALL',
    'DISTINCT',
    'DISTINCTROW',
    'HIGH_PRIORITY',
    'STRAIGHT_JOIN',
    'SQL_SMALL_RESULT',
    'SQL_BIG_RESULT',
  ],
  ...['SQL_BUFFER_RESULT', 'SQL_CACHE', 'SQL_NO_CACHE', 'SQL_CALC_FOUND_ROWS'],
])

const SET_OPERATORS: ReadonlySet<string> = new Set(['UNION', 'EXCEPT', 'INTERSECT'])

/** One term of a query; a plain SELECT stays open, because ORDER BY may follow. */
type Term = QueryResult & { readonly open: Scope | undefined }

export function readQuery(reader: Reader, place: QueryPlace): QueryResult {
  return reader.cursor.nested(() => {
    const commonTables = reader.cursor.isWord('WITH') ? readWith(reader, place) : place.commonTables
    const inner = { ...place, commonTables }
    return continueQuery(reader, inner, readTerm(reader, inner))
  })
}

/** Reads on behind a query that stood in parentheses. */
export function readQueryTail(reader: Reader, place: QueryPlace, first: QueryResult): QueryResult {
  return continueQuery(reader, place, { ...first, open: undefined })
}

function continueQuery(reader: Reader, place: QueryPlace, first: Term): QueryResult {
  const { cursor, needs } = reader
  let isSet = false
  let last = first
  while (cursor.acceptOneOf(SET_OPERATORS) !== undefined) {
    isSet = true
    last.open?.close(needs)
    if (!cursor.accept('ALL')) cursor.accept('DISTINCT')
    last = readTerm(reader, place)
  }
  if (!isSet && first.open !== undefined) {
    readTail(reader, first.open)
    first.open.close(needs)
    return { outputs: first.outputs, sources: first.sources }
  }
  last.open?.close(needs)
  // What follows belongs to the whole, and sees only the names of the first term. Where that is all, the server takes away
  // its parentheses: then it sees the tables too.
  const sources = isSet ? [] : first.sources
  const whole = new Scope({ parent: place.parent, commonTables: place.commonTables, isDetached: true })
  whole.sources.push({ alias: '', relation: undefined, columns: first.outputs }, ...sources)
  whole.isWeak = sources.length > 0
  for (const name of first.outputs ?? []) whole.outputs.add(name)
  readTail(reader, whole)
  whole.close(needs)
  return { outputs: first.outputs, sources }
}

/** ORDER BY, LIMIT, INTO and locks, in the orders that both families allow. */
function readTail(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  if (cursor.acceptAll('ORDER', 'BY')) readOrder(reader, scope)
  for (;;) {
    if (cursor.accept('LIMIT')) readLimit(reader, scope)
    else if (cursor.accept('OFFSET')) readOffset(reader, scope)
    else if (cursor.accept('FETCH')) readFetch(reader, scope)
    else if (cursor.isWord('INTO')) readInto(reader)
    else if (cursor.isWord('FOR') || cursor.isWord('LOCK')) readLock(reader)
    else return
  }
}

/** `WITH a AS (…), b AS (…)`, giving what is then in sight. */
export function readWith(reader: Reader, place: QueryPlace): CommonTables | undefined {
  const { cursor } = reader
  cursor.expect('WITH')
  const isRecursive = cursor.accept('RECURSIVE')
  let commonTables = place.commonTables
  cursor.list(() => {
    const { name } = cursor.identifier('a name')
    reader.needs.addLocalName(name)
    const columns = cursor.isOperator('(') ? readColumnNames(reader) : undefined
    cursor.expect('AS')
    cursor.expectOperator('(')
    const depth = 1 + (commonTables?.depth ?? 0)
    const visible = isRecursive ? { name, columns, depth, outer: commonTables } : commonTables
    const query = reader.query(reader, { parent: place.parent, commonTables: visible, isDetached: true })
    cursor.expectOperator(')')
    if (cursor.accept('CYCLE')) {
      cursor.list(() => cursor.identifier('a column'))
      cursor.expect('RESTRICT')
    }
    commonTables = { name, columns: columns ?? query.outputs, depth, outer: commonTables }
  })
  return commonTables
}

function readTerm(reader: Reader, place: QueryPlace): Term {
  const { cursor } = reader
  if (cursor.isWord('SELECT')) return readSelect(reader, place)
  const { start } = cursor.next
  if (cursor.accept('TABLE')) {
    const written = objectName(reader, 'a table')
    const source = readTable(reader, written, { alias: undefined, commonTables: place.commonTables })
    if (isInformationSchema(reader, written)) {
      const text = ownRows(reader.rules, written.name.name)
      if (text !== undefined) reader.edits.push({ start, end: cursor.lastEnd, text })
    }
    if (source.relation !== undefined) reader.needs.whole('select', source.relation)
    return { outputs: source.columns, sources: [], open: undefined }
  }
  if (cursor.accept('VALUES')) {
    const scope = new Scope(place)
    cursor.list(() => {
      cursor.accept('ROW')
      cursor.expectOperator('(')
      if (!cursor.isOperator(')')) cursor.list(() => reader.expression(reader, scope))
      cursor.expectOperator(')')
    })
    scope.close(reader.needs)
    return { outputs: undefined, sources: [], open: undefined }
  }
  return cursor.nested(() => {
    cursor.expectOperator('(')
    const query = reader.query(reader, place)
    cursor.expectOperator(')')
    return { ...query, open: undefined }
  })
}

function readSelect(reader: Reader, place: QueryPlace): Term {
  const { cursor } = reader
  const scope = new Scope(place)
  cursor.expect('SELECT')
  // None of them changes what is read. One that is not reserved (SQL_CACHE in MySQL) is a column.
  while (cursor.isOneOf(SELECT_OPTIONS) && !cursor.isIdentifier) cursor.advance()
  const items = readSelectItems(reader, scope)
  if (cursor.isWord('INTO')) readInto(reader)
  if (cursor.accept('FROM')) readTableReferences(reader, scope)
  const outputs = finishItems(reader, scope, items)
  if (!reader.rules.isMysql && reader.needs.readsInformationSchema) {
    // In MariaDB a column of a derived table goes to the client under the table's spelling of it and not the statement's.
    for (const { column, at } of items.bare)
      reader.edits.push({ start: at, end: at, text: ` AS ${quotedName(column)}` })
  }
  if (cursor.accept('WHERE')) reader.expression(reader, scope)
  if (cursor.acceptAll('GROUP', 'BY')) readGroup(reader, scope)
  if (cursor.accept('HAVING')) readHaving(reader, scope)
  if (cursor.accept('WINDOW')) {
    cursor.list(() => {
      cursor.identifier('a window')
      cursor.expect('AS')
      readWindow(reader, scope)
    })
  }
  if (reader.rules.isMysql && cursor.accept('QUALIFY')) readHaving(reader, scope)
  return { outputs, sources: scope.sources, open: scope }
}

/** The select list as read: what it gives can be told only once the tables are known. */
type Items = {
  /** Names of columns and aliases; undefined where one is not known. */
  names: string[] | undefined
  /** `*` and `t.*`: undefined for all tables. */
  readonly stars: Set<string | undefined>
  /** Columns without an alias, and where one would stand. */
  readonly bare: { readonly column: string; readonly at: number }[]
}

function readSelectItems(reader: Reader, scope: Scope): Items {
  const items: Items = { names: [], stars: new Set(), bare: [] }
  reader.cursor.list(() => readSelectItem(reader, scope, items))
  return items
}

function readSelectItem(reader: Reader, scope: Scope, items: Items): void {
  const { cursor } = reader
  if (cursor.acceptOperator('*')) {
    items.stars.add(undefined)
    return
  }
  if (cursor.isIdentifier && cursor.isOperatorAt(1, '.')) {
    const isShort = cursor.isOperatorAt(2, '*')
    if (isShort || (cursor.isOperatorAt(3, '.') && cursor.isOperatorAt(4, '*'))) {
      const { start } = cursor.next
      const first = cursor.identifier('a table')
      cursor.expectOperator('.')
      if (!isShort && asciiLower(first.name) === INFORMATION_SCHEMA)
        reader.edits.push({ start, end: cursor.next.start, text: '' })
      const table = isShort ? first : cursor.identifier('a table')
      if (!isShort) cursor.expectOperator('.')
      cursor.expectOperator('*')
      items.stars.add(reader.rules.names.relation(table.name, table.quoted))
      return
    }
  }
  const { column } = reader.expression(reader, scope)
  const at = cursor.lastEnd
  const alias = readAlias(reader)
  if (alias === undefined && column !== undefined) items.bare.push({ column, at })
  const name = alias ?? column
  if (alias !== undefined) scope.outputs.add(asciiLower(alias))
  if (name === undefined) items.names = undefined
  else items.names?.push(asciiLower(name))
}

/** `[AS] alias`; an alias of a column may be a string. */
function readAlias(reader: Reader): string | undefined {
  const { cursor } = reader
  const isForced = cursor.accept('AS')
  if (cursor.next.kind === 'string') return cursor.advance().value
  if (isForced || cursor.isIdentifier) return cursor.identifier('an alias').name
  return undefined
}

/** Notes what the stars need, and tells the names that the block gives to the outside. */
function finishItems(reader: Reader, scope: Scope, { names, stars }: Items): Outputs {
  const outputs = new Set(names)
  let isKnown = names !== undefined
  for (const star of stars) {
    const sources = scope.sources.filter(({ alias }) => star === undefined || alias === star)
    if (sources.length === 0 && star !== undefined) notUnderstood('a star of a table that is not in FROM')
    for (const { relation, columns } of sources) {
      if (relation !== undefined) reader.needs.whole('select', relation)
      if (columns === undefined) {
        isKnown = false
        continue
      }
      reader.needs.spend(columns.size)
      for (const column of columns) outputs.add(column)
    }
  }
  return isKnown ? outputs : undefined
}

function readGroup(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  scope.seesOutputs = true
  // Elsewhere it is a function of that name.
  const { isMysql, catalog } = reader.rules
  if (isMysql && !catalog.functions.has('rollup') && cursor.isWord('ROLLUP') && cursor.isOperatorAt(1, '('))
    cursor.advance()
  readOrder(reader, scope)
  cursor.acceptAll('WITH', 'ROLLUP')
  scope.seesOutputs = false
}

function readHaving(reader: Reader, scope: Scope): void {
  scope.seesOutputs = true
  // The server looks for what is neither selected nor grouped in the blocks around this one.
  scope.isWeak = true
  reader.expression(reader, scope)
  scope.isWeak = false
  scope.seesOutputs = false
}

const AFTER_ORDER: ReadonlySet<string> = new Set([
  'ASC',
  'DESC',
  'LIMIT',
  'FOR',
  'LOCK',
  'INTO',
  'OFFSET',
  'FETCH',
])

function isNameAlone(reader: Reader): boolean {
  const { cursor } = reader
  if (!cursor.isIdentifier || !isAscii(cursor.next.value)) return false
  const { kind, value, upper } = cursor.peek(1)
  if (kind === 'operator') return value === ',' || value === ')' || value === ';'
  return kind === 'end' || (kind === 'word' && AFTER_ORDER.has(upper))
}

/** Behind `ORDER BY`; behind `GROUP BY` where the scope already sees the select list. */
export function readOrder(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  const before = scope.seesOutputs
  scope.seesOutputs = true
  cursor.list(() => {
    // A name on its own is first looked for in the select list; within an expression, first in the tables.
    if (!before && isNameAlone(reader) && scope.outputs.has(asciiLower(cursor.next.value))) cursor.advance()
    else reader.expression(reader, scope)
    if (!cursor.accept('ASC')) cursor.accept('DESC')
  })
  cursor.acceptAll('WITH', 'ROLLUP')
  scope.seesOutputs = before
}

/** Behind `LIMIT`. */
export function readLimit(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  if (!cursor.isWord('ROWS')) {
    reader.operand(reader, scope)
    if (cursor.acceptOperator(',') || cursor.accept('OFFSET')) reader.operand(reader, scope)
  }
  if (cursor.acceptAll('ROWS', 'EXAMINED')) reader.operand(reader, scope)
}

function readOffset(reader: Reader, scope: Scope): void {
  reader.operand(reader, scope)
  if (!reader.cursor.accept('ROWS')) reader.cursor.expect('ROW')
}

/** MariaDB: `FETCH FIRST 3 ROWS ONLY`. */
function readFetch(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  if (!cursor.accept('FIRST')) cursor.expect('NEXT')
  if (!cursor.isWord('ROW') && !cursor.isWord('ROWS')) reader.operand(reader, scope)
  if (!cursor.accept('ROWS')) cursor.expect('ROW')
  if (!cursor.accept('ONLY') && !cursor.acceptAll('WITH', 'TIES')) cursor.fail('ONLY was expected')
}

/** `INTO @a, @b`; files of the server are out of reach. */
function readInto(reader: Reader): void {
  const { cursor } = reader
  cursor.expect('INTO')
  if (cursor.isWord('OUTFILE') || cursor.isWord('DUMPFILE')) {
    const target = cursor.peek(1)
    hop('file_reach', 'writes a file of the server', target.kind === 'string' ? target.value : undefined)
  }
  cursor.list(() => {
    if (cursor.next.kind !== 'user_variable') cursor.fail('a user variable was expected')
    cursor.advance()
  })
}

/** `FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`: to lock rows against others needs the right to change them. */
function readLock(reader: Reader): void {
  const { cursor, needs } = reader
  if (cursor.accept('LOCK')) {
    cursor.expect('IN')
    cursor.expect('SHARE')
    cursor.expect('MODE')
  } else {
    cursor.expect('FOR')
    if (cursor.accept('UPDATE')) {
      const { read } = needs
      needs.spend(read.length)
      for (const name of read) needs.touch('update', name)
    } else cursor.expect('SHARE')
  }
  if (cursor.accept('OF')) {
    cursor.list(() => {
      objectName(reader, 'a table')
    })
  }
  if (cursor.accept('NOWAIT')) return
  if (cursor.accept('WAIT')) {
    if (cursor.next.kind !== 'literal') cursor.fail('a number of seconds was expected')
    cursor.advance()
  } else if (cursor.accept('SKIP')) cursor.expect('LOCKED')
}

/** True where a query expression begins, maybe behind parentheses. */
export function isQueryAhead(reader: Reader): boolean {
  const { cursor } = reader
  let offset = 0
  while (cursor.isOperatorAt(offset, '(')) offset++
  const token = cursor.peek(offset)
  return token.kind === 'word' && QUERY_WORDS.has(token.upper)
}

/** Reads a whole query of its own: a statement, the source of an INSERT, a view. */
export function readTopQuery(reader: Reader, commonTables?: CommonTables): QueryResult {
  return reader.query(reader, { parent: undefined, commonTables, isDetached: false })
}
