import assert from 'node:assert/strict'
import { constants, createPublicKey, generateKeyPairSync, publicEncrypt } from 'node:crypto'
import { describe, test } from 'node:test'
import { ProtocolError } from '../../../protocols/errors.ts'
import type { AgentLoginOptions, AgentLoginStep } from '../../../protocols/login.ts'
import { MysqlAgentLogin } from '../../../protocols/mysql/agent-login.ts'
import type { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import { encryptPassword } from '../../../protocols/mysql/authentication.ts'
import { CLIENT, MARIADB_CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { packet } from '../../../protocols/mysql/frames.ts'
import { readGreeting } from '../../../protocols/mysql/handshake.ts'
import { CLASSIC, type ClientOptions, fixedRandom, handshakeResponse } from './conversation.ts'
import { KnownTexts } from './known-texts.ts'
import { inWords, lenenc, split, text, uint32 } from './packets.ts'

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const RSA = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const TOKEN = `eyJ${'x'.repeat(900)}`

/** What each listener of these tests allows; the first three are what the product has. */
const OVER_TLS = { tlsAvailable: true, cleartextAllowed: false }
const LOOPBACK = { tlsAvailable: false, cleartextAllowed: true }
const LOOPBACK_RSA = { ...LOOPBACK, rsaPrivateKey: RSA }

function begin(options: Partial<AgentLoginOptions<MysqlAnalyser>> = LOOPBACK): MysqlAgentLogin {
  return new MysqlAgentLogin({
    knowledge: { current: new KnownTexts() },
    random: fixedRandom,
    connectionId: 5,
    ...{ tlsAvailable: false, cleartextAllowed: false },
    ...options,
  })
}

function greetingOf(login: MysqlAgentLogin): NonNullable<ReturnType<typeof readGreeting>> {
  const [first] = split(Buffer.concat(login.takeForClient()))
  const greeting = readGreeting(first?.body ?? Buffer.alloc(0))
  assert.ok(greeting)
  return greeting
}

/** The client's first packet, straight or after TLS was asked for. */
function respond(login: MysqlAgentLogin, client: ClientOptions, tls: boolean): AgentLoginStep | undefined {
  const flags = client.flags ?? CLASSIC
  if (!tls) {
    login.fromClient(packet(1, handshakeResponse(client)))
    return login.next()
  }
  const sslRequest = Buffer.concat([uint32(flags | CLIENT.SSL), Buffer.alloc(28)])
  login.fromClient(Buffer.concat([packet(1, sslRequest), Buffer.from('ClientHello')]))
  assert.deepEqual(login.next(), { kind: 'start_tls', rest: Buffer.from('ClientHello') })
  login.tlsStarted()
  login.fromClient(packet(2, handshakeResponse({ ...client, flags: flags | CLIENT.SSL })))
  return login.next()
}

const said = (login: MysqlAgentLogin): string[] => inWords(Buffer.concat(login.takeForClient()))

function passwordOf(step: AgentLoginStep | undefined): string | undefined {
  return step?.kind === 'credentials' ? step.credentials.password : undefined
}

describe('the greeting', () => {
  test('says the version of the backend and offers caching_sha2_password', () => {
    const greeting = greetingOf(begin())
    assert.equal(greeting.serverVersion, '5.5.5-10.11.19-MariaDB')
    assert.equal(greeting.plugin, 'caching_sha2_password')
    assert.equal(greeting.connectionId, 5)
    assert.equal(greeting.scramble.length, 20)
    assert.equal(greeting.scramble.includes(0), false)
  })

  test('never offers what would change the layout or the reading of statements', () => {
    const { flags } = greetingOf(begin({ ...OVER_TLS, ...LOOPBACK_RSA })).capabilities
    // COMPRESS, LOCAL_FILES, MULTI_STATEMENTS, OPTIONAL_RESULTSET_METADATA, ZSTD, QUERY_ATTRIBUTES, MULTI_FACTOR
    for (const bit of [5, 7, 16, 25, 26, 27, 28]) assert.equal((flags >>> bit) & 1, 0, `bit ${bit}`)
  })

  test('offers TLS only where there is a certificate', () => {
    assert.equal(greetingOf(begin(LOOPBACK)).capabilities.flags & CLIENT.SSL, 0)
    assert.notEqual(greetingOf(begin(OVER_TLS)).capabilities.flags & CLIENT.SSL, 0)
  })

  test('has the extended flags of MariaDB only where MariaDB is behind', () => {
    const maria = greetingOf(begin()).capabilities
    assert.equal(maria.flags & CLIENT.MYSQL, 0)
    assert.equal(maria.extended, MARIADB_CLIENT.EXTENDED_METADATA | MARIADB_CLIENT.STMT_BULK)
    const mysql = new KnownTexts({ flavour: 'mysql', serverVersion: '8.4.6', versionNumber: 80406 })
    const other = greetingOf(begin({ ...LOOPBACK, knowledge: { current: mysql } }))
    assert.notEqual(other.capabilities.flags & CLIENT.MYSQL, 0)
    assert.equal(other.serverVersion, '8.4.6')
  })

  test('is that of an ordinary server where no backend was ever reached', () => {
    const login = begin({ ...LOOPBACK, knowledge: { current: undefined } })
    assert.match(greetingOf(login).serverVersion, /^\d+\.\d+\.\d+$/)
  })
})

describe('a token arrives whole', () => {
  test('over TLS by caching_sha2_password, whatever the client sent first', () => {
    const login = begin(OVER_TLS)
    login.takeForClient()
    assert.equal(respond(login, {}, true), undefined)
    assert.deepEqual(said(login), ['3:DATA 04'])
    login.fromClient(packet(4, Buffer.from(`${TOKEN}\0`)))
    assert.deepEqual(login.next(), {
      kind: 'credentials',
      credentials: { user: 'r-42', password: TOKEN, database: 'crm', application: undefined },
    })
  })

  test('over TLS from a client that began with mysql_native_password, after a switch', () => {
    const login = begin(OVER_TLS)
    login.takeForClient()
    assert.equal(respond(login, { plugin: 'mysql_native_password' }, true), undefined)
    const [request] = split(Buffer.concat(login.takeForClient()))
    assert.match(request?.body.toString('latin1') ?? '', /^\xfecaching_sha2_password\0.{20}\0$/s)
    login.fromClient(packet(4, Buffer.alloc(32, 1)))
    assert.equal(login.next(), undefined)
    assert.deepEqual(said(login), ['5:DATA 04'])
    login.fromClient(packet(6, Buffer.from(`${TOKEN}\0`)))
    assert.equal(passwordOf(login.next()), TOKEN)
  })

  test('by mysql_clear_password from a client that has it for its own, at once or after a switch', () => {
    for (const answer of [Buffer.from('t\0'), Buffer.alloc(0)]) {
      const login = begin(OVER_TLS)
      login.takeForClient()
      let step = respond(login, { plugin: 'mysql_clear_password', answer }, true)
      if (step === undefined) {
        assert.match(said(login)[0] ?? '', /END/)
        login.fromClient(packet(4, Buffer.from('t\0')))
        step = login.next()
      }
      assert.equal(passwordOf(step), 't')
    }
  })

  test('without TLS encrypted by the key that the listener has for this', () => {
    const login = begin(LOOPBACK_RSA)
    const { scramble } = greetingOf(login)
    assert.equal(respond(login, {}, false), undefined)
    assert.deepEqual(said(login), ['2:DATA 04'])
    login.fromClient(packet(3, Buffer.of(2)))
    assert.equal(login.next(), undefined)
    const [answer] = split(Buffer.concat(login.takeForClient()))
    const pem = answer?.body.subarray(1).toString() ?? ''
    assert.match(pem, /^-----BEGIN PUBLIC KEY-----/)
    login.fromClient(packet(5, encryptPassword('a token', scramble, pem)))
    assert.equal(passwordOf(login.next()), 'a token')
  })

  test('and what the key cannot decrypt is no token', () => {
    const login = begin(LOOPBACK_RSA)
    const { scramble } = greetingOf(login)
    respond(login, {}, false)
    login.takeForClient()
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    const key = createPublicKey(RSA)
    // Text without the NUL that ends a password, under this scramble: under another it might have one.
    const unended = Buffer.from('no end').map((byte, index) => byte ^ scramble.readUInt8(index))
    login.fromClient(packet(3, publicEncrypt({ key, padding }, unended)))
    assert.equal(login.next()?.kind, 'close')
    assert.match(said(login)[0] ?? '', /ERR 1045 28000/)
  })

  test('with the name of the application, cut to 64 characters', () => {
    const login = begin()
    login.takeForClient()
    const attributes = Buffer.concat([text('_os'), text('x'), text('program_name'), text('agent'.repeat(20))])
    const response = Buffer.concat([
      handshakeResponse({
        flags: CLASSIC | CLIENT.CONNECT_ATTRS,
        plugin: 'mysql_clear_password',
        answer: Buffer.from('t\0'),
      }),
      lenenc(attributes.length),
      attributes,
    ])
    login.fromClient(packet(1, response))
    const step = login.next()
    assert.ok(step?.kind === 'credentials')
    assert.equal(step.credentials.application, 'agent'.repeat(20).slice(0, 64))
  })

  test('an empty password is shown as such, to be refused as any other', () => {
    const login = begin()
    assert.equal(passwordOf(respond(login, { answer: Buffer.alloc(0) }, false)), '')
  })
})

describe('a login is refused', () => {
  const refused: Readonly<
    Record<string, { readonly options?: object; readonly client?: ClientOptions; readonly error: RegExp }>
  > = {
    'without TLS where a token may not cross in the clear': {
      options: { tlsAvailable: true, cleartextAllowed: false },
      error: /ERR 1045 28000.*needs TLS/,
    },
    'without TLS on loopback where the client would send only a hash': { error: /ERR 1045 28000.*needs TLS/ },
    'with a character set in which text reads in two ways': {
      client: { collation: 28 },
      error: /ERR 1115 42000Unknown character set: '#28'/,
    },
    'from a client without authentication plugins': {
      client: { flags: CLASSIC & ~CLIENT.PLUGIN_AUTH },
      error: /ERR 1251 08004/,
    },
    'from a client of MySQL 4.0': {
      client: { flags: CLASSIC & ~CLIENT.PROTOCOL_41 },
      error: /ERR 1251 08004/,
    },
  }
  for (const [when, { options, client, error }] of Object.entries(refused)) {
    test(when, () => {
      const login = begin({ ...LOOPBACK, ...options })
      login.takeForClient()
      assert.equal(respond(login, client ?? {}, false)?.kind, 'close')
      assert.match(said(login)[0] ?? '', error)
      assert.equal(login.next(), undefined)
    })
  }

  test("in the database's own words, by kind", () => {
    const words = {
      authentication: /ERR 1045 28000Access denied for user 'r-42'@'bulkhead': no/,
      database: /ERR 1044 42000Access denied for user 'r-42'@'bulkhead' to database 'crm': no/,
      backend_unavailable: /ERR 1053 08S01Server not available: no/,
      too_many_connections: /ERR 1040 08004Too many connections: no/,
    } as const
    for (const kind of [
      'authentication',
      'database',
      'backend_unavailable',
      'too_many_connections',
    ] as const) {
      const login = begin()
      login.takeForClient()
      respond(login, { plugin: 'mysql_clear_password', answer: Buffer.from('t\0') }, false)
      login.refuse({ kind, message: 'no' })
      assert.equal(login.next()?.kind, 'close')
      assert.match(said(login)[0] ?? '', words[kind])
    }
  })
})

describe('a stranger', () => {
  test('cannot make us keep much: a large packet before login is the end', () => {
    const login = begin()
    login.fromClient(Buffer.of(0xff, 0xff, 0xff, 1))
    assert.throws(() => login.next(), ProtocolError)
  })

  test('who is out of order is cut off', () => {
    const login = begin()
    login.fromClient(packet(3, handshakeResponse()))
    assert.throws(() => login.next(), ProtocolError)
  })

  test('whose lengths lie is cut off', () => {
    const login = begin()
    const whole = handshakeResponse()
    login.fromClient(packet(1, whole.subarray(0, whole.length - 60)))
    assert.throws(() => login.next(), ProtocolError)
  })

  test('cannot put bytes in front of TLS: they belong to the TLS handshake', () => {
    const login = begin(OVER_TLS)
    const injected = packet(2, handshakeResponse({ user: 'injected' }))
    const sslRequest = Buffer.concat([uint32(CLASSIC | CLIENT.SSL), Buffer.alloc(28)])
    login.fromClient(Buffer.concat([packet(1, sslRequest), injected]))
    assert.deepEqual(login.next(), { kind: 'start_tls', rest: injected })
    login.tlsStarted()
    assert.equal(login.next(), undefined)
  })
})
