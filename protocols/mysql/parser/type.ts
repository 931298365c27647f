import type { Reader } from './reader.ts'

/** https://dev.mysql.com/doc/refman/8.4/en/data-types.html https://mariadb.com/kb/en/data-types/ */
const TYPES: ReadonlySet<string> = new Set([
  ...[
    'BIT',
    'BOOL',
    'BOOLEAN',
    'TINYINT',
    'SMALLINT',
    'MEDIUMINT',
    'INT',
    'INTEGER',
    'BIGINT',
    'INT1',
    'INT2',
  ],
  ...[
    'INT3',
    'INT4',
    'INT8',
    'SERIAL',
    'DEC',
    'DECIMAL',
    'NUMERIC',
    'FIXED',
    'FLOAT',
    'FLOAT4',
    'FLOAT8',
    'DOUBLE',
  ],
  ...[
    'REAL',
    'NUMBER',
    'SIGNED',
    'UNSIGNED',
    'DATE',
    'TIME',
    'DATETIME',
    'TIMESTAMP',
    'YEAR',
    'CHAR',
    'CHARACTER',
  ],
  ...['VARCHAR', 'VARCHARACTER', 'NCHAR', 'NVARCHAR', 'NATIONAL', 'BINARY', 'VARBINARY', 'TINYBLOB', 'BLOB'],
  ...[
    'MEDIUMBLOB',
    'LONGBLOB',
    'TINYTEXT',
    'TEXT',
    'MEDIUMTEXT',
    'LONGTEXT',
    'LONG',
    'ENUM',
    'SET',
    'JSON',
    'VECTOR',
  ],
  ...['GEOMETRY', 'POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', 'MULTIPOLYGON'],
  ...[
    'GEOMETRYCOLLECTION',
    'GEOMCOLLECTION',
    'UUID',
    'INET4',
    'INET6',
    'MIDDLEINT',
    'CLOB',
    'VARCHAR2',
    'RAW',
  ],
])

/** Words that go on with a type. */
const MODIFIERS: ReadonlySet<string> = new Set([
  ...[
    'UNSIGNED',
    'SIGNED',
    'ZEROFILL',
    'INTEGER',
    'INT',
    'PRECISION',
    'VARYING',
    'BINARY',
    'ASCII',
    'UNICODE',
    'BYTE',
  ],
  ...['CHAR', 'CHARACTER', 'VARCHAR', 'VARBINARY', 'VARCHARACTER'],
])

/** A data type: its word, its length or its values, its character set. */
export function readType(reader: Reader): void {
  const { cursor } = reader
  if (cursor.acceptOneOf(TYPES) === undefined) cursor.fail('a data type was expected')
  for (;;) {
    if (cursor.acceptOperator('(')) {
      cursor.list(() => {
        if (cursor.next.kind !== 'literal' && cursor.next.kind !== 'string')
          cursor.fail('a literal was expected')
        cursor.advance()
      })
      cursor.expectOperator(')')
    } else if (
      cursor.acceptAll('CHARACTER', 'SET') ||
      cursor.acceptAll('CHAR', 'SET') ||
      cursor.accept('CHARSET')
    ) {
      if (!cursor.accept('BINARY') && cursor.next.kind !== 'string') cursor.identifier('a character set')
      else if (cursor.next.kind === 'string') cursor.advance()
    } else if (cursor.accept('COLLATE')) {
      if (cursor.next.kind === 'string') cursor.advance()
      else if (!cursor.accept('BINARY')) cursor.identifier('a collation')
    } else if (cursor.acceptOneOf(MODIFIERS) === undefined) return
  }
}
