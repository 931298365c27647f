import type { Naming } from '../naming.ts'

/** `NAMEDATALEN - 1`: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS */
const IDENTIFIER_BYTES_MAX = 63

/** How PostgreSQL folds names: unquoted ones to lower case, in ASCII only; all cut to 63 bytes. */
export class PostgresNaming implements Naming {
  readonly defaultSchema: string
  readonly identifierQuote = '"'

  constructor(defaultSchema: string) {
    this.defaultSchema = defaultSchema
  }

  relation(name: string, quoted: boolean): string {
    return foldIdentifier(name, quoted)
  }
  column(name: string, quoted: boolean): string {
    return foldIdentifier(name, quoted)
  }
  routine(name: string, quoted: boolean): string {
    return foldIdentifier(name, quoted)
  }
}

function foldIdentifier(name: string, quoted: boolean): string {
  // A UTF-8 server folds only ASCII letters: downcase_identifier() in src/backend/parser/scansup.c.
  const folded = quoted ? name : name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
  return truncateIdentifier(folded)
}

/** Cuts at a character boundary, as `pg_mbcliplen` does. */
export function truncateIdentifier(name: string): string {
  if (name.length * 3 <= IDENTIFIER_BYTES_MAX) return name
  const bytes = Buffer.from(name)
  if (bytes.length <= IDENTIFIER_BYTES_MAX) return name
  let end = IDENTIFIER_BYTES_MAX
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}
