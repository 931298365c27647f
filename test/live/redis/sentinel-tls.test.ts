/** Sentinels that speak TLS, and nothing else: only one whose certificate is trusted is believed. */
import assert from 'node:assert/strict'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { generate } from 'selfsigned'
import type { BackendAddress } from '../../../src/backends/backend.ts'
import { openRedisBackend } from '../../../src/backends/redis.ts'
import { freePort } from '../../../src/demo/servers/process.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { ownRedisServer } from '../../support/servers.ts'
import { RawClient } from './raw-client.ts'
import { MASTER, type Sentinel, startSentinel, type TlsFiles } from './sentinel.ts'

const folder = temporaryFolder()

let server: DatabaseServer
/** With a certificate for this address, and with one for another. */
let here: Sentinel
let elsewhere: Sentinel
let masterPort: number
let proxy: TestProxy

/** Files of a certificate of its own authority, for `altNames`. */
async function certified(name: string, altNames: { type: 7; ip: string }[]): Promise<TlsFiles> {
  const made = await generate([{ name: 'commonName', value: name }], {
    algorithm: 'sha256',
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames }],
  })
  const parts = { cert: made.cert, key: made.private, ca: made.cert }
  const files = Object.entries(parts).map(([kind, text]) => {
    const path = join(folder, `${name}.${kind}.pem`)
    writeFileSync(path, text)
    // The server runs as a user of its own.
    chmodSync(path, 0o644)
    return [kind, path]
  })
  return Object.fromEntries(files)
}

let right: TlsFiles
let misnamed: TlsFiles
let stranger: TlsFiles

before(async () => {
  chmodSync(folder, 0o755)
  right = await certified('here', [{ type: 7, ip: '127.0.0.1' }])
  misnamed = await certified('elsewhere', [{ type: 7, ip: '192.0.2.1' }])
  stranger = await certified('stranger', [{ type: 7, ip: '127.0.0.1' }])
  masterPort = await freePort()
  server = await ownRedisServer({
    settings: [
      ...['--tls-port', String(masterPort), '--tls-cert-file', right.cert, '--tls-key-file', right.key],
      ...['--tls-ca-cert-file', right.ca, '--tls-auth-clients', 'no'],
    ],
  })
  const { password = '' } = server
  here = await startSentinel(masterPort, password, right)
  elsewhere = await startSentinel(masterPort, password, { ...misnamed, ca: right.ca })
})

after(async () => {
  await proxy.stop()
  await here.stop()
  await elsewhere.stop()
  await server.stop()
})

type Trust = {
  readonly sentinel: () => Sentinel
  readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full'
  readonly ca: () => readonly TlsFiles[]
}

function pem(files: readonly TlsFiles[]): string {
  return files.map(({ ca }) => readFileSync(ca, 'utf8')).join('\n')
}

/** Where the master is, as the sentinel says. */
async function located({ sentinel, tls, ca }: Trust): Promise<BackendAddress | undefined> {
  const { port, password } = sentinel()
  const addresses = [{ host: '127.0.0.1', port }]
  const backend = openRedisBackend(
    {
      ...{ host: MASTER, port: 6379, user: '', password: server.password, database: '0', schema: '' },
      // The master's own certificate is not what is tried here.
      ...{ tls: 'require', ca: pem(ca()) },
      sentinel: { addresses, user: undefined, password, tls },
    },
    () => undefined,
  )
  try {
    return await backend.locate?.()
  } finally {
    await backend.close()
  }
}

const BELIEVED: readonly (readonly [when: string, trust: Trust])[] = [
  [
    'its certificate is trusted and names its address',
    { sentinel: () => here, tls: 'verify-full', ca: () => [right] },
  ],
  [
    'its certificate is trusted and names do not matter',
    { sentinel: () => elsewhere, tls: 'verify-ca', ca: () => [right, misnamed] },
  ],
  ['certificates do not matter', { sentinel: () => elsewhere, tls: 'require', ca: () => [right] }],
]

for (const [when, trust] of BELIEVED) {
  test(`a sentinel is believed where ${when}`, async () => {
    assert.deepEqual(await located(trust), { host: '127.0.0.1', port: masterPort })
  })
}

const REFUSED: readonly (readonly [when: string, trust: Trust, why: RegExp])[] = [
  [
    'its certificate is of another authority',
    { sentinel: () => here, tls: 'verify-full', ca: () => [stranger] },
    /self-signed certificate|unable to verify/,
  ],
  [
    'its certificate is of another authority, though names do not matter',
    { sentinel: () => here, tls: 'verify-ca', ca: () => [stranger] },
    /self-signed certificate|unable to verify/,
  ],
  [
    'its certificate names another address',
    { sentinel: () => elsewhere, tls: 'verify-full', ca: () => [right, misnamed] },
    /altnames/,
  ],
  [
    'it speaks TLS and the proxy does not',
    { sentinel: () => here, tls: 'disable', ca: () => [right] },
    /Connection is closed|ECONNRESET|timed out/,
  ],
]

for (const [when, trust, why] of REFUSED) {
  test(`a sentinel is not believed where ${when}`, async () => {
    await assert.rejects(located(trust), (error: Error) => {
      assert.match(error.message, /^no sentinel says where `carts` is: 127\.0\.0\.1:\d+: /)
      assert.match(error.message, why)
      return true
    })
  })
}

test('an agent gets to the master of a sentinel that is trusted, and with another is told nothing of it', async () => {
  const files = { right: join(folder, 'right.pem'), stranger: join(folder, 'wrong.pem') }
  writeFileSync(files.right, pem([right]))
  writeFileSync(files.stranger, pem([stranger]))
  const { port, password } = here
  const system = (ca: string) => ({
    protocol: 'redis',
    backend: {
      ...{ url: `redis://:${server.password}@${MASTER}/0`, tls: 'require', ca },
      sentinel: { addresses: [`127.0.0.1:${port}`], password, tls: 'verify-full' },
    },
  })
  proxy = await startProxy({
    systems: { trusted: system(files.right), strange: system(files.stranger) },
    grants: {
      trusted: { system: 'trusted', allow: ['+@all ~open:*'] },
      strange: { system: 'strange', allow: ['+@all ~open:*'] },
    },
  })
  const answers: string[] = []
  for (const name of ['trusted', 'strange']) {
    const client = await RawClient.open(proxy.address(name))
    answers.push(...(await client.ask(`AUTH r-42 ${await proxy.token(name, 'r-42')}`, 'SET open:1 one')))
    client.close()
  }
  assert.deepEqual(answers, [
    ...['+OK\r\n', '+OK\r\n'],
    '-ERR the database behind this system is not available now\r\n',
  ])
})
