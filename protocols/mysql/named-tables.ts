/**
 * The tables that a refused statement names, read off its tokens: the parser stops where it refuses, and of some
 * statements it reads no more than the first word.
 */
import type { Access } from '../access.ts'
import type { Token } from './lexer/token.ts'
import type { Rules } from './parser/reader.ts'

/** The words behind which a table is named, or several between commas. */
const TABLE_WORDS: ReadonlySet<string> = new Set([
  ...['FROM', 'JOIN', 'STRAIGHT_JOIN', 'INTO', 'UPDATE', 'TABLE', 'TABLES', 'REFERENCES'],
])

/** Words of which that is true where a statement begins: elsewhere some are functions. */
const FIRST_WORDS: ReadonlySet<string> = new Set([
  ...['INSERT', 'REPLACE', 'TRUNCATE', 'HANDLER', 'DESCRIBE', 'DESC', 'EXPLAIN'],
])

/** Statements that name their table behind `ON` (triggers, indexes, rights) or `LIKE`. */
const ON_STATEMENTS: ReadonlySet<string> = new Set(['CREATE', 'DROP', 'GRANT', 'REVOKE'])

/** Reserved words that may stand before a table. */
const PASSED_WORDS: ReadonlySet<string> = new Set([
  ...['DELAYED', 'EXISTS', 'HIGH_PRIORITY', 'IF', 'IGNORE', 'LATERAL', 'LOW_PRIORITY', 'NOT'],
])

/** Words that end a list of tables. */
const CLAUSE_WORDS: ReadonlySet<string> = new Set([
  ...['FOR', 'GROUP', 'HAVING', 'LIMIT', 'ORDER', 'SELECT', 'SET', 'UNION', 'VALUES', 'WHERE', 'WINDOW'],
])

/** Every table or view of the catalog that is named where one stands, except where that may be a common table. */
export function namedTables(tokens: readonly Token[], rules: Rules): readonly Access[] {
  const named = new Map<string, Access>()
  const commonTables = commonTablesOf(tokens)
  const onTable = ON_STATEMENTS.has(tokens[0]?.upper ?? '')
  /** Whether a comma goes on with a list of tables, for each parenthesis that is open. */
  const lists: boolean[] = []
  let isList = false
  let isExpected = false
  for (const [at, token] of tokens.entries()) {
    const { kind, value, upper } = token
    if (kind === 'operator') {
      if (value === '(') {
        lists.push(isList)
        isList = false
      } else if (value === ')') isList = lists.pop() ?? false
      else if (value === ',') isExpected = isList
    } else if (kind === 'word' && namesTable(tokens, at, onTable)) {
      isExpected = true
    } else if (kind === 'name' || (kind === 'word' && !rules.reserved.has(upper))) {
      if (!isExpected) continue
      isExpected = false
      isList = true
      const access = tableAt(tokens, at, rules, commonTables)
      if (access !== undefined) named.set(access.name, access)
    } else if (!PASSED_WORDS.has(upper)) {
      isExpected = false
      if (CLAUSE_WORDS.has(upper)) isList = false
    }
  }
  return [...named.values()]
}

/** The names of `WITH name AS (`, wherever it stands. */
function commonTablesOf(tokens: readonly Token[]): ReadonlySet<string> {
  const found = new Set<string>()
  for (const [at, { kind, upper }] of tokens.entries()) {
    const name = tokens[at - 1]
    if (kind === 'word' && upper === 'AS' && tokens[at + 1]?.value === '(' && name !== undefined)
      found.add(name.value)
  }
  return found
}

function namesTable(tokens: readonly Token[], at: number, onTable: boolean): boolean {
  const word = tokens[at]?.upper ?? ''
  const before = tokens[at - 1]
  // ON DUPLICATE KEY UPDATE names columns.
  if (TABLE_WORDS.has(word)) return word !== 'UPDATE' || before?.upper !== 'KEY'
  if (onTable && (word === 'ON' || word === 'LIKE')) return true
  return FIRST_WORDS.has(word) && (before === undefined || before.upper === 'EXPLAIN')
}

/** The table whose name, of one or two parts, begins here. */
function tableAt(
  tokens: readonly Token[],
  at: number,
  { catalog, names }: Rules,
  commonTables: ReadonlySet<string>,
): Extract<Access, { kind: 'relation' }> | undefined {
  const first = tokens[at]
  const isQualified = tokens[at + 1]?.kind === 'operator' && tokens[at + 1]?.value === '.'
  const last = isQualified ? tokens[at + 2] : first
  if (first === undefined || last === undefined) return undefined
  if (isQualified ? names.database(first.value) !== names.defaultSchema : commonTables.has(first.value))
    return undefined
  const name = names.relation(last.value, last.kind === 'name')
  const kind = catalog.relations.get(name)?.kind
  if (kind === 'sequence' || (kind === undefined && catalog.complete)) return undefined
  return { kind: 'relation', action: 'select', schema: names.defaultSchema, name, columns: undefined }
}
