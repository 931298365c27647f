/**
 * What does Bulkhead cost? Every load runs against the database directly, through a relay that looks at nothing, and
 * through Bulkhead, in turn, and the medians stand in one table as ratios: the machines are noisy, a ratio of one run
 * is not. Nothing here fails a build.
 *
 *     npm run bench -- [--seconds 3] [--rounds 3] [postgres] [mysql] [redis]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { JWK } from 'jose'
import { stringify } from 'yaml'
import { writeKeys } from '../src/commands/init.ts'
import { startMariadb } from '../src/demo/servers/mariadb.ts'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { startRedis } from '../src/demo/servers/redis.ts'
import type { DatabaseServer } from '../src/demo/servers/server.ts'
import { signToken } from '../src/grants/token.ts'
import type { Endpoint, Load } from './endpoint.ts'
import { MYSQL_ALLOW, mysqlLoads, seedMysql } from './mysql.ts'
import { POSTGRES_ALLOW, postgresLoads, seedPostgres } from './postgres.ts'
import { REDIS_ALLOW, redisLoads } from './redis.ts'

const PROTOCOLS = ['postgres', 'mysql', 'redis'] as const
type Protocol = (typeof PROTOCOLS)[number]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' } },
})
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)
const chosen = PROTOCOLS.filter((name) => positionals.length === 0 || positionals.includes(name))

const HERE = dirname(fileURLToPath(import.meta.url))
const MYSQL_DATABASE = 'bench'

/** Takes a password of 470 bytes (OAEP with SHA-1: the modulus less 42); a token here has about 400. */
const RSA_BITS = 4096

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-bench-'))
const servers: DatabaseServer[] = []
const children: ChildProcess[] = []

// Also when it is interrupted: the audit log alone has hundreds of megabytes. The servers end with this process.
process.once('exit', () => {
  for (const child of children) child.kill('SIGTERM')
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

try {
  await main()
} finally {
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(servers.map((server) => server.stop()))
}

async function main(): Promise<void> {
  const direct = {} as Record<Protocol, Endpoint>
  const loads = {} as Record<Protocol, readonly Load[]>
  for (const protocol of chosen) {
    const server = await startServer(protocol)
    servers.push(server)
    direct[protocol] = {
      host: server.host,
      port: server.port,
      user: server.user,
      password: server.password ?? '',
      database: protocol === 'mysql' ? MYSQL_DATABASE : server.database,
      tls: false,
    }
    if (protocol === 'postgres') await seedPostgres(server)
    if (protocol === 'mysql') await seedMysql(server, MYSQL_DATABASE)
    loads[protocol] =
      protocol === 'postgres'
        ? postgresLoads(server.programs)
        : protocol === 'mysql'
          ? mysqlLoads
          : redisLoads(server.programs)
    print(`${protocol}: ${server.kind} ${server.version}`)
  }
  const guarded = await startBulkhead(direct)
  print(`node ${process.versions.node}, ${cpus().length} cores, ${seconds} s a run, median of ${rounds}\n`)
  print(row('load', 'direct', 'blind relay', 'Bulkhead', 'blind/direct', 'Bulkhead/direct', 'Bulkhead/blind'))
  for (const protocol of chosen) {
    const blind = { ...direct[protocol], port: await startBlindRelay(direct[protocol].port) }
    for (const load of loads[protocol]) await measure(load, [direct[protocol], blind, guarded[protocol]])
  }
  const audit = join(folder, 'audit.jsonl')
  const bytes = statSync(audit).size
  print(`\naudit log: ${(bytes / 1e6).toFixed(0)} MB written meanwhile`)
}

async function measure(load: Load, endpoints: readonly [Endpoint, Endpoint, Endpoint]): Promise<void> {
  const figures = endpoints.map((): number[] => [])
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, endpoint] of endpoints.entries())
      figures[index]?.push(await load.run(endpoint, seconds))
  }
  const [direct, blind, bulkhead] = figures.map(median) as [number, number, number]
  const rate = (figure: number): string => `${Math.round(figure).toLocaleString('en')} ${load.unit}`
  const ratio = (part: number, whole: number): string => (part / whole).toFixed(2)
  print(
    row(
      load.name,
      rate(direct),
      rate(blind),
      rate(bulkhead),
      ratio(blind, direct),
      ratio(bulkhead, direct),
      ratio(bulkhead, blind),
    ),
  )
}

