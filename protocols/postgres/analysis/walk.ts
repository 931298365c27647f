/** What every part of the walk over a parse tree is given. */
import type { NativeError } from '../../analysis.ts'
import type { PostgresCatalog } from '../catalog.ts'
import type { Findings } from './findings.ts'
import type { Node } from './grammar.ts'
import type { Result, Scope } from './scope.ts'

export type Walk = {
  readonly work: Work
  readonly catalog: PostgresCatalog
  readonly findings: Findings
  /** The text as parsed: node locations are byte offsets into it. */
  readonly text: Buffer
  /** Walks a wrapped expression, or a list of them. */
  readonly expression: (node: unknown, scope: Scope) => void
  /** Walks a wrapped SELECT, INSERT, UPDATE, DELETE or MERGE. */
  readonly query: (node: unknown, scope: Scope) => Result
  /** The same walk with its findings kept apart: of a statement inside another, which a name will carry. */
  readonly apart: (findings: Findings) => Walk
}

/**
 * How many columns may be looked at in one text: each name is looked for in the columns of every table in view, so
 * that a text of a megabyte could otherwise keep everybody waiting for minutes. A tenth of a second or so; 1,000
 * names over 100 tables of 50 columns are a quarter of it.
 */
const WORK_MAX = 20_000_000

/** Noting an access costs as much as looking at this many columns. */
export const NOTE_WORK = 50

/** Thrown where a text asks for more work than it may. */
export class TooMuchWork extends Error {}

/** The work that one text may still ask for. */
export class Work {
  #left = WORK_MAX

  /** @param columns how many are about to be looked at */
  spend(columns: number): void {
    this.#left -= columns
    if (this.#left < 0) throw new TooMuchWork('the statement names too many columns of too many tables')
  }
}

/** An error at a node, with its place counted in characters from 1 as the server counts. */
export function errorAt(walk: Walk, node: Node, code: string, message: string): NativeError {
  const location = node['location']
  // The field is left out where it is 0.
  const offset = typeof location === 'number' ? location : 0
  const position = [...walk.text.toString('utf8', 0, offset)].length + 1
  return { code, message, position }
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

export function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The one type name of a wrapped node and its fields; `undefined`: not a wrapped node. */
export function unwrap(value: unknown): { readonly type: string; readonly node: Node } | undefined {
  if (!isNode(value)) return undefined
  const types = Object.keys(value)
  const type = types[0]
  if (type === undefined || types.length !== 1) return undefined
  const node = value[type]
  return isNode(node) ? { type, node } : undefined
}

/** The fields of a wrapped node of this type; `undefined`: another one. */
export function nodeOf(value: unknown, type: string): Node | undefined {
  const wrapped = unwrap(value)
  return wrapped?.type === type ? wrapped.node : undefined
}

/** The constant that a wrapped node is, for those who look at its value: what they find holds for this text alone. */
export function constantOf(walk: Walk, value: unknown): Node | undefined {
  const constant = nodeOf(value, 'A_Const')
  if (constant !== undefined) walk.findings.dependsOnConstants()
  return constant
}

/** The text of a wrapped String node. */
export function wordOf(value: unknown): string | undefined {
  return stringOf(nodeOf(value, 'String')?.['sval'])
}

/** A list of wrapped String nodes as words; `undefined` where it holds anything else. */
export function wordsOf(value: unknown): readonly string[] | undefined {
  const words: string[] = []
  for (const part of listOf(value)) {
    const word = wordOf(part)
    if (word === undefined) return undefined
    words.push(word)
  }
  return words
}
