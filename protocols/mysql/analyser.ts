/**
 * Text → analysis: lexer, parser, second reader, and a memo for texts that come again.
 */
import type { Access } from '../access.ts'
import { type Analysis, type StatementAction, touching } from '../analysis.ts'
import type { Naming } from '../naming.ts'
import type { Analyser } from '../protocol.ts'
import { ReadingMemo } from '../reading-memo.ts'
import { MYSQL_SHAPES } from '../shape.ts'
import type { MysqlCatalog } from './catalog.ts'
import { GLUED_FUNCTIONS } from './functions.ts'
import { lex } from './lexer/lexer.ts'
import type { Token } from './lexer/token.ts'
import { namedTables } from './named-tables.ts'
import { MysqlNaming } from './naming.ts'
import { Cursor } from './parser/cursor.ts'
import { needDefaults } from './parser/defaults.ts'
import { applyEdits, type Edit } from './parser/edit.ts'
import { readExpression, readOperand } from './parser/expression.ts'
import { Needs } from './parser/needs.ts'
import { readQuery, readQueryTail } from './parser/query.ts'
import { type Reader, Rules } from './parser/reader.ts'
import { Refusal } from './parser/refusal.ts'
import { actionOf, type PreparedUse, readStatement, type StatementShape } from './parser/statement.ts'
import { redactStatement } from './redact.ts'
import { SecondReader } from './second-reader.ts'

/** What a statement does to the names of SQL-level prepared statements (`PREPARE`, `EXECUTE`, `DEALLOCATE`). */
export type NameUse =
  /** Takes effect when the server answers OK. */
  | { readonly kind: 'prepare'; readonly name: string; readonly analysis: Analysis }
  | { readonly kind: 'execute'; readonly name: string }
  | { readonly kind: 'deallocate'; readonly name: string }

/** One statement text, read. */
export type Reading = {
  readonly analysis: Analysis
  /** What is to be sent: the tokens that were analysed with their white space, each comment as one blank. */
  readonly forward: Buffer
  readonly uses: readonly NameUse[]
}

/** A statement beyond this is refused: the servers' own default of `max_allowed_packet` is 16 MiB. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024

/** As {@link Reading}; `forward` undefined: the text as it came. */
type Remembered = Omit<Reading, 'forward'> & { readonly forward: Buffer | undefined }

/** What was read, and where literals begin that may have any other value; none, where it holds for this text alone. */
type Read = Remembered & { readonly indifferent?: ReadonlySet<number> }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const NO_USES: readonly NameUse[] = []

export class MysqlAnalyser implements Analyser {
  readonly catalog: MysqlCatalog
  readonly naming: Naming
  readonly #names: MysqlNaming
  readonly #rules: Rules
  readonly #memo = new ReadingMemo<Remembered>(MYSQL_SHAPES)
  readonly #memoIgnoringSpace = new ReadingMemo<Remembered>(MYSQL_SHAPES)
  readonly #secondReader: SecondReader | undefined

  /** @param options.secondReader have each shape of statement read by another parser too; true by default */
  constructor(catalog: MysqlCatalog, options: { readonly secondReader?: boolean } = {}) {
    this.catalog = catalog
    this.#names = new MysqlNaming(catalog)
    this.naming = this.#names
    this.#rules = new Rules(catalog)
    this.#secondReader =
      options.secondReader === false ? undefined : new SecondReader(catalog.flavour, this.#names)
  }

  /**
   * Reads one statement as the server would under the pinned session.
   *
   * @param text the bytes of the statement in utf8mb4
   * @param options.ignoreSpace the client asked for CLIENT_IGNORE_SPACE: `count (*)` is forwarded as `count(*)`
   */
  read(text: Buffer, options: { readonly ignoreSpace: boolean }): Reading {
    const memo = options.ignoreSpace ? this.#memoIgnoringSpace : this.#memo
    const known = memo.find(text)
    if (known !== undefined) return withForward(known, text)
    const { indifferent, ...found } = this.#readBytes(text, options.ignoreSpace)
    memo.keep(text, found, indifferent)
    return withForward(found, text)
  }

  analyse(text: string): Analysis {
    return this.read(Buffer.from(text, 'utf8'), { ignoreSpace: false }).analysis
  }

  redact(text: string): string {
    return redactStatement(text, this.catalog)
  }

  /** Judges COM_INIT_DB and the database named in the handshake. */
  useDatabase(name: string): Analysis {
    if (this.#names.database(name) === this.catalog.database) {
      return { outcome: 'accesses', action: 'session', accesses: [] }
    }
    return {
      outcome: 'hop',
      action: 'session',
      hop: 'wrong_database',
      why: `\`${name}\` is another database`,
      target: name,
    }
  }

  #readBytes(bytes: Buffer, ignoreSpace: boolean): Read {
    if (bytes.length > TEXT_BYTES_MAX) return refused('unknown', `longer than ${TEXT_BYTES_MAX} bytes`)
    let text: string
    try {
      text = utf8.decode(bytes)
    } catch {
      return refused('unknown', 'not valid UTF-8')
    }
    return this.#readText(text, ignoreSpace, false)
  }

