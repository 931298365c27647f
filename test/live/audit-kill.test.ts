/**
 * Nothing leaves unrecorded: proxies are killed (`kill -9`) at random moments under load on all three protocols, again and again
 * on the same audit log, and then every statement that a backend's own log shows must have its record. A few kills in a short
 * form; `BULKHEAD_LONG=1` kills two hundred times, or as often as `BULKHEAD_KILLS` says.
 */
import assert from 'node:assert/strict'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { randomInt, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { JWK } from 'jose'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { stringify } from 'yaml'
import { auditFiles } from '../../src/audit/files.ts'
import { readRecords } from '../../src/audit/read.ts'
import { verifyFiles } from '../../src/audit/verify.ts'
import { writeKeys } from '../../src/commands/init.ts'
import { startMariadb } from '../../src/demo/servers/mariadb.ts'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import { startRedis } from '../../src/demo/servers/redis.ts'
import type { DatabaseServer } from '../../src/demo/servers/server.ts'
import { signToken } from '../../src/grants/token.ts'
import { startCli } from '../support/cli.ts'
import { temporaryFolder } from '../support/folders.ts'

const LONG = process.env['BULKHEAD_LONG'] === '1'
const KILLS = Number(process.env['BULKHEAD_KILLS'] ?? (LONG ? 200 : 4))

/** A kill comes this long after the load has begun, at the latest; milliseconds. */
const LOAD_MS_MAX = LONG ? 400 : 200

/** Commands of one Redis pipeline. */
const PIPELINE = 20

const SYSTEMS = ['shop', 'crm', 'carts'] as const
type SystemName = (typeof SYSTEMS)[number]

const folder = temporaryFolder()
const auditFile = join(folder, 'audit.jsonl')
const configuration = join(folder, 'bulkhead.yaml')
/** Each directly in the machine's temporary folder, which the servers' own accounts can enter. */
const data = { shop: temporaryFolder(), crm: temporaryFolder(), carts: temporaryFolder() }
const servers: DatabaseServer[] = []
let tokens: Record<SystemName, string>
let monitor: Monitor

/** Everything that a Redis is asked to do, as it says it itself. */
class Monitor {
  readonly seen = new Set<string>()
  bytes = 0
  readonly #socket: Socket
  #rest = ''

  constructor(server: DatabaseServer) {
    this.#socket = connect(server.port, server.host)
    this.#socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      const lines = (this.#rest + chunk.toString('latin1')).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) collect(line, this.seen)
    })
    this.#socket.write(`AUTH ${server.password}\r\nMONITOR\r\n`)
  }

  end(): void {
    this.#socket.destroy()
  }
}

/** Statements to each system before the moment of a kill is drawn: more than its two loads send without an answer. */
const FIRST_STATEMENTS: Record<SystemName, number> = { shop: 3, crm: 3, carts: 2 * PIPELINE + 1 }

/** Every statement of the load holds a name of its own. */
const NONCE = /n-(?:shop|crm|carts)-\d+/g
let nonces = 0
/** Statements that were sent to each system. */
const sent: Record<SystemName, number> = { shop: 0, crm: 0, carts: 0 }
const nonce = (system: SystemName): string => {
  nonces += 1
  sent[system] += 1
  return `n-${system}-${nonces}`
}

function collect(text: string, into: Set<string>): void {
  for (const [found] of text.matchAll(NONCE)) into.add(found)
}

before(async () => {
  const log = ['log_statement=all', 'logging_collector=on', 'log_directory=log', 'log_filename=all.log']
  const [postgres, mariadb, redis] = await Promise.all([
    startPostgres({ folder: data.shop, settings: log }),
    startMariadb({
      folder: data.crm,
      settings: ['--general-log=1', '--general-log-file=all.log'],
    }),
    startRedis({ folder: data.carts }),
  ])
  servers.push(postgres, mariadb, redis)
  monitor = new Monitor(redis)
  await writeKeys(folder)
  writeConfiguration({ shop: postgres, crm: mariadb, carts: redis })
  const key = JSON.parse(readFileSync(join(folder, 'keys', 'issuer.jwk'), 'utf8')) as JWK
  const token = (system: SystemName): Promise<string> =>
    signToken(
      {
        ...{ issuer: 'bulkhead', agent: 'load', run: 'r-load', system, grant: system },
        ...{ jti: randomUUID(), nowMs: Date.now(), ttlMs: 7_200_000 },
      },
      key,
    )
  tokens = { shop: await token('shop'), crm: await token('crm'), carts: await token('carts') }
})

after(async () => {
  monitor?.end()
  await Promise.all(servers.map((server) => server.stop()))
})

function writeConfiguration(backends: Readonly<Record<SystemName, DatabaseServer>>): void {
  mkdirSync(join(folder, 'secrets'))
  const protocols = { shop: 'postgres', crm: 'mysql', carts: 'redis' } as const
  const system = (name: SystemName): unknown => {
    const { host, port, user, password, database } = backends[name]
    writeFileSync(join(folder, 'secrets', name), password ?? '')
    const protocol = protocols[name]
    return {
      protocol,
      listen: '127.0.0.1:0',
      ...(protocol === 'mysql' && { tls: { cert: './keys/tls.crt', key: './keys/tls.key' } }),
      backend: {
        url: `${protocol}://${protocol === 'redis' ? '' : `${user}@`}${host}:${port}/${database}`,
        password: `\${file:secrets/${name}}`,
      },
    }
  }
  writeFileSync(
    configuration,
    stringify({
      systems: { shop: system('shop'), crm: system('crm'), carts: system('carts') },
      grants: {
        shop: { system: 'shop', allow: [] },
        crm: { system: 'crm', allow: [] },
        carts: { system: 'carts', allow: ['+set +get ~n-*'] },
      },
      issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
      // Small, so that some kills fall into a rotation.
      audit: {
        file: './audit.jsonl',
        rotate: { size: '512KiB' },
        checkpoint: { key: './keys/issuer.jwk', every: '100ms' },
      },
      admin: { listen: '127.0.0.1:0' },
    }),
  )
}

