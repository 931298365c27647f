/**
 * The vocabulary between the two halves: what a statement needs. `protocols/` finds accesses, `src/` judges
 * them. This file imports nothing and knows no wire, no grant and no policy.
 */

/** An action on a table, view, materialized view or foreign table; the privilege words of SQL `GRANT`, and DDL verbs. */
export const RELATION_ACTIONS = [
  'select',
  'insert',
  'update',
  'delete',
  'truncate',
  'references',
  'trigger',
  'create',
  'alter',
  'drop',
  'index',
] as const
export type RelationAction = (typeof RELATION_ACTIONS)[number]

/**
 * A table-like object. Names are canonical: folded as the server folds them, schema always filled in
 * (MySQL: the database).
 */
export type RelationAccess = {
  readonly kind: 'relation'
  readonly action: RelationAction
  readonly schema: string
  readonly name: string
  /**
   * The columns touched, canonical, sorted, without duplicates. `undefined`: the whole table, because the
   * statement needs it or because its columns cannot be attributed with certainty. An empty list: the table
   * is read but no column is (`select count(*)`): any column of it being granted is enough.
   */
  readonly columns: readonly string[] | undefined
}

/** A function or procedure that is not a vetted built-in. `call` is for procedures, `execute` for functions. */
export type RoutineAccess = {
  readonly kind: 'routine'
  readonly action: 'execute' | 'call'
  readonly schema: string
  readonly name: string
}

/** A sequence: `usage` for `nextval`/`currval`, `update` for `setval`, `select` to read it, and DDL. */
export type SequenceAccess = {
  readonly kind: 'sequence'
  readonly action: 'usage' | 'select' | 'update' | 'create' | 'alter' | 'drop'
  readonly schema: string
  readonly name: string
}

/** A type or domain of a user: `usage` to cast to it (a domain's checks run functions), and DDL. */
export type TypeAccess = {
  readonly kind: 'type'
  readonly action: 'usage' | 'create' | 'alter' | 'drop'
  readonly schema: string
  readonly name: string
}

/** A schema as such: DDL in it or on it. */
export type SchemaAccess = {
  readonly kind: 'schema'
  readonly action: 'create' | 'alter' | 'drop' | 'usage'
  readonly name: string
}

/** A PostgreSQL notification channel. */
export type ChannelAccess = {
  readonly kind: 'channel'
  readonly action: 'listen' | 'notify'
  readonly name: string
}

/**
 * A read of the catalog. Needs no allow line but a grant whose `metadata` is at least this level: `driver` is
 * what drivers ask at connect, `introspect` what ORMs and psql's `\d` read.
 */
export type MetadataAccess = {
  readonly kind: 'metadata'
  readonly level: 'driver' | 'introspect'
  /** The catalog relation or function, for the record: `pg_catalog.pg_type`. */
  readonly name: string
}

/** How one Redis command uses one key. At least one of `read` and `write` is true. */
export type KeyUse = {
  /** The key, one character a byte (`latin1`), so that comparison and glob matching are exact on bytes. */
  readonly key: string
  readonly read: boolean
  readonly write: boolean
  /**
   * True where `key` is a glob pattern (`SCAN 0 MATCH cart:*`): covered only by a granted pattern that matches
   * everything this one can match.
   */
  readonly pattern?: boolean
}

/** How one Redis command uses one Pub/Sub channel. A `pattern` is matched literally against granted patterns. */
export type ChannelUse = { readonly channel: string; readonly pattern: boolean }

/** A Redis command, judged whole: one allow line must cover the command, every key and every channel. */
export type CommandAccess = {
  readonly kind: 'command'
  /** Lower case: `get`. */
  readonly command: string
  /** Lower case: `setname` of `CLIENT SETNAME`. */
  readonly subcommand: string | undefined
  /** ACL categories of the vetted table, without `@`. */
  readonly categories: ReadonlySet<string>
  readonly keys: readonly KeyUse[]
  readonly channels: readonly ChannelUse[]
  /** True where the command reads or writes keys that it does not name (`DBSIZE`, `SORT … BY`): needs `allkeys`. */
  readonly allKeys: boolean
}

/** One thing that a statement needs: an action on a resource. */
export type Access =
  | RelationAccess
  | RoutineAccess
  | SequenceAccess
  | TypeAccess
  | SchemaAccess
  | ChannelAccess
  | MetadataAccess
  | CommandAccess
