/**
 * Expressions. Precedence does not matter here: an expression is operands with operators between them, and what
 * matters is that every operand is known for what it is, so that no table, function or variable is missed.
 *
 * https://dev.mysql.com/doc/refman/8.4/en/expressions.html
 */
import { INFORMATION_SCHEMA } from '../information-schema.ts'
import { asciiLower } from '../naming.ts'
import { INTERVAL_UNITS, readFunction, readSpecialFunction } from './function-call.ts'
import {
  type ExpressionShape,
  QUERY_TAIL_WORDS,
  QUERY_WORDS,
  type QueryResult,
  type Reader,
} from './reader.ts'
import { notUnderstood } from './refusal.ts'
import type { Scope } from './scope.ts'
import { readVariable } from './variable.ts'

const OPAQUE: ExpressionShape = { column: undefined }

const BINARY_OPERATORS: ReadonlySet<string> = new Set([
  ...[
    '+',
    '-',
    '*',
    '/',
    '%',
    '^',
    '&',
    '|',
    '<<',
    '>>',
    '<',
    '>',
    '<=',
    '>=',
    '=',
    '<=>',
    '<>',
    '!=',
    '||',
    '&&',
  ],
])

const BINARY_WORDS: ReadonlySet<string> = new Set([
  ...['AND', 'OR', 'XOR', 'DIV', 'MOD', 'LIKE', 'RLIKE', 'REGEXP', 'ESCAPE', 'BETWEEN'],
])

const NEGATABLE: ReadonlySet<string> = new Set(['LIKE', 'IN', 'BETWEEN', 'REGEXP', 'RLIKE'])

const TRUTH_VALUES: ReadonlySet<string> = new Set(['NULL', 'TRUE', 'FALSE', 'UNKNOWN'])

const QUANTIFIERS: ReadonlySet<string> = new Set(['ANY', 'SOME', 'ALL'])

/** Character sets that a literal may be marked with: ASCII means the same in each, whatever bytes follow. */
const INTRODUCERS: ReadonlySet<string> = new Set([
  ...['_UTF8', '_UTF8MB3', '_UTF8MB4', '_BINARY', '_LATIN1', '_ASCII'],
])

export function readExpression(reader: Reader, scope: Scope): ExpressionShape {
  return reader.cursor.nested(() => continueExpression(reader, scope, readOperand(reader, scope)))
}

function readExpressions(reader: Reader, scope: Scope): void {
  reader.cursor.list(() => readExpression(reader, scope))
}

/** Reads on behind a first operand. */
function continueExpression(reader: Reader, scope: Scope, first: ExpressionShape): ExpressionShape {
  const { cursor } = reader
  let shape = first
  for (;;) {
    const { kind, value, upper } = cursor.next
    if (kind === 'operator') {
      if (BINARY_OPERATORS.has(value)) {
        cursor.advance()
        readOperand(reader, scope)
      } else if ((value === '->' || value === '->>') && reader.rules.isMysql) {
        cursor.advance()
        if (cursor.next.kind !== 'string') cursor.fail('a JSON path was expected')
        passLiteral(reader)
      } else return shape
    } else if (kind !== 'word') return shape
    else if (BINARY_WORDS.has(upper)) {
      cursor.advance()
      readOperand(reader, scope)
    } else if (!readPostfix(reader, scope, upper)) return shape
    shape = OPAQUE
  }
}

/** Operators that are words and take something else than an operand. False: there is none here. */
function readPostfix(reader: Reader, scope: Scope, word: string): boolean {
  const { cursor } = reader
  switch (word) {
    case 'IS':
      cursor.advance()
      cursor.accept('NOT')
      if (cursor.acceptOneOf(TRUTH_VALUES) === undefined)
        cursor.fail('NULL, TRUE, FALSE or UNKNOWN was expected')
      return true
    case 'NOT':
      cursor.advance()
      if (!cursor.isOneOf(NEGATABLE)) cursor.fail('LIKE, IN, BETWEEN or REGEXP was expected')
      if (cursor.isWord('IN')) return readPostfix(reader, scope, 'IN')
      cursor.advance()
      readOperand(reader, scope)
      return true
    case 'IN':
      cursor.advance()
      if (!cursor.isOperator('(')) cursor.fail('`(` was expected')
      readParenthesis(reader, scope)
      return true
    case 'SOUNDS':
      if (!cursor.isWordAt(1, 'LIKE')) return false
      cursor.advance()
      cursor.advance()
      readOperand(reader, scope)
      return true
    case 'MEMBER':
      if (!reader.rules.isMysql) return false
      cursor.advance()
      cursor.accept('OF')
      if (!cursor.isOperator('(')) cursor.fail('`(` was expected')
      readParenthesis(reader, scope)
      return true
    case 'COLLATE':
      cursor.advance()
      if (cursor.next.kind === 'string' || cursor.isWord('BINARY')) cursor.advance()
      else cursor.identifier('a collation')
      return true
    default:
      return false
  }
}

