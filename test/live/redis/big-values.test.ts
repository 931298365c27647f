/** Values bigger than the proxy would hold: it runs as its own process, and the process's peak memory is looked at. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import type { JWK } from 'jose'
import { stringify } from 'yaml'
import { writeKeys } from '../../../src/commands/init.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { signToken } from '../../../src/grants/token.ts'
import { startCli } from '../../support/cli.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { ownRedisServer } from '../../support/servers.ts'
import { typed } from './raw-client.ts'

const MB = 1024 * 1024

/** `BULKHEAD_LONG`: the biggest that a server takes. Both are more than the 64 MiB that a held command may have. */
const VALUE_MB = process.env['BULKHEAD_LONG'] === undefined ? 96 : 512

/** The promise. */
const GROWTH_MB_MAX = 150

describe('a value that is set', {
  skip: process.platform === 'linux' ? false : 'memory is read from /proc',
}, () => {
  const folder = temporaryFolder()
  let server: DatabaseServer
  let direct: Redis
  let child: ReturnType<typeof startCli>
  let ended: Promise<unknown>
  let port: number
  let token: string

  before(async () => {
    server = await ownRedisServer()
    direct = new Redis({ host: server.host, port: server.port, password: server.password ?? '' })
    await writeKeys(folder)
    const file = join(folder, 'bulkhead.yaml')
    const url = `redis://:${server.password}@127.0.0.1:${server.port}/0`
    writeFileSync(
      file,
      stringify({
        systems: { carts: { protocol: 'redis', listen: '127.0.0.1:0', backend: { url } } },
        grants: { big: { system: 'carts', allow: ['+set +append +strlen +ping ~big:*'] } },
        issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
        audit: { file: './audit.jsonl' },
        admin: { listen: '127.0.0.1:0' },
      }),
    )
    child = startCli(['serve', '--config', file], { cwd: folder })
    ended = once(child, 'close')
    port = await new Promise((resolve, reject) => {
      let said = ''
      child.on('exit', () => reject(new Error(said)))
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        const listening = /system \w+: \w+ on [\d.]+:(\d+)[\s\S]*metrics on/.exec(said)?.[1]
        if (listening !== undefined) resolve(Number(listening))
      })
    })
    const key = JSON.parse(readFileSync(join(folder, 'keys/issuer.jwk'), 'utf8')) as JWK
    token = await signToken(
      {
        ...{ issuer: 'bulkhead', agent: 'a', run: 'r-big', system: 'carts', grant: 'big' },
        ...{ jti: randomUUID(), nowMs: Date.now(), ttlMs: 600_000 },
      },
      key,
    )
  })

  after(async () => {
    child.kill('SIGTERM')
    await ended
    direct.disconnect()
    await server.stop()
  })

  const memoryMb = (what: 'VmRSS' | 'VmHWM'): number => {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
    return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1_000
  }

  async function login(): Promise<{ socket: Socket; answer: (pattern: RegExp) => Promise<string> }> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    await once(socket, 'connect')
    let said = ''
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1')
    })
    const answer = async (pattern: RegExp): Promise<string> => {
      while (!pattern.test(said)) {
        assert.equal(socket.closed, false, `the connection ended after: ${said}`)
        await Promise.race([once(socket, 'data'), once(socket, 'close')])
      }
      const all = said
      said = ''
      return all
    }
    socket.write(typed(`AUTH r-big ${token}`))
    await answer(/^\+OK\r\n$/)
    return { socket, answer }
  }

  /** Writes the value no faster than it is taken. */
  async function write(socket: Socket, size: number, piece = Buffer.alloc(MB, 'v')): Promise<void> {
    for (let left = size; left > 0; left -= piece.length) {
      const part = left < piece.length ? piece.subarray(0, left) : piece
      if (!socket.write(part)) await once(socket, 'drain')
    }
  }

  const header = (command: string, key: string, size: number): string =>
    `*3\r\n$${command.length}\r\n${command}\r\n$${key.length}\r\n${key}\r\n$${size}\r\n`

  test(`of ${VALUE_MB} MiB goes through a proxy that stays small, and is recorded before it has come`, async () => {
    const { socket, answer } = await login()
    const before = memoryMb('VmRSS')
    const size = VALUE_MB * MB
    socket.write(header('SET', 'big:1', size))
    await write(socket, size / 2)
    // The server has half of it, and the record is there.
    const recorded = readFileSync(join(folder, 'audit.jsonl'), 'utf8')
    assert.match(recorded, new RegExp(`"statement":"SET big:1 v+…\\(${size} bytes\\)"`))
    await write(socket, size / 2)
    socket.write('\r\n')
    assert.equal(await answer(/\r\n$/), '+OK\r\n')
    const growth = memoryMb('VmHWM') - before
    assert.ok(growth < GROWTH_MB_MAX, `the proxy grew by ${growth} MB`)
    assert.equal(await direct.strlen('big:1'), size)
    await direct.del('big:1')
    socket.destroy()
  })

  test('to a key that is not granted is dropped as it comes, and what follows is answered', async () => {
    const { socket, answer } = await login()
    socket.write(header('SET', 'other', VALUE_MB * MB))
    await write(socket, VALUE_MB * MB)
    socket.write('\r\n')
    socket.write(typed('PING'))
    assert.match(await answer(/PONG\r\n$/), /^-NOPERM [^\r]*\r\n\+PONG\r\n$/)
    assert.equal(await direct.exists('other'), 0)
    socket.destroy()
  })

  test('by a client that leaves in the middle of it is not set', async () => {
    const { socket } = await login()
    socket.write(header('SET', 'big:2', 8 * MB))
    await write(socket, 4 * MB)
    socket.destroy()
    // Another session of the same run is answered, and the server has nothing of the first.
    const again = await login()
    again.socket.write(typed('STRLEN big:2'))
    assert.equal(await again.answer(/\r\n$/), ':0\r\n')
    again.socket.destroy()
  })
})
