/** Written systems, and where the proxy itself is reached, to their checked forms. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { BackendTarget, SentinelTarget } from '../backends/backend.ts'
import { readLimits } from '../grants/limits.ts'
import type { AdminConfig, Reporter, SystemConfig } from './config.ts'
import type { WrittenConfiguration } from './schema.ts'

type WrittenSystem = WrittenConfiguration['systems'][string]
type WrittenBackend = NonNullable<WrittenSystem['backend']>

/** URL schemes, default port and default user of each protocol. */
const BACKENDS: Record<
  ProtocolName,
  { readonly schemes: readonly string[]; readonly port: number; readonly user: string }
> = {
  postgres: { schemes: ['postgres:', 'postgresql:'], port: 5432, user: 'postgres' },
  mysql: { schemes: ['mysql:', 'mariadb:'], port: 3306, user: 'root' },
  redis: { schemes: ['redis:', 'rediss:', 'valkey:', 'valkeys:'], port: 6379, user: '' },
}

export function readSystem(
  name: string,
  written: WrittenSystem,
  folder: string,
  report: Reporter,
): SystemConfig {
  const path = ['systems', name]
  if (written.decoy && written.backend !== undefined) {
    report([...path, 'backend'], 'a decoy has no backend', {
      mend: 'remove `backend`, or remove `decoy: true`',
    })
  }
  if (!written.decoy && written.backend === undefined) {
    report(path, 'the system has no backend', { mend: 'add `backend: { url: … }`, or `decoy: true`' })
  }
  if (written.rsa_key !== undefined && written.protocol !== 'mysql') {
    report([...path, 'rsa_key'], 'only MySQL passwords can be sent under an RSA key', { mend: 'remove it' })
  }
  const tls = written.tls && {
    cert: readPem(written.tls.cert, folder, [...path, 'tls', 'cert'], report),
    key: readPem(written.tls.key, folder, [...path, 'tls', 'key'], report),
  }
  if (tls === undefined && !written.allow_cleartext_password && !isLoopback(written.listen.host)) {
    report([...path, 'listen'], 'tokens would cross a network in clear text', {
      mend: 'add `tls: { cert, key }`, listen on 127.0.0.1, or write `allow_cleartext_password: true`',
    })
  }
  return {
    name,
    protocol: written.protocol,
    listen: written.listen,
    backend:
      written.backend && readBackend(written.protocol, written.backend, folder, [...path, 'backend'], report),
    decoy: written.decoy,
    tls,
    allowCleartextPassword: written.allow_cleartext_password,
    rsaPrivateKey:
      written.rsa_key === undefined
        ? undefined
        : readPem(written.rsa_key, folder, [...path, 'rsa_key'], report),
    ceiling: written.ceiling,
    ceilingMetadata: written.ceiling_metadata,
    limits: readLimits(written.limits),
    observe: written.observe,
    decoys: written.decoys,
  }
}

