/**
 * How a system folds names, so that the names in a grant and the names in an analysis meet. Each function
 * takes the name as written and whether it was quoted, and gives the canonical form.
 */
export interface Naming {
  /** The schema (MySQL: the database) of an unqualified name. */
  readonly defaultSchema: string
  /** The quote characters of identifiers: `"` for PostgreSQL, `` ` `` for MySQL. */
  readonly identifierQuote: '"' | '`'
  relation(name: string, quoted: boolean): string
  column(name: string, quoted: boolean): string
  routine(name: string, quoted: boolean): string
}
