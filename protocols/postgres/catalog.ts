/**
 * What one database holds, as plain data: enough to resolve a name as the server resolves it. A snapshot is
 * never changed; a newer one replaces it.
 *
 * https://www.postgresql.org/docs/current/catalogs.html
 */

/** `pg_class.relkind`: https://www.postgresql.org/docs/current/catalog-pg-class.html */
export type RelationKind = 'r' | 'p' | 'v' | 'm' | 'f' | 'S' | 'c' | 'i' | 'I' | 't'

export type Relation = {
  readonly schema: string
  readonly name: string
  readonly kind: RelationKind
  /** User columns in order, without system columns; `undefined`: not known (no server at hand). */
  readonly columns: readonly string[] | undefined
  /** `pg_class.oid`; `undefined`: not known (no server at hand). */
  readonly oid?: number
  /** Columns whose values the server may convert unasked -> the unvetted functions behind those casts. */
  readonly casts?: ReadonlyMap<string, readonly HiddenCall[]>
  /** The table of an index. */
  readonly indexOf?: { readonly schema: string; readonly name: string }
}

/** One name of functions in one schema; overloads are joined because arguments are seldom typed in the text. */
export type Routine = {
  readonly schema: string
  readonly name: string
  /** Came with the server (its oid is below FirstNormalObjectId) and not by a user or an extension. */
  readonly builtin: boolean
  /** `f` function, `p` procedure, `a` aggregate, `w` window function, of any overload. */
  readonly kinds: string
  /** The library of a C function (`$libdir/dblink`), of any overload. */
  readonly library: string | undefined
  /** The fewest and most arguments that an overload takes, with defaults and VARIADIC. */
  readonly argumentsMin: number
  readonly argumentsMax: number
  /** Belongs to one of the extensions whose immutable functions are vetted, and all overloads are immutable. */
  readonly vetted: boolean
}

export type TypeKind = 'base' | 'composite' | 'domain' | 'enum' | 'pseudo' | 'range' | 'multirange'

export type UserType = {
  /** `pg_type.oid`, by which a Parse names the types of its parameters; `undefined`: not known (no server at hand). */
  readonly oid?: number
  readonly schema: string
  readonly name: string
  readonly kind: TypeKind
  readonly builtin: boolean
  /** Casting a value to it runs nothing but built-in or vetted code. */
  readonly free: boolean
  /** The relation whose row type it is. */
  readonly rowOf: string | undefined
}

/** A user-defined operator or cast, and the function that it runs. */
export type HiddenCall = { readonly schema: string; readonly name: string }

export type PostgresCatalog = {
  /** `server_version_num`: 150018 is 15.18. */
  readonly serverVersionNum: number
  readonly database: string
  /** The one schema of the pinned search path, after `pg_catalog`. */
  readonly schema: string
  /** False: no server at hand; unknown relations are taken as tables with unknown columns. */
  readonly complete: boolean
  /**
   * True where the login role acts as another one from the start (`ALTER ROLE … SET role`): then statements that
   * return to the login role would be a switch of identity.
   */
  readonly roleIsSwitched: boolean
  /** Keys are made by {@link keyOf}. */
  readonly relations: ReadonlyMap<string, Relation>
  readonly routines: ReadonlyMap<string, Routine>
  readonly types: ReadonlyMap<string, UserType>
  readonly schemas: ReadonlySet<string>
  /** Operator names of the pinned schema and others (`schema.name` keys) -> the unvetted functions behind them. */
  readonly operators: ReadonlyMap<string, readonly HiddenCall[]>
  /** Columns of the catalog that hold nothing in any row now: `pg_catalog.pg_foreign_server.srvoptions`. */
  readonly blank: ReadonlySet<string>
  /** Types with user-defined casts from or to them -> the unvetted functions behind those. */
  readonly casts: ReadonlyMap<string, readonly HiddenCall[]>
}

/** The key of a schema-qualified name. NUL cannot occur in a name, so that keys never collide. */
export function keyOf(schema: string, name: string): string {
  return `${schema}\0${name}`
}

/** Knowledge without a server, for checking a statement offline. */
export function offlineCatalog(options: {
  readonly schema: string
  readonly database: string
  readonly serverVersionNum: number
}): PostgresCatalog {
  return {
    ...options,
    complete: false,
    roleIsSwitched: false,
    relations: new Map(),
    routines: new Map(),
    types: new Map(),
    schemas: new Set([options.schema, 'pg_catalog', 'information_schema']),
    operators: new Map(),
    blank: new Set(),
    casts: new Map(),
  }
}
