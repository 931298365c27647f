import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { z } from 'zod'
import { AdminClient } from '../../../src/commands/admin-client.ts'
import { EXIT } from '../../../src/commands/exit.ts'

test('an answer of another form than this version knows is no bug of ours', async () => {
  const server = createServer((_, response) => response.end('{"runs":"many"}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = new AdminClient({ listen: { host: '127.0.0.1', port }, socket: undefined, token: 'x' })
  await assert.rejects(client.get('/v1/runs', z.object({ runs: z.array(z.string()) })), {
    name: 'CommandError',
    exit: EXIT.unavailable,
    message: /are both of one version\?$/,
  })
  server.close()
})
