/**
 * One agent connection, from accept to close: the login, then the loop that sells the product. Every statement
 * is analysed, judged and recorded; the record is in the operating system's hands before a byte of the statement
 * is written to the backend. No promise is awaited between a byte's arrival and its verdict.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { ProtocolError, unreachable } from '../../protocols/errors.ts'
import type {
  AgentCredentials,
  AgentLogin,
  AgentLoginStep,
  BackendLogin,
  LoginRefusal,
} from '../../protocols/login.ts'
import type { SecretVerifier } from '../../protocols/secret.ts'
import type { Session } from '../../protocols/session.ts'
import type { BackendTarget } from '../backends/backend.ts'
import type { Grant } from '../grants/grant.ts'
import type { LoginFault } from '../grants/login-faults.ts'
import type { RunToken } from '../grants/token.ts'
import type { BackendFault } from '../metrics.ts'
import type { RegisteredSecret } from '../runs/state-file.ts'
import { admit, NOT_ACCEPTED, standingOf } from './admission.ts'
import { sayGoodbye } from './goodbye.ts'
import type { ListenerTls } from './listener.ts'
import { locate } from './locate.ts'
import { LoginRecord } from './login-record.ts'
import { Relay } from './relay.ts'
import type { System } from './system.ts'
import { dialUpstream, UpstreamError } from './upstream.ts'

/** From accept to the session; PostgreSQL's `authentication_timeout` is 60 s, agents are programs. */
const LOGIN_MS = 30_000

/** How long a backend may take to close the connection that has cancelled a statement. */
const FAREWELL_MS = 5_000

/** What a listener gives to each connection. */
export type Accepted = {
  readonly system: System
  readonly tls: ListenerTls | undefined
  /** Unique within the process, 1 to 2^31-1. */
  readonly connectionId: number
  /** True where a token may cross this connection without TLS. */
  readonly cleartextAllowed: boolean
}

export class Connection {
  readonly #accepted: Accepted
  readonly #system: System
  readonly #login: AgentLogin
  readonly #client: string
  readonly #record: LoginRecord
  /** What the client was last asked to prove. */
  #asked: RegisteredSecret | undefined
  /** Where the backend was when this session was dialled; a cancel goes there. */
  #dialled: BackendTarget | undefined
  readonly #timer: NodeJS.Timeout
  readonly #onLoginEnd: () => void
  #socket: Socket
  #phase: 'reading' | 'verifying' | 'over' = 'reading'
  /** Gives back the place that admission has kept for the session. */
  #release: () => void = () => undefined

