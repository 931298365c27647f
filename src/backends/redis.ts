/**
 * The control connection to a Redis or Valkey backend: what it is, which of its commands are what was vetted, and
 * whether it is there. No command of a run ever goes through it.
 */
import { Redis, type RedisOptions } from 'ioredis'
import type { Live } from '../../protocols/login.ts'
import {
  ABSENT,
  compareWithServer,
  NAMES,
  offlineCatalog,
  RedisAnalyser,
  type RedisCatalog,
  type ServerCommand,
} from '../../protocols/redis/index.ts'
import type { Backend, BackendAddress, BackendNotice, BackendTarget, OpenBackend } from './backend.ts'
import { MasterLocator, masterConnector, tlsOptions } from './redis-sentinel.ts'

/** Waiting between two tries to connect: doubles from the first to the second. */
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 15_000

/** A server that does not answer this long is taken for gone. */
const COMMAND_MS_MAX = 10_000

/** Every name of the vetted table that may stand first in a command. */
const ASKED: readonly string[] = [...NAMES.keys()]

/** The catalog is read at most this often. */
const REFRESH_MS_MIN = 1_000

export const openRedisBackend: OpenBackend<RedisAnalyser> = (target, notice) =>
  new RedisBackend(target, notice)

/** Reads commands without a server: every vetted command counts as present. */
export async function offlineRedisAnalyser(target: BackendTarget): Promise<RedisAnalyser> {
  return new RedisAnalyser(offlineCatalog({ database: Number(target.database) }))
}

class RedisBackend implements Backend<RedisAnalyser> {
  readonly #target: BackendTarget
  readonly #notice: (notice: BackendNotice) => void
  readonly #client: Redis
  readonly #locator: MasterLocator | undefined
  readonly #knowledge: { current: RedisAnalyser | undefined } = { current: undefined }
  #reachable = false
  #refreshing: Promise<void> | undefined
  #refreshedAt = 0
  #lastFailure = ''

