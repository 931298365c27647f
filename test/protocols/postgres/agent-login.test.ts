import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from '../../../protocols/errors.ts'
import { PostgresAgentLogin } from '../../../protocols/postgres/agent-login.ts'
import { frame, int32 } from '../../../protocols/postgres/frames.ts'
import { FakeReader } from './fake-reader.ts'
import { errorField, frames, serverText } from './messages.ts'

const login = (more: { tlsAvailable?: boolean; cleartextAllowed?: boolean } = {}): PostgresAgentLogin =>
  new PostgresAgentLogin({
    knowledge: { current: new FakeReader().asAnalyser() },
    random: randomBytes,
    connectionId: 1,
    tlsAvailable: true,
    cleartextAllowed: true,
    ...more,
  })

const startupPacket = (version: number, ...pairs: readonly string[]): Buffer => {
  const body = Buffer.from(`${pairs.map((part) => `${part}\0`).join('')}\0`)
  return Buffer.concat([int32(body.length + 8), int32(version), body])
}
const PROTOCOL_3_0 = 0x0003_0000
const ordinary = startupPacket(PROTOCOL_3_0, 'user', 'r-1', 'database', 'shop')
const sslRequest = Buffer.concat([int32(8), int32(80_877_103)])
const gssRequest = Buffer.concat([int32(8), int32(80_877_104)])
const password = (text: string): Buffer => frame(0x70, `${text}\0`)
const said = (agent: PostgresAgentLogin): Buffer => Buffer.concat(agent.takeForClient())

test('the token is asked for and given on', () => {
  const agent = login()
  agent.fromClient(Buffer.concat([ordinary, password('a.b.c')]))
  assert.deepEqual(agent.next(), {
    kind: 'credentials',
    credentials: { user: 'r-1', password: 'a.b.c', database: 'shop', application: undefined },
  })
  assert.equal(serverText(said(agent)), 'R')
  assert.equal(agent.next(), undefined, 'once')
})

test('one byte at a time gives the same', () => {
  const agent = login()
  const bytes = Buffer.concat([gssRequest, ordinary, password('t')])
  let credentials: unknown
  for (const byte of bytes) {
    agent.fromClient(Buffer.from([byte]))
    credentials ??= agent.next()
  }
  assert.equal((credentials as { kind: string }).kind, 'credentials')
  assert.equal(said(agent).toString('latin1', 0, 1), 'N')
})

test('TLS is begun where it is asked for and can be had', () => {
  const agent = login()
  agent.fromClient(sslRequest)
  assert.deepEqual(agent.next(), { kind: 'start_tls', rest: Buffer.alloc(0) })
  assert.equal(said(agent).toString(), 'S')
  agent.tlsStarted()
  agent.fromClient(ordinary)
  assert.equal(agent.next(), undefined)
  assert.equal(serverText(said(agent)), 'R')
})

test('bytes that come with the request for TLS are not believed', () => {
  const agent = login()
  agent.fromClient(Buffer.concat([sslRequest, ordinary]))
  assert.throws(() => agent.next(), ProtocolError)
  assert.doesNotMatch(said(agent).toString('latin1'), /^S/)

  const later = login()
  later.fromClient(sslRequest)
  later.next()
  assert.throws(() => later.fromClient(ordinary), ProtocolError)
})

test('TLS from the first byte needs the ALPN protocol of PostgreSQL', () => {
  const agent = login()
  const hello = Buffer.from([0x16, 3, 1, 2, 0])
  agent.fromClient(hello)
  assert.deepEqual(agent.next(), { kind: 'start_tls', rest: hello, alpn: 'postgresql' })
})

test('TLS that is not there is declined', () => {
  const agent = login({ tlsAvailable: false })
  agent.fromClient(sslRequest)
  agent.next()
  assert.equal(said(agent).toString(), 'N')
  assert.throws(() => {
    agent.fromClient(sslRequest)
    agent.next()
  }, ProtocolError)
  const direct = login({ tlsAvailable: false })
  direct.fromClient(Buffer.from([0x16]))
  assert.throws(() => direct.next(), ProtocolError)
})

test('GSSAPI encryption is declined, once', () => {
  const agent = login()
  agent.fromClient(gssRequest)
  assert.equal(agent.next(), undefined)
  assert.equal(said(agent).toString(), 'N')
  agent.fromClient(gssRequest)
  assert.throws(() => agent.next(), ProtocolError)
})

