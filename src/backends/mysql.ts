/** The control connection to one MySQL or MariaDB server, by `mysql2`: what the server is and what its database holds. */
import { Socket } from 'node:net'
import { type Connection, type ConnectionOptions, createConnection, type RowDataPacket } from 'mysql2'
import {
  ed25519Password,
  MysqlAnalyser,
  type MysqlCatalog,
  MysqlNaming,
  type MysqlRelation,
  offlineCatalog,
  pinnedSqlMode,
  type SequenceName,
  sequencesOfDefault,
  versionNumberOf,
} from '../../protocols/mysql/index.ts'
import type { BackendTarget, OpenBackend } from './backend.ts'
import { ControlConnection, type ControlLink, type Learned } from './control-connection.ts'
import { tlsOptions } from './tls.ts'

/** Before a connection on which nothing happens is asked whether the server is still there. */
const KEEP_ALIVE_MS = 60_000

/** `bulkhead check` without a server: MariaDB's grammar, and every named table is taken to exist. */
export async function offlineMysqlAnalyser(target: BackendTarget): Promise<MysqlAnalyser> {
  return new MysqlAnalyser(offlineCatalog({ flavour: 'mariadb', database: target.database }))
}

export const openMysqlBackend: OpenBackend<MysqlAnalyser> = (target, notice) =>
  new ControlConnection({ open: (lost) => new MysqlLink(target, lost), notice })

class MysqlLink implements ControlLink<MysqlAnalyser> {
  readonly #target: BackendTarget
  readonly #lost: (why: string) => void
  #connection: Connection | undefined
  #destroyed = false

  constructor(target: BackendTarget, lost: (why: string) => void) {
    this.#target = target
    this.#lost = lost
  }

  /** TLS as the sessions of runs use it, so that both reach the server in the same way. */
  async connect(): Promise<void> {
    const { tls } = this.#target
    if (tls === 'disable') return this.#dial(undefined)
    const { ca, rejectUnauthorized } = tlsOptions(this.#target)
    // The driver has a word of its own for the name.
    const ssl = { ...(ca !== undefined && { ca }), rejectUnauthorized, verifyIdentity: tls === 'verify-full' }
    try {
      return await this.#dial(ssl)
    } catch (error) {
      const withoutTls =
        error instanceof Error && 'code' in error && error.code === 'HANDSHAKE_NO_SSL_SUPPORT'
      if (tls !== 'prefer' || !withoutTls) throw error
      return this.#dial(undefined)
    }
  }

  #dial(ssl: Exclude<ConnectionOptions['ssl'], string>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#destroyed) throw new Error('closed')
      this.#connection?.destroy()
      const connection = createConnection({ ...optionsOf(this.#target), ...(ssl !== undefined && { ssl }) })
      this.#connection = connection
      nameServer(connection, this.#target.host)
      let isConnected = false
      // Listened to for ever: an error that nobody hears would end the process.
      const failed = (error: Error): void => {
        if (isConnected) this.#lost(error.message)
        else reject(error)
      }
      connection.on('error', failed)
      connection.on('end', () => failed(new Error('the server closed the connection')))
      connection.once('connect', () => {
        isConnected = true
        resolve()
      })
    })
  }

  async read(fingerprint: string): Promise<Learned<MysqlAnalyser> | undefined> {
    const connection = this.#connection
    if (connection === undefined) throw new Error('read before the connection')
    const catalog = await readCatalog(connection)
    const now = fingerprintOf(catalog)
    if (now === fingerprint) return undefined
    return {
      knowledge: new MysqlAnalyser(catalog),
      fingerprint: now,
      server: `${catalog.flavour} ${catalog.serverVersion}`,
      warnings: [],
    }
  }

  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#connection === undefined) resolve()
      else this.#connection.end(() => resolve())
    })
  }

  destroy(): void {
    this.#destroyed = true
    this.#connection?.destroy()
  }
}

function optionsOf(target: BackendTarget): ConnectionOptions {
  const { host, port, user, database, password = '' } = target
  return {
    ...{ host, port, user, password, database },
    charset: 'utf8mb4_general_ci',
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    // Nothing that this connection does needs them, and a hostile server could ask for a file.
    flags: ['-LOCAL_FILES', '-MULTI_STATEMENTS'],
    authPlugins: {
      client_ed25519: () => (scramble: Buffer) => ed25519Password(password, scramble),
    },
  }
}

