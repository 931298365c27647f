import { createHash } from 'node:crypto'
import { serialize } from 'pg-protocol'
import type { ProtocolError } from '../errors.ts'
import { FieldReader } from '../fields.ts'
import { Inbox } from '../inbox.ts'
import type { BackendLogin, BackendLoginOptions, BackendLoginStep } from '../login.ts'
import { Outbox } from '../outbox.ts'
import { cancelRequest } from './cancel.ts'
import { broken, readServerError } from './errors.ts'
import { HEADER_BYTES, lengthAt, SERVER, typeName, WHOLE_LENGTH_MAX } from './frames.ts'
import { endPointBinding, ScramClient, ScramError } from './scram.ts'

/**
 * Our login at the backend, as the client:
 *
 *     SSLRequest ─▶ 'S' ─▶ (TLS) ─▶ StartupMessage ─▶ Authentication… ─▶ ParameterStatus… BackendKeyData Z
 *
 * What the session pins is put into the startup packet, because `RESET` and `DISCARD ALL` return to that.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
export type PostgresBackendOptions = BackendLoginOptions & {
  /** The one schema of the pinned search path. */
  readonly schema: string
  /** Which server this is (`server_version_num`): from 18 on, protocol 3.2 with its longer cancel keys is used. */
  readonly serverVersionNum: number
  /** Settings that the client put into its own startup packet, already judged. */
  readonly settings: ReadonlyMap<string, string>
}

/** Settings that decide how a text is read: `RESET` must lead to them, and a report of another value ends the session. */
const PINNED = {
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  server_encoding: 'UTF8',
} as const

/** The longest secret key of a BackendKeyData: 256 bytes, since protocol 3.2. */
const CANCEL_KEY_BYTES_MAX = 256

/** A server reports about 15 settings; more than this many is no PostgreSQL. */
const PARAMETERS_MAX = 200

/** AuthenticationRequest codes: src/include/libpq/protocol.h. */
const AUTH = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const

type Phase =
  | { readonly at: 'tls_reply' }
  | { readonly at: 'tls' }
  | { readonly at: 'authentication' }
  | { readonly at: 'scram'; readonly scram: ScramClient; readonly verified: boolean }
  /** Authenticated: the settings and the key are coming. */
  | { readonly at: 'settings' }
  | { readonly at: 'over'; readonly step: BackendLoginStep }

type Failure = Extract<BackendLoginStep, { kind: 'failed' }>

export class PostgresBackendLogin implements BackendLogin {
  /** Bytes of the server that this login has not consumed; the session takes them over. */
  readonly inbox = new Inbox()
  /** What the server reported, by name. */
  readonly parameters = new Map<string, string>()
  readonly #outbox = new Outbox()
  readonly #options: PostgresBackendOptions
  #phase: Phase
  #encrypted = false
  #binding: Buffer | undefined
  #key: { readonly processId: number; readonly secret: Buffer } | undefined

  constructor(options: PostgresBackendOptions) {
    this.#options = options
    if (options.tls === 'disable') {
      this.#phase = { at: 'authentication' }
      this.#sendStartup()
    } else {
      this.#phase = { at: 'tls_reply' }
      this.#outbox.push(serialize.requestSsl())
    }
  }

  fromServer(chunk: Buffer): void {
    this.inbox.push(chunk)
  }

  takeForServer(): readonly Buffer[] {
    return this.#outbox.take()
  }

