/**
 * The server as oracle. A user is given exactly the privileges that an analysis says a statement needs, column by
 * column, and then runs it: whatever the server still denies is a need that the analysis missed.
 */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { createConnection } from 'mysql2/promise'
import type { Access, RelationAccess } from '../../../protocols/access.ts'
import {
  type MysqlCatalog,
  type MysqlRelation,
  pinnedSqlMode,
  type SequenceName,
  sequencesOfDefault,
  versionNumberOf,
} from '../../../protocols/mysql/catalog.ts'

export type Target = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
}

/** Errors with which a server says that a privilege is missing. */
const PRIVILEGE_ERRORS: ReadonlySet<number> = new Set([
  1044, // ER_DBACCESS_DENIED_ERROR
  1142, // ER_TABLEACCESS_DENIED_ERROR
  1143, // ER_COLUMNACCESS_DENIED_ERROR
  1227, // ER_SPECIFIC_ACCESS_DENIED_ERROR
  1345, // ER_VIEW_NO_EXPLAIN
  1370, // ER_PROCACCESS_DENIED_ERROR
])

const PROBE_USER = 'bulkhead_probe'

/** Where the words of the server are others than those of a grant. */
const RELATION_PRIVILEGES: Readonly<Record<string, string>> = {
  truncate: 'drop',
  create: 'create, create view',
}

const SEQUENCE_PRIVILEGES: Readonly<Record<string, string>> = {
  usage: 'select, insert',
  select: 'select',
  update: 'select, insert',
  create: 'create',
  alter: 'alter',
  drop: 'drop',
}

/**
 * MySQL denies a column that does not exist before it finds the alias of that name (`ORDER BY alias + 0`), and
 * guards what an account with SYSTEM_USER has made: neither is a need of the statement.
 */
function isAboutNothing(message: string, catalog: MysqlCatalog): boolean {
  if (message.includes('SYSTEM_USER')) return true
  const named = /for column '([^']*)' in table '([^']*)'/.exec(message)
  const columns = catalog.relations.get(named?.[2] ?? '')?.columns
  return (
    columns !== undefined && !columns.some((column) => column.toLowerCase() === named?.[1]?.toLowerCase())
  )
}

/** Of a table that the statement does not name, but a view of it does: MySQL asks the user some rights of those. */
function isBehindView(
  sql: string,
  message: string,
  accesses: readonly Access[],
  catalog: MysqlCatalog,
): boolean {
  const table = /table '([^']*)'/.exec(message)?.[1]
  if (table === undefined || sql.toLowerCase().includes(table.toLowerCase())) return false
  return accesses.some((access) => 'name' in access && catalog.relations.get(access.name)?.kind === 'view')
}

const LIMITS = { mysql: 'max_execution_time = 2000', mariadb: 'max_statement_time = 2' } as const

function flavourOf(version: string): 'mysql' | 'mariadb' {
  return /mariadb/i.test(version) ? 'mariadb' : 'mysql'
}

/** What the server said to the probing user. */
export type Probe = {
  readonly errno: number
  readonly message: string
  readonly isDenied: boolean
  /** False where a privilege could not be granted (an object in a broken state): then a denial tells nothing. */
  readonly isConclusive: boolean
}

export class Prober {
  readonly #root: Connection
  readonly #user: Connection
  readonly #database: string
  readonly #flavour: 'mysql' | 'mariadb'
  readonly #version: string
  readonly #account: string
  #grants: string | undefined
  #grantsFailed = 0

  private constructor(parts: {
    root: Connection
    user: Connection
    database: string
    version: string
    account: string
  }) {
    this.#root = parts.root
    this.#user = parts.user
    this.#database = parts.database
    this.#version = parts.version
    this.#account = parts.account
    this.#flavour = flavourOf(parts.version)
  }

  /** Makes a database and a user without privileges, of its own. */
  static async open(target: Target, name: string): Promise<Prober> {
    const { host, port, user, password } = target
    const flags = ['-IGNORE_SPACE', '-MULTI_STATEMENTS']
    const root = await createConnection({ host, port, user, password, flags })
    const [rows] = await root.query<RowDataPacket[]>('select version() as version')
    const version = String(rows[0]?.['version'])
    const account = `'${PROBE_USER}_${name}'@'%'`
    await root.query(`drop database if exists \`${name}\``)
    await root.query(`create database \`${name}\` character set utf8mb4`)
    await root.query(`drop user if exists ${account}`)
    await root.query(`create user ${account} identified by 'probe'`)
    await root.query(`use \`${name}\``)
    const prober = await createConnection({
      host,
      port,
      user: `${PROBE_USER}_${name}`,
      password: 'probe',
      flags,
    })
    for (const session of [root, prober]) {
      // A statement that waits for a lock or runs long tells nothing about privileges.
      for (const setting of [
        'lock_wait_timeout = 2',
        'innodb_lock_wait_timeout = 1',
        LIMITS[flavourOf(version)],
      ]) {
        await session.query(`set session ${setting}`)
      }
    }
    return new Prober({ root, user: prober, database: name, version, account })
  }

