/** The bytes of `bytes.ts` through the whole proxy: however they are read, nothing secret comes back and nothing changes. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Redis } from 'ioredis'
import { encodeCommand } from '../../../protocols/redis/frames.ts'
import { type RedisStage, startRedisStage } from '../../live/redis/stage.ts'
import type { TestProxy } from '../../support/proxy.ts'
import { SMUGGLED, STRANGERS } from './bytes.ts'
import { GRANT, SECRET, seed, state } from './world.ts'

let stage: RedisStage | undefined
let direct: Redis
let proxy: TestProxy
let login: Buffer

before(async () => {
  stage = await startRedisStage({ open: { system: 'here', allow: [...GRANT] } })
  direct = stage.direct
  proxy = stage.proxy
  login = encodeCommand(['AUTH', 'r-42', await proxy.token('open', 'r-42')])
  await seed(direct)
})

after(() => stage?.stop())

const raw = (text: string): Buffer => Buffer.from(text.replaceAll('|', '\r\n'), 'latin1')

const QUIT = encodeCommand(['QUIT'])

/** All that comes for the bytes and a `QUIT` behind them, until the proxy has ended the connection. */
function answerTo(...pieces: readonly Buffer[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(proxy.address('here'))
    let said = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      said += chunk
    })
    // A reset says that the proxy has ended it before it had read all.
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(said))
    socket.setNoDelay(true)
    for (const piece of [...pieces, QUIT]) socket.write(piece)
  })
}

for (const { trick, bytes } of SMUGGLED) {
  describe(`brings nothing secret, though it ${trick}`, () => {
    for (const text of bytes) {
      test(JSON.stringify(text), async () => {
        const known = await state(direct)
        const whole = await answerTo(login, raw(text))
        assert.match(whole, /^\+OK\r\n/)
        assert.ok(!whole.includes(SECRET), whole)
        const cut = await answerTo(login, ...[...raw(text)].map((byte) => Buffer.from([byte])))
        assert.ok(!cut.includes(SECRET), cut)
        assert.equal(await state(direct), known)
      })
    }
  })
}

describe('before login there is nothing but errors', () => {
  for (const text of STRANGERS) {
    test(JSON.stringify(text.slice(0, 60)), async () => {
      const known = await state(direct)
      const said = await answerTo(raw(text))
      assert.match(said, /^(?:-(?:NOAUTH|WRONGPASS|NOPROTO|ERR) [^\r]*\r\n)*(?:\+OK\r\n)?$/)
      assert.equal(await state(direct), known)
    })
  }
})
