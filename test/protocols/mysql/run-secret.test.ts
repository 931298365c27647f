/** A run secret, proved by challenge and response: nothing that crosses the connection is worth keeping. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { AgentLoginOptions, AgentLoginStep } from '../../../protocols/login.ts'
import { MysqlAgentLogin } from '../../../protocols/mysql/agent-login.ts'
import type { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import {
  nativePassword,
  PLUGINS,
  provesSecret,
  sha2Password,
} from '../../../protocols/mysql/authentication.ts'
import { CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { packet } from '../../../protocols/mysql/frames.ts'
import { readGreeting } from '../../../protocols/mysql/handshake.ts'
import { secretVerifier } from '../../../protocols/secret.ts'
import { CLASSIC, type ClientOptions, completeBackendLogin, handshakeResponse } from './conversation.ts'
import { KnownTexts } from './known-texts.ts'
import { inWords, split, uint32 } from './packets.ts'

const SECRET = 'a secret of the run'
const VERIFIER = secretVerifier(SECRET, randomBytes(16))

const OPTIONS: AgentLoginOptions<MysqlAnalyser> = {
  knowledge: { current: new KnownTexts() },
  random: randomBytes,
  connectionId: 5,
  tlsAvailable: false,
  // Off loopback: a token could not cross.
  cleartextAllowed: false,
  verifierOf: (user) => (user === 'r-42' ? VERIFIER : undefined),
}

function begin(options: Partial<AgentLoginOptions<MysqlAnalyser>> = {}): {
  login: MysqlAgentLogin
  scramble: Buffer
} {
  const login = new MysqlAgentLogin({ ...OPTIONS, ...options })
  const [first] = split(Buffer.concat(login.takeForClient()))
  const greeting = readGreeting(first?.body ?? Buffer.alloc(0))
  assert.ok(greeting)
  return { login, scramble: greeting.scramble }
}

function respond(login: MysqlAgentLogin, client: ClientOptions): AgentLoginStep | undefined {
  login.fromClient(packet(1, handshakeResponse(client)))
  return login.next()
}

const said = (login: MysqlAgentLogin): string[] => inWords(Buffer.concat(login.takeForClient()))

function verdict(step: AgentLoginStep | undefined): string | undefined {
  assert.ok(step?.kind === 'credentials', JSON.stringify(step))
  assert.equal(step.credentials.password, '')
  assert.equal(step.credentials.user, 'r-42')
  return step.credentials.secret
}

const PROOFS = { [PLUGINS.sha2]: sha2Password, [PLUGINS.native]: nativePassword } as const

describe('a proof', () => {
  test('is that of the published vectors', () => {
    // go-sql-driver/mysql, auth_test.go, TestScrambleSHA256Pass
    const scramble = Buffer.from('0a2f4a6f4b492230584c724a250d035052021715', 'hex')
    const vectors = {
      secret: 'f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c',
      secret2: 'abc3934a012cf342e876071c8ee202de51785b430258a7a0138bc79c4d800bc6',
    }
    for (const [secret, answer] of Object.entries(vectors)) {
      const verifier = secretVerifier(secret, Buffer.alloc(16))
      assert.ok(provesSecret(PLUGINS.sha2, Buffer.from(answer, 'hex'), scramble, verifier))
    }
  })

  test('holds for the secret and the scramble that it was made of, and for nothing else', () => {
    const plugin = fc.constantFrom(PLUGINS.sha2, PLUGINS.native)
    const secret = fc.string({ minLength: 1, maxLength: 40 })
    const scramble = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(
        plugin,
        secret,
        scramble,
        secret,
        scramble,
        fc.nat(31),
        (chosen, ours, salt, other, stale, at) => {
          const verifier = secretVerifier(ours, Buffer.alloc(16))
          const answer = PROOFS[chosen](ours, salt)
          assert.ok(provesSecret(chosen, answer, salt, verifier))
          const bent = Buffer.from(answer)
          bent[at % bent.length] = (bent[at % bent.length] ?? 0) ^ 1
          for (const wrong of [bent, answer.subarray(1), Buffer.concat([answer, answer]), Buffer.alloc(0)])
            assert.ok(!provesSecret(chosen, wrong, salt, verifier))
          if (other !== ours) assert.ok(!provesSecret(chosen, PROOFS[chosen](other, salt), salt, verifier))
          if (!stale.equals(salt)) assert.ok(!provesSecret(chosen, answer, stale, verifier))
        },
      ),
      { numRuns: 60 },
    )
  })

  test('cannot be made of what is kept', () => {
    const scramble = randomBytes(20)
    const { sha256Twice, sha1Twice, sha256, scramSha256 } = VERIFIER
    // The answer is the once hashed secret under these masks: nothing of what is kept may be that.
    const sha2Mask = createHash('sha256').update(sha256Twice).update(scramble).digest()
    const nativeMask = createHash('sha1').update(scramble).update(sha1Twice).digest()
    for (const kept of [sha256Twice, sha256, scramSha256.storedKey, scramSha256.serverKey, sha1Twice]) {
      const masked = (mask: Buffer): Buffer =>
        Buffer.from(mask.map((byte, index) => byte ^ (kept[index] ?? 0)))
      for (const answer of [kept, masked(sha2Mask)])
        assert.ok(!provesSecret(PLUGINS.sha2, answer, scramble, VERIFIER))
      for (const answer of [kept.subarray(0, 20), masked(nativeMask)])
        assert.ok(!provesSecret(PLUGINS.native, answer, scramble, VERIFIER))
    }
  })
})

describe('a user with a run secret', () => {
  test('proves it by caching_sha2_password without TLS, and is told so before the OK', () => {
    const { login, scramble } = begin()
    assert.equal(verdict(respond(login, { answer: sha2Password(SECRET, scramble) })), 'proved')
    assert.deepEqual(said(login), ['2:DATA 03'])
    const backend = login.dial({
      user: 'app',
      password: 'x',
      database: 'crm',
      tls: 'disable',
      applicationName: 'x',
      random: randomBytes,
    })
    completeBackendLogin(backend, false)
    const session = login.welcome()
    assert.deepEqual(inWords(Buffer.concat(session.takeForClient())), ['3:OK 2'])
  })

  test('proves it by mysql_native_password in the first answer, without a switch', () => {
    for (const flags of [CLASSIC, CLASSIC & ~CLIENT.PLUGIN_AUTH]) {
      const { login, scramble } = begin()
      const client = { flags, plugin: PLUGINS.native, answer: nativePassword(SECRET, scramble) }
      assert.equal(verdict(respond(login, client)), 'proved')
      assert.deepEqual(said(login), [])
    }
  })

  test('is asked anew by mysql_native_password where it took no scramble from the greeting', () => {
    for (const [secret, expected] of [
      [SECRET, 'proved'],
      ['', 'wrong'],
    ] as const) {
      const { login, scramble } = begin()
      assert.equal(respond(login, { plugin: PLUGINS.native, answer: Buffer.alloc(0) }), undefined)
      const [request] = split(Buffer.concat(login.takeForClient()))
      assert.match(request?.body.toString('latin1') ?? '', /^\xfemysql_native_password\0.{20}\0$/s)
      login.fromClient(packet(3, nativePassword(secret, scramble)))
      assert.equal(verdict(login.next()), expected)
      assert.deepEqual(said(login), [])
    }
  })

  test('is switched to caching_sha2_password from any other plugin', () => {
    for (const plugin of ['mysql_clear_password', 'sha256_password', 'client_ed25519', 'dialog']) {
      const { login, scramble } = begin()
      assert.equal(respond(login, { plugin, answer: Buffer.alloc(0) }), undefined)
      const [request] = split(Buffer.concat(login.takeForClient()))
      assert.match(request?.body.toString('latin1') ?? '', /^\xfecaching_sha2_password\0.{20}\0$/s)
      login.fromClient(packet(3, sha2Password(SECRET, scramble)))
      assert.equal(verdict(login.next()), 'proved')
      assert.deepEqual(said(login), ['4:DATA 03'])
    }
  })

  test('proves it over TLS in the same way', () => {
    const { login, scramble } = begin({ tlsAvailable: true })
    login.fromClient(packet(1, Buffer.concat([uint32(CLASSIC | CLIENT.SSL), Buffer.alloc(28)])))
    assert.equal(login.next()?.kind, 'start_tls')
    login.tlsStarted()
    const answer = sha2Password(SECRET, scramble)
    login.fromClient(packet(2, handshakeResponse({ flags: CLASSIC | CLIENT.SSL, answer })))
    assert.equal(verdict(login.next()), 'proved')
  })

  test('who does not know it is refused, and never asked for a password in the clear', () => {
    for (const plugin of [PLUGINS.sha2, PLUGINS.native]) {
      for (const answer of [
        Buffer.alloc(0),
        Buffer.alloc(20, 1),
        Buffer.alloc(32, 1),
        Buffer.from('token\0'),
      ]) {
        if (plugin === PLUGINS.native && answer.length === 0) continue
        const { login } = begin({ cleartextAllowed: true })
        assert.equal(verdict(respond(login, { plugin, answer })), 'wrong')
        assert.deepEqual(said(login), [])
        login.refuse({ kind: 'authentication', message: undefined })
        assert.deepEqual(said(login), ["2:ERR 1045 28000Access denied for user 'r-42'@'bulkhead'"])
        assert.equal(login.next()?.kind, 'close')
      }
    }
  })

  test('cannot use what was overheard of an earlier login', () => {
    const earlier = begin()
    const overheard = sha2Password(SECRET, earlier.scramble)
    const { login } = begin()
    assert.equal(verdict(respond(login, { answer: overheard })), 'wrong')
  })

  test('does not change how users without one log in', () => {
    const { login } = begin()
    assert.equal(respond(login, { user: 'r-43' })?.kind, 'close')
    assert.match(said(login)[0] ?? '', /ERR 1045 28000.*needs TLS/)
  })
})
