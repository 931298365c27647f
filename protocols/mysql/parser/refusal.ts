import type { HopKind, NativeError } from '../../analysis.ts'

/** What became of a statement that is not a list of accesses; the action is added by who catches it. */
export type RefusedOutcome =
  | { readonly outcome: 'not_understood'; readonly why: string; readonly nativeError?: NativeError }
  | { readonly outcome: 'forbidden'; readonly why: string }
  | { readonly outcome: 'hop'; readonly hop: HopKind; readonly why: string; readonly target?: string }
  | { readonly outcome: 'unknown_object'; readonly why: string; readonly nativeError: NativeError }

/**
 * Leaves the parser from any depth. Caught in exactly one place, where the analysis is made; never leaves
 * `protocols/mysql`.
 */
export class Refusal extends Error {
  readonly refused: RefusedOutcome

  constructor(refused: RefusedOutcome) {
    super(refused.why)
    this.name = 'Refusal'
    this.refused = refused
  }
}

export function notUnderstood(why: string): never {
  throw new Refusal({ outcome: 'not_understood', why })
}

/** What the server would say of it. */
export function unknownColumn(column: string): never {
  const nativeError = { code: '42S22', message: `Unknown column '${column}' in 'field list'` }
  throw new Refusal({
    outcome: 'not_understood',
    why: `there is no table that \`${column}\` could be of`,
    nativeError,
  })
}

export function forbidden(why: string): never {
  throw new Refusal({ outcome: 'forbidden', why })
}

export function hop(kind: HopKind, why: string, target?: string): never {
  throw new Refusal({ outcome: 'hop', hop: kind, why, ...(target === undefined ? {} : { target }) })
}

export function unknownObject(why: string, nativeError: NativeError): never {
  throw new Refusal({ outcome: 'unknown_object', why, nativeError })
}
