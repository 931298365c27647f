/**
 * What most live tests of more than one protocol stand on: `shop` on PostgreSQL, `crm` on MariaDB and `carts` on Redis,
 * with tables, and proxies in front of all three. It ends by itself when the tests of the file have ended.
 */
import { after } from 'node:test'
import type { Redis } from 'ioredis'
import { type Connection, createConnection } from 'mysql2/promise'
import pg from 'pg'
import type { DatabaseServer } from '../../src/demo/servers/server.ts'
import { connectMysql, connectPg, type RedisSettings, redisClient } from './drivers.ts'
import { startProxy, type TestConfiguration, type TestProxy } from './proxy.ts'
import {
  connection,
  type FreshDatabase,
  freshMysqlDatabase,
  freshPostgresDatabase,
  mariadbServer,
  ownRedisServer,
  postgresServer,
} from './servers.ts'

/** Statements that make the tables of each. */
export type TrioTables = { readonly shop: readonly string[]; readonly crm: readonly string[] }

export type TrioConfiguration = Omit<TestConfiguration, 'systems'> & {
  /** What is configured of each beside its protocol and its backend. */
  readonly systems?: Readonly<Partial<Record<'shop' | 'crm' | 'carts', Readonly<Record<string, unknown>>>>>
}

type Backends = {
  readonly shop: FreshDatabase
  readonly crm: FreshDatabase
  readonly carts: DatabaseServer
}

/** The three, for all tests of a file: they start with the first proxy, and end with the last test. */
export function useTrio(tables: TrioTables): Trio {
  const trio = new Trio(tables)
  after(() => trio.stop())
  return trio
}

export class Trio {
  readonly #tables: TrioTables
  #starting: Promise<Backends> | undefined
  #backends: Backends | undefined
  readonly #proxies: TestProxy[] = []

  constructor(tables: TrioTables) {
    this.#tables = tables
  }

  async #start(): Promise<Backends> {
    const [shop, crm, carts] = await Promise.all([
      postgresServer().then(freshPostgresDatabase),
      mariadbServer().then(freshMysqlDatabase),
      ownRedisServer(),
    ])
    this.#backends = { shop, crm, carts }
    const postgres = new pg.Client(connection(shop))
    await postgres.connect()
    await postgres.query(this.#tables.shop.join(';')).finally(() => postgres.end())
    const mysql = await createConnection({ ...connection(crm), multipleStatements: true })
    await mysql.query(this.#tables.crm.join(';')).finally(() => mysql.end())
    return this.#backends
  }

  async stop(): Promise<void> {
    for (const proxy of this.#proxies) await proxy.stop()
    if (this.#backends === undefined) return
    const { shop, crm, carts } = this.#backends
    await Promise.all([shop.drop(), crm.drop(), carts.stop()])
  }

  #started(): Backends {
    if (this.#backends === undefined) throw new Error('the three start with the first proxy')
    return this.#backends
  }

  /** Of `shop`, for clients of another kind than `connectShop` gives. */
  get shopDatabase(): string {
    return this.#started().shop.database
  }

  /** A proxy in front of the three, which stops before they do. */
  async startProxy({ systems = {}, ...configuration }: TrioConfiguration): Promise<TestProxy> {
    this.#starting ??= this.#start()
    const { shop, crm, carts } = await this.#starting
    const backend = (scheme: string, { user, password, host, port, database }: DatabaseServer) => ({
      url: `${scheme}://${user}:${password}@${host}:${port}/${database}`,
    })
    const proxy = await startProxy({
      ...configuration,
      systems: {
        shop: { protocol: 'postgres', backend: backend('postgres', shop), ...systems.shop },
        crm: { protocol: 'mysql', backend: backend('mysql', crm), ...systems.crm },
        // Redis has a user of its own only where one was made: the password is that of the default one.
        carts: { protocol: 'redis', backend: backend('redis', { ...carts, user: '' }), ...systems.carts },
      },
    })
    this.#proxies.push(proxy)
    return proxy
  }

  /** A session on `shop`; the token is of the grant `shop` unless another is given. So with those below. */
  async connectShop(proxy: TestProxy, run: string, token?: string): Promise<pg.Client> {
    const login = {
      run,
      token: token ?? (await proxy.token('shop', run)),
      database: this.shopDatabase,
    }
    return connectPg(proxy.address('shop'), login)
  }

  async connectCrm(proxy: TestProxy, run: string, token?: string): Promise<Connection> {
    const { database } = this.#started().crm
    const login = { run, token: token ?? (await proxy.token('crm', run)), database }
    return connectMysql(proxy.address('crm'), login)
  }

  async connectCarts(
    proxy: TestProxy,
    run: string,
    token?: string,
    options: RedisSettings = {},
  ): Promise<Redis> {
    const login = { run, token: token ?? (await proxy.token('carts', run)) }
    const client = redisClient(proxy.address('carts'), login, { ...options, lazyConnect: true })
    await client.connect()
    return client
  }
}
