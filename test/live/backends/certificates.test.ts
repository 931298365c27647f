/**
 * Backends whose certificate is not to be accepted: expired, of another name, of an authority that nobody trusts. Each server is
 * given its certificates one after the other while it runs.
 */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { generate } from 'selfsigned'
import type { ProtocolName } from '../../../protocols/protocol.ts'
import { freePort } from '../../../src/demo/servers/process.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { connectMysql, connectPg, redisClient } from '../../support/drivers.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { connection, STARTERS } from '../../support/servers.ts'

const DAY_MS = 86_400_000

type Certificate = { readonly cert: string; readonly private: string }

type AltName = { readonly type: 2; readonly value: string } | { readonly type: 7; readonly ip: string }

let made = 0

/** Signed by itself, under a name of its own; the file of authorities makes it trusted. */
function certificate(
  altNames: AltName[],
  days: { readonly from: number; readonly to: number },
): Promise<Certificate> {
  made += 1
  return generate([{ name: 'commonName', value: `backend ${made}` }], {
    algorithm: 'sha256',
    keyType: 'ec',
    notBeforeDate: new Date(Date.now() + days.from * DAY_MS),
    notAfterDate: new Date(Date.now() + days.to * DAY_MS),
    extensions: [{ name: 'subjectAltName', altNames }],
  })
}

const HERE: AltName[] = [{ type: 7, ip: '127.0.0.1' }]
const NOW = { from: -1, to: 1 }
const right = await certificate(HERE, NOW)
const expired = await certificate(HERE, { from: -2, to: -1 })
// `localhost` is what Node falls back to for a socket that is connected to an address.
const misnamed = await certificate(
  [
    { type: 2, value: 'localhost' },
    { type: 7, ip: '192.0.2.1' },
  ],
  NOW,
)
const stranger = await certificate(HERE, NOW)
const TRUSTED = [right, expired, misnamed].map(({ cert }) => cert).join('\n')

const REFUSED = [
  { what: 'has expired', shown: expired, says: /certificate has expired: renew the certificate/ },
  {
    what: 'is for another name',
    shown: misnamed,
    says: /does not match.*: name the server in `backend\.url` as/,
  },
  {
    what: 'is of an unknown authority',
    shown: stranger,
    says: /self-signed certificate: name a file .*`backend\.ca`/,
  },
] as const

/** One server with TLS; what differs between the three is here. */
type Stage = {
  readonly server: DatabaseServer
  /** As `backend.url` has it. */
  readonly url: string
  /** Has it read its certificate anew. */
  reread(): Promise<void>
  /** Rejects as the driver does. */
  login(proxy: TestProxy, run: string): Promise<void>
}

