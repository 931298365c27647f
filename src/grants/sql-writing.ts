/** Names as an allow line has them, from names as the server has them; the other way round of `sql-privileges.ts`. */
import type { Naming } from '../../protocols/naming.ts'

type Quote = Naming['identifierQuote']

/** How names are written for a system. */
export type SqlWords = {
  readonly quote: Quote
  /** The schema that names without one are in; `undefined`: every name is written with its schema. */
  readonly defaultSchema: string | undefined
}

/** Words that could be read as a part of the line's grammar. */
const GRAMMAR =
  /^(?:on|all|privileges|table|view|function|procedure|routine|sequence|type|domain|schema|channel)$/

/** What every server reads as itself without quotes. */
const PLAIN = /^[a-z_][a-z0-9_]*$/

export function writtenName(name: string, quote: Quote): string {
  if (PLAIN.test(name) && !GRAMMAR.test(name)) return name
  return quote + name.replaceAll(quote, quote + quote) + quote
}

export function writtenObject(
  { schema, name }: { readonly schema: string; readonly name: string },
  { quote, defaultSchema }: SqlWords,
): string {
  const alone = writtenName(name, quote)
  return schema === defaultSchema ? alone : `${writtenName(schema, quote)}.${alone}`
}