function startServer(protocol: Protocol): Promise<DatabaseServer> {
  const start = { postgres: startPostgres, mysql: startMariadb, redis: startRedis }[protocol]
  return start({ folder: join(folder, `${protocol}-data`), progress: print })
}

/** The proxy as users run it: its own process, TLS off on loopback so that all three ways carry the same bytes. */
async function startBulkhead(
  direct: Readonly<Record<Protocol, Endpoint>>,
): Promise<Record<Protocol, Endpoint>> {
  await writeKeys(folder)
  mkdirSync(join(folder, 'secrets'))
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: RSA_BITS })
  writeFileSync(join(folder, 'keys', 'rsa.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  })
  const allow = { postgres: POSTGRES_ALLOW, mysql: MYSQL_ALLOW, redis: REDIS_ALLOW }
  const systems: Record<string, unknown> = {}
  const grants: Record<string, unknown> = {}
  for (const protocol of chosen) {
    const { host, port, user, password, database } = direct[protocol]
    writeFileSync(join(folder, 'secrets', protocol), password, { mode: 0o600 })
    systems[protocol] = {
      protocol,
      listen: '127.0.0.1:0',
      // Without TLS a MySQL client sends its token under this key.
      ...(protocol === 'mysql' && { rsa_key: './keys/rsa.pem' }),
      backend: {
        url: `${protocol}://${user}@${host}:${port}/${database}`,
        password: `\${file:secrets/${protocol}}`,
      },
    }
    grants[protocol] = { system: protocol, allow: [...allow[protocol]], metadata: 'introspect' }
  }
  const file = join(folder, 'bulkhead.yaml')
  writeFileSync(
    file,
    stringify({
      systems,
      grants,
      issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
      admin: { listen: '127.0.0.1:0' },
    }),
  )
  const child = spawn(process.execPath, [join(HERE, '..', 'src', 'cli.js'), 'serve', '--config', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  const ports = await listening(child)
  const key = JSON.parse(readFileSync(join(folder, 'keys', 'issuer.jwk'), 'utf8')) as JWK
  const guarded = {} as Record<Protocol, Endpoint>
  for (const protocol of chosen) {
    const password = await signToken(
      {
        issuer: 'bulkhead',
        agent: 'bench',
        run: 'r-bench',
        system: protocol,
        grant: protocol,
        jti: randomUUID(),
        nowMs: Date.now(),
        ttlMs: 3_600_000,
      },
      key,
    )
    const port = ports.get(protocol) ?? 0
    guarded[protocol] = { ...direct[protocol], port, user: 'r-bench', password }
  }
  return guarded
}

/** Reads from what `serve` says where each system listens. */
function listening(child: ChildProcess): Promise<Map<string, number>> {
  const ports = new Map<string, number>()
  let said = ''
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`bulkhead ended with ${code}: ${said}`)))
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      for (const [, name, port] of said.matchAll(/system (\w+): \w+ on [\d.]+:(\d+)/g))
        ports.set(name ?? '', Number(port))
      if (said.includes('metrics on')) resolve(ports)
    })
  })
}

function startBlindRelay(port: number): Promise<number> {
  const child = spawn(process.execPath, [join(HERE, 'blind-relay.js'), String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('the blind relay ended')))
    child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())))
  })
}

function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function row(...cells: readonly string[]): string {
  return cells
    .map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(index < 4 ? 20 : 16)))
    .join('')
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
