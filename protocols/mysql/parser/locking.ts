/**
 * LOCK TABLES and HANDLER.
 * https://dev.mysql.com/doc/refman/8.4/en/lock-tables.html https://dev.mysql.com/doc/refman/8.4/en/handler.html
 */
import { baseTable, objectName, writtenTable } from './objects.ts'
import { readLimit } from './query.ts'
import type { Reader } from './reader.ts'
import { forbidden, notUnderstood } from './refusal.ts'
import { Scope } from './scope.ts'

/** Behind `LOCK`. A write lock shuts all others out: it needs the right to change the table. */
export function readLockTables(reader: Reader): void {
  const { cursor, needs } = reader
  if (!cursor.accept('TABLES') && !cursor.accept('TABLE')) forbidden('LOCK of something else than tables')
  cursor.list(() => {
    const table = writtenTable(reader, objectName(reader, 'a table'))
    if (cursor.accept('AS')) cursor.identifier('an alias')
    else if (cursor.isIdentifier && !cursor.isWord('READ') && !cursor.isWord('WRITE'))
      cursor.identifier('an alias')
    needs.touch('select', table)
    if (cursor.accept('READ')) cursor.accept('LOCAL')
    else {
      cursor.accept('LOW_PRIORITY')
      cursor.expect('WRITE')
      needs.whole('update', table)
    }
  })
}

/** Behind `UNLOCK`. */
export function readUnlock(reader: Reader): void {
  if (!reader.cursor.accept('TABLES') && !reader.cursor.accept('TABLE')) {
    forbidden('UNLOCK of something else than tables')
  }
}

const POSITIONS: ReadonlySet<string> = new Set(['FIRST', 'NEXT', 'PREV', 'LAST'])

/** Behind `HANDLER`. Reads whole rows; without aliases, so that every use names its table. */
export function readHandler(reader: Reader): void {
  const { cursor, needs } = reader
  needs.whole('select', baseTable(reader, objectName(reader, 'a table')))
  if (cursor.accept('OPEN')) {
    if (!cursor.isAtEnd && !cursor.isOperator(';')) notUnderstood('a handler under another name')
    return
  }
  if (cursor.accept('CLOSE')) return
  cursor.expect('READ')
  const scope = new Scope({ parent: undefined, commonTables: undefined })
  scope.sources.push({ alias: '', relation: undefined, columns: undefined })
  if (cursor.acceptOneOf(POSITIONS) === undefined) readIndexPosition(reader, scope)
  if (cursor.accept('WHERE')) reader.expression(reader, scope)
  if (cursor.accept('LIMIT')) readLimit(reader, scope)
  scope.close(needs)
}

/** `i = (1, 2)`, `i NEXT` */
function readIndexPosition(reader: Reader, scope: Scope): void {
  const { cursor } = reader
  cursor.identifier('an index')
  if (cursor.acceptOneOf(POSITIONS) !== undefined) return
  if (!['=', '<', '>', '<=', '>='].includes(cursor.advance().value)) cursor.fail('a comparison was expected')
  cursor.expectOperator('(')
  cursor.list(() => reader.expression(reader, scope))
  cursor.expectOperator(')')
}
