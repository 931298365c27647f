import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { responseText } from '../../src/response-text.ts'

const server = createServer((request, response) => {
  response.write('grün')
  if (request.url === '/whole') response.end()
  else if (request.url === '/cut') response.write('', () => response.destroy())
  else setInterval(() => response.write('x'.repeat(1_000)), 1).unref()
})
after(() => {
  server.closeAllConnections()
  server.close()
})

async function asked(path: string): Promise<{ request: ClientRequest; response: IncomingMessage }> {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening')
  const request = get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, path })
  request.on('error', () => undefined)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { request, response }
}

const textOf = async (path: string, bytesMax: number): Promise<string> =>
  responseText((await asked(path)).response, bytesMax)

test('a body is read whole up to a bound of bytes', async () => {
  assert.equal(await textOf('/whole', 5), 'grün')
  await assert.rejects(textOf('/whole', 4), /longer than 4 bytes/)
})

test('a body without an end is given up, and its connection with it', async () => {
  const { request, response } = await asked('/endless')
  await assert.rejects(responseText(response, 10_000), /longer than 10000 bytes/)
  assert.equal(request.destroyed, true)
})

test('a body that breaks off is no body', async () => {
  await assert.rejects(textOf('/cut', 1_000))
})
