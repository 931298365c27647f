/**
 * A second opinion by a parser that is not ours: `node-sql-parser`. It can only narrow: what it finds and our
 * reading did not (a table, another kind of statement) has the statement refused; what it
 * cannot parse, it has no opinion of. It misses tables itself (nested joins, executable comments) and is never
 * asked what a statement may do.
 *
 * It is slow (a hundred times our parser), so each shape of statement, its literals collapsed, is shown to it
 * once. It is bounded by how often it looks at the text, because it goes back so often that its time can treble with
 * each level (15 casts in each other, 218 bytes, took it seven minutes); by length and nesting besides, for what it
 * does not read from the text.
 */
import mariadbBuild from 'node-sql-parser/build/mariadb.js'
import mysqlBuild from 'node-sql-parser/build/mysql.js'
import type { StatementAction } from '../analysis.ts'
import type { MysqlFlavour } from './catalog.ts'
import { asciiUpper } from './lexer/characters.ts'
import { RESERVED } from './lexer/keywords.ts'
import type { Token } from './lexer/token.ts'
import type { MysqlNaming } from './naming.ts'
import type { Needs } from './parser/needs.ts'

const TEXT_UNITS_MAX = 4096
const TOKENS_MAX = 256
const NESTING_MAX = 16
const SHAPES_MAX = 2000
/** Ordinary statements take 2 to 20 thousand looks; this many, some 10 ms. */
const LOOKS_MAX = 25_000

/** `schema` is empty where none was written. */
type FoundTable = { readonly schema: string; readonly name: string }

/** What the second reader found in a shape; undefined: no opinion. */
type Finding =
  | {
      readonly kinds: readonly string[]
      readonly tables: readonly FoundTable[]
    }
  | undefined

/** The kinds that are compared; of others the two readers have different words. */
const KINDS: Readonly<Partial<Record<StatementAction, readonly string[]>>> = {
  select: ['select'],
  insert: ['insert', 'replace'],
  update: ['update'],
  delete: ['delete'],
}

export class SecondReader {
  readonly #parser: {
    parse(
      sql: string,
      options: { database: string; trimQuery: boolean },
    ): { tableList: string[]; ast: unknown }
  }
  readonly #database: string
  readonly #names: MysqlNaming
  readonly #reserved: ReadonlySet<string>
  readonly #findings = new Map<string, Finding>()

  constructor(flavour: MysqlFlavour, names: MysqlNaming) {
    this.#names = names
    this.#reserved = RESERVED[flavour]
    this.#database = flavour === 'mysql' ? 'MySQL' : 'MariaDB'
    this.#parser = flavour === 'mysql' ? new mysqlBuild.Parser() : new mariadbBuild.Parser()
  }

  /** @returns what it found and our reading did not, as one sentence; undefined: no objection */
  objection(
    action: StatementAction,
    text: string,
    tokens: readonly Token[],
    needs: Needs,
  ): string | undefined {
    const kinds = KINDS[action]
    if (kinds === undefined) return undefined
    const shape = shapeOf(text, tokens)
    if (shape === undefined) return undefined
    const finding = this.#find(shape)
    if (finding === undefined) return undefined
    const kind = finding.kinds.find((found) => !kinds.includes(found))
    if (finding.kinds.length !== 1 || kind !== undefined) {
      return `a second parser sees ${kind ?? 'several statements'} where ${action} was read`
    }
    for (const table of finding.tables) {
      if (!this.#isKnown(table, needs)) return `a second parser sees the table \`${table.name}\` too`
    }
    return undefined
  }

  #isKnown(table: FoundTable, needs: Needs): boolean {
    // It takes the options of a statement for tables (`UPDATE IGNORE t`); our parser cannot, they are reserved.
    if (this.#reserved.has(asciiUpper(table.name))) return true
    const name = this.#names.relation(table.name.replaceAll('``', '`'), true)
    if (needs.isLocalName(table.name) || needs.isLocalName(name)) return true
    // Every other database was refused before; what is left is information_schema, judged by its own list.
    if (table.schema !== '' && this.#names.database(table.schema) !== this.#names.defaultSchema) return true
    return needs.mentions(name)
  }

  #find(shape: string): Finding {
    if (this.#findings.has(shape)) return this.#findings.get(shape)
    const finding = this.#parse(shape)
    if (this.#findings.size >= SHAPES_MAX) this.#findings.clear()
    this.#findings.set(shape, finding)
    return finding
  }

  #parse(shape: string): Finding {
    try {
      // A generated parser asks of its text no more than a String object has; trimming would make it a plain one.
      const text = new PatientText(shape) as unknown as string
      const { tableList, ast } = this.#parser.parse(text, { database: this.#database, trimQuery: false })
      const statements = (Array.isArray(ast) ? ast : [ast]) as { type?: unknown }[]
      return {
        kinds: statements.map(({ type }) => String(type)),
        tables: tableList.map((entry) => {
          const [, schema = '', ...name] = entry.split('::')
          return { schema: schema === 'null' ? '' : schema, name: name.join('::') }
        }),
      }
    } catch {
      // It knows less of the language than the server, or takes too long over it: that is no objection.
      return undefined
    }
  }
}

/** A text that may be looked at a limited number of times. */
class PatientText extends String {
  #looks = 0

  #look(): void {
    this.#looks += 1
    if (this.#looks > LOOKS_MAX) throw new RangeError('read too often')
  }

  override charCodeAt(index: number): number {
    this.#look()
    return super.charCodeAt(index)
  }

  override charAt(index: number): string {
    this.#look()
    return super.charAt(index)
  }

  override substr(from: number, length?: number): string {
    this.#look()
    return super.slice(from, length === undefined ? undefined : from + length)
  }
}

/** The statement with one blank between tokens and each literal made the same; undefined: beyond the limits. */
function shapeOf(text: string, tokens: readonly Token[]): string | undefined {
  if (tokens.length > TOKENS_MAX) return undefined
  let shape = ''
  let nesting = 0
  for (const { kind, value, start, end } of tokens) {
    if (kind === 'operator') {
      if (value === '(' && ++nesting > NESTING_MAX) return undefined
      if (value === ')') nesting--
      if (value === ';') continue
    }
    // What touched stays so: `a.b`, `f(`.
    const gap = shape === '' || text.charCodeAt(start - 1) > 0x20 ? '' : ' '
    if (kind === 'string') shape += `${gap}'x'`
    else if (kind === 'literal') shape += `${gap}1`
    else shape += gap + text.slice(start, end)
    if (shape.length > TEXT_UNITS_MAX) return undefined
  }
  return shape
}