/** The files that a server reads its certificate from. */
class CertificateFiles {
  readonly #folder = temporaryFolder()
  readonly cert = join(this.#folder, 'server.crt')
  readonly key = join(this.#folder, 'server.key')

  constructor() {
    // The server runs as a user of its own.
    chmodSync(this.#folder, 0o755)
  }

  show(shown: Certificate): void {
    writeFileSync(this.cert, shown.cert)
    writeFileSync(this.key, shown.private)
    chmodSync(this.cert, 0o644)
    // PostgreSQL takes a key that only its owner can read: the server, where we may give it away.
    chmodSync(this.key, 0o600)
    if (process.getuid?.() === 0) chownSync(this.key, this.#owner.uid, this.#owner.gid)
  }

  #owner = { uid: 0, gid: 0 }

  /** @param pid of the server */
  belongTo(pid: number): void {
    this.#owner = statSync(`/proc/${pid}`)
  }
}

const START: Readonly<Record<ProtocolName, (files: CertificateFiles) => Promise<Stage>>> = {
  async postgres(files) {
    const server = await STARTERS.postgres({ folder: temporaryFolder() })
    files.belongTo(server.pid)
    files.show(right)
    const { port, user, password, database } = server
    const ask = async (statements: readonly string[]): Promise<void> => {
      const client = new pg.Client(connection(server))
      await client.connect()
      for (const statement of statements) await client.query(statement)
      await client.end()
    }
    await ask([
      `alter system set ssl_cert_file = '${files.cert}'`,
      `alter system set ssl_key_file = '${files.key}'`,
      'alter system set ssl = on',
    ])
    return {
      server,
      url: `postgres://${user}:${password}@127.0.0.1:${port}/${database}`,
      reread: () => ask(['select pg_reload_conf()']),
      login: async (proxy, run) => {
        const token = await proxy.token('work', run)
        const client = await connectPg(proxy.address('here'), { run, token, database })
        await client.end()
      },
    }
  },
  async mysql(files) {
    files.show(right)
    // It reads them before it is known who it runs as.
    chmodSync(files.key, 0o644)
    const server = await STARTERS.mariadb({
      folder: temporaryFolder(),
      settings: [`--ssl-cert=${files.cert}`, `--ssl-key=${files.key}`],
    })
    files.belongTo(server.pid)
    const { port, user, password, database } = server
    return {
      server,
      url: `mysql://${user}:${password}@127.0.0.1:${port}/${database}`,
      reread: async () => {
        const session = await createConnection(connection(server))
        await session.query('flush ssl')
        await session.end()
      },
      login: async (proxy, run) => {
        const token = await proxy.token('work', run)
        const session = await connectMysql(proxy.address('here'), { run, token, database })
        await session.end()
      },
    }
  },
  async redis(files) {
    const port = await freePort()
    const server = await STARTERS.redis({ folder: temporaryFolder() })
    files.belongTo(server.pid)
    files.show(right)
    const ask = async (...settings: string[]): Promise<void> => {
      const client = new Redis({ port: server.port, password: server.password ?? '' })
      await client.config('SET', ...(settings as ['', '']))
      client.disconnect()
    }
    const reread = (): Promise<void> => ask('tls-cert-file', files.cert, 'tls-key-file', files.key)
    await ask('tls-auth-clients', 'no')
    await ask('tls-cert-file', files.cert, 'tls-key-file', files.key, 'tls-port', String(port))
    return {
      server,
      url: `redis://:${server.password}@127.0.0.1:${port}/0`,
      reread,
      login: async (proxy, run) => {
        const token = await proxy.token('work', run)
        const client = redisClient(proxy.address('here'), { run, token }, { lazyConnect: true })
        await client.connect().finally(() => client.disconnect())
      },
    }
  },
}

for (const protocol of ['postgres', 'mysql', 'redis'] as const) {
  describe(`the certificate of a ${protocol} backend`, () => {
    const files = new CertificateFiles()
    const ca = join(temporaryFolder(), 'authorities.pem')
    writeFileSync(ca, TRUSTED)
    let stage: Stage
    let proxy: TestProxy

    const start = (): Promise<TestProxy> =>
      startProxy({
        systems: { here: { protocol, backend: { url: stage.url, tls: 'verify-full', ca } } },
        grants: { work: { system: 'here', allow: [] } },
      })

    before(async () => {
      stage = await START[protocol](files)
      await stage.reread()
      proxy = await start()
    })
    after(async () => {
      await proxy.stop()
      await stage.server.stop()
    })

    test('is held against the address by which the server is named', async () => {
      assert.match(proxy.notices.join('\n'), /info: system here: reached /)
      await stage.login(proxy, 'r-1')
    })

    for (const { what, shown, says } of REFUSED) {
      test(`that ${what} is refused: no session begins, and whoever runs the proxy reads what to do`, async () => {
        files.show(shown)
        await stage.reread()
        await assert.rejects(stage.login(proxy, 'r-2'), (error: Error) => !/certificate/.test(error.message))
        const record = proxy.records().findLast(({ event }) => event === 'backend.error')
        assert.equal(record?.['fault'], 'tls')
        assert.match(String(record?.['message']), says)
        const other = await start()
        await other.stop()
        const told = other.notices.filter((line) => line.includes('system here: '))
        assert.equal(told.length, 1, told.join('\n'))
        assert.match(
          told[0] ?? '',
          /^error: system here: the catalog cannot be read: the certificate of the server is/,
        )
        assert.match(told[0] ?? '', says)
        assert.ok(!told.join().includes(stage.server.password ?? ''))
        files.show(right)
        await stage.reread()
        await stage.login(proxy, 'r-3')
      })
    }
  })
}