/**
 * The driver hands its socket to TLS without a name where the host is an address. Node then holds the certificate against the name
 * that the socket was connected by, which it notes for names only, and else against `localhost`.
 */
function nameServer(connection: Connection, host: string): void {
  if ('stream' in connection && connection.stream instanceof Socket) {
    Object.assign(connection.stream, { _host: host })
  }
}

function rowsOf(connection: Connection, sql: string): Promise<readonly (readonly unknown[])[]> {
  return new Promise((resolve, reject) => {
    connection.query<RowDataPacket[][]>({ sql, rowsAsArray: true }, (error, rows) => {
      if (error) reject(error)
      else resolve(rows)
    })
  })
}

const KINDS: Readonly<Record<string, MysqlRelation['kind']>> = {
  'BASE TABLE': 'table',
  'SYSTEM VERSIONED': 'table',
  VIEW: 'view',
  SEQUENCE: 'sequence',
}

async function readCatalog(connection: Connection): Promise<MysqlCatalog> {
  const [server = []] = await rowsOf(
    connection,
    'SELECT VERSION(), @@lower_case_table_names, DATABASE(), @@GLOBAL.sql_mode',
  )
  const [version, lowerCase, database, sqlMode] = server.map(String)
  const lowerCaseTableNames = lowerCase === '0' ? 0 : lowerCase === '1' ? 1 : 2
  const serverVersion = version ?? ''
  const naming = new MysqlNaming({ database: database ?? '', lowerCaseTableNames })
  return {
    flavour: /mariadb/i.test(serverVersion) ? 'mariadb' : 'mysql',
    serverVersion,
    versionNumber: versionNumberOf(serverVersion),
    lowerCaseTableNames,
    database: naming.database(database ?? ''),
    complete: true,
    relations: await readRelations(connection, naming),
    ...(await readRoutines(connection, naming)),
    baseSqlMode: pinnedSqlMode(sqlMode ?? ''),
  }
}

async function readRelations(
  connection: Connection,
  naming: MysqlNaming,
): Promise<ReadonlyMap<string, MysqlRelation>> {
  const tables = await rowsOf(
    connection,
    // A MERGE table is other tables under another name: it does not exist here.
    'SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES ' +
      "WHERE TABLE_SCHEMA = DATABASE() AND COALESCE(ENGINE, '') NOT IN ('MRG_MYISAM', 'MRG_MyISAM')",
  )
  const columns = await rowsOf(
    connection,
    "SELECT TABLE_NAME, COLUMN_NAME, IF(COLUMN_DEFAULT LIKE '%val(%', COLUMN_DEFAULT, '') " +
      'FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION',
  )
  const columnsOf = new Map<string, string[]>()
  const sequencesOf = new Map<string, SequenceName[]>()
  for (const [table, column, columnDefault] of columns) {
    const name = naming.relation(String(table), true)
    append(columnsOf, name, String(column))
    for (const sequence of sequencesOfDefault(String(columnDefault))) append(sequencesOf, name, sequence)
  }
  const relations = new Map<string, MysqlRelation>()
  for (const [table, type] of tables) {
    const name = naming.relation(String(table), true)
    // A kind that is not known is left out: its name then does not exist, and nothing that names it is relayed.
    const kind = KINDS[String(type)]
    if (kind === undefined) continue
    const sequences = sequencesOf.get(name)
    relations.set(name, { kind, columns: columnsOf.get(name) ?? [], ...(sequences && { sequences }) })
  }
  return relations
}

function append<Item>(lists: Map<string, Item[]>, key: string, item: Item): void {
  const known = lists.get(key)
  if (known === undefined) lists.set(key, [item])
  else known.push(item)
}

async function readRoutines(
  connection: Connection,
  naming: MysqlNaming,
): Promise<Pick<MysqlCatalog, 'functions' | 'procedures'>> {
  const routines = await rowsOf(
    connection,
    'SELECT ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()',
  )
  const named = (type: string): ReadonlySet<string> =>
    new Set(
      routines
        .filter(([, routineType]) => routineType === type)
        .map(([name]) => naming.routine(String(name), true)),
    )
  return { functions: named('FUNCTION'), procedures: named('PROCEDURE') }
}

function fingerprintOf(catalog: MysqlCatalog): string {
  return JSON.stringify({
    ...catalog,
    relations: [...catalog.relations].sort(([left], [right]) => (left < right ? -1 : 1)),
    functions: [...catalog.functions].sort(),
    procedures: [...catalog.procedures].sort(),
  })
}
