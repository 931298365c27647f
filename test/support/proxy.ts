/** A Bulkhead in this process, on free ports, with its own keys, audit file and configuration, for live tests. */
import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { stringify } from 'yaml'
import type { Reloaded } from '../../src/admin/app.ts'
import { writeKeys } from '../../src/commands/init.ts'
import type { Address } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { Gateway } from '../../src/gateway.ts'
import { signToken } from '../../src/grants/token.ts'
import { temporaryFolder } from './folders.ts'

export type AuditRecord = Readonly<Record<string, unknown>> & { readonly event: string }

/** What a test configures; the rest is the same for all. */
export type TestConfiguration = {
  readonly systems: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly grants: Readonly<Record<string, { readonly system: string } & Readonly<Record<string, unknown>>>>
  readonly on_hop?: unknown
  readonly audit?: unknown
  readonly webhook?: unknown
  readonly export?: unknown
  readonly drain?: string
  /** Instead of the test's own issuer. */
  readonly issuers?: unknown
}

export type TestProxy = {
  readonly folder: string
  readonly auditFile: string
  /** Where a system listens. */
  address(system: string): Address
  readonly admin: Address
  /** A token for a run; `system` defaults to the grant's, times to now and five minutes. */
  token(grant: string, run: string, more?: TokenOptions): Promise<string>
  /** What it has told whoever runs it, in order. */
  readonly notices: readonly string[]
  /** Every audit record so far, in order. */
  records(): AuditRecord[]
  /** The text of /metrics. */
  metrics(): Promise<string>
  /** Asks the admin API with its token: a body makes it a POST. */
  api(
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>
  /** Writes another configuration, or any text in its place, and has it read. */
  reload(next: TestConfiguration | string): Promise<Reloaded>
  /** Stops it and starts it again with the same files; systems that chose a port listen on another one. */
  restart(): Promise<void>
  /** As SIGTERM does. */
  drain(): Promise<void>
  /** Its records can still be read: the gateway's last one is among them then. */
  stop(): Promise<void>
}

export type TokenOptions = {
  readonly system?: string
  readonly ttlMs?: number
  readonly nowMs?: number
  /** Whether its holder can narrow it. */
  readonly narrowable?: boolean
}

/** As `bulkhead.yaml` has it. */
function completed(configuration: TestConfiguration): unknown {
  return {
    issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
    ...configuration,
    systems: Object.fromEntries(
      Object.entries(configuration.systems).map(([name, system]) => [
        name,
        {
          listen: '127.0.0.1:0',
          ...(system['protocol'] !== 'redis' && { tls: { cert: './keys/tls.crt', key: './keys/tls.key' } }),
          ...system,
        },
      ]),
    ),
    // The configuration's own way to name a file.
    admin: { listen: '127.0.0.1:0', token: `${'$'}{file:./keys/admin.token}` },
  }
}

/**
 * @param configuration `systems` and `grants` as in `bulkhead.yaml`; each system listens on a free loopback port
 *   with the test's certificate unless it says otherwise
 */
export async function startProxy(
  configuration: TestConfiguration & { readonly now?: () => number },
): Promise<TestProxy> {
  const folder = temporaryFolder()
  await writeKeys(folder)
  const { now, ...first } = configuration
  let written: TestConfiguration = first
  const file = join(folder, 'bulkhead.yaml')
  const write = (next: TestConfiguration): void => {
    written = next
    writeFileSync(file, stringify(completed(next)))
  }
  write(first)
  const { config } = loadConfig(file, { environment: {}, secrets: 'required' })
  let gateway: Gateway
  let admin: Address
  const notices: string[] = []
  const begin = async (): Promise<void> => {
    gateway = await Gateway.build(config, {
      notice: (line) => {
        notices.push(line)
        if (process.env['BULKHEAD_TEST_VERBOSE'] !== undefined) process.stderr.write(`${line}\n`)
      },
      environment: {},
      ...(now !== undefined && { now }),
    })
    const started = await gateway.start()
    if (started.admin === undefined) throw new Error('the test proxy has an admin port')
    admin = started.admin
  }
  await begin()
  const key = JSON.parse(readFileSync(join(folder, 'keys', 'issuer.jwk'), 'utf8')) as JWK
  const records = (): AuditRecord[] =>
    readFileSync(config.auditFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as AuditRecord)
  return {
    folder,
    auditFile: config.auditFile,
    get admin() {
      return admin
    },
    address(system) {
      const address = gateway.addresses.get(system)
      if (address === undefined) throw new RangeError(`no system ${system}`)
      return address
    },
    token: (grant, run, { system, ttlMs = 300_000, nowMs = Date.now(), narrowable = false } = {}) =>
      signToken(
        {
          issuer: 'bulkhead',
          agent: 'test-agent',
          run,
          system: system ?? written.grants[grant]?.system ?? 'nowhere',
          grant,
          jti: randomUUID(),
          nowMs,
          ttlMs,
          narrowable,
        },
        key,
      ),
    notices,
    records,
    metrics: async () => {
      const response = await fetch(`http://127.0.0.1:${admin.port}/metrics`)
      return response.text()
    },
    api: async (path, body, headers = {}) => {
      const response = await fetch(`http://127.0.0.1:${admin.port}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${readFileSync(join(folder, 'keys', 'admin.token'), 'utf8').trim()}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    },
    reload: (next) => {
      if (typeof next === 'string') writeFileSync(file, next)
      else write(next)
      return gateway.reload()
    },
    restart: async () => {
      await gateway.stop()
      await begin()
    },
    drain: () => gateway.drain(),
    stop: () => gateway.stop(),
  }
}
