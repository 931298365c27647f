/** Where the admin API is served: a port of its own, loopback by default, a unix socket, or both. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Address, AdminConfig } from '../config/config.ts'
import { type AdminParts, adminApp } from './app.ts'

/** Connections at once and per door: Prometheus, an orchestrator, a few operators. */
const CONNECTIONS_MAX = 256

/** How long a client may take to send the head of a request, and all of it; Node's own are 60 s and 300 s. */
const HEAD_MS = 10_000
const REQUEST_MS = 30_000

export class Admin {
  readonly #parts: AdminParts
  readonly #servers: Server[] = []

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  /**
   * Gives the address it listens on, where it listens on a port. Rejects with the system's error where an address is taken.
   */
  async listen({ listen, socket, token }: AdminConfig): Promise<Address | undefined> {
    if (socket !== undefined) await this.#onSocket(socket, token)
    return listen && this.#onPort(listen, token)
  }

  close(): void {
    for (const server of this.#servers) {
      server.closeAllConnections()
      server.close()
    }
  }

  async #onPort({ host, port }: Address, token: string | undefined): Promise<Address> {
    const server = this.#server({ token, host })
    await opened(server, (ready) => server.listen({ host, port }, ready))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('not a TCP listener')
    return { host, port: address.port }
  }

  async #onSocket(path: string, token: string | undefined): Promise<void> {
    await removeStale(path)
    const server = this.#server({ token, host: undefined })
    // Made without any right for others, and not only narrowed afterwards.
    const umask = process.umask(0o177)
    try {
      await opened(server, (ready) => server.listen(path, ready))
    } finally {
      process.umask(umask)
    }
    chmodSync(path, 0o600)
  }

  #server(access: { readonly token: string | undefined; readonly host: string | undefined }): Server {
    const server = createServer(
      { headersTimeout: HEAD_MS, requestTimeout: REQUEST_MS },
      // HTTP/1.0 needs no `Host`, and health checks of load balancers speak it. The guard looks at the header itself.
      getRequestListener(adminApp(this.#parts, access).fetch, { hostname: 'localhost' }),
    )
    server.maxConnections = CONNECTIONS_MAX
    this.#servers.push(server)
    return server
  }
}

function opened(server: Server, listen: (ready: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    listen(() => {
      server.off('error', reject)
      // What goes wrong with a connection of an observer is no reason to end sessions.
      server.on('error', () => undefined)
      resolve()
    })
  })
}

/** A socket at which nobody answers was left by a crash; one at which somebody does is not ours to remove. */
async function removeStale(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (!answers) unlinkSync(path)
}
