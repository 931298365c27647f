/**
 * The backend's side of a login; we are the client.
 *
 *     S  HandshakeV10
 *     C  [SSLRequest, TLS] HandshakeResponse41
 *     S  AuthSwitchRequest, AuthMoreData …     as the account's plugin wants
 *     S  OK
 *     C  SET …                                 pins the session
 *     C  SELECT …                              verifies it
 *
 * A server that is not the one whose catalog the analysis uses, in version or in folding of names, would read
 * statements differently; the login then fails.
 */
import { ProtocolError, unreachable } from '../errors.ts'
import { Inbox } from '../inbox.ts'
import type { BackendLogin, BackendLoginOptions, BackendLoginStep } from '../login.ts'
import { Outbox } from '../outbox.ts'
import type { MysqlAnalyser } from './analyser.ts'
import {
  ed25519Password,
  encryptPassword,
  nativePassword,
  PLUGINS,
  SHA2,
  SHA256_REQUEST_PUBLIC_KEY,
  sha2Password,
  wholePassword,
} from './authentication.ts'
import { Cancels } from './cancels.ts'
import { askedOfBackend, type Capabilities, CLIENT } from './capabilities.ts'
import { COM } from './commands.ts'
import { LoginPackets } from './frames.ts'
import {
  type Greeting,
  handshakeResponseBody,
  readAuthSwitch,
  readGreeting,
  sslRequestBody,
} from './handshake.ts'
import { type ClientCharacters, objection, pinStatement, VERIFY_STATEMENT } from './pin.ts'
import { readError, readOk } from './status.ts'
import { TextRow } from './text-row.ts'

/** Greetings, error messages, RSA keys and our own small results. */
const LOGIN_PACKET_BYTES_MAX = 64 << 10
/** Errors at login that mean the account itself: access denied, no such database, no privilege for it. */
const AUTHENTICATION_ERRORS: ReadonlySet<number> = new Set([1044, 1045, 1049, 1251, 1698, 3118, 4151])

/** For whom a backend connection is opened. */
export type BackendPurpose = {
  readonly analyser: MysqlAnalyser
  readonly client: Capabilities
  readonly characters: ClientCharacters
}

/** What a finished backend login hands to the session. */
export type BackendReady = {
  readonly analyser: MysqlAnalyser
  readonly client: Capabilities
  readonly status: number
  readonly pin: string
  readonly serverInbox: Inbox
  /** Those that are on their way to this connection. */
  readonly cancels: Cancels
}

/** The statement that a connection ends, instead of becoming a session. */
type Kill = { readonly connectionId: number; readonly cancels: Cancels }

type Failure = Extract<BackendLoginStep, { readonly kind: 'failed' }>

type Phase =
  | { readonly at: 'greeting' }
  | { readonly at: 'tls'; readonly greeting: Greeting; readonly asked: Capabilities }
  | { readonly at: 'authentication'; readonly plugin: string; readonly scramble: Buffer }
  | { readonly at: 'pinned' }
  | { readonly at: 'verified'; readonly row: TextRow }
  | { readonly at: 'killed' }
  | { readonly at: 'ready' }
  | { readonly at: 'failed'; readonly failure: Failure }
  | { readonly at: 'handed_over' }

export class MysqlBackendLogin implements BackendLogin {
  readonly #options: BackendLoginOptions
  readonly #purpose: BackendPurpose
  readonly #kill: Kill | undefined
  readonly #cancels = new Cancels()
  readonly #pin: string
  readonly #server = new Outbox()
  #inbox = new Inbox()
  #packets = new LoginPackets(this.#inbox, 'server', LOGIN_PACKET_BYTES_MAX)
  #phase: Phase = { at: 'greeting' }
  #secure = false
  #startTls = false
  #connectionId = 0
  #deprecateEof = false
  #status = 0

  constructor(options: BackendLoginOptions, purpose: BackendPurpose, kill?: Kill) {
    this.#options = options
    this.#purpose = purpose
    this.#kill = kill
    this.#pin = pinStatement(purpose.analyser.catalog.baseSqlMode, purpose.characters)
  }

  fromServer(chunk: Buffer): void {
    this.#inbox.push(chunk)
  }

  takeForServer(): readonly Buffer[] {
    return this.#server.take()
  }

  next(): BackendLoginStep | undefined {
    for (;;) {
      if (this.#startTls) {
        this.#startTls = false
        return { kind: 'start_tls' }
      }
      const phase = this.#phase
      if (phase.at === 'ready') return { kind: 'ready' }
      if (phase.at === 'failed') return phase.failure
      if (phase.at === 'tls' || phase.at === 'handed_over') return undefined
      const body = this.#packets.take()
      if (body === undefined) return undefined
      if (body.length === 0) throw new ProtocolError('mysql', 'server', 'an empty login packet')
      this.#packet(phase, body)
    }
  }

