import assert from 'node:assert/strict'
import { generateKeyPairSync, verify } from 'node:crypto'
import { describe, test } from 'node:test'
import { ProtocolError } from '../../../protocols/errors.ts'
import type { BackendLoginStep, BackendTls } from '../../../protocols/login.ts'
import { decryptPassword, nativePassword, sha2Password } from '../../../protocols/mysql/authentication.ts'
import { MysqlBackendLogin } from '../../../protocols/mysql/backend-login.ts'
import { CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { ed25519Sign } from '../../../protocols/mysql/ed25519.ts'
import { packet } from '../../../protocols/mysql/frames.ts'
import { clientCharacters } from '../../../protocols/mysql/pin.ts'
import {
  CLASSIC,
  completeBackendLogin,
  fixedRandom,
  type ServerOptions,
  serverGreeting,
} from './conversation.ts'
import { KnownTexts } from './known-texts.ts'
import { err, ok, packets, split } from './packets.ts'

const SCRAMBLE = Buffer.from('abcdefghijklmnopqrst')

function begin({
  tls = 'disable' as BackendTls,
  flags = CLASSIC,
  password = 'secret',
} = {}): MysqlBackendLogin {
  const characters = clientCharacters(45)
  assert.ok(characters)
  return new MysqlBackendLogin(
    { user: 'app', password, database: 'crm', tls, applicationName: 'bulkhead r-42', random: fixedRandom },
    { analyser: new KnownTexts(), client: { flags, extended: 0 }, characters },
  )
}

/** Feeds one packet and gives what is sent back. */
function exchange(
  login: MysqlBackendLogin,
  bytes: Buffer,
): { step: BackendLoginStep | undefined; sent: Buffer[] } {
  login.fromServer(bytes)
  const step = login.next()
  return { step, sent: split(Buffer.concat(login.takeForServer())).map(({ body }) => body) }
}

function failure(step: BackendLoginStep | undefined): [string, string] | undefined {
  return step?.kind === 'failed' ? [step.reason, step.message] : undefined
}

/** The server's AuthSwitchRequest. */
const switchTo = (sequence: number, plugin: string, data: Buffer | string): Buffer =>
  packet(sequence, Buffer.of(0xfe), Buffer.from(`${plugin}\0`), Buffer.from(data))
const moreData = (sequence: number, data: Buffer): Buffer => packet(sequence, Buffer.of(1), data)

describe('the proxy proves its password', () => {
  test('by mysql_native_password', () => {
    const { sent } = exchange(begin(), serverGreeting())
    assert.ok(sent[0]?.includes(nativePassword('secret', SCRAMBLE)))
  })

  test('by caching_sha2_password when the server remembers it', () => {
    const login = begin()
    const { sent } = exchange(login, serverGreeting({ plugin: 'caching_sha2_password' }))
    assert.ok(sent[0]?.includes(sha2Password('secret', SCRAMBLE)))
    assert.deepEqual(exchange(login, moreData(2, Buffer.of(3))).sent, [])
    assert.match(exchange(login, packet(3, ok())).sent[0]?.toString() ?? '', /SET NAMES/)
  })

  test('by caching_sha2_password in full: whole over TLS, encrypted by RSA without', () => {
    const secure = begin({ tls: 'require' })
    exchange(secure, serverGreeting({ plugin: 'caching_sha2_password', flags: 0x81bffffe }))
    secure.tlsStarted(undefined)
    secure.takeForServer()
    assert.deepEqual(exchange(secure, moreData(3, Buffer.of(4))).sent, [Buffer.from('secret\0')])

    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const plain = begin()
    exchange(plain, serverGreeting({ plugin: 'caching_sha2_password' }))
    assert.deepEqual(exchange(plain, moreData(2, Buffer.of(4))).sent, [Buffer.of(2)])
    const pem = Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))
    const [cipher] = exchange(plain, moreData(4, pem)).sent
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    assert.equal(decryptPassword(cipher ?? Buffer.alloc(0), SCRAMBLE, key), 'secret')
  })

  test('by sha256_password and mysql_clear_password over TLS, the latter never without', () => {
    for (const plugin of ['sha256_password', 'mysql_clear_password']) {
      const login = begin({ tls: 'require' })
      exchange(login, serverGreeting({ flags: 0x81bffffe }))
      login.tlsStarted(undefined)
      login.takeForServer()
      assert.deepEqual(exchange(login, switchTo(3, plugin, SCRAMBLE)).sent, [Buffer.from('secret\0')])
    }
    const plain = begin()
    exchange(plain, serverGreeting())
    const { step, sent } = exchange(plain, switchTo(2, 'mysql_clear_password', ''))
    assert.deepEqual(failure(step)?.[0], 'unsupported')
    assert.deepEqual(sent, [])
  })

  test('by client_ed25519, with a signature that node:crypto verifies', () => {
    const login = begin()
    exchange(login, serverGreeting())
    // The last byte is a NUL that belongs to the scramble.
    const scramble = Buffer.concat([Buffer.alloc(31, 9), Buffer.of(0)])
    const [signature] = exchange(login, switchTo(2, 'client_ed25519', scramble)).sent
    assert.deepEqual(signature, ed25519Sign(Buffer.from('secret'), scramble))

    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url')
    for (const message of ['', 'a', 'x'.repeat(300)].map((said) => Buffer.from(said))) {
      assert.equal(verify(null, message, publicKey, ed25519Sign(seed, message)), true)
    }
  })

  test('and says which plugin it cannot use', () => {
    const login = begin()
    exchange(login, serverGreeting())
    const { step } = exchange(login, switchTo(2, 'auth_gssapi_client', ''))
    assert.deepEqual(failure(step), [
      'unsupported',
      "the account's authentication plugin auth_gssapi_client is not supported",
    ])
  })
})

