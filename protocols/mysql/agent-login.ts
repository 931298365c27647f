/**
 * The agent's side of a login; we are the server.
 *
 *     S  HandshakeV10 (caching_sha2_password)
 *     C  [SSLRequest, TLS] HandshakeResponse41
 *     S  [AuthSwitchRequest, where the client began with another plugin]
 *     S  AuthMoreData 0x04: full authentication, so that the password itself arrives
 *     C  password NUL                          over TLS
 *        or 0x02, then the password encrypted  without TLS, by an RSA key of ours
 *     S  OK, once the backend is ready
 *
 * A user with a run secret proves it by the first answer instead, with or without TLS:
 *
 *     S  [AuthSwitchRequest, where that was no answer by caching_sha2_password or mysql_native_password]
 *     C  hash of the secret and the scramble
 *     S  AuthMoreData 0x03, with caching_sha2_password only
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html
 */
import { unreachable } from '../errors.ts'
import { Inbox } from '../inbox.ts'
import type {
  AgentCredentials,
  AgentLogin,
  AgentLoginOptions,
  AgentLoginStep,
  BackendLoginOptions,
  LoginRefusal,
} from '../login.ts'
import { Outbox } from '../outbox.ts'
import type { SecretVerifier } from '../secret.ts'
import type { MysqlAnalyser } from './analyser.ts'
import {
  decryptPassword,
  makeScramble,
  PLUGINS,
  type ProofPlugin,
  provesSecret,
  publicKeyOf,
  readWholePassword,
  SHA2,
} from './authentication.ts'
import { MysqlBackendLogin } from './backend-login.ts'
import { agreed, type Capabilities, CLIENT, offeredTo } from './capabilities.ts'
import { versionNumberOf } from './catalog.ts'
import { errorPacket, type MysqlError, refusalError } from './errors.ts'
import { LoginPackets } from './frames.ts'
import {
  authMoreDataBody,
  authSwitchBody,
  greetingBody,
  type HandshakeResponse,
  readCapabilities,
  readHandshakeResponse,
  SSL_REQUEST_BYTES,
  UTF8MB4_GENERAL_CI,
} from './handshake.ts'
import { cancelKeyOf } from './kill.ts'
import { clientCharacters } from './pin.ts'
import { MysqlSession } from './session.ts'
import { okBody } from './status.ts'

/** Before login a client is a stranger. Room for a token of 16 KiB and the attributes of a talkative driver. */
const LOGIN_PACKET_BYTES_MAX = 32 << 10
/** The longest token that a password may be. */
const PASSWORD_BYTES_MAX = 16 << 10
const APPLICATION_CHARACTERS_MAX = 64
/** SERVER_STATUS_AUTOCOMMIT: what every session begins with. */
const STATUS_AUTOCOMMIT = 0x0002
/** What a greeting says where no backend was ever reached and for a decoy: a version that drivers know. */
const UNREACHED_SERVER = { flavour: 'mysql', versionNumber: 80406, serverVersion: '8.4.6' } as const

type Phase =
  | { readonly at: 'response' }
  | { readonly at: 'tls' }
  /** The client was asked to use a plugin; its first answer is awaited. */
  | { readonly at: 'switched'; readonly response: HandshakeResponse; readonly plugin: string }
  /** The client was asked to prove a run secret by this plugin. */
  | {
      readonly at: 'challenged'
      readonly response: HandshakeResponse
      readonly plugin: ProofPlugin
      readonly verifier: SecretVerifier
    }
  /** Full authentication was asked for. */
  | { readonly at: 'password'; readonly response: HandshakeResponse }
  /** The password was shown and is being judged. */
  | { readonly at: 'judged'; readonly response: HandshakeResponse }
  | { readonly at: 'dialling'; readonly response: HandshakeResponse; readonly backend: MysqlBackendLogin }
  | { readonly at: 'closing' }
  | { readonly at: 'over' }

export class MysqlAgentLogin implements AgentLogin {
  readonly #options: AgentLoginOptions<MysqlAnalyser>
  readonly #offered: Capabilities
  readonly #scramble: Buffer
  readonly #client = new Outbox()
  #inbox = new Inbox()
  #packets = new LoginPackets(this.#inbox, 'client', LOGIN_PACKET_BYTES_MAX)
  #secure = false
  #phase: Phase = { at: 'response' }
  #user = ''
  #database: string | undefined

  /** MySQL has no cancel request; a client kills by a statement on another connection, which names our greeting's id. */
  readonly cancelKey: string

  constructor(options: AgentLoginOptions<MysqlAnalyser>) {
    this.#options = options
    this.cancelKey = cancelKeyOf(options.connectionId)
    const server = options.knowledge.current?.catalog ?? UNREACHED_SERVER
    this.#offered = offeredTo(server, options.tlsAvailable)
    this.#scramble = makeScramble(options.random)
    const greeting = greetingBody({
      serverVersion: greetedVersion(server),
      connectionId: options.connectionId,
      capabilities: this.#offered,
      collationId: UTF8MB4_GENERAL_CI,
      status: STATUS_AUTOCOMMIT,
      scramble: this.#scramble,
      plugin: PLUGINS.sha2,
    })
    this.#client.push(this.#packets.make(greeting))
  }

