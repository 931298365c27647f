/** The TCP listener of one system. */
import { X509Certificate } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Address, SystemConfig } from '../config/config.ts'
import { isLoopback } from '../config/sections.ts'
import { Connection } from './connection.ts'
import { KEEP_ALIVE } from './keep-alive.ts'
import type { System } from './system.ts'

/** Connections that have not logged in yet, at once and per listener; more are closed at accept. */
const LOGINS_MAX = 1_000

let connectionIds = 0

/** Counts from 1 and begins again before it leaves the 31 bits that every protocol can carry. */
function nextConnectionId(): number {
  connectionIds = (connectionIds % 0x7fff_fffe) + 1
  return connectionIds
}

/** What a listener needs to speak TLS. */
export type ListenerTls = {
  readonly context: SecureContext
  /** The certificate that clients see, in DER. */
  readonly certificate: Buffer
}

/**
 * The TLS of a system's listener, ready for use; `undefined` where it offers none.
 * @throws the TLS library's error where the certificate or key cannot be used
 */
export function listenerTlsOf({ tls }: SystemConfig): ListenerTls | undefined {
  if (tls === undefined) return undefined
  const context = createSecureContext({ cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' })
  return { context, certificate: new X509Certificate(tls.cert).raw }
}

export class Listener {
  /** `undefined`: nobody may come in yet. */
  #system: System | undefined
  #tls: ListenerTls | undefined
  readonly #notice: (message: string) => void
  readonly #server: Server
  readonly #logins = new Set<Socket>()

  /** @param notice what goes wrong with the listener, for operators */
  constructor(notice: (message: string) => void) {
    this.#notice = notice
    this.#server = createServer(KEEP_ALIVE, (socket) => this.#accept(socket))
  }

  /** Gives the address it listens on. Rejects with the system's error where the address is taken. */
  listen({ host, port }: Address): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject)
        // A process without free descriptors cannot accept: that ends no session, and no process.
        this.#server.on('error', (error) => this.#notice(error.message))
        const address = this.#server.address()
        if (address === null || typeof address === 'string') reject(new Error('not a TCP listener'))
        else resolve({ host, port: address.port })
      })
    })
  }

  /** No new connections; those that are logging in are closed. Sessions live on. */
  close(): void {
    this.#server.close()
    for (const socket of this.#logins) socket.destroy()
  }

  /** Lets connections in, for this system from now on; those that are logging in to another one are closed. */
  use(system: System, tls: ListenerTls | undefined): void {
    if (system !== this.#system) for (const socket of this.#logins) socket.destroy()
    this.#system = system
    this.#tls = tls
  }

  #accept(socket: Socket): void {
    const system = this.#system
    if (system === undefined || this.#logins.size >= LOGINS_MAX) {
      socket.destroy()
      return
    }
    this.#logins.add(socket)
    const { config } = system
    new Connection(
      socket,
      {
        system,
        tls: this.#tls,
        connectionId: nextConnectionId(),
        // Both ends on this machine: the address that the client came to is what the kernel says, not the name.
        cleartextAllowed: config.allowCleartextPassword || isLoopback(socket.localAddress ?? ''),
      },
      () => this.#logins.delete(socket),
    )
  }
}
