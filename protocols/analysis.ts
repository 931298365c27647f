import type { Access } from './access.ts'

/** An attempt to leave the granted system; the same words in all protocols. */
export const HOP_KINDS = [
  'wrong_system',
  'decoy',
  'wrong_database',
  'identity_switch',
  'outbound_reach',
  'file_reach',
  'cross_run',
  'replayed_token',
] as const
export type HopKind = (typeof HOP_KINDS)[number]

/**
 * What a statement mainly does; a closed list, because it is a metric label. SQL statements use the SQL verb,
 * Redis commands the nature of the command (`read`, `write`, …).
 */
export const STATEMENT_ACTIONS = [
  'select',
  'insert',
  'update',
  'delete',
  'merge',
  'truncate',
  'copy',
  'call',
  'explain',
  'lock',
  'ddl',
  'listen',
  'notify',
  'transaction',
  'session',
  'show',
  'prepare',
  'execute',
  'cursor',
  'read',
  'write',
  'pubsub',
  'scripting',
  'admin',
  'command',
  'unknown',
] as const
export type StatementAction = (typeof STATEMENT_ACTIONS)[number]

/** An error in the words of the database, where it is the best answer: a syntax error found before relaying. */
export type NativeError = {
  /** SQLSTATE for SQL systems, the error prefix for Redis. */
  readonly code: string
  readonly message: string
  /** Position in the statement, in characters, from 1. */
  readonly position?: number
  readonly hint?: string
}

/**
 * Of a statement that cannot be relayed whatever the grant: what it touches or names, as far as it could be read; of a thing
 * that is only named, an access of any action. Nothing of it leads to a relay, but a decoy among it is news all the same.
 */
type Refused = {
  readonly action: StatementAction
  readonly why: string
  readonly touched?: readonly Access[]
}

/**
 * What is known of one statement. Only `accesses` can lead to a relay, and only when every access is granted;
 * an empty list means: understood, and reaches nothing (`begin`, `select 1`).
 *
 * An analysis is immutable and shared: the same text under the same catalog gives the same object, so that
 * verdicts can be memoised by identity.
 */
export type Analysis =
  | { readonly outcome: 'accesses'; readonly action: StatementAction; readonly accesses: readonly Access[] }
  /** Names an object that the catalog snapshot does not hold: refresh once, then deny. */
  | (Refused & {
      readonly outcome: 'unknown_object'
      readonly accesses: readonly Access[]
      readonly nativeError?: NativeError
    })
  /** Not parsed, or holds something that is not modelled. Unknown never means harmless. */
  | (Refused & { readonly outcome: 'not_understood'; readonly nativeError?: NativeError })
  /** Two readers of the statement disagree about what it touches (MySQL's second reader). */
  | (Refused & { readonly outcome: 'readers_disagree' })
  /** Understood, and allowed by no grant whatever: pinned settings, dynamic SQL, administration. */
  | (Refused & { readonly outcome: 'forbidden' })
  /** An attempt to leave the granted system. */
  | (Refused & {
      readonly outcome: 'hop'
      readonly hop: HopKind
      /** What it aimed at, for the record: a database name, a host, a file. */
      readonly target?: string
    })

/** A refused analysis with what its statement touches; one that may be relayed is given back as it is. */
export function touching(analysis: Analysis, touched: readonly Access[]): Analysis {
  return analysis.outcome === 'accesses' || touched.length === 0 ? analysis : { ...analysis, touched }
}
