/** Windows: https://dev.mysql.com/doc/refman/8.4/en/window-functions-usage.html */
import type { Reader } from './reader.ts'
import type { Scope } from './scope.ts'

/** Behind `OVER`: a name or a definition. */
export function readOver(reader: Reader, scope: Scope): void {
  if (reader.cursor.isOperator('(')) readWindow(reader, scope)
  else reader.cursor.identifier('a window')
}

/** `( [name] [PARTITION BY …] [ORDER BY …] [frame] )` */
export function readWindow(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.expectOperator('(')
  if (cursor.isIdentifier && !isFrame(reader)) cursor.identifier('a window')
  if (cursor.acceptAll('PARTITION', 'BY')) cursor.list(() => reader.expression(reader, scope))
  if (cursor.acceptAll('ORDER', 'BY')) {
    cursor.list(() => {
      reader.expression(reader, scope)
      if (!cursor.accept('ASC')) cursor.accept('DESC')
    })
  }
  if (isFrame(reader)) {
    cursor.advance()
    if (cursor.accept('BETWEEN')) {
      readBound(reader, scope)
      cursor.expect('AND')
    }
    readBound(reader, scope)
    if (cursor.accept('EXCLUDE')) while (!cursor.isOperator(')') && !cursor.isAtEnd) readExclusion(reader)
  }
  cursor.expectOperator(')')
}

const FRAMES: ReadonlySet<string> = new Set(['ROWS', 'RANGE', 'GROUPS'])

function isFrame(reader: Reader): boolean {
  return reader.cursor.isOneOf(FRAMES)
}

function readBound(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  if (cursor.acceptAll('CURRENT', 'ROW')) return
  if (!cursor.accept('UNBOUNDED')) reader.expression(reader, scope)
  if (!cursor.accept('PRECEDING')) cursor.expect('FOLLOWING')
}

const EXCLUSIONS: ReadonlySet<string> = new Set(['NO', 'OTHERS', 'CURRENT', 'ROW', 'GROUP', 'TIES'])

function readExclusion(reader: Reader): void {
  if (reader.cursor.acceptOneOf(EXCLUSIONS) === undefined)
    reader.cursor.fail('a frame exclusion was expected')
}
