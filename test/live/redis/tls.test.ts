/** TLS on both sides: it begins with the first byte, because the protocol has no way to ask for it. */
import assert from 'node:assert/strict'
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { writeKeys } from '../../../src/commands/init.ts'
import { freePort } from '../../../src/demo/servers/process.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { ownRedisServer } from '../../support/servers.ts'
import { RawClient } from './raw-client.ts'

let server: DatabaseServer
let proxy: TestProxy
let token: string

before(async () => {
  const folder = temporaryFolder()
  await writeKeys(folder)
  const cert = join(folder, 'keys', 'tls.crt')
  const key = join(folder, 'keys', 'tls.key')
  // The server runs as a user of its own.
  for (const [path, mode] of [
    [folder, 0o755],
    [join(folder, 'keys'), 0o755],
    [cert, 0o644],
    [key, 0o644],
  ] as const) {
    chmodSync(path, mode)
  }
  const port = await freePort()
  server = await ownRedisServer({
    settings: [
      ...['--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key],
      ...['--tls-ca-cert-file', cert, '--tls-auth-clients', 'no'],
    ],
  })
  proxy = await startProxy({
    systems: {
      here: {
        protocol: 'redis',
        tls: { cert: './keys/tls.crt', key: './keys/tls.key' },
        backend: { url: `redis://:${server.password}@127.0.0.1:${port}/0`, tls: 'require' },
      },
    },
    grants: { open: { system: 'here', allow: ['+@all ~open:*'] } },
  })
  token = await proxy.token('open', 'r-42')
})

after(async () => {
  await proxy.stop()
  await server.stop()
})

test('a driver speaks TLS to the proxy, and the proxy to the backend', async () => {
  const { host, port } = proxy.address('here')
  const ca = readFileSync(join(proxy.folder, 'keys', 'tls.crt'))
  const client = new Redis({
    ...{ host, port, username: 'r-42', password: token, lazyConnect: true, retryStrategy: () => null },
    tls: { ca, checkServerIdentity: () => undefined },
  })
  client.on('error', () => undefined)
  await client.connect()
  assert.equal(await client.set('open:k', 'v'), 'OK')
  assert.equal(await client.get('open:k'), 'v')
  await assert.rejects(client.get('secret:k'), /NOPERM/)
  client.disconnect()
})

test('on loopback a listener with a certificate takes plain connections too', async () => {
  const client = await RawClient.open(proxy.address('here'))
  assert.deepEqual(await client.ask(`AUTH r-42 ${token}`, 'PING'), ['+OK\r\n', '+PONG\r\n'])
  client.close()
})
