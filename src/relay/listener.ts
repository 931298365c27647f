/** The TCP listener of one system. */
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Address } from '../config/config.ts'
import { isLoopback } from '../config/sections.ts'
import { Connection } from './connection.ts'
import type { System } from './system.ts'

/** Connections that have not logged in yet, at once and per listener; more are closed at accept. */
const LOGINS_MAX = 1_000

let connectionIds = 0

/** Counts from 1 and begins again before it leaves the 31 bits that every protocol can carry. */
function nextConnectionId(): number {
  connectionIds = (connectionIds % 0x7fff_fffe) + 1
  return connectionIds
}

export class Listener {
  readonly #system: System
  readonly #server: Server
  readonly #secureContext: SecureContext | undefined
  readonly #logins = new Set<Socket>()

  /** @throws the TLS library's error where the certificate or key cannot be used */
  constructor(system: System) {
    this.#system = system
    const { tls } = system.config
    this.#secureContext = tls && createSecureContext({ cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' })
    this.#server = createServer((socket) => this.#accept(socket))
  }

  /** Gives the address it listens on. Rejects with the system's error where the address is taken. */
  listen(): Promise<Address> {
    const { host, port } = this.#system.config.listen
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject)
        // A process without free descriptors cannot accept: that ends no session, and no process.
        this.#server.on('error', (error) =>
          this.#system.shared.notice(`error: system ${this.#system.config.name}: ${error.message}`),
        )
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

  #accept(socket: Socket): void {
    if (this.#logins.size >= LOGINS_MAX) {
      socket.destroy()
      return
    }
    this.#logins.add(socket)
    const { config } = this.#system
    new Connection(
      socket,
      {
        system: this.#system,
        secureContext: this.#secureContext,
        connectionId: nextConnectionId(),
        // Both ends on this machine: the address that the client came to is what the kernel says, not the name.
        cleartextAllowed: config.allowCleartextPassword || isLoopback(socket.localAddress ?? ''),
      },
      () => this.#logins.delete(socket),
    )
  }
}