test('without TLS and without permission no password is asked for', () => {
  const agent = login({ cleartextAllowed: false })
  agent.fromClient(ordinary)
  assert.deepEqual(agent.next(), { kind: 'close' })
  const [error] = frames(said(agent))
  assert.equal(errorField(error?.body ?? Buffer.alloc(0), 'C'), '28000')
  assert.match(errorField(error?.body ?? Buffer.alloc(0), 'M') ?? '', /no encryption/)
})

test('a refusal is the database’s own authentication error', () => {
  for (const [kind, code] of [
    ['authentication', '28P01'],
    ['database', '3D000'],
    ['backend_unavailable', '57P03'],
    ['too_many_connections', '53300'],
  ] as const) {
    const agent = login()
    agent.fromClient(Buffer.concat([ordinary, password('t')]))
    agent.next()
    agent.takeForClient()
    agent.refuse({ kind, message: 'no' })
    assert.deepEqual(agent.next(), { kind: 'close' })
    assert.equal(serverText(said(agent)), `E(${code})`)
  }
})

test('a cancel request gives the key as the client was given it', () => {
  for (const secret of [Buffer.alloc(4, 9), Buffer.alloc(32, 9)]) {
    const agent = login()
    agent.fromClient(Buffer.concat([int32(12 + secret.length), int32(80_877_102), int32(7), secret]))
    assert.deepEqual(agent.next(), { kind: 'cancel', key: `00000007${secret.toString('hex')}` })
    assert.deepEqual(agent.next(), { kind: 'close' })
  }
})

for (const [name, version, answer] of [
  ['3.0', PROTOCOL_3_0, 'R'],
  ['3.1', 0x0003_0001, 'R'],
  ['3.2', 0x0003_0002, 'R'],
  ['3.9', 0x0003_0009, 'v R'],
  ['2.0', 0x0002_0000, 'E(0A000)'],
  ['4.0', 0x0004_0000, 'E(0A000)'],
] as const) {
  test(`protocol ${name} is answered with ${answer}`, () => {
    const agent = login()
    agent.fromClient(startupPacket(version, 'user', 'u'))
    agent.next()
    assert.equal(serverText(said(agent)), answer)
  })
}

test('protocol extensions that are not known are named', () => {
  const agent = login()
  agent.fromClient(startupPacket(PROTOCOL_3_0, 'user', 'u', '_pq_.magic', 'on'))
  agent.next()
  const [negotiation] = frames(said(agent))
  assert.equal(negotiation?.type, 'v')
  assert.equal(negotiation?.body.readInt32BE(0), PROTOCOL_3_0)
  assert.equal(negotiation?.body.readInt32BE(4), 1)
  assert.equal(negotiation?.body.toString('latin1', 8), '_pq_.magic\0')
})

test('another search path than the pinned one is refused', () => {
  const agent = login()
  agent.fromClient(startupPacket(PROTOCOL_3_0, 'user', 'u', 'options', '-c search_path=evil'))
  assert.deepEqual(agent.next(), { kind: 'close' })
  assert.equal(serverText(said(agent)), 'E(42501)')
})

test('a password beyond any token is refused without being read', () => {
  const agent = login()
  const header = Buffer.concat([Buffer.from('p'), int32(1_000_000)])
  agent.fromClient(Buffer.concat([ordinary, header]))
  assert.deepEqual(agent.next(), { kind: 'close' })
  assert.equal(serverText(said(agent)), 'R E(28P01)')
})

for (const [name, bytes] of [
  ['a length of zero', int32(0)],
  ['a length beyond 10,000', int32(10_001)],
  ['a negative length', int32(-1)],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
  ['a query instead of a password', Buffer.concat([ordinary, frame(0x51, 'select 1\0')])],
  ['a password without an end', Buffer.concat([ordinary, frame(0x70, 'abc')])],
  ['a password with something after it', Buffer.concat([ordinary, frame(0x70, 'abc\0d')])],
  ['a cancel request without a key', Buffer.concat([int32(12), int32(80_877_102), int32(7)])],
  [
    'a cancel request with a key of 1 kB',
    Buffer.concat([int32(1036), int32(80_877_102), Buffer.alloc(1028)]),
  ],
] as const) {
  test(`${name} ends the connection`, () => {
    const agent = login()
    agent.fromClient(bytes)
    assert.throws(() => agent.next(), ProtocolError)
  })
}

test('any bytes give a step or a ProtocolError', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(ordinary, sslRequest, gssRequest, password('x'), Buffer.from([0x16])),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const agent = login()
      try {
        for (const bytes of pieces) {
          agent.fromClient(bytes)
          if (agent.next()?.kind === 'start_tls') agent.tlsStarted()
        }
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error))
      }
    }),
    { numRuns: Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 2_000) },
  )
})
