/**
 * A client that reads slowly must stop our reading of the backend: the proxy runs as its own process, a large result
 * goes through a client that takes little, and it is looked at how far the process's peak memory grows over that.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { JWK } from 'jose'
import { createConnection } from 'mysql2'
import pg from 'pg'
import { stringify } from 'yaml'
import { writeKeys } from '../../src/commands/init.ts'
import type { DatabaseServer } from '../../src/demo/servers/server.ts'
import { signToken } from '../../src/grants/token.ts'
import { startCli } from '../support/cli.ts'
import { temporaryFolder } from '../support/folders.ts'
import {
  freshMysqlDatabase,
  freshPostgresDatabase,
  mariadbServer,
  ownRedisServer,
  postgresServer,
} from '../support/servers.ts'

/** Of the result; `BULKHEAD_LONG` makes it the gigabyte that the promise is about. */
const RESULT_MB = process.env['BULKHEAD_LONG'] === undefined ? 150 : 1_000
/** Of a Redis value, which may have half a gigabyte. */
const VALUE_BYTES = Math.min(RESULT_MB, 500) * 1_000_000
const SLOW_SECONDS = process.env['BULKHEAD_LONG'] === undefined ? 3 : 20

/** The promise: while a client reads slowly, the proxy keeps a fraction of the result. */
const SLOW_GROWTH_MB_MAX = 70

/** When it then reads all it can, what is relayed lies about as garbage for a moment; that is bounded too. */
const FAST_GROWTH_MB_MAX = 150

type Proxy = { readonly port: number; readonly child: ReturnType<typeof startCli> }

