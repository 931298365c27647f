/** The control connection to one MySQL or MariaDB server, by `mysql2`: what the server is and what its database holds. */
import { type Connection, type ConnectionOptions, createConnection, type RowDataPacket } from 'mysql2/promise'
import type { Live } from '../../protocols/login.ts'
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
import type { Backend, BackendNotice, BackendTarget } from './backend.ts'

/** From the first packet to a connection that answers. */
const CONNECT_MS = 10_000
/** A catalog read that takes longer has lost its connection. */
const QUERY_MS = 30_000
/** Between looks for a changed schema. A new column stays invisible to the analysis for at most this long. */
const POLL_MS_MIN = 5_000
/** A large catalog is read less often: reading takes at most this share of the time. */
const POLL_SHARE = 1 / 20
/** At most one read a second is begun, however many unknown names agents come up with. */
const READ_MS_MIN = 1_000
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 10_000

/** `bulkhead check` without a server: MariaDB's grammar, and every named table is taken to exist. */
export async function offlineMysqlAnalyser(target: BackendTarget): Promise<MysqlAnalyser> {
  return new MysqlAnalyser(offlineCatalog({ flavour: 'mariadb', database: target.database }))
}

export function openMysqlBackend(
  target: BackendTarget,
  notice: (notice: BackendNotice) => void,
): Backend<MysqlAnalyser> {
  return new MysqlBackend(target, notice)
}

class MysqlBackend implements Backend<MysqlAnalyser> {
  readonly #target: BackendTarget
  readonly #notice: (notice: BackendNotice) => void
  readonly knowledge: Live<MysqlAnalyser | undefined> & { current: MysqlAnalyser | undefined } = {
    current: undefined,
  }
  #connection: Connection | undefined
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined
  #readAtMs = Number.NEGATIVE_INFINITY
  #retryMs = RETRY_MS_MIN
  #closed = false
  /** The catalog that is known, as text, so that an unchanged one keeps its analyser and the analyser's memo. */
  #fingerprint = ''

  constructor(target: BackendTarget, notice: (notice: BackendNotice) => void) {
    this.#target = target
    this.#notice = notice
  }

  get reachable(): boolean {
    return this.#connection !== undefined
  }

  async start(): Promise<void> {
    await this.#connect()
  }

  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    const connection = this.#connection
    this.#connection = undefined
    await connection?.end().catch(() => undefined)
  }

  async #connect(): Promise<void> {
    let connection: Connection | undefined
    try {
      connection = await this.#open()
      await this.#learn(connection)
      if (this.#closed) {
        connection.destroy()
        return
      }
      this.#connection = connection
      this.#retryMs = RETRY_MS_MIN
      this.#schedule(POLL_MS_MIN, () => this.refresh())
    } catch (error) {
      connection?.destroy()
      this.#notice({ level: 'error', message: `the catalog cannot be read: ${messageOf(error)}` })
      this.#retry()
    }
  }

  async #open(): Promise<Connection> {
    const connection = await openConnection(this.#target)
    connection.on('error', (error: Error) => this.#lost(connection, error.message))
    connection.on('end', () => this.#lost(connection, 'the server closed the connection'))
    return connection
  }

  #lost(connection: Connection, why: string): void {
    if (this.#connection !== connection || this.#closed) return
    this.#connection = undefined
    connection.destroy()
    this.#notice({ level: 'warning', message: `the control connection is lost: ${why}` })
    this.#retry()
  }

  /** With a little disorder, so that many proxies do not come back at the same moment. */
  #retry(): void {
    if (this.#closed) return
    const delayMs = this.#retryMs * (0.5 + Math.random() / 2)
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX)
    this.#schedule(delayMs, () => this.#connect())
  }

  #schedule(delayMs: number, then: () => Promise<void>): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      then().catch((error: unknown) => this.#notice({ level: 'error', message: messageOf(error) }))
    }, delayMs)
    this.#timer.unref()
  }

  async #read(): Promise<void> {
    const waitMs = this.#readAtMs + READ_MS_MIN - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    const connection = this.#connection
    if (connection === undefined) return
    try {
      const tookMs = await this.#learn(connection)
      this.#schedule(Math.max(POLL_MS_MIN, tookMs / POLL_SHARE), () => this.refresh())
    } catch (error) {
      this.#lost(connection, messageOf(error))
    }
  }

  /** Reads the catalog and makes it known; gives how long that took, in milliseconds. */
  async #learn(connection: Connection): Promise<number> {
    const startedAtMs = performance.now()
    this.#readAtMs = startedAtMs
    const catalog = await readCatalog(connection)
    const fingerprint = fingerprintOf(catalog)
    if (fingerprint !== this.#fingerprint) {
      const was = this.knowledge.current?.catalog.serverVersion
      this.#fingerprint = fingerprint
      this.knowledge.current = new MysqlAnalyser(catalog)
      if (was !== catalog.serverVersion) {
        this.#notice({ level: 'info', message: `reached ${catalog.flavour} ${catalog.serverVersion}` })
      }
    }
    return performance.now() - startedAtMs
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** TLS as the sessions of runs use it, so that both reach the server in the same way. */
async function openConnection(target: BackendTarget): Promise<Connection> {
  const { tls, ca } = target
  if (tls === 'disable') return createConnection(optionsOf(target))
  const verifies = tls === 'verify-ca' || tls === 'verify-full'
  const ssl = {
    rejectUnauthorized: verifies,
    verifyIdentity: tls === 'verify-full',
    ...(ca !== undefined && { ca }),
  }
  try {
    return await createConnection({ ...optionsOf(target), ssl })
  } catch (error) {
    const withoutTls = error instanceof Error && 'code' in error && error.code === 'HANDSHAKE_NO_SSL_SUPPORT'
    if (tls !== 'prefer' || !withoutTls) throw error
    return createConnection(optionsOf(target))
  }
}

function optionsOf(target: BackendTarget): ConnectionOptions {
  const { host, port, user, database, password = '' } = target
  return {
    ...{ host, port, user, password, database },
    charset: 'utf8mb4_general_ci',
    connectTimeout: CONNECT_MS,
    // Nothing that this connection does needs them, and a hostile server could ask for a file.
    flags: ['-LOCAL_FILES', '-MULTI_STATEMENTS'],
    authPlugins: {
      client_ed25519: () => (scramble: Buffer) => ed25519Password(password, scramble),
    },
  }
}

async function rowsOf(connection: Connection, sql: string): Promise<readonly (readonly unknown[])[]> {
  const [rows] = await connection.query<RowDataPacket[][]>({ sql, rowsAsArray: true, timeout: QUERY_MS })
  return rows
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
