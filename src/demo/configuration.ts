/** The configuration file that the demo's gateway runs on: an ordinary `bulkhead.yaml`, there to be read and tried. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { BackendAccount } from './accounts.ts'
import type { DatabaseServer } from './servers/server.ts'

export const SYSTEMS = ['shop', 'crm', 'carts'] as const
export type SystemName = (typeof SYSTEMS)[number]

/** Each system's one grant, as the scripted agent of that system gets it. */
export const GRANTS: Readonly<
  Record<
    SystemName,
    { readonly name: string; readonly allow: readonly string[]; readonly metadata?: 'introspect' }
  >
> = {
  shop: {
    name: 'triage-orders',
    allow: [
      'select on orders, order_items, tickets',
      'select (id, name, city) on customers',
      'insert on tickets',
      'update (status) on tickets',
      'execute on function next_ticket_no',
    ],
    // For psql's \d and the mysql client's SHOW TABLES, which people type first.
    metadata: 'introspect',
  },
  crm: {
    name: 'write-notes',
    allow: [
      'select on accounts, deals, notes',
      'select (id, account_id, name, role) on contacts',
      'insert on notes',
    ],
    metadata: 'introspect',
  },
  carts: {
    name: 'warm-carts',
    allow: ['+@read ~cart:* ~stock:*', '+set +hset +hincrby +expire ~cart:*', '+multi +exec +discard +ping'],
  },
}

const PROTOCOLS = { shop: 'postgres', crm: 'mysql', carts: 'redis' } as const

export type Backends = Readonly<
  Record<SystemName, { readonly server: DatabaseServer; readonly account: BackendAccount }>
>

/** Loopback ports to listen on; `payroll` is a decoy, a system without a backend whose every touch is a hop. */
export type Ports = Readonly<Record<SystemName | 'payroll' | 'admin', number>>

/**
 * Writes `bulkhead.yaml` and the backend passwords to a folder that has `keys/` already.
 *
 * @returns the path of the configuration
 */
export function writeConfiguration(folder: string, backends: Backends, ports: Ports): string {
  const secrets = join(folder, 'secrets')
  mkdirSync(secrets, { mode: 0o700 })
  const tls = { cert: './keys/tls.crt', key: './keys/tls.key' }
  const systems = SYSTEMS.map((name) => {
    const { server, account } = backends[name]
    writeFileSync(join(secrets, name), account.password, { mode: 0o600 })
    const protocol = PROTOCOLS[name]
    const system = {
      protocol,
      listen: `127.0.0.1:${ports[name]}`,
      // redis-cli wants a flag for TLS; without it the line to paste stays short, and loopback stays private.
      ...(protocol === 'redis' ? {} : { tls }),
      backend: {
        url: `${protocol}://${account.user}@${server.host}:${server.port}/${account.database}`,
        password: `\${file:./secrets/${name}}`,
      },
    }
    return [name, system] as const
  })
  const path = join(folder, 'bulkhead.yaml')
  const grants = SYSTEMS.map((system) => {
    const { name, ...grant } = GRANTS[system]
    return [name, { system, ...grant }] as const
  })
  const configuration = {
    systems: {
      ...Object.fromEntries(systems),
      payroll: { protocol: 'postgres', listen: `127.0.0.1:${ports.payroll}`, tls, decoy: true },
    },
    grants: Object.fromEntries(grants),
    issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
    audit: { file: './audit.jsonl' },
    admin: { listen: `127.0.0.1:${ports.admin}` },
  }
  writeFileSync(
    path,
    `# The configuration of the running demo.\n${stringify(configuration, { lineWidth: 100 })}`,
  )
  return path
}
