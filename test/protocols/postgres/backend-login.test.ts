import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  PostgresBackendLogin,
  type PostgresBackendOptions,
} from '../../../protocols/postgres/backend-login.ts'
import { frame, int32, SERVER } from '../../../protocols/postgres/frames.ts'
import { frames, server } from './messages.ts'

const login = (more: Partial<PostgresBackendOptions> = {}): PostgresBackendLogin =>
  new PostgresBackendLogin({
    user: 'bulkhead',
    password: 'secret',
    database: 'shop',
    tls: 'disable',
    applicationName: 'bulkhead r-1',
    random: (size) => Buffer.alloc(size, 5),
    schema: 'pub"lic',
    serverVersionNum: 150_018,
    settings: new Map([['datestyle', 'ISO']]),
    ...more,
  })

const sent = (backend: PostgresBackendLogin): Buffer => Buffer.concat(backend.takeForServer())
const authentication = (code: number, ...more: readonly (Buffer | string)[]): Buffer =>
  frame(SERVER.authentication, int32(code), ...more)
const settings = (changes: Readonly<Record<string, string>> = {}): Buffer =>
  Buffer.concat(
    Object.entries({
      server_encoding: 'UTF8',
      client_encoding: 'UTF8',
      standard_conforming_strings: 'on',
      ...changes,
    }).map(([name, value]) => server.setting(name, value)),
  )
const key = frame(SERVER.backendKeyData, int32(42), Buffer.from('abcd'))
const welcome = Buffer.concat([authentication(0), settings(), key, server.ready('I')])

test('the startup packet is ours: pins, our name, and the settings that were judged', () => {
  const packet = sent(login())
  assert.equal(packet.readInt32BE(0), packet.length)
  assert.equal(packet.readInt32BE(4), 0x0003_0000)
  const words = packet.toString('utf8', 8).split('\0')
  const parameters = new Map<string, string>()
  for (let at = 0; at + 1 < words.length; at += 2) parameters.set(words[at] ?? '', words[at + 1] ?? '')
  assert.deepEqual(Object.fromEntries([...parameters].filter(([name]) => name !== '')), {
    user: 'bulkhead',
    database: 'shop',
    datestyle: 'ISO',
    application_name: 'bulkhead r-1',
    standard_conforming_strings: 'on',
    search_path: '"pub""lic", pg_temp',
    client_encoding: 'UTF8',
  })
})

test('a server from 18 on is asked for protocol 3.2', () => {
  assert.equal(sent(login({ serverVersionNum: 180_004 })).readInt32BE(4), 0x0003_0002)
})

test('a server that trusts us lets us in', () => {
  const backend = login()
  backend.fromServer(welcome)
  assert.deepEqual(backend.next(), { kind: 'ready' })
  assert.equal(backend.parameters.get('server_encoding'), 'UTF8')
})

test('one byte at a time gives the same', () => {
  const backend = login()
  for (const byte of welcome) {
    assert.equal(backend.next(), undefined)
    backend.fromServer(Buffer.from([byte]))
  }
  assert.deepEqual(backend.next(), { kind: 'ready' })
})

test('MD5 is answered with the salted hash', () => {
  const backend = login()
  sent(backend)
  backend.fromServer(authentication(5, Buffer.from([1, 2, 3, 4])))
  backend.next()
  const inner = createHash('md5').update('secretbulkhead').digest('hex')
  const outer = createHash('md5')
    .update(inner)
    .update(Buffer.from([1, 2, 3, 4]))
    .digest('hex')
  assert.equal(frames(sent(backend))[0]?.body.toString(), `md5${outer}\0`)
})

test('a cleartext password crosses TLS, or a path that the operator calls safe, and no other', () => {
  const plain = login()
  sent(plain)
  plain.fromServer(authentication(3))
  plain.next()
  assert.equal(frames(sent(plain))[0]?.body.toString(), 'secret\0')

  const downgraded = login({ tls: 'prefer' })
  downgraded.fromServer(Buffer.from('N'))
  downgraded.next()
  sent(downgraded)
  downgraded.fromServer(authentication(3))
  const step = downgraded.next()
  assert.equal(step?.kind === 'failed' && step.reason, 'unsupported')
  assert.equal(sent(downgraded).includes('secret'), false)
})

