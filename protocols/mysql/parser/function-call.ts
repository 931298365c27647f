/** Calls: built-in functions by allow-list, stored functions by name, and the built-in ones with a grammar of their own. */
import { BARE_FUNCTIONS, BUILT_INS, GLUED_FUNCTIONS, VERSIONED_GLUED_FUNCTIONS } from '../functions.ts'
import { asciiUpper } from '../lexer/characters.ts'
import type { Cursor, Identifier } from './cursor.ts'
import { baseTable, objectName, readTargetColumn, storedFunction } from './objects.ts'
import type { Reader } from './reader.ts'
import { forbidden, hop, notUnderstood } from './refusal.ts'
import { isAscii, type Scope } from './scope.ts'
import { readType } from './type.ts'
import { readOver } from './window.ts'

/** https://dev.mysql.com/doc/refman/8.4/en/expressions.html#temporal-intervals */
export const INTERVAL_UNITS: ReadonlySet<string> = new Set([
  ...['MICROSECOND', 'SECOND', 'MINUTE', 'HOUR', 'DAY', 'WEEK', 'MONTH', 'QUARTER', 'YEAR'],
  ...[
    'SECOND_MICROSECOND',
    'MINUTE_MICROSECOND',
    'MINUTE_SECOND',
    'HOUR_MICROSECOND',
    'HOUR_SECOND',
    'HOUR_MINUTE',
  ],
  ...['DAY_MICROSECOND', 'DAY_SECOND', 'DAY_MINUTE', 'DAY_HOUR', 'YEAR_MONTH'],
  ...['SQL_TSI_SECOND', 'SQL_TSI_MINUTE', 'SQL_TSI_HOUR', 'SQL_TSI_DAY', 'SQL_TSI_WEEK', 'SQL_TSI_MONTH'],
  ...['SQL_TSI_QUARTER', 'SQL_TSI_YEAR'],
])

/** Refuses a built-in function that no run may call. @returns false: not built in */
function checkBuiltIn(reader: Reader, upper: string): boolean {
  const builtIn = BUILT_INS.get(upper)
  if (builtIn === undefined) return false
  if (!builtIn.allowed) {
    if (builtIn.hop === undefined) forbidden(builtIn.why)
    else hop(builtIn.hop, builtIn.why)
  }
  if (builtIn.metadata) reader.needs.metadata('driver', `${upper.toLowerCase()}()`)
  return true
}

/**
 * Whether a stored function has the name of a built-in one and may run in its place: where the server's version lacks
 * the built-in one, and on MariaDB for some by the number of their arguments (`point(1)`). A name that the lexer takes
 * for a built-in one never gets so far.
 */
function isShadowed({ rules }: Reader, upper: string): boolean {
  const isOfLexer = GLUED_FUNCTIONS.has(upper) && !VERSIONED_GLUED_FUNCTIONS.has(upper)
  return !isOfLexer && rules.catalog.functions.has(upper.toLowerCase())
}

/**
 * Reads a call whose name is next.
 *
 * @param schema written before the name: then it is a stored function, whatever its name
 */
export function readFunction(reader: Reader, scope: Scope, schema: Identifier | undefined): void {
  const { cursor, rules } = reader
  const token = cursor.advance()
  const upper = asciiUpper(token.value)
  // To MySQL `ſleep` is `sleep`.
  if (!isAscii(token.value)) notUnderstood('a function whose name is beyond ASCII')
  const name = { name: token.value, quoted: token.kind === 'name' }
  if (schema !== undefined) storedFunction(reader, { schema, name })
  else {
    const isBuiltIn = checkBuiltIn(reader, upper)
    // Quotes, and a blank before some, make a stored function of the name, in some versions.
    const isPlain = token.kind === 'word' && (token.glued || !GLUED_FUNCTIONS.has(upper))
    if (!isBuiltIn && token.kind === 'word' && rules.reserved.has(upper))
      notUnderstood(`${upper} is no function`)
    if (!isBuiltIn || !isPlain || isShadowed(reader, upper)) storedFunction(reader, { schema, name })
  }
  readArguments(reader, scope, upper === 'COUNT')
}

