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
 * What is known of one statement. Only `accesses` can lead to a relay, and only when every access is granted;
 * an empty list means: understood, and reaches nothing (`begin`, `select 1`).
 *
 * An analysis is immutable and shared: the same text under the same catalog gives the same object, so that
 * verdicts can be memoised by identity.
 */
export type Analysis =
  | { readonly outcome: 'accesses'; readonly action: StatementAction; readonly accesses: readonly Access[] }
  /** Names an object that the catalog snapshot does not hold: refresh once, then deny. */
  | {
      readonly outcome: 'unknown_object'
      readonly action: StatementAction
      readonly why: string
      readonly accesses: readonly Access[]
      readonly nativeError?: NativeError
    }
  /** Not parsed, or holds something that is not modelled. Unknown never means harmless. */
  | {
      readonly outcome: 'not_understood'
      readonly action: StatementAction
      readonly why: string
      readonly nativeError?: NativeError
    }
  /** Two readers of the statement disagree about what it touches (MySQL's second reader). */
  | { readonly outcome: 'readers_disagree'; readonly action: StatementAction; readonly why: string }
  /** Understood, and allowed by no grant whatever: pinned settings, dynamic SQL, administration. */
  | { readonly outcome: 'forbidden'; readonly action: StatementAction; readonly why: string }
  /** An attempt to leave the granted system. */
  | {
      readonly outcome: 'hop'
      readonly action: StatementAction
      readonly hop: HopKind
      readonly why: string
      /** What it aimed at, for the record: a database name, a host, a file. */
      readonly target?: string
    }
