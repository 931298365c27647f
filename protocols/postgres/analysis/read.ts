import type { Access } from '../../access.ts'
import { type Analysis, type StatementAction, touching } from '../../analysis.ts'
import type { Reading } from '../analyser.ts'
import type { PostgresCatalog } from '../catalog.ts'
import { hasMoreWords } from '../redact.ts'
import { blankComments } from './comments.ts'
import { walkExpression } from './expressions.ts'
import { Findings } from './findings.ts'
import type { Grammar, Node, Parsed } from './grammar.ts'
import { namedRelations } from './named-relations.ts'
import { walkQuery } from './queries.ts'
import { walkStatement } from './statements.ts'
import { TooMuchWork, type Walk, Work } from './walk.ts'

/** How many statements about names one text may hold, and how many of them run one: each is looked up among the others. */
const USES_MAX = 1000
const RUNS_MAX = 100

/**
 * How many names, words and literals a text may have: the time that parsing and walking take grows with them (about
 * 2 µs each) and not with the bytes, and nothing else is served meanwhile. A word and what parts it from the next take
 * two bytes, so that shorter texts need not be counted.
 */
const WORDS_MAX = 131_072

/** A reading, and for which other texts it holds. */
export type Read = {
  readonly reading: Reading
  /** Where literals begin that may have any other value, in bytes from the start of the text; `undefined`: none may. */
  readonly indifferent: ReadonlySet<number> | undefined
}

/** Reads one text: parses it, finds what its statements need, and joins that. Never throws. */
export function read(text: Buffer, catalog: PostgresCatalog, grammar: Grammar): Read {
  if (text.length > 2 * WORDS_MAX && hasMoreWords(text.toString(), WORDS_MAX)) return TOO_COMPLEX
  const first = grammar.parse(text)
  if (first.kind === 'tree') return readTree(text, first.statements, undefined, catalog)
  // The parser may have stumbled over a comment where the server would not.
  const blanked = first.kind === 'syntax_error' ? blankComments(text) : undefined
  if (blanked === undefined) return refused(first)
  const second = grammar.parse(blanked)
  if (second.kind === 'tree') return readTree(blanked, second.statements, blanked, catalog)
  return refused(first)
}

const TOO_COMPLEX = nothing(1, {
  outcome: 'not_understood',
  action: 'unknown',
  why: `the statement has more than ${WORDS_MAX} names and literals`,
  nativeError: {
    code: '54001', // statement_too_complex
    message: `the statement has more than ${WORDS_MAX} names and literals`,
    hint: 'send it in several parts, or use COPY',
  },
})

function refused(parsed: Exclude<Parsed, { readonly kind: 'tree' }>): Read {
  const analysis: Analysis =
    parsed.kind === 'syntax_error'
      ? {
          outcome: 'not_understood',
          action: 'unknown',
          why: 'a syntax error',
          nativeError: {
            code: '42601',
            message: parsed.message,
            ...(parsed.position !== undefined && { position: parsed.position }),
          },
        }
      : { outcome: 'not_understood', action: 'unknown', why: parsed.message }
  return nothing(1, analysis)
}

/** A text of which nothing is relayed. */
function nothing(statementCount: number, analysis: Analysis): Read {
  return { reading: { analysis, forward: undefined, statementCount, uses: [] }, indifferent: undefined }
}

function readTree(
  text: Buffer,
  statements: readonly Node[],
  forward: Buffer | undefined,
  catalog: PostgresCatalog,
): Read {
  const findings = new Findings()
  const walk = walkOver(text, catalog, findings, new Work())
  let action: StatementAction | undefined
  // What is sent where statements are replaced, and up to where of the text it reaches.
  const pieces: Buffer[] = []
  let sent = 0
  try {
    for (const statement of statements) {
      findings.replacement = undefined
      const one = walkStatement(walk, statement['stmt'])
      if (findings.replacement !== undefined) {
        const start = numberOf(statement['stmt_location'])
        // A length of 0 stands for the rest of the text.
        const end = start + (numberOf(statement['stmt_len']) || text.length - start)
        pieces.push(text.subarray(sent, start), Buffer.from(` ${findings.replacement}`))
        sent = end
      }
      // A text is called by what it does, not by the transaction around it.
      if (action === undefined || action === 'transaction') action = one
    }
  } catch (error) {
    // Deep nesting ends the stack before the grammar's own limit; nothing found so far is relied on.
    const failed = { outcome: 'not_understood', action: action ?? 'unknown', why: whyNotRead(error) } as const
    return nothing(statements.length, touching(failed, touchedBy(statements, findings, catalog)))
  }
  const runs = findings.uses.filter(({ kind }) => kind === 'execute' || kind === 'fetch')
  if (findings.uses.length > USES_MAX || runs.length > RUNS_MAX)
    findings.misunderstand('a text with too many statements about prepared statements and cursors')
  const found = findings.result(action ?? 'unknown')
  const reading: Reading = {
    analysis:
      found.outcome === 'accesses' ? found : touching(found, touchedBy(statements, findings, catalog)),
    forward: pieces.length === 0 ? forward : Buffer.concat([...pieces, text.subarray(sent)]),
    statementCount: statements.length,
    uses: findings.uses,
  }
  return { reading, indifferent: isPlain(reading) ? findings.indifferent : undefined }
}

/** What was found until the walk was refused, and what it did not come to. */
function touchedBy(
  statements: readonly Node[],
  findings: Findings,
  catalog: PostgresCatalog,
): readonly Access[] {
  return [...findings.accesses, ...namedRelations(statements, catalog)]
}

/** What is sent instead, what a name will carry and what an error points at hold the text itself. */
function isPlain({ analysis, forward, uses }: Reading): boolean {
  return analysis.outcome === 'accesses' && forward === undefined && uses.length === 0
}

function whyNotRead(error: unknown): string {
  if (error instanceof TooMuchWork) return error.message
  return error instanceof RangeError ? 'the statement nests too deeply to be read' : 'the analyser failed'
}

function walkOver(text: Buffer, catalog: PostgresCatalog, findings: Findings, work: Work): Walk {
  const walk: Walk = {
    catalog,
    findings,
    text,
    work,
    expression: (value, scope) => walkExpression(walk, value, scope),
    query: (value, scope) => walkQuery(walk, value, scope),
    apart: (inner) => walkOver(text, catalog, inner, work),
  }
  return walk
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