export function readOperand(reader: Reader, scope: Scope): ExpressionShape {
  const { cursor } = reader
  for (;;) {
    const { kind, value, upper } = cursor.next
    switch (kind) {
      case 'parameter':
        cursor.advance()
        return OPAQUE
      case 'literal':
        passLiteral(reader)
        return OPAQUE
      case 'string':
        while (cursor.next.kind === 'string') passLiteral(reader)
        return OPAQUE
      case 'user_variable':
        cursor.advance()
        if (cursor.acceptOperator(':=')) readExpression(reader, scope)
        return OPAQUE
      case 'system_variable':
        readVariable(reader, cursor.advance().upper)
        return OPAQUE
      case 'name':
        return readName(reader, scope)
      case 'operator':
        if (value === '(') {
          readParenthesis(reader, scope)
          return OPAQUE
        }
        if (value === '{') return readOdbcLiteral(reader, scope)
        if (value === '+' || value === '-' || value === '~' || value === '!') break
        return cursor.fail('an expression was expected')
      case 'word':
        if (upper === 'NOT') break
        if (upper === 'BINARY' && !cursor.isOperatorAt(1, '.')) break
        return readWord(reader, scope, upper)
      default:
        return cursor.fail('an expression was expected')
    }
    // A prefix operator: the operand follows.
    cursor.advance()
  }
}

/** Takes a literal whose value bears on nothing. */
function passLiteral({ cursor, indifferent }: Reader): void {
  indifferent.add(cursor.advance().start)
}

function readWord(reader: Reader, scope: Scope, upper: string): ExpressionShape {
  const { cursor } = reader
  switch (upper) {
    case 'NULL':
    case 'TRUE':
    case 'FALSE':
      cursor.advance()
      return OPAQUE
    case 'DEFAULT':
      cursor.advance()
      scope.sawDefault = true
      // `DEFAULT(column)` gives what the table's definition says, and counts as a use of the column.
      if (cursor.isOperator('(')) readParenthesis(reader, scope)
      return OPAQUE
    case 'CASE':
      readCase(reader, scope)
      return OPAQUE
    case 'EXISTS':
      cursor.advance()
      if (readParenthesis(reader, scope) === undefined) notUnderstood('EXISTS without a query')
      return OPAQUE
    case 'ROW':
      if (!cursor.isOperatorAt(1, '(')) break
      cursor.advance()
      readParenthesis(reader, scope)
      return OPAQUE
    case 'INTERVAL':
      readInterval(reader, scope)
      return OPAQUE
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
      if (cursor.peek(1).kind !== 'string') break
      cursor.advance()
      passLiteral(reader)
      return OPAQUE
    case 'MATCH':
      readMatch(reader, scope)
      return OPAQUE
    default:
      if (QUANTIFIERS.has(upper) && cursor.isOperatorAt(1, '(')) {
        cursor.advance()
        if (readParenthesis(reader, scope) === undefined) notUnderstood(`${upper} without a query`)
        return OPAQUE
      }
      if (upper.startsWith('_') && isLiteralAt(reader, 1)) {
        if (!INTRODUCERS.has(upper)) cursor.fail('a character set introducer that is not open to runs')
        cursor.advance()
        // Strings behind a string are parts of it, and no alias.
        if (cursor.advance().kind === 'string') while (cursor.next.kind === 'string') cursor.advance()
        return OPAQUE
      }
  }
  if (readSpecialFunction(reader, scope, upper)) return OPAQUE
  return readName(reader, scope)
}

function isLiteralAt(reader: Reader, offset: number): boolean {
  const { kind } = reader.cursor.peek(offset)
  return kind === 'string' || kind === 'literal'
}

