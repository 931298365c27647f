/**
 * What is known of one MySQL or MariaDB server: plain data, read over the control connection and never changed
 * afterwards. A change of the schema makes a new catalog.
 */

export type MysqlFlavour = 'mysql' | 'mariadb'

/** A table-like object of the pinned database. */
export type MysqlRelation = {
  readonly kind: 'table' | 'view' | 'sequence'
  /** In the order of the table, as `information_schema.COLUMNS` spells them, invisible columns included. */
  readonly columns: readonly string[]
  /** MariaDB: the sequences that defaults of columns ask for values. Absent: none. */
  readonly sequences?: readonly SequenceName[]
}

/** As the server spells it. */
export type SequenceName = { readonly database: string; readonly name: string }

/** The sequences in the text of a default: ``nextval(`crm`.`s`)``, as `information_schema.COLUMNS` gives it. */
export function sequencesOfDefault(text: string): readonly SequenceName[] {
  const calls = text.matchAll(/val\(`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`\)/gi)
  return [...calls].map(([, database = '', name = '']) => ({
    database: database.replaceAll('``', '`'),
    name: name.replaceAll('``', '`'),
  }))
}

export type MysqlCatalog = {
  readonly flavour: MysqlFlavour
  /** As `SELECT VERSION()` says it: `10.11.19-MariaDB-0+deb12u1`. */
  readonly serverVersion: string
  /** major × 10 000 + minor × 100 + patch: 101119, 90704. The number that executable comments compare with. */
  readonly versionNumber: number
  /** `@@lower_case_table_names`: 0 exact, 1 stored in lower case, 2 compared in lower case. */
  readonly lowerCaseTableNames: 0 | 1 | 2
  /** The database that the sessions are pinned to, canonical (see `MysqlNaming.database`). */
  readonly database: string
  /**
   * False where no server is at hand (`bulkhead check`): a name that is not in the maps may exist all the same
   * and its columns are unknown. True: a name that is not in the maps does not exist.
   */
  readonly complete: boolean
  /** Tables, views and sequences of the pinned database by canonical name (see `MysqlNaming.relation`). */
  readonly relations: ReadonlyMap<string, MysqlRelation>
  /** Stored functions of the pinned database, in lower case. */
  readonly functions: ReadonlySet<string>
  /** Stored procedures of the pinned database, in lower case. */
  readonly procedures: ReadonlySet<string>
  /** The sql_mode that backend sessions are pinned to: comma-separated mode names in upper case. */
  readonly baseSqlMode: string
}

/** The modes that change how a text is read; a session never has one of them. */
export const SQL_MODES_REFUSED: ReadonlySet<string> = new Set([
  'ANSI',
  'ANSI_QUOTES',
  'DB2',
  'IGNORE_SPACE',
  'MAXDB',
  'MSSQL',
  'NO_BACKSLASH_ESCAPES',
  'ORACLE',
  'POSTGRESQL',
])

/** `@@sql_mode` of a server without the modes that change how a text is read. */
export function pinnedSqlMode(serverSqlMode: string): string {
  return serverSqlMode
    .split(',')
    .map((mode) => mode.trim().toUpperCase())
    .filter((mode) => mode !== '' && !SQL_MODES_REFUSED.has(mode))
    .join(',')
}

/** False where the two are of servers, or of databases, that read the same text by different rules. */
export function isSameServer(one: MysqlCatalog, other: MysqlCatalog): boolean {
  return (
    one === other ||
    (one.serverVersion === other.serverVersion &&
      one.lowerCaseTableNames === other.lowerCaseTableNames &&
      one.database === other.database)
  )
}

/** `10.11.19-MariaDB` → 101119; 0 where the text holds no version. */
export function versionNumberOf(serverVersion: string): number {
  // MariaDB prefixes "5.5.5-" in the greeting, for clients that compare the first digit only.
  const found = /^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)/.exec(serverVersion)
  if (found === null) return 0
  return Number(found[1]) * 10_000 + Number(found[2]) * 100 + Number(found[3])
}

/** A catalog without a server: every name may exist, no column is known. For `bulkhead check`. */
export function offlineCatalog(options: {
  readonly flavour: MysqlFlavour
  readonly database: string
  readonly serverVersion?: string
}): MysqlCatalog {
  const serverVersion = options.serverVersion ?? (options.flavour === 'mysql' ? '8.4.0' : '10.11.0-MariaDB')
  return {
    flavour: options.flavour,
    serverVersion,
    versionNumber: versionNumberOf(serverVersion),
    lowerCaseTableNames: 0,
    database: options.database,
    complete: false,
    relations: new Map(),
    functions: new Set(),
    procedures: new Set(),
    baseSqlMode: '',
  }
}
