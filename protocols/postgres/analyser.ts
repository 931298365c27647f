import type { Analysis } from '../analysis.ts'
import type { Naming } from '../naming.ts'
import type { Analyser } from '../protocol.ts'
import { ReadingMemo } from '../reading-memo.ts'
import { POSTGRES_SHAPES } from '../shape.ts'
import type { Grammar } from './analysis/grammar.ts'
import { read } from './analysis/read.ts'
import type { PostgresCatalog } from './catalog.ts'
import { PostgresNaming } from './naming.ts'
import { redact } from './redact.ts'

/**
 * What a statement does to names that outlive it. SQL `PREPARE` and protocol Parse share one namespace, SQL
 * cursors and protocol portals another.
 */
export type NameUse =
  /** Takes effect when its CommandComplete arrives. */
  | { readonly kind: 'prepare'; readonly name: string; readonly analysis: Analysis }
  /** Needs all accesses of the named statement: the session joins them. */
  | { readonly kind: 'execute'; readonly name: string }
  /** `undefined`: all. */
  | { readonly kind: 'deallocate'; readonly name: string | undefined }
  | { readonly kind: 'discard_all' }
  | { readonly kind: 'discard_plans' }
  | { readonly kind: 'declare'; readonly name: string; readonly analysis: Analysis }
  | { readonly kind: 'fetch'; readonly name: string }
  /** `undefined`: all. */
  | { readonly kind: 'close_cursor'; readonly name: string | undefined }

/**
 * What is known of one text. Immutable and shared: the same text gives the same object, and so may one that differs in plain
 * literals alone.
 */
export type Reading = {
  /** Of the whole text: all statements of a simple Query together. */
  readonly analysis: Analysis
  /** The text to send in place of the client's (comments blanked); `undefined`: the client's bytes. */
  readonly forward: Buffer | undefined
  /** 0: an empty query. */
  readonly statementCount: number
  readonly uses: readonly NameUse[]
}

/** Reads SQL text with the server's own grammar over a snapshot of its catalog. */
export class PostgresAnalyser implements Analyser {
  readonly catalog: PostgresCatalog
  readonly naming: Naming
  readonly #grammar: Grammar
  readonly #memo = new ReadingMemo<Reading>(POSTGRES_SHAPES)

  constructor(catalog: PostgresCatalog, grammar: Grammar) {
    this.catalog = catalog
    this.naming = new PostgresNaming(catalog.schema)
    this.#grammar = grammar
  }

  /** @param text the bytes of a Query or Parse, without the trailing NUL */
  read(text: Buffer): Reading {
    const known = this.#memo.find(text)
    if (known !== undefined) return known
    const { reading, indifferent } = read(text, this.catalog, this.#grammar)
    this.#memo.keep(text, reading, indifferent)
    return reading
  }

  /** Never throws; what it cannot follow is an outcome. */
  analyse(text: string): Analysis {
    return this.read(Buffer.from(text)).analysis
  }

  redact(text: string): string {
    return redact(text)
  }
}
