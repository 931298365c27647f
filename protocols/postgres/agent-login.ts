import { FieldReader } from '../fields.ts'
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
import type { PostgresAnalyser } from './analyser.ts'
import { PostgresBackendLogin } from './backend-login.ts'
import { CANCEL_REQUEST_CODE, type ClientKey, cancelKeyOf, newClientKey } from './cancel.ts'
import { broken, errorResponse, refusalResponse } from './errors.ts'
import { CLIENT, frame, HEADER_BYTES, int32, lengthAt, SERVER } from './frames.ts'
import { endPointBinding } from './scram.ts'
import { ScramFault, ScramServer } from './scram-server.ts'
import { PostgresSession } from './session.ts'
import { isPinnedSearchPath, readStartup, type Startup, StartupRefusal } from './startup.ts'

/**
 * The agent's login, where we are the server:
 *
 *     (SSLRequest ─▶ 'S', TLS) (GSSENCRequest ─▶ 'N') StartupMessage
 *        ─▶ AuthenticationCleartextPassword ─▶ PasswordMessage: the token
 *           or, for a user that has a run secret, AuthenticationSASL ─▶ SCRAM-SHA-256
 *        ─▶ AuthenticationOk, ParameterStatus…, BackendKeyData, ReadyForQuery
 *
 * or TLS from the first byte, or a CancelRequest and nothing else.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */

/** MAX_STARTUP_PACKET_LENGTH of src/include/libpq/pqcomm.h: nobody is known yet, so little is read. */
const STARTUP_BYTES_MAX = 10_000

/** The longest token that is read. */
const PASSWORD_BYTES_MAX = 16_384

/** PG_MAX_SASL_MESSAGE_LENGTH of src/include/libpq/sasl.h. */
const SASL_BYTES_MAX = 1_024

/** AuthenticationRequest codes: src/include/libpq/protocol.h. */
const AUTH = { ok: 0, cleartext: 3, sasl: 10, saslContinue: 11, saslFinal: 12 } as const

const SSL_REQUEST_CODE = 80_877_103
const GSSENC_REQUEST_CODE = 80_877_104

/** The first byte of a TLS record that carries a handshake. As the length of a startup packet it would be 369 MB. */
const TLS_HANDSHAKE_BYTE = 0x16

/** `ALPN` protocol id, which direct TLS must negotiate (CVE-2021-23222 and ALPACA). */
const ALPN = 'postgresql'

/** The newest minor version of protocol 3 that is spoken; 3.1 was never given out. */
const MINOR_VERSION_MAX = 2

type Phase =
  | 'first'
  | 'startup'
  | 'tls'
  | 'password'
  | 'sasl_initial'
  | 'sasl_response'
  | 'credentials'
  | 'judged'
  | 'closed'

export class PostgresAgentLogin implements AgentLogin {
  readonly #options: AgentLoginOptions<PostgresAnalyser>
  readonly #inbox = new Inbox()
  readonly #outbox = new Outbox()
  #phase: Phase = 'first'
  #encrypted = false
  #sslAsked = false
  #gssAsked = false
  #startup: Startup | undefined
  #scram: ScramServer | undefined
  #minorVersion = 0
  #key: ClientKey | undefined
  #backend: PostgresBackendLogin | undefined
  #welcomed = false

  constructor(options: AgentLoginOptions<PostgresAnalyser>) {
    this.#options = options
  }

  get cancelKey(): string | undefined {
    return this.#key?.name
  }

