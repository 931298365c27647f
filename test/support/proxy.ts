/** A Bulkhead in this process, on free ports, with its own keys, audit file and configuration, for live tests. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { stringify } from 'yaml'
import { writeKeys } from '../../src/commands/init.ts'
import type { Address } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { Gateway } from '../../src/gateway.ts'
import { signToken } from '../../src/grants/token.ts'

export type AuditRecord = Readonly<Record<string, unknown>> & { readonly event: string }

export type TestProxy = {
  readonly folder: string
  readonly auditFile: string
  /** Where a system listens. */
  address(system: string): Address
  readonly admin: Address
  /** A token for a run; `system` defaults to the grant's, times to now and five minutes. */
  token(grant: string, run: string, more?: TokenOptions): Promise<string>
  /** Every audit record so far, in order. */
  records(): AuditRecord[]
  /** The text of /metrics. */
  metrics(): Promise<string>
  /** @param atEnd gets every record of the file, the gateway's last among them, before it is removed */
  stop(atEnd?: (records: AuditRecord[]) => void): Promise<void>
}

export type TokenOptions = { readonly system?: string; readonly ttlMs?: number; readonly nowMs?: number }

/**
 * @param configuration `systems` and `grants` as in `bulkhead.yaml`; each system listens on a free loopback port
 *   with the test's certificate unless it says otherwise
 */
export async function startProxy(configuration: {
  readonly systems: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly grants: Readonly<Record<string, { readonly system: string } & Readonly<Record<string, unknown>>>>
  readonly on_hop?: unknown
  readonly webhook?: unknown
  readonly export?: unknown
  /** Instead of the test's own issuer. */
  readonly issuers?: unknown
  readonly now?: () => number
}): Promise<TestProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-proxy-'))
  await writeKeys(folder)
  const { now, ...written } = configuration
  const file = join(folder, 'bulkhead.yaml')
  writeFileSync(
    file,
    stringify({
      issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
      ...written,
      systems: Object.fromEntries(
        Object.entries(written.systems).map(([name, system]) => [
          name,
          {
            listen: '127.0.0.1:0',
            ...(system['protocol'] !== 'redis' && { tls: { cert: './keys/tls.crt', key: './keys/tls.key' } }),
            ...system,
          },
        ]),
      ),
      admin: { listen: '127.0.0.1:0' },
    }),
  )
  const { config } = loadConfig(file, { environment: {}, secrets: 'required' })
  const gateway = await Gateway.build(config, {
    notice: (line) => {
      if (process.env['BULKHEAD_TEST_VERBOSE'] !== undefined) process.stderr.write(`${line}\n`)
    },
    ...(now !== undefined && { now }),
  })
  const started = await gateway.start()
  const { admin } = started
  if (admin === undefined) throw new Error('the test proxy has an admin port')
  const key = JSON.parse(readFileSync(join(folder, 'keys', 'issuer.jwk'), 'utf8')) as JWK
  const records = (): AuditRecord[] =>
    readFileSync(config.auditFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as AuditRecord)
  return {
    folder,
    auditFile: config.auditFile,
    admin,
    address(system) {
      const address = started.systems.get(system)
      if (address === undefined) throw new RangeError(`no system ${system}`)
      return address
    },
    token: (grant, run, { system, ttlMs = 300_000, nowMs = Date.now() } = {}) =>
      signToken(
        {
          issuer: 'bulkhead',
          agent: 'test-agent',
          run,
          system: system ?? configuration.grants[grant]?.system ?? 'nowhere',
          grant,
          jti: randomUUID(),
          nowMs,
          ttlMs,
        },
        key,
      ),
    records,
    metrics: async () => {
      const response = await fetch(`http://127.0.0.1:${admin.port}/metrics`)
      return response.text()
    },
    stop: async (atEnd) => {
      await gateway.stop()
      atEnd?.(records())
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