describe('the backend connection', () => {
  test('asks only for what the client has, and never for files, several statements or compression', () => {
    const cases = [CLASSIC, CLASSIC | CLIENT.DEPRECATE_EOF | CLIENT.FOUND_ROWS, CLASSIC | CLIENT.IGNORE_SPACE]
    for (const flags of cases) {
      const [response] = exchange(begin({ flags }), serverGreeting({ flags: 0x7fffffff })).sent
      const asked = response?.readUInt32LE(0) ?? 0
      for (const bit of [5, 7, 8, 16, 25, 26, 27, 28]) assert.equal((asked >>> bit) & 1, 0, `bit ${bit}`)
      assert.equal(asked & CLIENT.DEPRECATE_EOF, flags & CLIENT.DEPRECATE_EOF)
      assert.equal(asked & CLIENT.FOUND_ROWS, flags & CLIENT.FOUND_ROWS)
      assert.notEqual(asked & CLIENT.SESSION_TRACK, 0)
    }
  })

  test('is pinned and verified before it is ready', () => {
    const login = begin()
    const sent = completeBackendLogin(login, false)
    assert.equal(login.next()?.kind, 'ready')
    assert.match(
      sent[1] ?? '',
      /^.SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, sql_mode = 'STRICT_TRANS_TABLES'/,
    )
    assert.match(sent[2] ?? '', /^.SELECT @@session.sql_mode/)
    assert.equal(login.handOver().status, 2)
  })

  const otherwise: Readonly<Record<string, ServerOptions>> = {
    'a mode that changes how text is read': { sqlMode: 'ANSI_QUOTES' },
    'another character set': { charset: 'latin1' },
    'another folding of names': { lowerCase: '1' },
  }
  for (const [what, options] of Object.entries(otherwise)) {
    test(`fails where the session turns out to have ${what}`, () => {
      const login = begin()
      completeBackendLogin(login, false, options)
      assert.equal(failure(login.next())?.[0], 'protocol')
    })
  }

  test('fails without session tracking, which is what shows that a pin was broken', () => {
    const { step } = exchange(begin(), serverGreeting({ flags: 0x81bff7fe & ~CLIENT.SESSION_TRACK }))
    assert.equal(failure(step)?.[0], 'unsupported')
  })

  test('uses TLS as told: never, where offered, or not at all without', () => {
    const offers = serverGreeting({ flags: 0x81bffffe })
    assert.equal(exchange(begin({ tls: 'disable' }), offers).step, undefined)
    assert.equal(exchange(begin({ tls: 'prefer' }), offers).step?.kind, 'start_tls')
    assert.equal(exchange(begin({ tls: 'prefer' }), serverGreeting()).step, undefined)
    for (const tls of ['require', 'verify-ca', 'verify-full'] as const) {
      const { step, sent } = exchange(begin({ tls }), serverGreeting())
      assert.equal(failure(step)?.[0], 'tls')
      assert.deepEqual(sent, [])
    }
  })

  test('refuses bytes that came in the clear after TLS was agreed', () => {
    const login = begin({ tls: 'require' })
    exchange(login, Buffer.concat([serverGreeting({ flags: 0x81bffffe }), packet(2, ok())]))
    assert.throws(() => login.tlsStarted(undefined), ProtocolError)
  })

  test('tells a refused account from a refused connection', () => {
    const account = begin()
    exchange(account, serverGreeting())
    assert.equal(
      failure(exchange(account, packet(2, err(1045, 'Access denied'))).step)?.[0],
      'authentication',
    )
    assert.equal(failure(exchange(begin(), packet(0, err(1040, 'Too many'))).step)?.[0], 'refused')
  })

  test('can be told by another one to end its statement', () => {
    const login = begin()
    assert.equal(login.cancel(), undefined)
    completeBackendLogin(login, false)
    const killer = login.cancel()
    assert.ok(killer)
    exchange(killer, serverGreeting())
    const { sent } = exchange(killer, packet(2, ok()))
    assert.deepEqual(sent.map(String), ['\x03KILL QUERY 77'])
    assert.equal(exchange(killer, packets(1, err(1094, 'Unknown thread id'))).step?.kind, 'ready')
  })
})
