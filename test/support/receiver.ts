/** A local HTTP server that keeps what is posted to it, and answers as it is told. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export type Posted = { readonly headers: IncomingHttpHeaders; readonly path: string; readonly body: string }

export type Receiver = {
  readonly url: string
  readonly posted: readonly Posted[]
  /** Resolves when so many requests have come since the start. */
  received(count: number): Promise<readonly Posted[]>
  close(): Promise<void>
}

/** @param answer the status of the request with this number, from 1; `undefined`: none ever comes */
export async function startReceiver(
  answer: (number: number) => number | undefined = () => 200,
  headers: Readonly<Record<string, string>> = {},
): Promise<Receiver> {
  const posted: Posted[] = []
  const waiting: { readonly count: number; readonly resolve: () => void }[] = []
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        posted.push({ headers: request.headers, path: request.url ?? '', body })
        const status = answer(posted.length)
        if (status !== undefined) {
          response.writeHead(status, { 'content-type': 'application/json', ...headers }).end('{}')
        }
        for (const { count, resolve } of waiting) if (posted.length >= count) resolve()
      },
      () => undefined,
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posted,
    async received(count) {
      if (posted.length < count) await new Promise<void>((resolve) => waiting.push({ count, resolve }))
      return posted
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