type Proxy = {
  readonly child: ChildProcessWithoutNullStreams
  readonly ports: ReadonlyMap<string, number>
}

async function startProxy(): Promise<Proxy> {
  const child = startCli(['serve', '--config', configuration], { cwd: folder })
  const ports = new Map<string, number>()
  let said = ''
  const ready = new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the proxy ended with ${code}: ${said}`)))
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      for (const [, name = '', port] of said.matchAll(/system (\w+): \w+ on [\d.]+:(\d+)/g))
        ports.set(name, Number(port))
      if (said.includes('audit in')) resolve()
    })
  })
  await ready
  return { child, ports }
}

/** Sends statements until the connection breaks; never rejects. */
type Load = (port: number) => Promise<void>

const postgresLoad: Load = async (port) => {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: 'r-load',
    password: tokens.shop,
    database: 'postgres',
  })
  client.on('error', () => undefined)
  await client.connect()
  for (;;) {
    await client.query(`select '${nonce('shop')}'`)
    await client.query({ text: `select '${nonce('shop')}' where $1 = 1`, values: [1] })
  }
}

const mysqlLoad: Load = async (port) => {
  const client = await createConnection({
    ...{ host: '127.0.0.1', port, user: 'r-load', password: tokens.crm, database: 'test' },
    ssl: { rejectUnauthorized: false },
  })
  client.on('error', () => undefined)
  for (;;) {
    await client.query(`select '${nonce('crm')}'`)
    await client.execute(`select '${nonce('crm')}' where ? = 1`, [1])
  }
}

const redisLoad: Load = async (port) => {
  const client = new Redis({ host: '127.0.0.1', port, password: tokens.carts, retryStrategy: () => null })
  client.on('error', () => undefined)
  try {
    for (;;) {
      await Promise.all(Array.from({ length: PIPELINE }, () => client.set(nonce('carts'), 'x')))
    }
  } finally {
    client.disconnect()
  }
}

test(`${KILLS} kills under load lose no record of a statement that a backend has seen`, {
  timeout: LONG ? 3_600_000 : 240_000,
}, async (context) => {
  for (let kill = 0; kill < KILLS; kill += 1) {
    const { child, ports } = await startProxy()
    const ended = once(child, 'exit')
    const loads = [
      ...[postgresLoad, postgresLoad].map((load) => load(ports.get('shop') ?? 0)),
      ...[mysqlLoad, mysqlLoad].map((load) => load(ports.get('crm') ?? 0)),
      ...[redisLoad, redisLoad].map((load) => load(ports.get('carts') ?? 0)),
    ].map((load) => load.catch(() => undefined))
    const before = { ...sent }
    // The load has begun everywhere; logins take longer than statements. A load that cannot begin hangs here, and fails.
    while (SYSTEMS.some((system) => sent[system] - before[system] < FIRST_STATEMENTS[system])) await sleep(1)
    await sleep(randomInt(LOAD_MS_MAX))
    child.kill('SIGKILL')
    await ended
    await Promise.all(loads)
    if (LONG && kill % 20 === 19) context.diagnostic(`${kill + 1} kills, ${nonces} statements`)
  }
  const seen = await seenByBackends()
  const recorded = new Set<string>()
  const events = new Map<string, number>()
  for await (const { event, statement, verdict } of readRecords(auditFile)) {
    events.set(event, (events.get(event) ?? 0) + 1)
    if (event !== 'statement') continue
    assert.equal(verdict, 'allow', statement)
    collect(statement ?? '', recorded)
  }
  const unrecorded = [...seen].filter((name) => !recorded.has(name))
  assert.deepEqual(unrecorded, [])
  for (const system of SYSTEMS) {
    const count = [...seen].filter((name) => name.startsWith(`n-${system}-`)).length
    assert.ok(count >= KILLS, `${system}: the backend has seen ${count} statements`)
    context.diagnostic(`${system}: ${count} statements seen by the backend, all recorded`)
  }
  context.diagnostic(
    `${recorded.size} recorded of ${nonces} sent; records: ${JSON.stringify(Object.fromEntries(events))}`,
  )
  const report = await verifyFiles(auditFiles(auditFile))
  assert.deepEqual(report.findings, [], 'and the chain is whole over all of them')
  context.diagnostic(
    `${report.records} records in ${report.files.length} files, ${report.checkpoints} checkpoints`,
  )
})

/** What the backends' own logs show, once they have said all they have to say. */
async function seenByBackends(): Promise<ReadonlySet<string>> {
  const logs = [join(data.shop, 'data', 'log', 'all.log'), join(data.crm, 'data', 'all.log')]
  const said = (): number => logs.reduce((sum, log) => sum + statSync(log).size, monitor.bytes)
  for (let last = -1; said() !== last; ) {
    last = said()
    await sleep(500)
  }
  const seen = new Set(monitor.seen)
  for (const log of logs) collect(readFileSync(log, 'latin1'), seen)
  return seen
}