  constructor(target: BackendTarget, notice: (notice: BackendNotice) => void) {
    this.#target = target
    this.#notice = notice
    this.#locator = target.sentinel && new MasterLocator(target, target.sentinel)
    this.#client = new Redis(clientOptions(target, this.#locator))
    this.#client.on('error', (error: Error) => this.#failed(error))
    this.#client.on('close', () => {
      this.#reachable = false
    })
  }

  get knowledge(): Live<RedisAnalyser | undefined> {
    return this.#knowledge
  }

  get reachable(): boolean {
    return this.#reachable
  }

  async start(): Promise<void> {
    const first = new Promise<void>((resolve) => {
      this.#client.once('error', () => resolve())
      this.#client.on('ready', () => {
        this.#refreshedAt = 0
        this.refresh().then(resolve, resolve)
      })
    })
    // The outcome comes by the events above; ioredis goes on trying by itself.
    this.#client.connect().catch(() => undefined)
    await first
  }

  refresh(): Promise<void> {
    if (this.#refreshing !== undefined) return this.#refreshing
    if (Date.now() - this.#refreshedAt < REFRESH_MS_MIN) return Promise.resolve()
    this.#refreshing = this.#read().finally(() => {
      this.#refreshedAt = Date.now()
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async locate(): Promise<BackendAddress> {
    return this.#locator === undefined ? this.#target : this.#locator.locate()
  }

  async #read(): Promise<void> {
    try {
      const info = String(await this.#client.call('INFO', 'server'))
      // By name and not as a list: the list of a server that renames commands shows their old names.
      const commands = await this.#client.call('COMMAND', 'INFO', ...ASKED)
      const catalog = this.#catalogOf(info, commands)
      if (catalog === undefined) return
      this.#reachable = true
      this.#lastFailure = ''
      if (!isSame(this.#knowledge.current?.catalog, catalog)) {
        this.#knowledge.current = new RedisAnalyser(catalog)
        this.#tell(catalog)
      }
    } catch (error) {
      this.#failed(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #catalogOf(info: string, commands: unknown): RedisCatalog | undefined {
    if (field(info, 'redis_mode') === 'cluster' || field(info, 'server_mode') === 'cluster') {
      this.#reachable = false
      this.#knowledge.current = undefined
      this.#failed(new Error('the backend is a cluster, which is not supported: give a standalone server'))
      return undefined
    }
    const valkey = field(info, 'valkey_version')
    const { refused } = compareWithServer(serverCommands(commands, ASKED))
    return {
      server: valkey === undefined ? 'redis' : 'valkey',
      version: valkey ?? field(info, 'redis_version') ?? 'unknown',
      database: Number(this.#target.database),
      refused,
      complete: true,
    }
  }

  #tell({ server, version, refused }: RedisCatalog): void {
    this.#notice({ level: 'info', message: `connected to ${server} ${version}` })
    const changed = [...refused].filter(([, why]) => why !== ABSENT)
    for (const [, why] of changed) this.#notice({ level: 'warning', message: `${why}; it is refused` })
  }

  /** One notice for a failure that repeats. */
  #failed(error: Error): void {
    this.#reachable = false
    if (error.message === this.#lastFailure) return
    this.#lastFailure = error.message
    this.#notice({ level: 'error', message: `control connection: ${error.message}` })
  }

  async close(): Promise<void> {
    this.#client.disconnect()
    this.#locator?.close()
  }
}

function clientOptions(
  target: BackendTarget,
  locator: MasterLocator | undefined,
): RedisOptions & { replyMapping: 'legacy' } {
  const { host, port, user, password, database } = target
  const tls = target.tls === 'disable' ? undefined : tlsOptions(target.tls, target.ca)
  return {
    ...{ host, port },
    ...(locator !== undefined && { Connector: masterConnector(locator, tls, retryMs) }),
    db: Number(database),
    ...(password !== undefined && { password }),
    ...(password !== undefined && user !== '' && user !== 'default' && { username: user }),
    ...(tls !== undefined && { tls }),
    connectionName: 'bulkhead:control',
    protocol: 2,
    replyMapping: 'legacy',
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_MS_MAX,
    retryStrategy: retryMs,
  }
}

function retryMs(times: number): number {
  return Math.min(RETRY_MS_MIN * 2 ** Math.min(times - 1, 10), RETRY_MS_MAX)
}

/** A line of INFO: `redis_version:7.0.15`. */
function field(info: string, name: string): string | undefined {
  const line = info.split(/\r?\n/).find((text) => text.startsWith(`${name}:`))
  return line?.slice(name.length + 1).trim()
}

function isSame(a: RedisCatalog | undefined, b: RedisCatalog): boolean {
  if (
    a === undefined ||
    a.server !== b.server ||
    a.version !== b.version ||
    a.refused.size !== b.refused.size
  ) {
    return false
  }
  return [...b.refused].every(([name, why]) => a.refused.get(name) === why)
}

/**
 * The reply of COMMAND or COMMAND INFO, in RESP2 or RESP3 form, as flat entries.
 * @param asked the names that were asked for, in order; without them each entry counts under its own
 * @throws Error where the reply has another shape
 */
export function serverCommands(reply: unknown, asked?: readonly string[]): ServerCommand[] {
  return list(reply).flatMap((entry, i) => (entry === null ? [] : flatten(entry, asked?.[i])))
}

function flatten(entry: unknown, asked?: string): ServerCommand[] {
  const [own, arity, , , , , categories, , keys, subcommands] = list(entry)
  const children = list(subcommands ?? [])
  const calls = String(own).toLowerCase()
  const command: ServerCommand = {
    name: asked ?? calls,
    calls,
    arity: Number(arity),
    categories: list(categories).map((category) => String(category).replace(/^@/, '')),
    keys: list(keys).map(keySpecOf),
  }
  return [command, ...children.flatMap((child) => flatten(child))]
}

function keySpecOf(spec: unknown): ServerCommand['keys'][number] {
  const fields = record(spec)
  const begin = record(fields.get('begin_search'))
  const find = record(fields.get('find_keys'))
  const flags = list(fields.get('flags') ?? []).map(String)
  return { flags, place: `${beginPlace(begin)}/${findPlace(find)}` }
}

function beginPlace(begin: ReadonlyMap<string, unknown>): string {
  const spec = record(begin.get('spec'))
  switch (begin.get('type')) {
    case 'index':
      return `i${spec.get('index')}`
    case 'keyword':
      return `kw(${spec.get('keyword')},${spec.get('startfrom')})`
    default:
      return String(begin.get('type'))
  }
}

function findPlace(find: ReadonlyMap<string, unknown>): string {
  const spec = record(find.get('spec'))
  switch (find.get('type')) {
    case 'range':
      return `r(${spec.get('lastkey')},${spec.get('keystep')},${spec.get('limit')})`
    case 'keynum':
      return `n(${spec.get('keynumidx')},${spec.get('firstkey')},${spec.get('keystep')})`
    default:
      return String(find.get('type'))
  }
}

function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value
  if (value instanceof Set) return [...value]
  throw new Error('COMMAND answers in a form that is not known')
}

/** A map of RESP3, or the flat list of names and values that RESP2 has for it. */
function record(value: unknown): ReadonlyMap<string, unknown> {
  if (value instanceof Map) return value
  if (Array.isArray(value)) {
    const map = new Map<string, unknown>()
    for (let i = 0; i + 1 < value.length; i += 2) map.set(String(value[i]), value[i + 1])
    return map
  }
  if (typeof value === 'object' && value !== null) return new Map(Object.entries(value))
  throw new Error('COMMAND answers in a form that is not known')
}
