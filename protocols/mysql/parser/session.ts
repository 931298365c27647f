/** Transactions: https://dev.mysql.com/doc/refman/8.4/en/sql-transactional-statements.html */
import type { Reader } from './reader.ts'

/** Behind `START`. */
export function readStart(reader: Reader): void {
  const { cursor } = reader
  cursor.expect('TRANSACTION')
  if (cursor.isAtEnd) return
  cursor.list(() => {
    if (cursor.acceptAll('WITH', 'CONSISTENT', 'SNAPSHOT')) return
    cursor.expect('READ')
    if (!cursor.accept('ONLY')) cursor.expect('WRITE')
  })
}

/** Behind `COMMIT` or `ROLLBACK`. */
export function readEndOfTransaction(reader: Reader, isRollback: boolean): void {
  const { cursor } = reader
  cursor.accept('WORK')
  if (isRollback && cursor.accept('TO')) {
    cursor.accept('SAVEPOINT')
    cursor.identifier('a savepoint')
    return
  }
  if (cursor.accept('AND')) {
    cursor.accept('NO')
    cursor.expect('CHAIN')
  }
  if (cursor.accept('NO')) cursor.expect('RELEASE')
  else cursor.accept('RELEASE')
}
