/** The control connection to one PostgreSQL server, by `pg`: what the server is and what its database holds. */
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { Client, type ClientConfig, Connection } from 'pg'
import { PostgresAnalyser } from '../../protocols/postgres/analyser.ts'
import type { Grammar } from '../../protocols/postgres/analysis/grammar.ts'
import { offlineCatalog } from '../../protocols/postgres/catalog.ts'
import { DriverFrames } from '../../protocols/postgres/driver-frames.ts'
import type { BackendTarget, OpenBackend } from './backend.ts'
import { ControlConnection, type ControlLink, type Learned, UnusableServer } from './control-connection.ts'
import { readCatalog, readFingerprint, readServer } from './postgres-catalog.ts'
import { GRAMMAR_MAJORS, loadGrammar } from './postgres-grammar.ts'
import { tlsOptions } from './tls.ts'

/** The grammar taken where no server is at hand: the newest. */
const OFFLINE_MAJOR = 18

/** Before a connection on which nothing happens is asked whether the server is still there. */
const KEEP_ALIVE_MS = 60_000

/** For checking a statement without a server: every named table is taken to exist, with unknown columns. */
export async function offlinePostgresAnalyser(
  target: Pick<BackendTarget, 'schema' | 'database'>,
): Promise<PostgresAnalyser> {
  const { schema, database } = target
  const catalog = offlineCatalog({ schema, database, serverVersionNum: OFFLINE_MAJOR * 10_000 })
  return new PostgresAnalyser(catalog, await loadGrammar(OFFLINE_MAJOR))
}

export const openPostgresBackend: OpenBackend<PostgresAnalyser> = (target, notice) => {
  const grammars = new Grammars()
  return new ControlConnection({ open: (lost) => new PostgresLink(target, grammars, lost), notice })
}

/** The grammar of the server's major, kept: a server that was upgraded meanwhile gets another one. */
class Grammars {
  #grammar: Grammar | undefined

  /** @throws UnusableServer where it is not built in */
  async of(versionNum: number): Promise<Grammar> {
    const major = Math.floor(versionNum / 10_000)
    if (!GRAMMAR_MAJORS.some((known) => known === major)) {
      throw new UnusableServer(
        `PostgreSQL ${versionOf(versionNum)} is not supported: its grammar is not built in (${GRAMMAR_MAJORS.join(', ')} are)`,
      )
    }
    if (this.#grammar?.major !== major) this.#grammar = await loadGrammar(major)
    return this.#grammar
  }
}

class PostgresLink implements ControlLink<PostgresAnalyser> {
  readonly #target: BackendTarget
  readonly #grammars: Grammars
  readonly #lost: (why: string) => void
  #client: Client | undefined
  #socket: Socket | undefined
  #destroyed = false

  constructor(target: BackendTarget, grammars: Grammars, lost: (why: string) => void) {
    this.#target = target
    this.#grammars = grammars
    this.#lost = lost
  }

  /** TLS as the sessions of runs use it, so that both reach the server in the same way. */
  async connect(): Promise<void> {
    const { tls } = this.#target
    if (tls === 'disable') return this.#dial(undefined)
    const ssl = tlsOptions(this.#target)
    try {
      return await this.#dial(ssl)
    } catch (error) {
      const withoutTls = error instanceof Error && error.message.includes('does not support SSL')
      if (tls !== 'prefer' || !withoutTls) throw error
      return this.#dial(undefined)
    }
  }

  async #dial(ssl: ClientConfig['ssl']): Promise<void> {
    if (this.#destroyed) throw new Error('closed')
    this.#socket?.destroy()
    const socket = new Socket()
    this.#socket = socket
    const { host, port, user, password, database, tls } = this.#target
    const config = {
      ...{ host, port, user, database },
      ...(password !== undefined && { password }),
      ...(ssl !== undefined && { ssl }),
      application_name: 'bulkhead catalog',
      // The catalog is read by qualified names only; the path is pinned all the same.
      options: '-c search_path=pg_catalog,pg_temp',
      connection: new CheckedConnection({
        stream: () => socket,
        keepAlive: true,
        keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
        cleartextAllowed: tls === 'disable',
        ...(ssl !== undefined && { ssl }),
      }),
    }
    const client = new Client(config)
    this.#client = client
    let isConnected = false
    const lost = (why: string): void => {
      if (isConnected) this.#lost(why)
    }
    // Listened to for ever: an error that nobody hears would end the process.
    client.on('error', (error) => lost(error.message))
    client.on('end', () => lost('the server closed the connection'))
    await client.connect()
    isConnected = true
  }

  async read(fingerprint: string): Promise<Learned<PostgresAnalyser> | undefined> {
    const client = this.#client
    if (client === undefined) throw new Error('read before the connection')
    const { schema } = this.#target
    const { versionNum, encoding } = await readServer(client)
    // Single-byte databases fold identifiers by locale, others could hide a quote in a multi-byte character.
    if (encoding !== 'UTF8')
      throw new UnusableServer(`the database is encoded in ${encoding}: only UTF8 is supported`)
    const grammar = await this.#grammars.of(versionNum)
    // Read before the catalog: what changes in between is seen as a change at the next look.
    const now = `${versionNum} ${await readFingerprint(client)}`
    if (now === fingerprint) return undefined
    const catalog = await readCatalog(client, schema)
    const isThere = catalog.schemas.has(catalog.schema)
    return {
      knowledge: new PostgresAnalyser(catalog, grammar),
      fingerprint: now,
      server: `PostgreSQL ${versionOf(catalog.serverVersionNum)}`,
      warnings: isThere ? [] : [`the database has no schema \`${schema}\``],
    }
  }

  async end(): Promise<void> {
    await this.#client?.end()
  }

  destroy(): void {
    this.#destroyed = true
    this.#socket?.destroy()
  }
}

type CheckedOptions = ConstructorParameters<typeof Connection>[0] & {
  readonly cleartextAllowed: boolean
}

/**
 * The driver's connection, which sees nothing but frames that were checked, and whose mistakes end it and not the process.
 * The one way in that the driver has: it makes its TLS itself.
 */
class CheckedConnection extends Connection {
  readonly #cleartextAllowed: boolean

  constructor({ cleartextAllowed, ...options }: CheckedOptions) {
    super(options)
    this.#cleartextAllowed = cleartextAllowed
  }

  /** Called by the driver once, with the stream on which the server's frames arrive. */
  attachListeners(stream: Duplex): void {
    const frames = new DriverFrames(this.#cleartextAllowed || stream instanceof TLSSocket)
    const checked = new EventEmitter()
    listenTo.call(this, checked)
    stream.on('data', (chunk: Buffer) => {
      try {
        const whole = frames.take(chunk)
        if (whole.length > 0) checked.emit('data', whole)
      } catch (error) {
        stream.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    stream.on('end', () => checked.emit('end'))
  }
}

/** Gives frames to the driver. Its types do not tell of it. */
const listenTo = (Connection.prototype as unknown as { attachListeners(stream: EventEmitter): void })
  .attachListeners

function versionOf(versionNum: number): string {
  return `${Math.floor(versionNum / 10_000)}.${versionNum % 10_000}`
}