/** A column, or a call of a function: `c`, `t.c`, `db.t.c`, `f(…)`, `db.f(…)`. */
function readName(reader: Reader, scope: Scope): ExpressionShape {
  const { cursor } = reader
  if (cursor.isOperatorAt(1, '(')) {
    readFunction(reader, scope, undefined)
    return OPAQUE
  }
  const { start } = cursor.next
  const first = cursor.identifier('an expression')
  if (!cursor.acceptOperator('.')) {
    scope.refer({ column: first.name })
    return { column: first.name }
  }
  if (cursor.isOperatorAt(1, '(') && cursor.next.kind !== 'operator') {
    readFunction(reader, scope, first)
    return OPAQUE
  }
  const behindFirst = cursor.next.start
  const second = cursor.identifier('a column')
  if (!cursor.acceptOperator('.')) {
    referQualified(reader, scope, { schema: undefined, table: first.name, column: second.name })
    return { column: second.name }
  }
  const third = cursor.identifier('a column')
  // What is read of information_schema is a derived table, which has a name but no database.
  if (asciiLower(first.name) === INFORMATION_SCHEMA) reader.edits.push({ start, end: behindFirst, text: '' })
  referQualified(reader, scope, { schema: first.name, table: second.name, column: third.name })
  return { column: third.name }
}

export function referQualified(
  reader: Reader,
  scope: Scope,
  written: { readonly schema: string | undefined; readonly table: string; readonly column: string },
  action: 'select' | 'update' = 'select',
): void {
  scope.refer({
    qualifier: aliasOf(reader, written.table),
    column: written.column,
    action,
    // The server passes over what has the alias but not the database, such as a derived table, and looks further out.
    isWeak: written.schema !== undefined,
  })
}

function aliasOf(reader: Reader, table: string): string {
  return reader.rules.names.relation(table, true)
}

/**
 * Reads `(…)` and gives the query that it held; undefined: expressions. Behind `((` only the end of the inner parentheses
 * tells whether a query in them is the whole or one operand: the answer is passed outwards, so that nothing is read twice.
 */
function readParenthesis(reader: Reader, scope: Scope): QueryResult | undefined {
  const { cursor } = reader
  return cursor.nested(() => {
    cursor.expectOperator('(')
    const place = { parent: scope, commonTables: scope.commonTables, isDetached: false }
    if (cursor.isOneOf(QUERY_WORDS) && !(cursor.isWord('VALUES') && cursor.isOperatorAt(1, '('))) {
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
      }
      continueExpression(reader, scope, OPAQUE)
      while (cursor.acceptOperator(',')) readExpression(reader, scope)
    } else readExpressions(reader, scope)
    cursor.expectOperator(')')
    return undefined
  })
}

function readCase(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.expect('CASE')
  if (!cursor.isWord('WHEN')) readExpression(reader, scope)
  while (cursor.accept('WHEN')) {
    readExpression(reader, scope)
    cursor.expect('THEN')
    readExpression(reader, scope)
  }
  if (cursor.accept('ELSE')) readExpression(reader, scope)
  cursor.expect('END')
}

/** `INTERVAL 1 DAY`, and the function `INTERVAL(n, a, b)`. */
function readInterval(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.expect('INTERVAL')
  const isPerhapsFunction = cursor.isOperator('(')
  readExpression(reader, scope)
  if (cursor.acceptOneOf(INTERVAL_UNITS) === undefined && !isPerhapsFunction)
    cursor.fail('a unit was expected')
}

/** `MATCH (a, b) AGAINST ('x' IN BOOLEAN MODE)`; the parentheses around the columns may be left out. */
function readMatch(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.expect('MATCH')
  if (cursor.isOperator('(')) readParenthesis(reader, scope)
  else cursor.list(() => readName(reader, scope))
  cursor.expect('AGAINST')
  cursor.expectOperator('(')
  // `IN BOOLEAN MODE` would be taken for the operator IN: only an operand is read.
  readOperand(reader, scope)
  cursor.acceptAll('IN', 'BOOLEAN', 'MODE')
  cursor.acceptAll('IN', 'NATURAL', 'LANGUAGE', 'MODE')
  cursor.acceptAll('WITH', 'QUERY', 'EXPANSION')
  cursor.expectOperator(')')
}

/** `{d '2026-01-01'}`, `{ts …}`, `{t …}`. */
function readOdbcLiteral(reader: Reader, scope: Scope): ExpressionShape {
  const { cursor } = reader
  cursor.expectOperator('{')
  cursor.identifier('an ODBC escape')
  readExpression(reader, scope)
  cursor.expectOperator('}')
  return OPAQUE
}