function readBackend(
  protocol: ProtocolName,
  written: WrittenBackend,
  folder: string,
  path: readonly string[],
  report: Reporter,
): BackendTarget | undefined {
  const { schemes, port, user } = BACKENDS[protocol]
  const url = URL.canParse(written.url) ? new URL(written.url) : undefined
  if (url === undefined || !schemes.includes(url.protocol) || url.hostname === '') {
    report([...path, 'url'], 'not an address of such a backend', {
      mend: `write \`${schemes[0]}//user@host:${port}/database\``,
    })
    return undefined
  }
  const parts = decodedParts(url)
  if (parts === undefined) {
    report([...path, 'url'], 'a `%` in the address begins no escape', {
      mend: 'write `%25` for a percent sign',
    })
    return undefined
  }
  if (url.search !== '' || url.hash !== '') {
    report([...path, 'url'], 'options in the address are not read', {
      mend: 'write `tls`, `ca` and `schema` as keys of `backend`',
    })
  }
  if (written.schema !== undefined && protocol !== 'postgres') {
    report([...path, 'schema'], 'only PostgreSQL systems have a schema', { mend: 'remove it' })
  }
  const { database } = parts
  if (protocol === 'redis' ? !/^\d{0,4}$/.test(database) : database === '') {
    report(
      [...path, 'url'],
      protocol === 'redis' ? 'the database is not a number' : 'the database is missing',
      {
        mend: `end the address with \`/${protocol === 'redis' ? '0' : 'database'}\``,
      },
    )
  }
  if (written.sentinel !== undefined && protocol !== 'redis') {
    report([...path, 'sentinel'], 'only Redis systems have sentinels', { mend: 'remove it' })
  }
  if (written.sentinel !== undefined && url.port !== '') {
    report([...path, 'url'], 'the sentinels say where the master is', {
      mend: `write the name of the master and no port: \`${schemes[0]}//user@mymaster/0\``,
    })
  }
  // The brackets of an IPv6 address belong to the URL, not to the host.
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const securedByScheme = url.protocol === 'rediss:' || url.protocol === 'valkeys:'
  // Of a master that sentinels name, nobody knows here whether it is on this machine.
  const isHere = written.sentinel === undefined && isLoopback(host)
  const tls = written.tls ?? (isHere && !securedByScheme ? 'disable' : 'verify-full')
  if (protocol === 'redis' && tls === 'prefer') {
    report([...path, 'tls'], 'Redis cannot negotiate TLS', {
      mend: 'write `disable`, `require`, `verify-ca` or `verify-full`',
    })
  }
  return {
    host,
    port: url.port === '' ? port : Number(url.port),
    user: parts.user === '' ? user : parts.user,
    password: written.password ?? (parts.password === '' ? undefined : parts.password),
    database: protocol === 'redis' && database === '' ? '0' : database,
    schema: written.schema ?? 'public',
    tls,
    ca: written.ca === undefined ? undefined : readPem(written.ca, folder, [...path, 'ca'], report),
    ...(written.sentinel !== undefined && { sentinel: readSentinel(written.sentinel, tls) }),
  }
}

/** `undefined` where an escape is none. */
function decodedParts({
  username,
  password,
  pathname,
}: URL): { readonly user: string; readonly password: string; readonly database: string } | undefined {
  try {
    const [user = '', secret = '', database = ''] = [username, password, pathname.replace(/^\//, '')].map(
      decodeURIComponent,
    )
    return { user, password: secret, database }
  } catch {
    return undefined
  }
}

/** @param tls of the backend, which sentinels on other machines have too unless they say otherwise */
function readSentinel(
  written: NonNullable<WrittenBackend['sentinel']>,
  tls: BackendTarget['tls'],
): SentinelTarget {
  const areHere = written.addresses.every(({ host }) => isLoopback(host))
  return {
    addresses: written.addresses,
    user: written.user,
    password: written.password,
    tls: written.tls ?? sentinelTls(areHere, tls),
  }
}

function sentinelTls(areHere: boolean, tls: BackendTarget['tls']): SentinelTarget['tls'] {
  if (areHere) return 'disable'
  return tls === 'prefer' ? 'require' : tls
}

/** Without a listener and without a socket it listens where it always did. */
const ADMIN_LISTEN = { host: '127.0.0.1', port: 9464 }

export function readAdmin(written: WrittenConfiguration['admin'], folder: string): AdminConfig {
  const { listen, socket, token } = written
  return {
    listen: listen ?? (socket === undefined ? ADMIN_LISTEN : undefined),
    socket: socket === undefined ? undefined : resolve(folder, socket),
    // Empty where the command that reads the configuration does without secrets.
    token: token === '' ? undefined : token,
  }
}

/** `audit.jsonl` has `audit.state.json` beside it: two proxies with two logs have two states. */
export function stateFileBeside(auditFile: string): string {
  return `${auditFile.replace(/\.jsonl?$/, '')}.state.json`
}

export function readPem(
  file: string,
  folder: string,
  path: readonly (string | number)[],
  report: Reporter,
): string {
  const text = readFile(file, folder, path, report)
  if (text !== '' && !text.includes('-----BEGIN ')) {
    report(path, `\`${file}\` is not a PEM file`, { mend: 'give a file that begins with `-----BEGIN …`' })
  }
  return text
}

export function readFile(
  file: string,
  folder: string,
  path: readonly (string | number)[],
  report: Reporter,
): string {
  try {
    return readFileSync(resolve(folder, file), 'utf8')
  } catch (error) {
    report(path, `cannot read \`${file}\`: ${(error as NodeJS.ErrnoException).code ?? 'error'}`, {
      mend: 'correct the path (relative ones start at the folder of the configuration), or run `bulkhead init`',
    })
    return ''
  }
}

/** True for addresses that never leave this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}