function readArguments(reader: Reader, scope: Scope, isCount: boolean): void {
  const { cursor } = reader
  cursor.expectOperator('(')
  if (!cursor.acceptOperator(')')) {
    if (!cursor.accept('DISTINCT')) cursor.accept('ALL')
    if (isCount && cursor.acceptOperator('*')) {
      // Counts rows: no column is read.
    } else cursor.list(() => reader.expression(reader, scope))
    if (cursor.acceptAll('ORDER', 'BY')) {
      cursor.list(() => {
        reader.expression(reader, scope)
        if (!cursor.accept('ASC')) cursor.accept('DESC')
      })
    }
    if (cursor.accept('SEPARATOR') && cursor.advance().kind !== 'string')
      cursor.fail('a separator was expected')
    if (cursor.accept('LIMIT')) cursor.list(() => reader.expression(reader, scope))
    cursor.expectOperator(')')
  }
  if (cursor.acceptAll('WITHIN', 'GROUP')) {
    cursor.expectOperator('(')
    cursor.expect('ORDER')
    cursor.expect('BY')
    reader.expression(reader, scope)
    if (!cursor.accept('ASC')) cursor.accept('DESC')
    cursor.expectOperator(')')
  }
  acceptDirection(cursor)
  if (!cursor.acceptAll('RESPECT', 'NULLS')) cursor.acceptAll('IGNORE', 'NULLS')
  if (cursor.accept('OVER')) readOver(reader, scope)
}

/**
 * `NTH_VALUE(a, 2) FROM FIRST OVER …`. Neither word is reserved: where no OVER follows, they begin the FROM clause with a
 * table of that name (`SELECT MAX(a) FROM first, t`).
 */
function acceptDirection(cursor: Cursor): void {
  if (!cursor.isWord('FROM') || (!cursor.isWordAt(1, 'FIRST') && !cursor.isWordAt(1, 'LAST'))) return
  const over = cursor.isWordAt(3, 'NULLS') ? 4 : 2
  if (!cursor.isWordAt(over, 'OVER')) return
  cursor.advance()
  cursor.advance()
}

/** Reads a call of a function with a grammar of its own. False: the next word is none. */
export function readSpecialFunction(reader: Reader, scope: Scope, upper: string): boolean {
  const { cursor, rules } = reader
  if (!cursor.isOperatorAt(1, '(')) return readBare(reader, upper)
  if (!cursor.next.glued && GLUED_FUNCTIONS.has(upper)) return false
  if (isShadowed(reader, upper)) return false
  const body = specialBody(upper)
  if (body === undefined) return false
  if (upper !== 'VALUES' && !isSequenceFunction(upper)) checkBuiltIn(reader, upper)
  else if (isSequenceFunction(upper) && rules.isMysql) return false
  cursor.advance()
  cursor.expectOperator('(')
  body(reader, scope)
  cursor.expectOperator(')')
  return true
}

/** `CURRENT_DATE` and its like, and `NEXT VALUE FOR s`. */
function readBare(reader: Reader, upper: string): boolean {
  const { cursor, rules } = reader
  if (BARE_FUNCTIONS.has(upper) && rules.reserved.has(upper)) {
    cursor.advance()
    checkBuiltIn(reader, upper)
    return true
  }
  if (rules.isMysql || (upper !== 'NEXT' && upper !== 'PREVIOUS')) return false
  if (!cursor.isWordAt(1, 'VALUE') || !cursor.isWordAt(2, 'FOR')) return false
  for (let i = 0; i < 3; i++) cursor.advance()
  reader.needs.sequence('usage', baseTable(reader, objectName(reader, 'a sequence')))
  return true
}

function isSequenceFunction(upper: string): boolean {
  return upper === 'NEXTVAL' || upper === 'LASTVAL' || upper === 'SETVAL'
}

type Body = (reader: Reader, scope: Scope) => void