  /** @param onLoginEnd called once, when the connection has become a session or is gone */
  constructor(socket: Socket, accepted: Accepted, onLoginEnd: () => void) {
    this.#socket = socket
    this.#accepted = accepted
    this.#system = accepted.system
    this.#onLoginEnd = onLoginEnd
    this.#client = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
    this.#record = new LoginRecord(this.#system, this.#client)
    this.#login = this.#system.protocol.agentLogin({
      knowledge: this.#system.backend?.knowledge ?? { current: undefined },
      random: randomBytes,
      connectionId: accepted.connectionId,
      tlsAvailable: accepted.tls !== undefined,
      cleartextAllowed: accepted.cleartextAllowed,
      verifierOf: (user) => this.#verifierOf(user),
      ...(accepted.tls !== undefined && { certificate: accepted.tls.certificate }),
      ...(this.#system.config.rsaPrivateKey !== undefined && {
        rsaPrivateKey: this.#system.config.rsaPrivateKey,
      }),
    })
    this.#timer = setTimeout(() => this.#drop(), LOGIN_MS)
    socket.setNoDelay(true)
    this.#adopt(socket)
    // MySQL's server speaks first.
    this.#steps()
  }

  #adopt(socket: Socket): void {
    this.#socket = socket
    socket.on('data', this.#data)
    socket.on('error', this.#gone)
    socket.on('close', this.#gone)
  }

  #disown(): void {
    this.#socket.off('data', this.#data)
    this.#socket.off('error', this.#gone)
    this.#socket.off('close', this.#gone)
  }

  readonly #data = (chunk: Buffer): void => {
    try {
      this.#login.fromClient(chunk)
    } catch (error) {
      this.#broken(error)
      return
    }
    this.#steps()
  }

  readonly #gone = (): void => this.#drop()

  /** Does what the login asks for, until it needs more bytes or an answer from elsewhere. */
  #steps(): void {
    while (this.#phase === 'reading') {
      let step: AgentLoginStep | undefined
      try {
        step = this.#login.next()
      } catch (error) {
        this.#broken(error)
        return
      }
      this.#write()
      if (step === undefined) return
      switch (step.kind) {
        case 'start_tls':
          this.#startTls(step.rest, step.alpn)
          return
        case 'credentials':
          this.#phase = 'verifying'
          this.#socket.pause()
          this.#verify(step.credentials).catch((error: unknown) => this.#broken(error))
          return
        case 'cancel':
          this.#cancel(step.key)
          this.#close()
          return
        case 'close':
          this.#close()
          return
        default:
          unreachable(step)
      }
    }
  }

  #write(): void {
    for (const chunk of this.#login.takeForClient()) this.#socket.write(chunk)
  }

  #startTls(rest: Buffer, alpn: string | undefined): void {
    const { tls } = this.#accepted
    if (tls === undefined) throw new Error('TLS was asked for on a listener without a certificate')
    const plain = this.#socket
    this.#disown()
    plain.pause()
    // Clients put the TLS request and the ClientHello into one segment: give the second back before the wrap.
    if (rest.length > 0) plain.unshift(rest)
    const secure = new TLSSocket(plain, {
      isServer: true,
      secureContext: tls.context,
      ...(alpn !== undefined && { ALPNProtocols: [alpn] }),
    })
    this.#adopt(secure)
    secure.once('secure', () => {
      if (alpn !== undefined && secure.alpnProtocol !== alpn) {
        this.#broken(
          new ProtocolError(
            this.#system.config.protocol,
            'client',
            `direct TLS needs the ALPN protocol ${alpn}`,
          ),
        )
        return
      }
      this.#login.tlsStarted()
      this.#steps()
    })
  }

  #verifierOf(user: string): SecretVerifier | undefined {
    const { shared, config } = this.#system
    this.#asked = shared.runs.state.secretOf(config.name, user)
    return this.#asked?.verifier
  }

  async #verify(credentials: AgentCredentials): Promise<void> {
    const admission = await admit(credentials, this.#asked, this.#system)
    if (admission.admitted) this.#release = admission.release
    if (this.#phase === 'over') {
      this.#release()
      return
    }
    if (!admission.admitted) {
      const { fault, token, hop, refusal } = admission
      this.#record.refused(fault, token, credentials)
      if (hop !== undefined) this.#record.hop(hop.kind, hop.target, token)
      this.#system.shared.audit.flush(this.#system.shared.now())
      this.#refuse(refusal)
      return
    }
    await this.#openSession(admission.token)
  }

  async #openSession(token: RunToken): Promise<void> {
    const { shared, backend, config } = this.#system
    const target = config.backend
    // What was known before a loss may be wrong by now: the schema is another, or the server is.
    if (backend?.reachable === false) {
      await backend.refresh()
      if (!backend.reachable) this.#backendFailed('unreachable', 'what it holds cannot be read', token)
    }
    if (
      backend === undefined ||
      target === undefined ||
      !backend.reachable ||
      backend.knowledge.current === undefined ||
      !shared.audit.isWritable(shared.now())
    ) {
      this.#backendUnavailable(token)
      return
    }
    let login: BackendLogin
    let upstream: Socket
    try {
      login = this.#login.dial({
        user: target.user,
        password: target.password,
        database: target.database,
        tls: target.tls,
        applicationName: `bulkhead ${token.run}`.slice(0, 63),
        random: randomBytes,
      })
      this.#dialled = await locate(target, backend)
      upstream = await dialUpstream(this.#dialled, login)
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      this.#backendFailed(error.fault, error.message, token)
      shared.notice(`system ${config.name}: ${error.fault}: ${error.message}`)
      this.#backendUnavailable(token)
      return
    }
    if (this.#phase === 'over') {
      upstream.destroy()
      return
    }
    const standing = standingOf(token, this.#system)
    if (!standing.good) {
      // Since it was admitted: what ended its other sessions ends this one before it begins.
      upstream.destroy()
      this.#refuseToken(standing.fault, token)
      return
    }
    try {
      this.#begin(token, standing.grant, login, upstream)
    } catch (error) {
      upstream.destroy()
      throw error
    }
  }

  /** Both legs have logged in: from here on the relay owns the sockets. */
  #begin(token: RunToken, grant: Grant, login: BackendLogin, upstream: Socket): void {
    const session: Session = this.#login.welcome()
    // The last words of the login, where the protocol says them here and not in the session.
    this.#write()
    this.#endLogin()
    this.#disown()
    new Relay({
      system: this.#system,
      session,
      client: this.#socket,
      upstream,
      token,
      grant,
      clientAddress: this.#client,
      cancelKey: this.#login.cancelKey,
      cancel: () => this.#cancelUpstream(login),
    }).begin()
  }

  /** Resolves when the conversation is over, well or not: then it hits nothing that is sent afterwards. */
  async #cancelUpstream(login: BackendLogin): Promise<void> {
    const cancel = login.cancel()
    const target = this.#dialled
    if (cancel === undefined || target === undefined) return
    try {
      await farewell(await dialUpstream(target, cancel))
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.#system.shared.notice(`system ${this.#system.config.name}: cancel failed: ${why}`)
    }
  }

  #cancel(key: string): void {
    const { shared } = this.#system
    const outcome = shared.runs.cancel(key)
    this.#record.cancelAsked(outcome)
    if (outcome === 'foreign') this.#record.hop('cross_run', undefined, undefined)
    shared.audit.flush(shared.now())
  }

  #refuseToken(fault: LoginFault, token: RunToken): void {
    const { shared } = this.#system
    this.#record.refused(fault, token, undefined)
    shared.audit.flush(shared.now())
    this.#refuse(NOT_ACCEPTED)
  }

  #backendFailed(fault: BackendFault, message: string, token: RunToken): void {
    this.#system.metrics.backendError(fault)
    this.#record.backendFailed(fault, message, token)
  }

  #backendUnavailable(token: RunToken): void {
    const { shared } = this.#system
    this.#record.refused('backend_unavailable', token, undefined)
    shared.audit.flush(shared.now())
    this.#refuse({
      kind: 'backend_unavailable',
      message: 'the database behind this system is not available now',
    })
  }

  #refuse(refusal: LoginRefusal): void {
    this.#release()
    this.#login.refuse(refusal)
    this.#phase = 'reading'
    this.#socket.resume()
    this.#steps()
  }

  /** The client broke its protocol, or we have a bug: either way this connection ends, and no other. */
  #broken(error: unknown): void {
    const { shared } = this.#system
    const message = error instanceof ProtocolError ? error.message : 'internal error'
    if (!(error instanceof ProtocolError))
      shared.notice(`bug during a login: ${error instanceof Error ? error.stack : error}`)
    if (this.#phase === 'over') {
      // Gone meanwhile, or broken in the moment of becoming a session: nothing more can be said.
      this.#socket.destroy()
      return
    }
    this.#record.protocolBroken(message)
    shared.audit.flush(shared.now())
    this.#write()
    this.#close()
  }

  #endLogin(): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    clearTimeout(this.#timer)
    this.#release()
    this.#onLoginEnd()
  }

  /** Ends politely: what was written still leaves. */
  #close(): void {
    this.#endLogin()
    this.#disown()
    sayGoodbye(this.#socket)
    this.#socket.destroySoon()
  }

  #drop(): void {
    this.#endLogin()
    this.#disown()
    this.#socket.on('error', () => undefined)
    this.#socket.destroy()
  }
}

/** Waits until the backend closes the connection too: PostgreSQL sends the signal before it does. */
function farewell(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.destroy(), FAREWELL_MS)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.end()
    socket.resume()
  })
}