  next(): BackendLoginStep | undefined {
    for (;;) {
      switch (this.#phase.at) {
        case 'over':
          return this.#phase.step
        case 'tls':
          if (this.inbox.length === 0) return undefined
          return this.#fail('protocol', 'the backend sent bytes before the TLS handshake')
        case 'tls_reply': {
          if (this.inbox.length === 0) return undefined
          const step = this.#readTlsReply()
          if (step !== undefined) return step
          break
        }
        default:
          if (!this.#readFrame()) return undefined
      }
    }
  }

  tlsStarted(certificate: Buffer | undefined): void {
    this.#encrypted = true
    this.#binding = certificate === undefined ? undefined : endPointBinding(certificate)
    this.#phase = { at: 'authentication' }
    this.#sendStartup()
  }

  cancel(): BackendLogin | undefined {
    return this.#key === undefined
      ? undefined
      : new PostgresCancel(cancelRequest(this.#key.processId, this.#key.secret), this.#encrypted)
  }

  #readTlsReply(): BackendLoginStep | undefined {
    const [reply] = this.inbox.take(1)
    const { tls } = this.#options
    if (reply === 0x53) {
      // Bytes that came with the answer were not encrypted: somebody else may have put them there (CVE-2021-23222).
      if (this.inbox.length > 0)
        return this.#fail('protocol', 'the backend sent bytes before the TLS handshake')
      this.#phase = { at: 'tls' }
      return { kind: 'start_tls' }
    }
    if (reply !== 0x4e) return this.#fail('protocol', 'the backend does not answer like PostgreSQL')
    if (tls !== 'prefer')
      return this.#fail('tls', `the backend offers no TLS, and the configuration says ${tls}`)
    this.#phase = { at: 'authentication' }
    this.#sendStartup()
    return undefined
  }

  #sendStartup(): void {
    const { user, database, applicationName, schema, settings, serverVersionNum } = this.#options
    const packet = serialize.startup({
      user,
      database,
      ...Object.fromEntries(settings),
      application_name: applicationName,
      standard_conforming_strings: PINNED.standard_conforming_strings,
      // pg_temp last: where it is not listed it is searched first, and a temporary table would capture a name.
      search_path: `"${schema.replaceAll('"', '""')}", pg_temp`,
    })
    // The serializer speaks 3.0 only (and adds client_encoding itself): the version follows the length.
    if (serverVersionNum >= 180_000) packet.writeUInt32BE(PROTOCOL_3_2, 4)
    this.#outbox.push(packet)
  }

  /** True: a frame was consumed. */
  #readFrame(): boolean {
    const { inbox } = this
    if (inbox.length < HEADER_BYTES) return false
    const type = inbox.buffer[inbox.start] as number
    const length = lengthAt(inbox.buffer, inbox.start + 1)
    if (length < 4 || length > WHOLE_LENGTH_MAX) {
      this.#fail('protocol', 'the backend does not answer like PostgreSQL')
      return true
    }
    if (inbox.length < 1 + length) return false
    const body = inbox.take(1 + length).subarray(HEADER_BYTES)
    try {
      this.#read(type, body)
    } catch (error) {
      if (!(error instanceof ScramError) && (error as ProtocolError).code !== 'PROTOCOL_ERROR') throw error
      this.#fail(error instanceof ScramError ? 'authentication' : 'protocol', (error as Error).message)
    }
    return true
  }

  #read(type: number, body: Buffer): void {
    switch (type) {
      case SERVER.errorResponse: {
        const { code, message } = readServerError(body)
        this.#fail(code.startsWith('28') ? 'authentication' : 'refused', `${code} ${message}`)
        return
      }
      case SERVER.noticeResponse:
        return
      case SERVER.negotiateProtocolVersion:
        // An older server steps down to the version that it has. Whatever that is, 3.0 is understood by us.
        if (fields(body).int32BE() >>> 16 === 3) return
        throw broken('server', 'the backend offers another protocol than version 3')
      case SERVER.authentication:
        this.#authenticate(fields(body))
        return
    }
    if (this.#phase.at !== 'settings') throw broken('server', 'the backend skips authentication')
    switch (type) {
      case SERVER.parameterStatus: {
        const reader = fields(body)
        const name = reader.untilNul().toString()
        this.parameters.set(name, reader.untilNul().toString())
        if (this.parameters.size > PARAMETERS_MAX)
          throw broken('server', 'the backend reports too many settings')
        return
      }
      case SERVER.backendKeyData: {
        const reader = fields(body)
        const processId = reader.uint32BE()
        const secret = Buffer.from(reader.rest())
        if (secret.length < 4 || secret.length > CANCEL_KEY_BYTES_MAX)
          throw broken('server', 'a cancel key of impossible length')
        this.#key = { processId, secret }
        return
      }
      case SERVER.readyForQuery:
        this.#finish(body)
        return
      default:
        throw broken('server', `an unexpected message \`${typeName(type)}\` during login`)
    }
  }