function specialBody(upper: string): Body | undefined {
  switch (upper) {
    case 'CAST':
      return (reader, scope) => {
        reader.expression(reader, scope)
        reader.cursor.expect('AS')
        readType(reader)
        reader.cursor.accept('ARRAY')
      }
    case 'CONVERT':
      return (reader, scope) => {
        reader.expression(reader, scope)
        if (reader.cursor.accept('USING')) readCharacterSet(reader)
        else {
          reader.cursor.expectOperator(',')
          readType(reader)
        }
      }
    case 'EXTRACT':
      return (reader, scope) => {
        readUnit(reader)
        reader.cursor.expect('FROM')
        reader.expression(reader, scope)
      }
    case 'TIMESTAMPADD':
    case 'TIMESTAMPDIFF':
      return (reader, scope) => {
        readUnit(reader)
        reader.cursor.expectOperator(',')
        reader.cursor.list(() => reader.expression(reader, scope))
      }
    case 'TRIM':
      return readTrim
    case 'SUBSTRING':
    case 'SUBSTR':
    case 'MID':
      return (reader, scope) => {
        reader.expression(reader, scope)
        if (reader.cursor.accept('FROM')) {
          reader.expression(reader, scope)
          if (reader.cursor.accept('FOR')) reader.expression(reader, scope)
        } else while (reader.cursor.acceptOperator(',')) reader.expression(reader, scope)
      }
    case 'POSITION':
      return (reader, scope) => {
        // The operator IN would swallow what separates the two.
        reader.operand(reader, scope)
        reader.cursor.expect('IN')
        reader.expression(reader, scope)
      }
    case 'GET_FORMAT':
      return (reader, scope) => {
        reader.cursor.identifier('DATE, TIME or DATETIME')
        reader.cursor.expectOperator(',')
        reader.expression(reader, scope)
      }
    case 'CHAR':
      return (reader, scope) => {
        reader.cursor.list(() => reader.expression(reader, scope))
        if (reader.cursor.accept('USING')) readCharacterSet(reader)
      }
    case 'WEIGHT_STRING':
      return (reader, scope) => {
        reader.expression(reader, scope)
        if (reader.cursor.accept('AS')) readType(reader)
      }
    case 'JSON_VALUE':
      return readJsonValue
    case 'VALUES':
      return readValues
    case 'NEXTVAL':
    case 'LASTVAL':
      return (reader) => reader.needs.sequence('usage', baseTable(reader, objectName(reader, 'a sequence')))
    case 'SETVAL':
      return (reader, scope) => {
        reader.needs.sequence('update', baseTable(reader, objectName(reader, 'a sequence')))
        while (reader.cursor.acceptOperator(',')) reader.expression(reader, scope)
      }
    default:
      return undefined
  }
}

function readUnit(reader: Reader): void {
  if (reader.cursor.acceptOneOf(INTERVAL_UNITS) === undefined) reader.cursor.fail('a unit was expected')
}

function readCharacterSet(reader: Reader): void {
  if (!reader.cursor.accept('BINARY')) reader.cursor.identifier('a character set')
}

function readTrim(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  const hasSide = cursor.accept('LEADING') || cursor.accept('TRAILING') || cursor.accept('BOTH')
  if (hasSide && cursor.accept('FROM')) {
    reader.expression(reader, scope)
    return
  }
  reader.expression(reader, scope)
  if (cursor.accept('FROM')) reader.expression(reader, scope)
}

/** https://dev.mysql.com/doc/refman/8.4/en/json-search-functions.html#function_json-value */
function readJsonValue(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  reader.expression(reader, scope)
  cursor.expectOperator(',')
  reader.expression(reader, scope)
  if (cursor.accept('RETURNING')) readType(reader)
  for (;;) {
    if (cursor.accept('NULL') || cursor.accept('ERROR')) {
      // The answer for a missing or a broken value.
    } else if (cursor.accept('DEFAULT')) reader.operand(reader, scope)
    else return
    cursor.expect('ON')
    if (!cursor.accept('EMPTY')) cursor.expect('ERROR')
  }
}

/**
 * `VALUES(c)`, in ON DUPLICATE KEY UPDATE: the value that was to be inserted, not one that is stored. The servers
 * ask SELECT of the column all the same.
 */
function readValues(reader: Reader, scope: Scope): void {
  let block: Scope | undefined = scope
  while (block !== undefined && block.upsertTable === undefined) block = block.parent
  if (block?.upsertTable === undefined) notUnderstood('VALUES of a column outside of an upsert')
  reader.needs.column('select', block.upsertTable, readTargetColumn(reader))
}
