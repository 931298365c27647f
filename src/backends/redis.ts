/**
 * The control connection to a Redis or Valkey backend: what it is, which of its commands are what was vetted, and
 * whether it is there. No command of a run ever goes through it.
 */
import { Redis, type RedisOptions } from 'ioredis'
import {
  ABSENT,
  compareWithServer,
  NAMES,
  offlineCatalog,
  RedisAnalyser,
  type RedisCatalog,
  type ServerCommand,
} from '../../protocols/redis/index.ts'
import type { BackendAddress, BackendTarget, OpenBackend } from './backend.ts'
import {
  ControlConnection,
  type ControlLink,
  type Learned,
  messageOf,
  UnusableServer,
} from './control-connection.ts'
import { MasterLocator } from './redis-sentinel.ts'
import { tlsOptions } from './tls.ts'

/** Before a connection on which nothing happens is asked whether the server is still there. */
const KEEP_ALIVE_MS = 60_000

/** Every name of the vetted table that may stand first in a command. */
const ASKED: readonly string[] = [...NAMES.keys()]

/** Reads commands without a server: every vetted command counts as present. */
export async function offlineRedisAnalyser(target: BackendTarget): Promise<RedisAnalyser> {
  return new RedisAnalyser(offlineCatalog({ database: Number(target.database) }))
}

export const openRedisBackend: OpenBackend<RedisAnalyser> = (target, notice) => {
  const { sentinel } = target
  if (sentinel === undefined) {
    const locate = async (): Promise<BackendAddress> => target
    return new ControlConnection({ open: (lost) => new RedisLink(target, locate, lost), notice })
  }
  const locator = new MasterLocator(target, sentinel)
  const locate = (): Promise<BackendAddress> => locator.locate()
  const open = (lost: (why: string) => void): RedisLink => new RedisLink(target, locate, lost)
  return new ControlConnection({ open, notice, locate, closed: () => locator.close() })
}

class RedisLink implements ControlLink<RedisAnalyser> {
  readonly #target: BackendTarget
  readonly #locate: () => Promise<BackendAddress>
  readonly #lost: (why: string) => void
  #client: Redis | undefined
  #destroyed = false

  constructor(target: BackendTarget, locate: () => Promise<BackendAddress>, lost: (why: string) => void) {
    this.#target = target
    this.#locate = locate
    this.#lost = lost
  }

  async connect(): Promise<void> {
    const address = await this.#locate()
    if (this.#destroyed) throw new Error('closed')
    const client = new Redis(clientOptions(this.#target, address))
    this.#client = client
    /** Why the connection failed: the promise that waits for it says only that it is closed. */
    let trouble: string | undefined
    client.on('error', (error: Error) => {
      trouble = error.message
    })
    client.on('close', () => this.#lost(trouble ?? 'the server closed the connection'))
    try {
      await client.connect()
    } catch (error) {
      throw new Error(trouble ?? messageOf(error))
    }
    // Another database number than the one that is configured is told, and otherwise not noticed by the driver.
    if (trouble !== undefined) throw new Error(trouble)
  }

  async read(fingerprint: string): Promise<Learned<RedisAnalyser> | undefined> {
    const client = this.#client
    if (client === undefined) throw new Error('read before the connection')
    const info = String(await client.call('INFO'))
    this.#check(info)
    // Names are given at the start of a server or with a module.
    const now = [field(info, 'run_id'), ...modules(info)].join(' ')
    if (now === fingerprint) return undefined
    // By name and not as a list: the list of a server that renames commands shows their old names.
    const commands = await client.call('COMMAND', 'INFO', ...ASKED)
    const catalog = this.#catalogOf(info, commands)
    const changed = [...catalog.refused.values()].filter((why) => why !== ABSENT)
    return {
      knowledge: new RedisAnalyser(catalog),
      fingerprint: now,
      server: `${catalog.server} ${catalog.version}`,
      warnings: changed.map((why) => `${why}; it is refused`),
    }
  }

  /** @throws where this server is not one to send anything to */
  #check(info: string): void {
    if (field(info, 'redis_mode') === 'cluster' || field(info, 'server_mode') === 'cluster')
      throw new UnusableServer('the backend is a cluster, which is not supported: give a standalone server')
    if (field(info, 'loading') === '1') throw new Error('the server is loading its data')
    // After a failover the sentinels say where the master is now.
    const role = field(info, 'role')
    if (this.#target.sentinel !== undefined && role !== 'master')
      throw new Error(`the server is not the master any more: its role is ${role}`)
  }

  #catalogOf(info: string, commands: unknown): RedisCatalog {
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

  async end(): Promise<void> {
    await this.#client?.quit()
  }

  destroy(): void {
    this.#destroyed = true
    const stream = this.#client?.stream
    this.#client?.disconnect()
    // The driver waits for the server to close too.
    stream?.destroy()
  }
}

function clientOptions(
  target: BackendTarget,
  { host, port }: BackendAddress,
): RedisOptions & { replyMapping: 'legacy' } {
  const { user, password, database, tls, ca } = target
  return {
    ...{ host, port },
    db: Number(database),
    ...(password !== undefined && { password }),
    ...(password !== undefined && user !== '' && user !== 'default' && { username: user }),
    ...(tls !== 'disable' && { tls: tlsOptions({ tls, ca, host }) }),
    connectionName: 'bulkhead:control',
    protocol: 2,
    replyMapping: 'legacy',
    keepAlive: KEEP_ALIVE_MS,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  }
}

/** A line of INFO: `redis_version:7.0.15`. */
function field(info: string, name: string): string | undefined {
  const line = info.split(/\r?\n/).find((text) => text.startsWith(`${name}:`))
  return line?.slice(name.length + 1).trim()
}

/** The lines of INFO that tell of modules: `module:name=search,ver=20812,…`. */
function modules(info: string): string[] {
  return info.split(/\r?\n/).filter((line) => line.startsWith('module:'))
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
