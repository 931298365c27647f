/** A server that names another server: no address comes through, wherever in a reply it stands. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { TestProxy } from '../../support/proxy.ts'
import { RawClient } from './raw-client.ts'
import { type RedisStage, startRedisStage } from './stage.ts'

let stage: RedisStage | undefined
let proxy: TestProxy
let token: string
const clients: RawClient[] = []

before(async () => {
  stage = await startRedisStage({ scripts: { system: 'here', allow: ['+eval +@all allkeys'] } })
  proxy = stage.proxy
  token = await proxy.token('scripts', 'r-42')
})

after(async () => {
  for (const client of clients) client.close()
  await stage?.stop()
})

const REPLACED = '-ERR the backend answered with a redirection, which is not followed\r\n'

/** A script is the only way to make a server without a cluster say it. */
const says = (reply: string): string => `EVAL "return ${reply}" 0`

for (const version of [2, 3] as const) {
  test(`in RESP${version}: alone, in a list, among the results of a transaction, and behind a denial`, async () => {
    const client = await RawClient.open(proxy.address('here'))
    clients.push(client)
    await client.ask(`HELLO ${version} AUTH r-42 ${token}`)
    const replies = await client.ask(
      says("redis.error_reply('MOVED 1 10.0.0.7:6379')"),
      says("{1, redis.error_reply('ASK 1 10.0.0.7:6379'), {redis.error_reply('REDIRECT 10.0.0.7:6379')}}"),
      'CONFIG GET dir',
      'MULTI',
      says("redis.error_reply('MOVED 1 10.0.0.7:6379')"),
      'EXEC',
      'ECHO after',
    )
    assert.doesNotMatch(replies.join(''), /10\.0\.0\.7/)
    assert.equal(replies[0], REPLACED)
    assert.equal(replies[1], `*3\r\n:1\r\n${REPLACED}*1\r\n${REPLACED}`)
    assert.equal(replies[5], `*1\r\n${REPLACED}`)
    assert.equal(replies[6], '$5\r\nafter\r\n')
  })
}