  fromClient(chunk: Buffer): void {
    // Bytes sent in the clear after the request for TLS may be somebody else's (CVE-2021-23214).
    if (this.#phase === 'tls' && chunk.length > 0)
      this.#violation('received unencrypted data after SSL request')
    if (this.#phase !== 'closed') this.#inbox.push(chunk)
    if (this.#phase === 'credentials' || this.#phase === 'judged') this.#boundWaiting()
  }

  takeForClient(): readonly Buffer[] {
    return this.#outbox.take()
  }

  next(): AgentLoginStep | undefined {
    for (;;) {
      switch (this.#phase) {
        case 'closed':
          return { kind: 'close' }
        case 'tls':
        case 'credentials':
        case 'judged':
          return undefined
        case 'first':
        case 'startup': {
          const step = this.#readStartupPacket()
          if (step === 'more') return undefined
          if (step !== undefined) return step
          break
        }
        case 'password':
          return this.#readPassword()
        case 'sasl_initial': {
          if (!this.#readSaslInitial()) return this.#closedStep()
          break
        }
        case 'sasl_response':
          return this.#readSaslResponse()
      }
    }
  }

  tlsStarted(): void {
    this.#encrypted = true
    this.#phase = 'startup'
  }

  refuse(refusal: LoginRefusal): void {
    this.#close(refusalResponse(refusal, this.#startup?.user ?? ''))
  }

  dial(options: BackendLoginOptions): PostgresBackendLogin {
    const { catalog } = this.#knowledge()
    this.#phase = 'judged'
    this.#backend = new PostgresBackendLogin({
      ...options,
      schema: catalog.schema,
      serverVersionNum: catalog.serverVersionNum,
      settings: this.#startup?.settings ?? new Map(),
    })
    return this.#backend
  }

  welcome(): PostgresSession {
    const backend = this.#backend
    if (backend?.next()?.kind !== 'ready' || this.#welcomed)
      throw new Error('welcome() before the backend is ready')
    this.#welcomed = true
    const { random, knowledge } = this.#options
    this.#key = newClientKey(random, this.#minorVersion >= 2 ? 32 : 4)
    if (this.#scram !== undefined)
      this.#outbox.push(frame(SERVER.authentication, int32(AUTH.saslFinal), this.#scram.final))
    this.#outbox.push(frame(SERVER.authentication, int32(AUTH.ok)))
    for (const [name, value] of backend.parameters) {
      // Whatever the login at the backend is: nobody is a superuser here, and pg_dump asks superusers for more.
      const told = name === 'is_superuser' ? 'off' : value
      this.#outbox.push(frame(SERVER.parameterStatus, `${name}\0${told}\0`))
    }
    this.#outbox.push(frame(SERVER.backendKeyData, this.#key.body))
    this.#outbox.push(frame(SERVER.readyForQuery, 'I'))
    return new PostgresSession({
      knowledge,
      reader: this.#knowledge(),
      random,
      parameters: backend.parameters,
      clientInbox: this.#inbox,
      serverInbox: backend.inbox,
    })
  }

  #knowledge(): PostgresAnalyser {
    const knowledge = this.#options.knowledge.current
    if (knowledge === undefined) throw new Error('dial() before the backend is known')
    return knowledge
  }

  /** A client may send ahead what belongs to the session, but only as much as a socket would hold. */
  #boundWaiting(): void {
    if (this.#inbox.length > 4 * PASSWORD_BYTES_MAX)
      this.#violation('too many bytes before the login is over')
  }

  /** `undefined`: go on; `more`: bytes are missing. */
  #readStartupPacket(): AgentLoginStep | 'more' | undefined {
    const inbox = this.#inbox
    if (inbox.length === 0) return 'more'
    if (this.#phase === 'first' && inbox.buffer[inbox.start] === TLS_HANDSHAKE_BYTE) return this.#directTls()
    if (inbox.length < 4) return 'more'
    const length = lengthAt(inbox.buffer, inbox.start)
    if (length < 8 || length > STARTUP_BYTES_MAX) throw broken('client', 'invalid length of startup packet')
    if (inbox.length < length) return 'more'
    const packet = inbox.take(length)
    this.#phase = 'startup'
    const body = packet.subarray(8)
    const code = packet.readUInt32BE(4)
    switch (code) {
      case SSL_REQUEST_CODE:
        return this.#answerSsl(body)
      case GSSENC_REQUEST_CODE:
        if (this.#gssAsked || this.#encrypted || body.length > 0) this.#violation('a misplaced GSSENCRequest')
        this.#gssAsked = true
        this.#outbox.push(Buffer.from('N'))
        return undefined
      case CANCEL_REQUEST_CODE:
        // A process id and a key of up to 256 bytes.
        if (body.length < 8 || body.length > 260) this.#violation('invalid length of cancel request')
        this.#phase = 'closed'
        return { kind: 'cancel', key: cancelKeyOf(body) }
      default:
        return this.#answerStartup(code, body)
    }
  }

  #directTls(): AgentLoginStep {
    if (!this.#options.tlsAvailable) throw broken('client', 'TLS is not available here')
    this.#sslAsked = true
    this.#phase = 'tls'
    return { kind: 'start_tls', rest: this.#inbox.takeAll(), alpn: ALPN }
  }

  #answerSsl(body: Buffer): AgentLoginStep | undefined {
    if (this.#sslAsked || this.#encrypted || body.length > 0) this.#violation('a misplaced SSLRequest')
    this.#sslAsked = true
    if (!this.#options.tlsAvailable) {
      this.#outbox.push(Buffer.from('N'))
      return undefined
    }
    if (this.#inbox.length > 0) this.#violation('received unencrypted data after SSL request')
    this.#outbox.push(Buffer.from('S'))
    this.#phase = 'tls'
    return { kind: 'start_tls', rest: Buffer.alloc(0) }
  }

  #answerStartup(version: number, body: Buffer): undefined {
    try {
      this.#readStartup(version, body)
    } catch (error) {
      if (!(error instanceof StartupRefusal)) throw error
      this.#close(error.response)
    }
  }

  #readStartup(version: number, body: Buffer): void {
    const major = version >>> 16
    const minor = version & 0xffff
    if (major !== 3)
      throw new StartupRefusal({
        code: '0A000', // feature_not_supported
        message: `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.${MINOR_VERSION_MAX}`,
      })
    const startup = readStartup(body)
    const schema = this.#options.knowledge.current?.catalog.schema
    if (startup.searchPath !== undefined && !isPinnedSearchPath(startup.searchPath, schema ?? ''))
      throw new StartupRefusal({ code: '42501', message: 'permission denied to set parameter "search_path"' })
    const verifier = this.#options.verifierOf?.(startup.user)?.scramSha256
    if (verifier === undefined && !this.#encrypted && !this.#options.cleartextAllowed)
      throw new StartupRefusal({
        code: '28000', // invalid_authorization_specification
        message: `connection of user "${startup.user}" refused, no encryption: a token is taken over TLS only`,
        hint: 'connect with sslmode=require',
      })
    this.#startup = startup
    this.#minorVersion = Math.min(minor, MINOR_VERSION_MAX)
    if (minor > MINOR_VERSION_MAX || startup.extensions.length > 0)
      this.#outbox.push(
        frame(
          SERVER.negotiateProtocolVersion,
          int32((3 << 16) | this.#minorVersion),
          int32(startup.extensions.length),
          ...startup.extensions.map((name) => `${name}\0`),
        ),
      )
    if (verifier !== undefined) {
      this.#offerScram(verifier)
      return
    }
    this.#outbox.push(frame(SERVER.authentication, int32(AUTH.cleartext)))
    this.#phase = 'password'
  }

  #offerScram(verifier: SecretVerifier['scramSha256']): void {
    const { certificate, random } = this.#options
    const binding = this.#encrypted && certificate !== undefined ? endPointBinding(certificate) : undefined
    this.#scram = new ScramServer({ verifier, nonce: random(18), binding })
    const mechanisms = `${this.#scram.mechanisms.join('\0')}\0\0`
    this.#outbox.push(frame(SERVER.authentication, int32(AUTH.sasl), mechanisms))
    this.#phase = 'sasl_initial'
  }

  #closedStep(): AgentLoginStep | undefined {
    return this.#phase === 'closed' ? { kind: 'close' } : undefined
  }

  /** The body of a password message; `undefined`: it is not there yet, or the client has left or was told why it must. */
  #takePassword(bytesMax: number): Buffer | undefined {
    const inbox = this.#inbox
    if (inbox.length < HEADER_BYTES) return undefined
    const type = inbox.buffer[inbox.start]
    if (type === CLIENT.terminate) {
      this.#phase = 'closed'
      return undefined
    }
    if (type !== CLIENT.password) this.#violation('expected password response')
    const length = lengthAt(inbox.buffer, inbox.start + 1)
    if (length < 5) this.#violation('invalid length of password packet')
    if (length > bytesMax + 5) {
      this.#close(
        errorResponse({ severity: 'FATAL', code: '28P01', message: 'the password is longer than any token' }),
      )
      return undefined
    }
    if (inbox.length < 1 + length) return undefined
    return inbox.take(1 + length).subarray(HEADER_BYTES)
  }

  #readPassword(): AgentLoginStep | undefined {
    const body = this.#takePassword(PASSWORD_BYTES_MAX)
    if (body === undefined) return this.#closedStep()
    const reader = fields(body)
    const password = reader.untilNul().toString()
    if (reader.remaining > 0) this.#violation('invalid password packet size')
    return this.#shown({ password })
  }

