/** A backend that stops reading, and an agent that does not stop sending: what waits in the proxy stays bounded. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { packet } from '../../../protocols/mysql/frames.ts'
import { int32 } from '../../../protocols/postgres/frames.ts'
import type { ProtocolName } from '../../../protocols/protocol.ts'
import { encodeCommand } from '../../../protocols/redis/frames.ts'
import { type ContractSystem, SYSTEMS } from '../../contract/systems.ts'
import { connectMysql, connectPg, redisClient } from '../../support/drivers.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { type Gate, openGate } from './gate.ts'

const MEGABYTE = 1 << 20

/** What the agent has to send, far more than anything on the way may hold. */
const SENT_BYTES = 256 * MEGABYTE

/** Buffers of four sockets, a whole statement or more, and what one session keeps of a pipeline. */
const TAKEN_BYTES_MAX = 64 * MEGABYTE

/** So long nothing moves where something has stopped. */
const STILL_MS = 1_000

/** Less than a statement of SQL may have. */
const VALUE = Buffer.alloc(MEGABYTE / 2, 'x')

/** One statement of half a megabyte. */
const STATEMENTS: Readonly<Record<ProtocolName, () => Buffer>> = {
  postgres: () => {
    const text = Buffer.concat([Buffer.from("select '"), VALUE, Buffer.from("'\0")])
    return Buffer.concat([Buffer.from('Q'), int32(text.length + 4), text])
  },
  mysql: () => packet(0, Buffer.concat([Buffer.from("\x03select '"), VALUE, Buffer.from("'")])),
  redis: () => encodeCommand([Buffer.from('SET'), Buffer.from('open:slow'), VALUE]),
}

/** The socket of a driver that has logged in, which the driver no longer hears. */
const LOGINS: Readonly<
  Record<ProtocolName, (proxy: TestProxy, token: string, database: string) => Promise<Socket>>
> = {
  async postgres(proxy, token, database) {
    const client = await connectPg(proxy.address('here'), { run: 'r-1', token, database })
    return (client as unknown as { connection: { stream: Socket } }).connection.stream
  },
  async mysql(proxy, token, database) {
    const client = await connectMysql(proxy.address('here'), { run: 'r-1', token, database })
    return (client as unknown as { connection: { stream: Socket } }).connection.stream
  },
  async redis(proxy, token) {
    const client = redisClient(proxy.address('here'), { run: 'r-1', token }, { lazyConnect: true })
    await client.connect()
    return (client as unknown as { stream: Socket }).stream
  },
}

/** How many bytes a socket has given away; it is given more for as long as it takes them. */
function flood(socket: Socket, statement: Buffer): () => number {
  let taken = 0
  const send = (error?: Error | null): void => {
    if (error != null || taken >= SENT_BYTES) return
    socket.write(statement, (failed) => {
      taken += statement.length
      send(failed)
    })
  }
  send()
  return () => taken
}

for (const [name, start] of Object.entries(SYSTEMS)) {
  describe(`a ${name} backend that reads nothing`, () => {
    let system: ContractSystem
    let gate: Gate
    let proxy: TestProxy

    before(async () => {
      system = await start()
      gate = await openGate(system.server.port)
      const url = new URL(system.backendUrl)
      url.port = String(gate.port)
      proxy = await startProxy({
        systems: { here: { protocol: system.protocol, backend: { url: url.href } } },
        grants: {
          work: { system: 'here', allow: system.protocol === 'redis' ? ['+@all ~open:*'] : system.allow },
        },
      })
    })
    after(async () => {
      await proxy.stop()
      await gate.close()
      await system.stop()
    })

    test('stops the agent that sends, and lets it go on when it reads again', async () => {
      const token = await proxy.token('work', 'r-1')
      const socket = await LOGINS[system.protocol](proxy, token, system.server.database)
      for (const event of ['data', 'end', 'close', 'error']) socket.removeAllListeners(event)
      socket.on('error', () => undefined)
      socket.resume()
      const thaw = gate.freeze()
      const taken = flood(socket, STATEMENTS[system.protocol]())
      let before: number
      do {
        before = taken()
        await sleep(STILL_MS)
      } while (taken() > before)
      assert.ok(before <= TAKEN_BYTES_MAX, `${before} bytes were taken`)
      thaw()
      while (taken() <= before + 4 * MEGABYTE) {
        assert.ok(!socket.destroyed, 'the session has ended')
        await sleep(10)
      }
      socket.destroy()
    })
  })
}