  /** @param isInner the text of a PREPARE: it may not prepare again */
  #readText(text: string, ignoreSpace: boolean, isInner: boolean): Read {
    let lexed = lex(text, this.catalog)
    if (lexed.ok && ignoreSpace) {
      const glued = glueFunctions(lexed.text, lexed.tokens)
      if (glued !== undefined) lexed = lex(glued, this.catalog)
    }
    if (!lexed.ok) return refused('unknown', lexed.why)
    const { tokens } = lexed
    const first = tokens[0]
    if (first === undefined || first.kind === 'end') {
      const nativeError = { code: '42000', message: 'Query was empty' }
      return { ...refused('unknown', 'an empty statement'), analysis: emptyAnalysis(nativeError) }
    }
    const needs = new Needs(this.#names.defaultSchema)
    const reader: Reader = {
      cursor: new Cursor(tokens, this.#rules.reserved),
      needs,
      rules: this.#rules,
      edits: [],
      indifferent: new Set(),
      expression: readExpression,
      operand: readOperand,
      query: readQuery,
      queryTail: readQueryTail,
    }
    // What was found until the statement was refused, and what the parser did not come to.
    const touched = (): readonly Access[] => [...needs.accesses(), ...namedTables(tokens, this.#rules)]
    try {
      const shape = readStatement(reader)
      const objection = this.#secondReader?.objection(shape.action, lexed.text, tokens, needs)
      if (objection !== undefined) {
        const analysis = { outcome: 'readers_disagree', action: shape.action, why: objection } as const
        return { analysis: touching(analysis, touched()), forward: undefined, uses: NO_USES }
      }
      if (this.#rules.hasSequenceDefaults) needDefaults(reader, shape.action, tokens)
      const edited = { ...shape, edits: [...reader.edits, ...shape.edits] }
      const found = this.#finish(text, lexed.text, edited, needs, ignoreSpace, isInner)
      // What is sent instead, and what is prepared, holds the text itself.
      const isPlain = found.forward === undefined && shape.use === undefined
      return isPlain ? { ...found, indifferent: reader.indifferent } : found
    } catch (error) {
      if (error instanceof Refusal) return refusedAs(actionOf(first.upper), error, needs, touched())
      // The stack of this process ended before the limits of the parser did.
      if (error instanceof RangeError) return refused(actionOf(first.upper), 'nested too deep', touched())
      throw error
    }
  }

  #finish(
    text: string,
    lexed: string,
    shape: StatementShape,
    needs: Needs,
    ignoreSpace: boolean,
    isInner: boolean,
  ): Remembered {
    const { action, use } = shape
    let analysis: Analysis = { outcome: 'accesses', action, accesses: needs.accesses() }
    let edits = shape.edits
    let uses = NO_USES
    if (use !== undefined) {
      if (isInner) return refused(action, 'a prepared statement that prepares or executes another')
      if (use.kind === 'prepare' || use.kind === 'immediate') {
        const inner = this.#readText(use.text, ignoreSpace, true)
        analysis = withAction(inner.analysis, action)
        // Quoted anew, so that the server decodes exactly the text that was analysed.
        edits = [...edits, literalEdit(use, inner.forward?.toString('utf8') ?? use.text)]
        if (use.kind === 'prepare') uses = [{ kind: 'prepare', name: use.name, analysis: inner.analysis }]
      } else uses = [use]
    }
    const forwarded = edits.length === 0 ? lexed : applyEdits(lexed, edits)
    return { analysis, uses, forward: forwarded === text ? undefined : Buffer.from(forwarded, 'utf8') }
  }
}

function withForward(found: Remembered, text: Buffer): Reading {
  return { analysis: found.analysis, uses: found.uses, forward: found.forward ?? text }
}

function refused(action: StatementAction, why: string, touched: readonly Access[] = []): Remembered {
  const analysis: Analysis = { outcome: 'not_understood', action, why }
  return { analysis: touching(analysis, touched), forward: undefined, uses: NO_USES }
}

function refusedAs(
  action: StatementAction,
  refusal: Refusal,
  needs: Needs,
  touched: readonly Access[],
): Remembered {
  const outcome = refusal.refused
  const analysis: Analysis =
    outcome.outcome === 'unknown_object'
      ? { ...outcome, action, accesses: needs.accesses() }
      : { ...outcome, action }
  return { analysis: touching(analysis, touched), forward: undefined, uses: NO_USES }
}

function emptyAnalysis(nativeError: { readonly code: string; readonly message: string }): Analysis {
  return { outcome: 'not_understood', action: 'unknown', why: 'an empty statement', nativeError }
}

function withAction(analysis: Analysis, action: StatementAction): Analysis {
  return analysis.action === action ? analysis : { ...analysis, action }
}

/** The literal of a PREPARE, so that the server reads the inner text that was analysed. */
function literalEdit(use: Extract<PreparedUse, { start: number }>, inner: string): Edit {
  const quoted = inner.replaceAll('\\', '\\\\').replaceAll("'", "''")
  return { start: use.start, end: use.end, text: `'${quoted}'` }
}

/**
 * CLIENT_IGNORE_SPACE is not passed on to the server, because it makes words reserved. What it is for is done
 * here: the blanks between the name of a built-in function and its parenthesis are left out.
 */
function glueFunctions(text: string, tokens: readonly Token[]): string | undefined {
  const edits: Edit[] = []
  for (let i = 0; i + 1 < tokens.length; i++) {
    const name = tokens[i]
    const next = tokens[i + 1]
    if (name?.kind !== 'word' || name.glued || next?.value !== '(' || next.kind !== 'operator') continue
    if (GLUED_FUNCTIONS.has(name.upper)) edits.push({ start: name.end, end: next.start, text: '' })
  }
  return edits.length === 0 ? undefined : applyEdits(text, edits)
}
