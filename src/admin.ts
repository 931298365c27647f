/** The admin listener: health for orchestrators and metrics for Prometheus. Loopback by default; holds no secret. */
import type { Server } from 'node:http'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import type { Address } from './config/config.ts'
import type { Metrics } from './metrics.ts'

/** Whether each part works; every reason for not being ready in a sentence. */
export type Readiness = { readonly ready: boolean; readonly reasons: readonly string[] }

export class Admin {
  readonly #app = new Hono()
  #server: Server | undefined

  constructor(parts: { readonly metrics: Metrics; readonly readiness: () => Readiness }) {
    this.#app.get('/healthz', (context) => context.text('ok\n'))
    this.#app.get('/readyz', (context) => {
      const { ready, reasons } = parts.readiness()
      return ready ? context.text('ready\n') : context.text(`${reasons.join('\n')}\n`, 503)
    })
    this.#app.get('/metrics', async (context) => {
      const { registry } = parts.metrics
      context.header('Content-Type', registry.contentType)
      return context.body(await registry.metrics())
    })
  }

  /** Gives the address it listens on. Rejects with the system's error where the address is taken. */
  listen({ host, port }: Address): Promise<Address> {
    return new Promise((resolve, reject) => {
      const server = serve({ fetch: this.#app.fetch, hostname: host, port }, (info) => {
        server.off('error', reject)
        // What goes wrong with a connection of an observer is no reason to end sessions.
        server.on('error', () => undefined)
        resolve({ host, port: info.port })
      })
      server.once('error', reject)
      this.#server = server as Server
    })
  }

  close(): void {
    this.#server?.closeAllConnections()
    this.#server?.close()
  }
}