  #packet(phase: Phase, body: Buffer): void {
    if (body.readUInt8(0) === 0xff) {
      this.#refused(phase, body)
      return
    }
    switch (phase.at) {
      case 'greeting':
        this.#greeted(body)
        return
      case 'authentication':
        this.#authenticate(phase, body)
        return
      case 'pinned':
        this.#pinned(body)
        return
      case 'verified':
        this.#verified(phase.row, body)
        return
      case 'killed':
        this.#killed()
        return
      case 'tls':
      case 'ready':
      case 'failed':
      case 'handed_over':
        return
      default:
        unreachable(phase)
    }
  }

  #refused(phase: Phase, body: Buffer): void {
    // The statement to end may be over before we come: ER_NO_SUCH_THREAD.
    if (phase.at === 'killed') {
      this.#killed()
      return
    }
    const { number, message } = readError(body)
    const isAccount = phase.at === 'authentication' && AUTHENTICATION_ERRORS.has(number)
    this.#fail(isAccount ? 'authentication' : 'refused', `${number} ${message}`)
  }

  #fail(reason: Failure['reason'], message: string): void {
    this.#kill?.cancels.ended(this)
    this.#phase = { at: 'failed', failure: { kind: 'failed', reason, message } }
  }

  #greeted(body: Buffer): void {
    const greeting = readGreeting(body)
    if (greeting === undefined) {
      this.#fail('unsupported', 'the server does not speak protocol 10 with authentication plugins')
      return
    }
    const asked = askedOfBackend(this.#purpose.client, greeting.capabilities)
    if (asked === undefined) {
      this.#fail('unsupported', 'the server lacks a capability that the proxy or this client needs')
      return
    }
    this.#connectionId = greeting.connectionId
    this.#deprecateEof = (asked.flags & CLIENT.DEPRECATE_EOF) !== 0
    const offersTls = (greeting.capabilities.flags & CLIENT.SSL) !== 0
    const { tls } = this.#options
    if (tls !== 'disable' && offersTls) {
      const withTls = { ...asked, flags: asked.flags | CLIENT.SSL }
      this.#server.push(this.#packets.make(sslRequestBody(withTls)))
      this.#phase = { at: 'tls', greeting, asked: withTls }
      this.#startTls = true
    } else if (tls === 'disable' || tls === 'prefer') {
      this.#respond(greeting, asked)
    } else {
      this.#fail('tls', 'the server does not offer TLS')
    }
  }

  tlsStarted(_certificate: Buffer | undefined): void {
    const phase = this.#phase
    if (phase.at !== 'tls') throw new Error('TLS started without a request')
    if (this.#inbox.length > 0) {
      throw new ProtocolError('mysql', 'server', 'bytes in the clear after TLS was agreed')
    }
    this.#secure = true
    this.#respond(phase.greeting, phase.asked)
  }

  #respond(greeting: Greeting, capabilities: Capabilities): void {
    const { scramble } = greeting
    // A plugin that must not be used yet, or that we lack, is begun by another; the server then switches.
    const known = greeting.plugin === PLUGINS.native || greeting.plugin === PLUGINS.sha2
    const plugin = known ? greeting.plugin : PLUGINS.native
    this.#phase = { at: 'authentication', plugin, scramble }
    const body = handshakeResponseBody({
      capabilities,
      user: this.#options.user,
      answer: this.#answer(plugin, scramble) ?? Buffer.alloc(0),
      database: this.#options.database,
      plugin,
      attributes: { program_name: this.#options.applicationName, _client_name: 'bulkhead' },
    })
    this.#server.push(this.#packets.make(body))
  }

  get #password(): string {
    return this.#options.password ?? ''
  }

  /** The first answer to a plugin's scramble; `undefined` where the plugin cannot be used on this connection. */
  #answer(plugin: string, scramble: Buffer): Buffer | undefined {
    switch (plugin) {
      case PLUGINS.native:
        return nativePassword(this.#password, scramble)
      case PLUGINS.sha2:
        return sha2Password(this.#password, scramble)
      case PLUGINS.sha256:
        if (this.#password === '') return Buffer.alloc(0)
        return this.#secure ? wholePassword(this.#password) : Buffer.of(SHA256_REQUEST_PUBLIC_KEY)
      case PLUGINS.clear:
        return this.#secure ? wholePassword(this.#password) : undefined
      case PLUGINS.ed25519:
        return ed25519Password(this.#password, scramble)
      default:
        return undefined
    }
  }

  #authenticate(phase: Extract<Phase, { readonly at: 'authentication' }>, body: Buffer): void {
    switch (body.readUInt8(0)) {
      case 0x00:
        this.#loggedIn(body)
        return
      case 0xfe:
        this.#switchPlugin(body)
        return
      case 0x01:
        this.#moreData(phase, body.subarray(1))
        return
      default:
        throw new ProtocolError('mysql', 'server', 'an unknown packet during the login')
    }
  }

  #switchPlugin(body: Buffer): void {
    const wanted = readAuthSwitch(body)
    if (wanted === undefined) {
      this.#fail('unsupported', 'the account uses the authentication of MySQL 4.0')
      return
    }
    const answer = this.#answer(wanted.plugin, wanted.scramble)
    if (answer === undefined) {
      const why = wanted.plugin === PLUGINS.clear ? 'needs TLS toward the backend' : 'is not supported'
      this.#fail('unsupported', `the account's authentication plugin ${wanted.plugin} ${why}`)
      return
    }
    this.#phase = { at: 'authentication', ...wanted }
    this.#server.push(this.#packets.make(answer))
  }

  #moreData(phase: Extract<Phase, { readonly at: 'authentication' }>, data: Buffer): void {
    if (phase.plugin !== PLUGINS.sha2 && phase.plugin !== PLUGINS.sha256) {
      throw new ProtocolError('mysql', 'server', 'authentication data that the plugin does not have')
    }
    const code = data.length === 1 ? data.readUInt8(0) : undefined
    if (code === SHA2.FAST_OK) return
    if (code === SHA2.FULL) {
      const answer = this.#secure ? wholePassword(this.#password) : Buffer.of(SHA2.REQUEST_PUBLIC_KEY)
      this.#server.push(this.#packets.make(answer))
      return
    }
    if (this.#secure) throw new ProtocolError('mysql', 'server', 'an RSA key that was not asked for')
    try {
      const cipher = encryptPassword(this.#password, phase.scramble, data.toString('latin1'))
      this.#server.push(this.#packets.make(cipher))
    } catch {
      this.#fail('protocol', 'the server sent an RSA key that cannot be used')
    }
  }

  #loggedIn(body: Buffer): void {
    this.#status = readOk(body).status
    if (this.#kill !== undefined) {
      this.#query(`KILL QUERY ${this.#kill.connectionId}`)
      this.#phase = { at: 'killed' }
      return
    }
    this.#query(this.#pin)
    this.#phase = { at: 'pinned' }
  }

  #killed(): void {
    this.#kill?.cancels.ended(this)
    this.#phase = { at: 'ready' }
  }

  #query(text: string): void {
    this.#packets.sequence = 0
    this.#server.push(this.#packets.make(Buffer.of(COM.QUERY), Buffer.from(text)))
  }

  #pinned(body: Buffer): void {
    this.#status = readOk(body).status
    this.#query(VERIFY_STATEMENT)
    this.#phase = { at: 'verified', row: new TextRow(this.#deprecateEof) }
  }

  #verified(row: TextRow, body: Buffer): void {
    if (!row.add(body)) return
    const [sqlMode, charsetClient, charsetConnection, lowerCase, database, version] = row.values
    const { catalog, naming } = this.#purpose.analyser
    const objections = [
      objection('sql_mode', sqlMode ?? 'unknown'),
      objection('character_set_client', charsetClient ?? 'unknown'),
      objection('character_set_connection', charsetConnection ?? 'unknown'),
      Number(lowerCase) === catalog.lowerCaseTableNames ? undefined : 'lower_case_table_names differs',
      naming.relation(database ?? '', true) === catalog.database ? undefined : 'the default database differs',
      version === catalog.serverVersion ? undefined : `the server is ${version}`,
    ]
    const found = objections.find((text) => text !== undefined)
    if (found === undefined) this.#phase = { at: 'ready' }
    else this.#fail('protocol', `the session is not what the catalog says: ${found}`)
  }

  cancel(): MysqlBackendLogin | undefined {
    if (this.#connectionId === 0) return undefined
    const cancels = this.#cancels
    const cancel = new MysqlBackendLogin(this.#options, this.#purpose, {
      connectionId: this.#connectionId,
      cancels,
    })
    cancels.begun(cancel)
    return cancel
  }

  /** Gives what the session needs; afterwards this login is over. */
  handOver(): BackendReady {
    if (this.#phase.at !== 'ready') throw new Error('the backend is not ready')
    this.#phase = { at: 'handed_over' }
    const { analyser, client } = this.#purpose
    return {
      analyser,
      client,
      status: this.#status,
      pin: this.#pin,
      serverInbox: this.#inbox,
      cancels: this.#cancels,
    }
  }
}
