import type { Reading } from '../analyser.ts'
import type { PostgresCatalog } from '../catalog.ts'
import type { Grammar } from './grammar.ts'

/** Reads one text: parses it, finds what its statements need, and joins that. */
export function read(text: Buffer, _catalog: PostgresCatalog, grammar: Grammar): Reading {
  const parsed = grammar.parse(text)
  return {
    analysis: {
      outcome: 'not_understood',
      action: 'unknown',
      why: parsed.kind === 'tree' ? 'this kind of statement is not read' : parsed.message,
    },
    forward: undefined,
    statementCount: parsed.kind === 'tree' ? parsed.statements.length : 1,
    uses: [],
  }
}
