/** A command that is wrong is refused in the words of the server itself, which drivers and people look for. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import type { TestProxy } from '../../support/proxy.ts'
import { RawClient } from './raw-client.ts'
import { type RedisStage, startRedisStage } from './stage.ts'

let stage: RedisStage | undefined
let server: DatabaseServer
let proxy: TestProxy
let straight: RawClient
let agent: RawClient
let token: string

before(async () => {
  stage = await startRedisStage({
    all: { system: 'here', allow: ['allcommands +eval +eval_ro +evalsha +fcall +fcall_ro allkeys'] },
  })
  server = stage.server
  proxy = stage.proxy
  const { host, port, password = '' } = server
  token = await proxy.token('all', 'r-42')
  straight = await RawClient.open({ host, port })
  agent = await RawClient.open(proxy.address('here'))
  await straight.ask(`AUTH ${password}`)
  const library =
    "#!lua name=l\\nredis.register_function{function_name='f', callback=function() return 1 end}"
  assert.match((await straight.ask(`FUNCTION LOAD "${library}"`))[0] ?? '', /^\$1/)
  assert.deepEqual(await agent.ask(`AUTH r-42 ${token}`), ['+OK\r\n'])
})

after(async () => {
  straight.close()
  agent.close()
  await stage?.stop()
})

/** Only the server quotes the arguments of a command that it does not know. */
function withoutArguments(native: string): string {
  return native.replace(/(with args beginning with: ).*\r/, '$1\r')
}

/** `N` stands for a number of keys. */
const COUNTED = [
  ...['EVAL "return 1" N k', 'EVAL_RO "return 1" N k', 'FCALL f N k', 'FCALL_RO f N k'],
  'EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db N k',
  ...['LMPOP N k LEFT', 'BLMPOP 1 N k LEFT', 'ZMPOP N k MIN', 'BZMPOP 1 N k MIN'],
  ...['SINTERCARD N k', 'ZINTERCARD N k', 'ZUNION N k', 'ZINTER N k', 'ZDIFF N k'],
  ...['ZUNIONSTORE t N k', 'ZINTERSTORE t N k', 'ZDIFFSTORE t N k'],
  'MSETEX N k v',
]

/** The last three are the greatest that the server counts with, one more, and none at all. */
const NUMBERS = [
  '-1',
  '-9223372036854775808',
  'x',
  '1.0',
  '""',
  '5',
  '1000000000',
  '9223372036854775807',
  '9223372036854775808',
  '99999999999999999999999',
]

for (const line of COUNTED) {
  test(`${line}: a number of keys that cannot be is refused as the server refuses it`, async () => {
    // 0 is a number of keys to EVAL and FCALL.
    for (const number of [...NUMBERS, ...(/^(?:EVAL|FCALL)/.test(line) ? [] : ['0'])]) {
      const wrong = line.replace(' N ', ` ${number} `)
      const [native = ''] = await straight.ask(wrong)
      assert.match(native, /^-/, wrong)
      assert.deepEqual(await agent.ask(wrong), [withoutArguments(native)], wrong)
    }
  })
}

/** Wrong in other ways than by a number of keys. */
const WRONG = `
  GET | GET a b | MSET a 1 b | SET a | SET a v FOO | SET a v EX | NOSUCH | CLIENT NOSUCH | COMMANDLOG | COMMANDLOG GET | XGROUP | CONFIG | SELECT x
  SELECT -1 | SORT a LIMIT 0 | GEORADIUS a 1 1 1 km FOO | ZADD a 1 | ZADD a NX | BITFIELD a GET | HELLO 4 | HELLO x
  XREAD STREAMS a | XREAD GROUP g c STREAMS a 0 | XREAD NOACK STREAMS a 0 | XREADGROUP COUNT 1 NOACK STREAMS a 0
  COPY a b DB x | COPY a b FOO | SCAN 0 FOO | SCAN 0 MATCH`
  .trim()
  .split(/ \| |\n +/)

test('what is wrong otherwise is refused as the server refuses it', async () => {
  for (const wrong of WRONG) {
    const [native = ''] = await straight.ask(wrong)
    assert.match(native, /^-/, wrong)
    assert.deepEqual(await agent.ask(wrong), [withoutArguments(native)], wrong)
  }
})

test('an inline command whose quotes do not match ends the connection in the words of the server', async () => {
  const { host, port, password = '' } = server
  for (const line of ['SET k "v', "SET k 'v", 'SET k "\\x4g']) {
    const ends = await Promise.all([RawClient.open({ host, port }), RawClient.open(proxy.address('here'))])
    const [native, ours] = await Promise.all(
      ends.map(async (client, i) => {
        await client.ask(i === 0 ? `AUTH ${password}` : `AUTH r-42 ${token}`)
        client.send(Buffer.from(`${line}\r\n`))
        const said = await client.read(1)
        // The end follows the error.
        return [...said, ...(await client.read(1))]
      }),
    )
    assert.deepEqual(ours, native, line)
    assert.deepEqual(native, ['-ERR Protocol error: unbalanced quotes in request\r\n'], line)
  }
})