test('SCRAM that ends without the proof of the server is no login', () => {
  const backend = login()
  backend.fromServer(authentication(10, 'SCRAM-SHA-256\0\0'))
  backend.next()
  backend.fromServer(welcome)
  const step = backend.next()
  assert.equal(step?.kind === 'failed' && step.reason, 'protocol')
})

for (const [name, code] of [
  ['Kerberos', 2],
  ['GSSAPI', 7],
  ['SSPI', 9],
  ['something new', 99],
] as const) {
  test(`${name} is not supported`, () => {
    const backend = login()
    backend.fromServer(authentication(code))
    const step = backend.next()
    assert.equal(step?.kind === 'failed' && step.reason, 'unsupported')
  })
}

for (const [name, changes] of [
  ['another encoding', { server_encoding: 'LATIN1' }],
  ['SQL_ASCII', { server_encoding: 'SQL_ASCII' }],
  ['another client encoding', { client_encoding: 'SJIS' }],
  ['backslashes in strings', { standard_conforming_strings: 'off' }],
] as const) {
  test(`a server with ${name} is not supported`, () => {
    const backend = login()
    backend.fromServer(Buffer.concat([authentication(0), settings(changes), server.ready('I')]))
    const step = backend.next()
    assert.equal(step?.kind === 'failed' && step.reason, 'unsupported')
  })
}

test('TLS that is not offered is an error where it is required, and none where it is preferred', () => {
  for (const tls of ['require', 'verify-ca', 'verify-full'] as const) {
    const backend = login({ tls })
    backend.fromServer(Buffer.from('N'))
    const step = backend.next()
    assert.equal(step?.kind === 'failed' && step.reason, 'tls')
  }
  const preferred = login({ tls: 'prefer' })
  preferred.fromServer(Buffer.from('N'))
  assert.equal(preferred.next(), undefined)
})

test('bytes that come with the answer to the request for TLS are not believed', () => {
  const backend = login({ tls: 'require' })
  backend.fromServer(Buffer.concat([Buffer.from('S'), welcome]))
  assert.equal(backend.next()?.kind, 'failed')
  const later = login({ tls: 'require' })
  later.fromServer(Buffer.from('S'))
  assert.deepEqual(later.next(), { kind: 'start_tls' })
  later.fromServer(welcome)
  assert.equal(later.next()?.kind, 'failed')
})

test('an error of the server is for operators', () => {
  const backend = login()
  backend.fromServer(server.error('28P01', 'password authentication failed', 'FATAL'))
  assert.deepEqual(backend.next(), {
    kind: 'failed',
    reason: 'authentication',
    message: '28P01 password authentication failed',
  })
})

test('a cancel request shows the key of the server, encrypted where the session was', () => {
  const backend = login()
  backend.fromServer(welcome)
  backend.next()
  const plain = backend.cancel()
  assert.deepEqual(plain?.next(), { kind: 'ready' })
  assert.equal(
    Buffer.concat(plain?.takeForServer() ?? []).toString('hex'),
    `0000001004d2162e0000002a${Buffer.from('abcd').toString('hex')}`,
  )

  const secure = login({ tls: 'require' })
  secure.fromServer(Buffer.from('S'))
  secure.next()
  secure.tlsStarted(undefined)
  secure.fromServer(welcome)
  secure.next()
  const cancel = secure.cancel()
  assert.equal(Buffer.concat(cancel?.takeForServer() ?? []).readInt32BE(4), 80_877_103)
  cancel?.fromServer(Buffer.from('N'))
  assert.equal(cancel?.next()?.kind, 'failed')
})

test('any bytes give a step, never an exception', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(
      welcome,
      authentication(10, 'SCRAM-SHA-256\0\0'),
      authentication(11, 'r=x'),
      authentication(12, 'v=x'),
      authentication(5),
    ),
  )
  fc.assert(
    fc.property(
      fc.constantFrom('disable', 'prefer', 'require'),
      fc.array(piece, { maxLength: 6 }),
      (tls, pieces) => {
        const backend = login({ tls })
        for (const bytes of pieces) {
          backend.fromServer(bytes)
          if (backend.next()?.kind === 'start_tls') backend.tlsStarted(undefined)
          backend.takeForServer()
        }
      },
    ),
    { numRuns: Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 2_000) },
  )
})
