/** Connects and logs in to a backend on behalf of a session. */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { ProtocolError } from '../../protocols/errors.ts'
import type { BackendLogin } from '../../protocols/login.ts'
import type { BackendTarget } from '../backends/backend.ts'
import { certificateTrouble, tlsOptions } from '../backends/tls.ts'
import type { BackendFault } from '../metrics.ts'
import { KEEP_ALIVE } from './keep-alive.ts'

/** The whole way from the first packet to a session that is ready. Drivers wait 10 s for us, and should be told before. */
const LOGIN_MS = 8_000

/** The backend could not be used. The message is for operators; the client never sees it. */
export class UpstreamError extends Error {
  readonly code = 'UPSTREAM'
  readonly fault: BackendFault

  constructor(fault: BackendFault, message: string) {
    super(message)
    this.name = 'UpstreamError'
    this.fault = fault
  }
}

/**
 * Gives a socket whose login is done, paused, without listeners.
 * @throws UpstreamError
 */
export function dialUpstream(target: BackendTarget, login: BackendLogin): Promise<Socket> {
  return new Promise((resolve, reject) => {
    new Dial(target, login, resolve, reject).begin()
  })
}

class Dial {
  readonly #target: BackendTarget
  readonly #login: BackendLogin
  readonly #resolve: (socket: Socket) => void
  readonly #reject: (error: UpstreamError) => void
  readonly #timer: NodeJS.Timeout
  #socket: Socket | undefined

  constructor(
    target: BackendTarget,
    login: BackendLogin,
    resolve: (socket: Socket) => void,
    reject: (error: UpstreamError) => void,
  ) {
    this.#target = target
    this.#login = login
    this.#resolve = resolve
    this.#reject = reject
    this.#timer = setTimeout(() => this.#fail('unreachable', `no login within ${LOGIN_MS} ms`), LOGIN_MS)
  }

  begin(): void {
    const { host, port } = this.#target
    const socket = connectTcp({ host, port, noDelay: true, ...KEEP_ALIVE })
    this.#adopt(socket)
    socket.once('connect', this.#step)
  }

  #adopt(socket: Socket): void {
    this.#socket = socket
    socket.on('data', this.#data)
    socket.on('error', this.#error)
    socket.on('close', this.#closed)
  }

  #release(socket: Socket): void {
    socket.off('data', this.#data)
    socket.off('error', this.#error)
    socket.off('close', this.#closed)
  }

  readonly #data = (chunk: Buffer): void => {
    try {
      this.#login.fromServer(chunk)
    } catch (error) {
      this.#broken(error)
      return
    }
    this.#step()
  }

  readonly #error = (error: Error): void => {
    const trouble = certificateTrouble(error)
    this.#fail(trouble === undefined ? 'unreachable' : 'tls', trouble ?? error.message)
  }

  readonly #closed = (): void => this.#fail('refused', 'the backend closed the connection during login')

  /** Does what the login asks for, until it needs more bytes. */
  readonly #step = (): void => {
    const socket = this.#socket
    if (socket === undefined) return
    try {
      const step = this.#login.next()
      for (const chunk of this.#login.takeForServer()) socket.write(chunk)
      if (step === undefined) return
      if (step.kind === 'start_tls') this.#startTls(socket)
      else if (step.kind === 'failed') this.#fail(step.reason, step.message)
      else this.#done(socket)
    } catch (error) {
      this.#broken(error)
    }
  }

  #startTls(plain: Socket): void {
    this.#release(plain)
    const secure: TLSSocket = connectTls({ socket: plain, ...tlsOptions(this.#target) })
    this.#adopt(secure)
    secure.once('secureConnect', () => {
      this.#login.tlsStarted(secure.getPeerX509Certificate()?.raw)
      this.#step()
    })
  }

  #done(socket: Socket): void {
    clearTimeout(this.#timer)
    socket.pause()
    this.#release(socket)
    this.#socket = undefined
    this.#resolve(socket)
  }

  #broken(error: unknown): void {
    this.#fail(
      'protocol',
      error instanceof ProtocolError ? error.message : `a bug in the login: ${String(error)}`,
    )
  }

  #fail(fault: BackendFault, message: string): void {
    if (this.#socket === undefined) return
    clearTimeout(this.#timer)
    this.#release(this.#socket)
    this.#socket.on('error', () => undefined)
    this.#socket.destroy()
    this.#socket = undefined
    this.#reject(new UpstreamError(fault, message))
  }
}
