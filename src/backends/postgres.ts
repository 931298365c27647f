/** The control connection to one PostgreSQL server, by `pg`: what the server is and what its database holds. */
import { Client, type ClientConfig } from 'pg'
import type { Live } from '../../protocols/login.ts'
import { PostgresAnalyser } from '../../protocols/postgres/analyser.ts'
import type { Grammar } from '../../protocols/postgres/analysis/grammar.ts'
import { offlineCatalog } from '../../protocols/postgres/catalog.ts'
import type { Backend, BackendNotice, BackendTarget, OpenBackend } from './backend.ts'
import { readCatalog, readFingerprint, readServer } from './postgres-catalog.ts'
import { GRAMMAR_MAJORS, loadGrammar } from './postgres-grammar.ts'

/** From the first packet to a connection that answers. */
const CONNECT_MS = 10_000
/** A catalog read that takes longer has lost its connection. */
const QUERY_MS = 30_000
/** Between looks for a changed schema. A new column stays invisible to the analysis for at most this long. */
const POLL_MS = 10_000
/** At most one read a second is begun, however many unknown names agents come up with. */
const READ_MS_MIN = 1_000
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 10_000

/** The grammar taken where no server is at hand: the newest. */
const OFFLINE_MAJOR = 18

/** For checking a statement without a server: every named table is taken to exist, with unknown columns. */
export async function offlinePostgresAnalyser(
  target: Pick<BackendTarget, 'schema' | 'database'>,
): Promise<PostgresAnalyser> {
  const { schema, database } = target
  const catalog = offlineCatalog({ schema, database, serverVersionNum: OFFLINE_MAJOR * 10_000 })
  return new PostgresAnalyser(catalog, await loadGrammar(OFFLINE_MAJOR))
}

export const openPostgresBackend: OpenBackend<PostgresAnalyser> = (target, notice) =>
  new PostgresBackend(target, notice)

class PostgresBackend implements Backend<PostgresAnalyser> {
  readonly #target: BackendTarget
  readonly #notice: (notice: BackendNotice) => void
  readonly knowledge: Live<PostgresAnalyser | undefined> & { current: PostgresAnalyser | undefined } = {
    current: undefined,
  }
  #client: Client | undefined
  #grammar: Grammar | undefined
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined
  #readAtMs = Number.NEGATIVE_INFINITY
  #retryMs = RETRY_MS_MIN
  #closed = false
  /** Of the catalog that is known, so that an unchanged one keeps its analyser and the analyser's memo. */
  #fingerprint = ''

  constructor(target: BackendTarget, notice: (notice: BackendNotice) => void) {
    this.#target = target
    this.#notice = notice
  }

  get reachable(): boolean {
    return this.#client !== undefined
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
    const client = this.#client
    this.#client = undefined
    await client?.end().catch(() => undefined)
  }

  async #connect(): Promise<void> {
    let client: Client | undefined
    try {
      client = await openClient(this.#target)
      const lost = client
      client.on('error', (error) => this.#lost(lost, error.message))
      client.on('end', () => this.#lost(lost, 'the server closed the connection'))
      await this.#learn(client)
      if (this.#closed) {
        await client.end()
        return
      }
      this.#client = client
      this.#retryMs = RETRY_MS_MIN
      this.#schedule(POLL_MS, () => this.refresh())
    } catch (error) {
      this.#notice({ level: 'error', message: `the catalog cannot be read: ${messageOf(error)}` })
      await client?.end().catch(() => undefined)
      this.#retry()
    }
  }

  #lost(client: Client, why: string): void {
    if (this.#client !== client || this.#closed) return
    this.#client = undefined
    this.#notice({ level: 'warning', message: `the control connection is lost: ${why}` })
    client.end().catch(() => undefined)
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
    const client = this.#client
    if (client === undefined) return
    try {
      await this.#learn(client)
      this.#schedule(POLL_MS, () => this.refresh())
    } catch (error) {
      this.#lost(client, messageOf(error))
    }
  }

  /** Reads the catalog if it has changed, and makes it known. */
  async #learn(client: Client): Promise<void> {
    this.#readAtMs = performance.now()
    const grammar = await this.#grammarOf(client)
    const fingerprint = `${grammar.major} ${await readFingerprint(client)}`
    if (fingerprint === this.#fingerprint && this.knowledge.current !== undefined) return
    const catalog = await readCatalog(client, this.#target.schema)
    const isFirst = this.knowledge.current === undefined
    this.knowledge.current = new PostgresAnalyser(catalog, grammar)
    // Read before the catalog: what changed in between is seen as a change at the next look.
    this.#fingerprint = fingerprint
    if (isFirst)
      this.#notice({ level: 'info', message: `reached PostgreSQL ${versionOf(catalog.serverVersionNum)}` })
    if (!catalog.schemas.has(catalog.schema)) {
      this.#notice({ level: 'warning', message: `the database has no schema \`${catalog.schema}\`` })
    }
  }

  /** The grammar of the server's major; a server that was upgraded meanwhile gets another one. */
  async #grammarOf(client: Client): Promise<Grammar> {
    const { versionNum, encoding } = await readServer(client)
    // Single-byte databases fold identifiers by locale, others could hide a quote in a multi-byte character.
    if (encoding !== 'UTF8') throw new Error(`the database is encoded in ${encoding}: only UTF8 is supported`)
    const major = Math.floor(versionNum / 10_000)
    if (!GRAMMAR_MAJORS.some((known) => known === major)) {
      throw new Error(
        `PostgreSQL ${versionOf(versionNum)} is not supported: its grammar is not built in (${GRAMMAR_MAJORS.join(', ')} are)`,
      )
    }
    if (this.#grammar?.major !== major) this.#grammar = await loadGrammar(major)
    return this.#grammar
  }
}

function versionOf(versionNum: number): string {
  return `${Math.floor(versionNum / 10_000)}.${versionNum % 10_000}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** TLS as the sessions of runs use it, so that both reach the server in the same way. */
async function openClient(target: BackendTarget): Promise<Client> {
  const { tls, ca, host } = target
  if (tls === 'disable') return connect(configOf(target))
  const verifies = tls === 'verify-ca' || tls === 'verify-full'
  const ssl = {
    rejectUnauthorized: verifies,
    ...(ca !== undefined && { ca }),
    // verify-ca trusts whatever host name the certificate bears.
    ...(tls === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(tls === 'verify-full' && { servername: host }),
  }
  try {
    return await connect({ ...configOf(target), ssl })
  } catch (error) {
    const withoutTls = error instanceof Error && error.message.includes('does not support SSL')
    if (tls !== 'prefer' || !withoutTls) throw error
    return connect(configOf(target))
  }
}

function configOf(target: BackendTarget): ClientConfig {
  const { host, port, user, password, database } = target
  return {
    ...{ host, port, user, database },
    ...(password !== undefined && { password }),
    application_name: 'bulkhead catalog',
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
    // The catalog is read by qualified names only; the path is pinned all the same.
    options: '-c search_path=pg_catalog,pg_temp',
  }
}

async function connect(config: ClientConfig): Promise<Client> {
  const client = new Client(config)
  // An error between the events that are waited for must not end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    return client
  } catch (error) {
    client.end().catch(() => undefined)
    throw error
  }
}
