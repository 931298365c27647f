/** Folded names of the columns that a query gives to the outside; undefined: not known. */
export type Outputs = ReadonlySet<string> | undefined

/**
 * The common table expressions (`WITH`) in sight, innermost first. Names are compared byte by byte: to the
 * server `WITH qn … FROM QN` is a base table (with lower_case_table_names 0), so whoever spells it otherwise
 * is taken to mean the base table.
 */
export type CommonTables = {
  readonly name: string
  readonly columns: Outputs
  /** How many are in sight, this one included. */
  readonly depth: number
  readonly outer: CommonTables | undefined
}

export function findCommonTable(tables: CommonTables | undefined, name: string): CommonTables | undefined {
  for (let table = tables; table !== undefined; table = table.outer) if (table.name === name) return table
  return undefined
}