  async close(): Promise<void> {
    await this.#root.query(`drop database if exists \`${this.#database}\``)
    await this.#root.query(`drop user if exists ${this.#account}`)
    await this.#root.end()
    await this.#user.end()
  }

  /** Runs a statement as root; false where the server refused it. */
  async setUp(sql: string): Promise<boolean> {
    // A new object may have lost the grants of the old one of its name.
    this.#grants = undefined
    try {
      await this.#root.query({ sql, timeout: 5000 })
      return true
    } catch {
      return false
    }
  }

  async reset(): Promise<void> {
    this.#grants = undefined
    await this.#root.query(`drop database if exists \`${this.#database}\``)
    await this.#root.query(`create database \`${this.#database}\` character set utf8mb4`)
    await this.#root.query(`use \`${this.#database}\``)
  }

  async catalog(): Promise<MysqlCatalog> {
    const root = this.#root
    const relations = new Map<string, MysqlRelation & { columns: string[]; sequences?: SequenceName[] }>()
    const [tables] = await root.query<RowDataPacket[]>(
      `select table_name as name, table_type as type from information_schema.tables
       where table_schema = database() and coalesce(engine, '') not in ('MRG_MYISAM', 'MRG_MyISAM')`,
    )
    for (const { name, type } of tables) {
      const kind = type === 'VIEW' ? 'view' : type === 'SEQUENCE' ? 'sequence' : 'table'
      relations.set(name, { kind, columns: [] })
    }
    const [columns] = await root.query<RowDataPacket[]>(
      `select table_name as \`table\`, column_name as name, column_default as value from information_schema.columns
       where table_schema = database() order by table_name, ordinal_position`,
    )
    for (const { table, name, value } of columns) {
      const relation = relations.get(table)
      relation?.columns.push(name)
      const sequences = sequencesOfDefault(String(value))
      if (relation !== undefined && sequences.length > 0)
        relation.sequences = [...(relation.sequences ?? []), ...sequences]
    }
    const [routines] = await root.query<RowDataPacket[]>(
      `select lower(routine_name) as name, routine_type as type from information_schema.routines
       where routine_schema = database()`,
    )
    const named = (type: string): Set<string> =>
      new Set(
        routines.filter((routine) => routine['type'] === type).map((routine) => String(routine['name'])),
      )
    const [modes] = await root.query<RowDataPacket[]>(
      'select @@sql_mode as mode, @@lower_case_table_names as folding',
    )
    return {
      flavour: this.#flavour,
      serverVersion: this.#version,
      versionNumber: versionNumberOf(this.#version),
      lowerCaseTableNames: modes[0]?.['folding'],
      database: this.#database,
      complete: true,
      relations,
      functions: named('FUNCTION'),
      procedures: named('PROCEDURE'),
      baseSqlMode: pinnedSqlMode(String(modes[0]?.['mode'])),
    }
  }

  /**
   * Gives the user these accesses and nothing else, lets it run the statement, and takes back what it did.
   *
   * @param isRun false: only prepare it
   */
  async probe(sql: string, accesses: readonly Access[], catalog: MysqlCatalog, isRun = true): Promise<Probe> {
    await this.#grant(this.#grantsFor(accesses, catalog))
    const user = this.#user
    await user.query(`use \`${this.#database}\``).catch(() => undefined)
    await user.query('start transaction')
    try {
      // As a prepared text, so that a statement with parameters is checked too.
      await user.query({ sql: `prepare probe from ${this.#root.escape(sql)}`, timeout: 2000 })
      if (isRun && !sql.includes('?')) await user.query({ sql: 'execute probe', timeout: 2000 })
      return { errno: 0, message: '', isDenied: false, isConclusive: true }
    } catch (error) {
      const { errno = -1, message } = error as { errno?: number; message: string }
      const isDenied = PRIVILEGE_ERRORS.has(errno)
      // A column that does not exist is denied before it is looked for: root is told so.
      const isConclusive =
        this.#grantsFailed === 0 &&
        !isBehindView(sql, message, accesses, catalog) &&
        !isAboutNothing(message, catalog) &&
        (!isDenied || (await this.#isAccepted(sql)))
      return { errno, message, isDenied, isConclusive }
    } finally {
      await user.query('rollback')
    }
  }

  /** Whether root may run it: what fails for everyone fails for another reason than a privilege. */
  async #isAccepted(sql: string): Promise<boolean> {
    const root = this.#root
    await root.query('start transaction')
    try {
      await root.query(`prepare probe from ${root.escape(sql)}`)
      if (!sql.includes('?')) await root.query({ sql: 'execute probe', timeout: 2000 })
      return true
    } catch {
      return false
    } finally {
      await root.query('rollback')
    }
  }

  async #grant(grants: readonly string[]): Promise<void> {
    const key = grants.join(';')
    if (key === this.#grants) return
    await this.#root.query(`revoke all privileges, grant option from ${this.#account}`)
    // Without any privilege in it the database itself could not be used.
    await this.#root.query(
      `grant create temporary tables, lock tables on \`${this.#database}\`.* to ${this.#account}`,
    )
    this.#grantsFailed = 0
    for (const grant of grants) {
      await this.#root.query(`grant ${grant} to ${this.#account}`).catch(() => {
        this.#grantsFailed++
      })
    }
    this.#grants = key
  }

  /**
   * In an upsert MariaDB checks every column that it meets for all privileges that the statement needs of some
   * column (UPDATE of a column that is only inserted): what goes beyond the statement's own needs is given here.
   */
  #upsertQuirk(access: Access, accesses: readonly Access[], catalog: MysqlCatalog): string[] {
    if (this.#flavour !== 'mariadb' || access.kind !== 'relation' || access.action !== 'insert') return []
    const sameTable = accesses.filter(
      (other): other is RelationAccess => other.kind === 'relation' && other.name === access.name,
    )
    if (!sameTable.some((other) => other.action === 'update')) return []
    const columns = new Set(sameTable.flatMap((other) => other.columns ?? []))
    const known = catalog.relations.get(access.name)?.columns ?? []
    const quoted = known
      .filter((column) => access.columns === undefined || columns.has(column.toLowerCase()))
      .map((column) => `\`${column.replaceAll('`', '``')}\``)
    if (quoted.length === 0) return []
    const on = `on \`${access.schema}\`.\`${access.name.replaceAll('`', '``')}\``
    const needed = new Set(sameTable.map(({ action }) => action))
    return ['select', 'insert', 'update']
      .filter((word) => needed.has(word as RelationAccess['action']))
      .map((word) => `${word} (${quoted.join(', ')}) ${on}`)
  }

  #grantsFor(accesses: readonly Access[], catalog: MysqlCatalog): string[] {
    const grants: string[] = []
    for (const access of accesses) grants.push(...this.#upsertQuirk(access, accesses, catalog))
    for (const access of accesses) {
      if (access.kind === 'routine') {
        const kind = access.action === 'call' ? 'procedure' : 'function'
        grants.push(`execute on ${kind} \`${access.schema}\`.\`${access.name}\``)
      } else if (access.kind === 'sequence') {
        const words = SEQUENCE_PRIVILEGES[access.action]
        grants.push(`${words} on \`${access.schema}\`.\`${access.name}\``)
      } else if (access.kind === 'schema') {
        grants.push(`${access.action} on \`${access.name}\`.*`)
      } else if (access.kind === 'relation') {
        const on = `on \`${access.schema}\`.\`${access.name.replaceAll('`', '``')}\``
        // A privilege of its own in the server; the proxy counts it as part of reading.
        if (access.action === 'select') grants.push(`show view ${on}`)
        const word = RELATION_PRIVILEGES[access.action] ?? access.action
        if (access.columns === undefined) grants.push(`${word} ${on}`)
        else {
          const known = catalog.relations.get(access.name)?.columns ?? []
          const wanted =
            access.columns.length === 0
              ? known.slice(-1)
              : known.filter((column) => {
                  return access.columns?.includes(column.toLowerCase())
                })
          if (wanted.length > 0) {
            grants.push(
              `${word} (${wanted.map((column) => `\`${column.replaceAll('`', '``')}\``).join(', ')}) ${on}`,
            )
          }
        }
      }
    }
    return grants.sort()
  }
}
