import assert from 'node:assert/strict'
import { randomBytes, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { serialize } from 'pg-protocol'
import selfsigned from 'selfsigned'
import { ProtocolError } from '../../../protocols/errors.ts'
import type { AgentLoginOptions } from '../../../protocols/login.ts'
import { PostgresAgentLogin } from '../../../protocols/postgres/agent-login.ts'
import type { PostgresAnalyser } from '../../../protocols/postgres/analyser.ts'
import { frame, int32 } from '../../../protocols/postgres/frames.ts'
import { ScramClient } from '../../../protocols/postgres/scram.ts'
import { secretVerifier } from '../../../protocols/secret.ts'
import { FakeReader } from './fake-reader.ts'
import { errorField, frames, serverText } from './messages.ts'

const login = (more: Partial<AgentLoginOptions<PostgresAnalyser>> = {}): PostgresAgentLogin =>
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
    fc.constantFrom(
      startupPacket(PROTOCOL_3_0, 'user', 'r-2'),
      serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', 'n,,n=,r=abcdefgh'),
      serialize.sendSCRAMClientFinalMessage(`c=biws,r=abcdefgh,p=${Buffer.alloc(32).toString('base64')}`),
    ),
    fc
      .string({ maxLength: 60 })
      .map((text) => serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', text)),
    fc.string({ maxLength: 60 }).map((text) => serialize.sendSCRAMClientFinalMessage(text)),
  )
  const verifier = secretVerifier('known to nobody', Buffer.alloc(16, 1))
  const verifierOf = (user: string) => (user === 'r-2' ? verifier : undefined)
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const agent = login({ verifierOf })
      try {
        for (const bytes of pieces) {
          agent.fromClient(bytes)
          const step = agent.next()
          if (step?.kind === 'start_tls') agent.tlsStarted()
          if (step?.kind === 'credentials') assert.notEqual(step.credentials.secret, 'proved')
        }
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error))
      }
    }),
    { numRuns: Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 2_000) },
  )
})

const SECRET = 'one-two-three-four'
const withSecret = (
  more: { encrypted?: boolean; certificate?: Buffer; cleartextAllowed?: boolean } = {},
): PostgresAgentLogin => {
  const agent = login({
    cleartextAllowed: more.cleartextAllowed ?? false,
    verifierOf: (user) => (user === 'r-1' ? secretVerifier(SECRET, Buffer.alloc(16, 2)) : undefined),
    ...(more.certificate !== undefined && { certificate: more.certificate }),
  })
  if (more.encrypted === true) {
    agent.fromClient(sslRequest)
    agent.next()
    said(agent)
    agent.tlsStarted()
  }
  agent.fromClient(ordinary)
  assert.equal(agent.next(), undefined)
  return agent
}

/** The rest of a login by SCRAM; gives the step that it leads to. */
function proveBySecret(agent: PostgresAgentLogin, secret: string): ReturnType<PostgresAgentLogin['next']> {
  const scram = new ScramClient({
    password: secret,
    nonce: randomBytes(18),
    binding: undefined,
    serverBinds: false,
  })
  agent.fromClient(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.initialResponse))
  assert.equal(agent.next(), undefined)
  const [challenge] = frames(said(agent))
  assert.equal(challenge?.body.readInt32BE(0), 11)
  agent.fromClient(
    serialize.sendSCRAMClientFinalMessage(scram.respond(challenge?.body.toString('utf8', 4) ?? '')),
  )
  return agent.next()
}

test('a user with a run secret is asked to prove it, on a plain connection too, and never for a password', () => {
  const agent = withSecret()
  const [offer] = frames(said(agent))
  assert.equal(offer?.body.readInt32BE(0), 10)
  assert.equal(offer?.body.toString('latin1', 4), 'SCRAM-SHA-256\0\0')
  assert.deepEqual(proveBySecret(agent, SECRET), {
    kind: 'credentials',
    credentials: { user: 'r-1', password: '', secret: 'proved', database: 'shop', application: undefined },
  })
})

test('a wrong secret is given on as wrong, and refused as the server refuses a password', () => {
  const agent = withSecret()
  said(agent)
  const step = proveBySecret(agent, 'wrong')
  assert.equal(step?.kind === 'credentials' && step.credentials.secret, 'wrong')
  agent.refuse({ kind: 'authentication', message: undefined })
  const [error] = frames(said(agent))
  assert.equal(errorField(error?.body ?? Buffer.alloc(0), 'C'), '28P01')
})

test('a user without a secret is still asked for a token, which needs an encrypted connection', () => {
  const agent = login({ cleartextAllowed: false, verifierOf: () => undefined })
  agent.fromClient(ordinary)
  assert.deepEqual(agent.next(), { kind: 'close' })
  assert.match(serverText(said(agent)), /E\(28000\)/)
})

test('a token in the place of the proof of a secret is not taken', () => {
  const agent = withSecret({ cleartextAllowed: true })
  agent.fromClient(password('a.b.c'))
  assert.throws(() => agent.next(), ProtocolError)
  assert.match(serverText(said(agent)), /^R E\(08P01\)$/)
})

test('channel binding is offered on TLS where the certificate is known, and only there', async () => {
  const { cert } = await selfsigned.generate([{ name: 'commonName', value: 'proxy' }], {
    algorithm: 'sha256',
    keySize: 2048,
  })
  const certificate = new X509Certificate(cert).raw
  const offered = (agent: PostgresAgentLogin): string =>
    frames(said(agent))[0]?.body.toString('latin1', 4) ?? ''
  assert.equal(offered(withSecret({ encrypted: true, certificate })), 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0')
  assert.equal(offered(withSecret({ certificate })), 'SCRAM-SHA-256\0\0')
  assert.equal(offered(withSecret({ encrypted: true })), 'SCRAM-SHA-256\0\0')
})

test('a proof that is longer than any is not collected', () => {
  const agent = withSecret()
  agent.fromClient(frame(0x70, Buffer.alloc(2_000, 0x41)))
  assert.deepEqual(agent.next(), { kind: 'close' })
})