  fromClient(chunk: Buffer): void {
    this.#inbox.push(chunk)
  }

  takeForClient(): readonly Buffer[] {
    return this.#client.take()
  }

  next(): AgentLoginStep | undefined {
    for (;;) {
      if (this.#phase.at === 'closing') {
        this.#phase = { at: 'over' }
        return { kind: 'close' }
      }
      if (!this.#awaitsPacket()) return undefined
      const body = this.#packets.take()
      if (body === undefined) return undefined
      const step = this.#packet(body)
      if (step !== undefined) return step
    }
  }

  #awaitsPacket(): boolean {
    const { at } = this.#phase
    return at === 'response' || at === 'switched' || at === 'challenged' || at === 'password'
  }

  #packet(body: Buffer): AgentLoginStep | undefined {
    const phase = this.#phase
    switch (phase.at) {
      case 'response':
        return this.#response(body)
      case 'switched':
        if (phase.plugin === PLUGINS.clear) return this.#cleartext(phase.response, body)
        return this.#askForPassword(phase.response, body)
      case 'challenged':
        return this.#proof(phase.response, phase.plugin, body, phase.verifier)
      case 'password':
        return this.#password(phase.response, body)
      case 'tls':
      case 'judged':
      case 'dialling':
      case 'closing':
      case 'over':
        return undefined
      default:
        return unreachable(phase)
    }
  }

  #response(body: Buffer): AgentLoginStep | undefined {
    const { flags } = readCapabilities(body)
    if ((flags & CLIENT.PROTOCOL_41) === 0) return this.#close(OLD_CLIENT)
    if (flags & CLIENT.SSL && !this.#secure && body.length === SSL_REQUEST_BYTES) return this.#startTls()
    const response = readHandshakeResponse(body)
    this.#user = response.user
    this.#database = response.database
    const characters = clientCharacters(response.collationId)
    if (characters === undefined) return this.#close(unknownCharacterSet(response.collationId))
    const verifier = this.#options.verifierOf?.(response.user)
    if (verifier !== undefined) return this.#challenge(response, verifier)
    if ((flags & CLIENT.PLUGIN_AUTH) === 0) return this.#close(OLD_CLIENT)
    if (!this.#secure && !this.#options.cleartextAllowed) return this.#close(this.#tlsNeeded())
    switch (response.plugin) {
      case PLUGINS.sha2:
        return this.#askForPassword(response, response.answer)
      case PLUGINS.clear:
        if (response.answer.length > 0) return this.#cleartext(response, response.answer)
        return this.#switchTo(PLUGINS.clear, response)
      default:
        return this.#switchTo(PLUGINS.sha2, response)
    }
  }

  /** The first answer may be a proof already: it answers the scramble of the greeting. */
  #challenge(response: HandshakeResponse, verifier: SecretVerifier): AgentLoginStep | undefined {
    // Clients that name no plugin know only this one.
    const { plugin: named = PLUGINS.native, answer } = response
    const plugin = named === PLUGINS.native ? PLUGINS.native : PLUGINS.sha2
    // Some do not take the scramble of the greeting for another plugin than the greeting's, and answer nothing.
    const isAnswer = named === PLUGINS.sha2 || (named === PLUGINS.native && answer.length > 0)
    if (isAnswer) return this.#proof(response, plugin, answer, verifier)
    this.#client.push(this.#packets.make(authSwitchBody(plugin, this.#scramble)))
    this.#phase = { at: 'challenged', response, plugin, verifier }
    return undefined
  }

  #proof(
    response: HandshakeResponse,
    plugin: ProofPlugin,
    answer: Buffer,
    verifier: SecretVerifier,
  ): AgentLoginStep {
    const isProved = provesSecret(plugin, answer, this.#scramble, verifier)
    if (isProved && plugin === PLUGINS.sha2)
      this.#client.push(this.#packets.make(authMoreDataBody(Buffer.of(SHA2.FAST_OK))))
    return this.#credentials(response, '', isProved ? 'proved' : 'wrong')
  }

  #startTls(): AgentLoginStep | undefined {
    if (!this.#options.tlsAvailable) return this.#close(NO_TLS)
    this.#phase = { at: 'tls' }
    // Drivers send the ClientHello in the same segment; it is never read as a packet of ours.
    return { kind: 'start_tls', rest: this.#inbox.takeAll() }
  }

  tlsStarted(): void {
    if (this.#phase.at !== 'tls') throw new Error('TLS started without a request')
    const { sequence } = this.#packets
    this.#inbox = new Inbox()
    this.#packets = new LoginPackets(this.#inbox, 'client', LOGIN_PACKET_BYTES_MAX)
    this.#packets.sequence = sequence
    this.#secure = true
    this.#phase = { at: 'response' }
  }

  #switchTo(plugin: string, response: HandshakeResponse): undefined {
    this.#client.push(this.#packets.make(authSwitchBody(plugin, this.#scramble)))
    this.#phase = { at: 'switched', response, plugin }
  }

  /** @param answer the client's first answer: no proof that could be checked here, but empty without a password */
  #askForPassword(response: HandshakeResponse, answer: Buffer): AgentLoginStep | undefined {
    if (answer.length === 0) return this.#credentials(response, '')
    if (!this.#secure && this.#options.rsaPrivateKey === undefined) return this.#close(this.#tlsNeeded())
    this.#client.push(this.#packets.make(authMoreDataBody(Buffer.of(SHA2.FULL))))
    this.#phase = { at: 'password', response }
    return undefined
  }

  #password(response: HandshakeResponse, body: Buffer): AgentLoginStep | undefined {
    const { rsaPrivateKey } = this.#options
    if (this.#secure || rsaPrivateKey === undefined) return this.#cleartext(response, body)
    if (body.length === 1 && body.readUInt8(0) === SHA2.REQUEST_PUBLIC_KEY) {
      this.#client.push(this.#packets.make(authMoreDataBody(publicKeyOf(rsaPrivateKey))))
      return undefined
    }
    // A driver that takes the connection for a safe one sends the password as it would over TLS.
    const password = decryptPassword(body, this.#scramble, rsaPrivateKey) ?? readWholePassword(body)
    if (password === undefined) return this.#close(this.#denied('the password is not a token'))
    return this.#credentials(response, password)
  }

  #cleartext(response: HandshakeResponse, body: Buffer): AgentLoginStep | undefined {
    // Some drivers leave out the NUL of mysql_clear_password.
    const password = readWholePassword(body) ?? (body.includes(0) ? undefined : body.toString('utf8'))
    if (password === undefined || body.length > PASSWORD_BYTES_MAX + 1) {
      return this.#close(this.#denied('the password is not a token'))
    }
    return this.#credentials(response, password)
  }

  #credentials(
    response: HandshakeResponse,
    password: string,
    secret?: AgentCredentials['secret'],
  ): AgentLoginStep {
    this.#phase = { at: 'judged', response }
    const credentials: AgentCredentials = {
      user: response.user,
      password,
      ...(secret !== undefined && { secret }),
      database: response.database,
      application: response.programName?.slice(0, APPLICATION_CHARACTERS_MAX),
    }
    return { kind: 'credentials', credentials }
  }

  refuse(refusal: LoginRefusal): void {
    this.#fail(refusalError(refusal, this.#user, this.#database))
  }

  #tlsNeeded(): MysqlError {
    return this.#denied('a token needs TLS: connect with ssl enabled (`ssl: {}`, `--ssl`, `sslMode=require`)')
  }

  #denied(message: string): MysqlError {
    return refusalError({ kind: 'authentication', message }, this.#user, this.#database)
  }

  #fail(error: MysqlError): void {
    this.#client.push(errorPacket(this.#packets.sequence, error))
    this.#phase = { at: 'closing' }
  }

  #close(error: MysqlError): undefined {
    this.#fail(error)
  }

  dial(options: BackendLoginOptions): MysqlBackendLogin {
    const phase = this.#phase
    const analyser = this.#options.knowledge.current
    if (phase.at !== 'judged' || analyser === undefined)
      throw new Error('dial() before the credentials are judged')
    const { response } = phase
    const characters = clientCharacters(response.collationId)
    if (characters === undefined) throw new Error('a character set that was refused before')
    const client = agreed(this.#offered, response.capabilities)
    const backend = new MysqlBackendLogin(options, { analyser, client, characters })
    this.#phase = { at: 'dialling', response, backend }
    return backend
  }

  welcome(): MysqlSession {
    const phase = this.#phase
    if (phase.at !== 'dialling') throw new Error('welcome() before dial()')
    const ready = phase.backend.handOver()
    this.#phase = { at: 'over' }
    const welcome = this.#packets.make(okBody(ready.status))
    return new MysqlSession({
      ...ready,
      knowledge: this.#options.knowledge,
      user: this.#user,
      clientInbox: this.#inbox,
      welcome,
    })
  }
}

const OLD_CLIENT: MysqlError = {
  number: 1251,
  sqlState: '08004',
  message:
    'Client does not support authentication protocol requested by server; ' +
    'use a driver with caching_sha2_password and TLS',
}

const NO_TLS: MysqlError = {
  number: 1045,
  sqlState: '28000',
  message: 'This listener has no certificate: connect without TLS',
}

function unknownCharacterSet(collationId: number): MysqlError {
  const message = `Unknown character set: '#${collationId}': connect with utf8mb4`
  return { number: 1115, sqlState: '42000', message }
}

/** MariaDB 10 hides behind 5.5.5, because old clients read only the first digit; drivers look for the prefix. */
function greetedVersion(server: {
  readonly flavour: 'mysql' | 'mariadb'
  readonly serverVersion: string
}): string {
  const { flavour, serverVersion } = server
  const hides = flavour === 'mariadb' && versionNumberOf(serverVersion) < 110000
  return hides && !serverVersion.startsWith('5.5.5-') ? `5.5.5-${serverVersion}` : serverVersion
}