describe('a slow reader', {
  skip: process.platform === 'linux' ? false : 'peak memory is read from /proc',
}, () => {
  const folder = temporaryFolder()
  let proxy: Proxy | undefined
  let key: JWK

  before(async () => {
    await writeKeys(folder)
    key = JSON.parse(readFileSync(join(folder, 'keys/issuer.jwk'), 'utf8')) as JWK
  })

  afterEach(async () => {
    if (proxy === undefined) return
    const { child } = proxy
    const ended = new Promise((resolve) => child.on('close', resolve))
    child.kill('SIGTERM')
    await ended
  })

  /** A proxy of its own, as users run it, in front of one system. */
  async function serve(protocol: string, backend: DatabaseServer, allow: readonly string[]): Promise<Proxy> {
    const { user, password, port, database } = backend
    const file = join(folder, `${protocol}.yaml`)
    writeFileSync(
      file,
      stringify({
        systems: {
          [protocol]: {
            protocol,
            listen: '127.0.0.1:0',
            ...(protocol !== 'redis' && { tls: { cert: './keys/tls.crt', key: './keys/tls.key' } }),
            backend: {
              url: `${protocol}://${protocol === 'redis' ? '' : user}:${password}@127.0.0.1:${port}/${database}`,
            },
          },
        },
        grants: { [protocol]: { system: protocol, allow } },
        issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
        audit: { file: `./${protocol}.jsonl` },
        admin: { listen: '127.0.0.1:0' },
      }),
    )
    const child = startCli(['serve', '--config', file], { cwd: folder })
    let said = ''
    return new Promise((resolve, reject) => {
      child.on('exit', () => reject(new Error(said)))
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        const listening = /system \w+: \w+ on [\d.]+:(\d+)[\s\S]*metrics on/.exec(said)?.[1]
        if (listening === undefined) return
        proxy = { child, port: Number(listening) }
        resolve(proxy)
      })
    })
  }

  const token = (system: string): Promise<string> =>
    signToken(
      {
        issuer: 'bulkhead',
        agent: 'a',
        run: 'r-slow',
        system,
        grant: system,
        jti: randomUUID(),
        nowMs: Date.now(),
        ttlMs: 600_000,
      },
      key,
    )

  const peakMb = (): number => {
    const status = readFileSync(`/proc/${proxy?.child.pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1_000
  }

  /** Fails where the peak is more than this over the one before the result. */
  function assertGrown(beforeMb: number, mbMax: number): void {
    const grownMb = peakMb() - beforeMb
    assert.ok(grownMb < mbMax, `the proxy took ${grownMb} MB more at its peak`)
  }

  /** Lets the socket take about 1 MB a second for a while, then all it can. */
  async function readSlowly(socket: Socket, beforeMb: number): Promise<void> {
    const endAt = performance.now() + SLOW_SECONDS * 1_000
    while (performance.now() < endAt) {
      socket.resume()
      await sleep(2)
      socket.pause()
      await sleep(60)
    }
    assertGrown(beforeMb, SLOW_GROWTH_MB_MAX)
    socket.resume()
  }

  test('of a large PostgreSQL result keeps the proxy small', async () => {
    const database = await freshPostgresDatabase(await postgresServer())
    const { port } = await serve('postgres', database, [])
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'r-slow',
      password: await token('postgres'),
      database: database.database,
      ssl: { rejectUnauthorized: false },
    })
    await client.connect()
    // The first statement brings a parser with it.
    await client.query("select repeat('x', 1) from generate_series(1, 1)")
    const beforeMb = peakMb()
    const query = new pg.Query(`select repeat('x', 1000000) from generate_series(1, ${RESULT_MB})`)
    let rows = 0
    query.on('row', () => {
      rows += 1
    })
    const ended = new Promise((resolve, reject) => query.on('end', resolve).on('error', reject))
    client.query(query)
    await readSlowly((client as unknown as { connection: { stream: Socket } }).connection.stream, beforeMb)
    await ended
    assert.equal(rows, RESULT_MB)
    assertGrown(beforeMb, FAST_GROWTH_MB_MAX)
    await client.end()
    await database.drop()
  })

  test('of a large MySQL result keeps the proxy small', async () => {
    const database = await freshMysqlDatabase(await mariadbServer())
    const { port } = await serve('mysql', database, [])
    const client = createConnection({
      host: '127.0.0.1',
      port,
      user: 'r-slow',
      password: await token('mysql'),
      database: database.database,
      ssl: { rejectUnauthorized: false },
    })
    // Twenty digits, doubled in a cross join of literals: a large result without a table.
    const digits = Array.from({ length: 10 }, (_, digit) => `select ${digit} n`).join(' union all ')
    const from = ['a', 'b', 'c'].map((alias) => `(${digits}) ${alias}`).join(' cross join ')
    await client.promise().query(`select repeat('x', 1) from ${from} limit 1`)
    const beforeMb = peakMb()
    const query = client.query(`select repeat('x', 1000000) from ${from} limit ${RESULT_MB}`)
    let rows = 0
    query.on('result', () => {
      rows += 1
    })
    const ended = new Promise((resolve, reject) =>
      query.on('end', () => resolve(undefined)).on('error', reject),
    )
    await readSlowly((client as unknown as { stream: Socket }).stream, beforeMb)
    await ended
    assert.equal(rows, RESULT_MB)
    assertGrown(beforeMb, FAST_GROWTH_MB_MAX)
    client.destroy()
    await database.drop()
  })

  test('of a large Redis value keeps the proxy small', async () => {
    const server = await ownRedisServer()
    const direct = new Redis({ host: server.host, port: server.port, password: server.password ?? '' })
    await direct.setrange('big', VALUE_BYTES - 1, 'x')
    direct.disconnect()
    const { port } = await serve('redis', server, ['+get +getrange ~big'])
    const client = new Redis({ host: '127.0.0.1', port, username: 'r-slow', password: await token('redis') })
    await new Promise((resolve) => client.once('ready', resolve))
    await client.getrange('big', 0, 0)
    const beforeMb = peakMb()
    const value = client.getBuffer('big')
    await readSlowly(client.stream as Socket, beforeMb)
    assert.equal((await value)?.length, VALUE_BYTES)
    assertGrown(beforeMb, FAST_GROWTH_MB_MAX)
    client.disconnect()
    await server.stop()
  })
})