  /** SASLInitialResponse: the mechanism, then the length of what the client says first, and that. */
  #readSaslInitial(): boolean {
    const body = this.#takePassword(SASL_BYTES_MAX)
    if (body === undefined) return false
    const reader = fields(body)
    const mechanism = reader.untilNul().toString('latin1')
    if (reader.remaining < 4 || reader.int32BE() !== reader.remaining)
      this.#violation('malformed SCRAM message')
    const clientFirst = reader.rest().toString()
    const challenge = this.#scrammed((scram) => scram.challenge(mechanism, clientFirst))
    this.#outbox.push(frame(SERVER.authentication, int32(AUTH.saslContinue), challenge))
    this.#phase = 'sasl_response'
    return true
  }

  #readSaslResponse(): AgentLoginStep | undefined {
    const body = this.#takePassword(SASL_BYTES_MAX)
    if (body === undefined) return this.#closedStep()
    const isProved = this.#scrammed((scram) => scram.proves(body.toString()))
    return this.#shown({ password: '', secret: isProved ? 'proved' : 'wrong' })
  }

  #scrammed<T>(step: (scram: ScramServer) => T): T {
    if (this.#scram === undefined) throw new Error('SCRAM was not offered')
    try {
      return step(this.#scram)
    } catch (error) {
      if (!(error instanceof ScramFault)) throw error
      this.#violation(error.message)
    }
  }

  #shown(proof: Pick<AgentCredentials, 'password' | 'secret'>): AgentLoginStep {
    this.#phase = 'credentials'
    const { user, database, application } = this.#startup ?? {
      user: undefined,
      database: undefined,
      application: undefined,
    }
    return { kind: 'credentials', credentials: { user, ...proof, database, application } }
  }

  /** The client speaks the protocol, but wrongly: it is told, as the server would. */
  #violation(message: string): never {
    this.#close(errorResponse({ severity: 'FATAL', code: '08P01', message }))
    throw broken('client', message)
  }

  #close(lastWords: Buffer): void {
    this.#outbox.push(lastWords)
    this.#phase = 'closed'
  }
}

function fields(body: Buffer): FieldReader {
  return new FieldReader(body, { start: 0, end: body.length }, { protocol: 'postgres', side: 'client' })
}