  #authenticate(reader: FieldReader): void {
    const code = reader.int32BE()
    const phase = this.#phase
    if (phase.at === 'scram') {
      if (code === AUTH.saslContinue && !phase.verified) {
        const answer = phase.scram.respond(reader.rest().toString())
        this.#outbox.push(serialize.sendSCRAMClientFinalMessage(answer))
        return
      }
      if (code === AUTH.saslFinal && !phase.verified) {
        phase.scram.verify(reader.rest().toString())
        this.#phase = { at: 'scram', scram: phase.scram, verified: true }
        return
      }
      // Without its proof an impostor could let us in and lie to the agent.
      if (code !== AUTH.ok || !phase.verified) throw broken('server', 'the backend left SCRAM halfway')
      this.#phase = { at: 'settings' }
      return
    }
    if (phase.at !== 'authentication') throw broken('server', 'the backend authenticates twice')
    if (code === AUTH.ok) this.#phase = { at: 'settings' }
    else this.#prove(code, reader)
  }

  #prove(code: number, reader: FieldReader): void {
    const { password, user, tls, random } = this.#options
    if (password === undefined) {
      this.#fail('authentication', 'the backend asks for a password and none is configured')
      return
    }
    switch (code) {
      case AUTH.cleartext:
        // `disable` is the operator's word that the path is safe; under `prefer` anyone could have turned TLS off.
        if (!this.#encrypted && tls !== 'disable') {
          this.#fail('unsupported', 'the backend asks for a cleartext password without TLS')
          return
        }
        this.#outbox.push(serialize.password(password))
        return
      case AUTH.md5:
        this.#outbox.push(serialize.password(md5Password(user, password, reader.bytes(4))))
        return
      case AUTH.sasl: {
        const offered = mechanisms(reader)
        if (!offered.includes('SCRAM-SHA-256')) {
          this.#fail('unsupported', `the backend offers only ${offered.join(', ').slice(0, 100)}`)
          return
        }
        const scram = new ScramClient({
          password,
          nonce: random(18),
          binding: this.#binding,
          serverBinds: offered.includes('SCRAM-SHA-256-PLUS'),
        })
        this.#phase = { at: 'scram', scram, verified: false }
        this.#outbox.push(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.initialResponse))
        return
      }
      default:
        this.#fail(
          'unsupported',
          `the backend asks for authentication method ${code}, which is not supported`,
        )
    }
  }

  #finish(body: Buffer): void {
    if (body.toString('latin1') !== 'I') throw broken('server', 'the backend begins inside a transaction')
    for (const [name, wanted] of Object.entries(PINNED)) {
      const value = this.parameters.get(name)
      if (value === wanted) continue
      this.#fail(
        'unsupported',
        `the backend reports ${name}=${value ?? '(nothing)'}; only ${wanted} is supported`,
      )
      return
    }
    this.#phase = { at: 'over', step: { kind: 'ready' } }
  }

  #fail(reason: Failure['reason'], message: string): Failure {
    const step: Failure = { kind: 'failed', reason, message }
    this.#phase = { at: 'over', step }
    return step
  }
}

/** Protocol version 3.2: a cancel key may be longer than four bytes. */
const PROTOCOL_3_2 = 0x0003_0002

function fields(body: Buffer): FieldReader {
  return new FieldReader(body, { start: 0, end: body.length }, { protocol: 'postgres', side: 'server' })
}

function mechanisms(reader: FieldReader): string[] {
  const names: string[] = []
  while (reader.remaining > 1) names.push(reader.untilNul().toString('latin1'))
  return names
}

/** `md5` and the hash of (the hash of password and user) and the salt. */
function md5Password(user: string, password: string, salt: Buffer): string {
  const inner = createHash('md5').update(password).update(user).digest('hex')
  return `md5${createHash('md5').update(inner).update(salt).digest('hex')}`
}

/** One CancelRequest on its own connection. The server closes it without an answer. */
class PostgresCancel implements BackendLogin {
  readonly #outbox = new Outbox()
  readonly #inbox = new Inbox()
  readonly #request: Buffer
  #at: 'tls_reply' | 'tls' | 'ready' | 'failed'

  constructor(request: Buffer, encrypted: boolean) {
    this.#request = request
    this.#at = encrypted ? 'tls_reply' : 'ready'
    this.#outbox.push(encrypted ? serialize.requestSsl() : request)
  }

  fromServer(chunk: Buffer): void {
    this.#inbox.push(chunk)
  }

  takeForServer(): readonly Buffer[] {
    return this.#outbox.take()
  }

  next(): BackendLoginStep | undefined {
    if (this.#at === 'tls_reply' && this.#inbox.length > 0) {
      // Not sent in the clear where the session was encrypted: the key would let others cancel.
      const secure = this.#inbox.length === 1 && this.#inbox.take(1)[0] === 0x53
      this.#at = secure ? 'tls' : 'failed'
      if (secure) return { kind: 'start_tls' }
    }
    if (this.#at === 'ready') return { kind: 'ready' }
    if (this.#at === 'failed')
      return { kind: 'failed', reason: 'tls', message: 'the backend offers no TLS for a cancel request' }
    return undefined
  }

  tlsStarted(): void {
    this.#outbox.push(this.#request)
    this.#at = 'ready'
  }

  cancel(): undefined {
    return undefined
  }
}
