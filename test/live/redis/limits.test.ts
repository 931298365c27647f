/** The limits of a grant against a real server: big replies, waits that do not end, and what is in step afterwards. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Redis } from 'ioredis'
import type { TestProxy } from '../../support/proxy.ts'
import { RawClient } from './raw-client.ts'
import { type RedisStage, startRedisStage } from './stage.ts'

let stage: RedisStage | undefined
let direct: Redis
let proxy: TestProxy
const clients: RawClient[] = []

before(async () => {
  stage = await startRedisStage({
    small: { system: 'here', allow: ['+@all ~k:*'], limits: { rows: 100, bytes: '64KiB' } },
    wide: { system: 'here', allow: ['+@all ~k:*'], limits: { bytes: '2MiB' } },
    quick: { system: 'here', allow: ['+@all ~k:*'], limits: { statement_timeout: '300ms' } },
  })
  direct = stage.direct
  proxy = stage.proxy
  await direct.rpush('k:list', ...Array.from({ length: 1_000 }, (_, i) => `element ${i}`))
  await direct.setrange('k:big', 5_000_000, 'x')
  await direct.xadd('k:stream', '1-1', 'f', 'v')
  for (let i = 2; i < 200; i++) await direct.xadd('k:stream', `${i}-1`, 'f', 'v')
  for (let i = 1; i < 150; i++) await direct.xadd('k:wide', `${i}-1`, 'f', 'v'.repeat(20_000))
})

after(async () => {
  for (const client of clients) client.close()
  await stage?.stop()
})

async function agent(grant: string, version: 2 | 3): Promise<RawClient> {
  const client = await RawClient.open(proxy.address('here'))
  clients.push(client)
  const token = await proxy.token(grant, `r-${grant}`)
  assert.match((await client.ask(`HELLO ${version} AUTH r-${grant} ${token}`))[0] ?? '', /^[%*]/)
  return client
}

test('what is too much is an error in its place, in a pipeline, in EXEC, and inside a stream', async () => {
  for (const version of [2, 3] as const) {
    const client = await agent('small', version)
    const replies = await client.ask(
      ...[
        'LRANGE k:list 0 99',
        'LRANGE k:list 0 100',
        'GET k:big',
        'XREAD STREAMS k:stream 0',
        'LLEN k:list',
      ],
      ...['MULTI', 'GET k:big', 'LLEN k:list', 'LRANGE k:list 0 -1', 'EXEC', 'STRLEN k:big'],
    )
    const [fits, long, big, stream, length, ok, , , , exec, after] = replies
    assert.match(fits ?? '', /^\*100\r\n/)
    assert.match(long ?? '', /^-ERR the reply has a list of more than 100 elements/)
    assert.match(big ?? '', /^-ERR the reply is longer than 65536 bytes/)
    assert.match(stream ?? '', /^-ERR the reply has a list of more than 100 elements/)
    assert.deepEqual([length, ok], [':1000\r\n', '+OK\r\n'])
    assert.match(
      exec ?? '',
      /^\*3\r\n-ERR the reply is longer[^\r]*\r\n:1000\r\n-ERR the reply has a list[^\r]*\r\n$/,
    )
    assert.equal(after, ':5000001\r\n')
  }
})

test('a wait whose time is up ends with the denial, and the connection goes on', async () => {
  for (const version of [2, 3] as const) {
    const client = await agent('quick', version)
    const replies = await client.ask(...['BLPOP k:none 0', 'XREAD BLOCK 0 STREAMS k:stream $', 'LLEN k:list'])
    assert.match(replies[0] ?? '', /^-ERR .*the grant allows a statement to run for 300ms/)
    assert.match(replies[1] ?? '', /^-ERR .*the grant allows a statement to run for 300ms|^-UNBLOCKED/)
    assert.equal(replies[2], ':1000\r\n')
    // The server does not wait any more: what is pushed stays.
    await direct.rpush('k:none', 'kept')
    assert.equal(await direct.llen('k:none'), 1)
    await direct.del('k:none')
  }
  const cut = proxy.records().filter(({ event, limit }) => event === 'result' && limit === 'time')
  assert.ok(cut.length >= 2)
})

test('a reply that passes its limit in the middle ends the session, and the record says that the limit did', async () => {
  const client = await agent('wide', 3)
  // What its headers do not tell of is held up to 1 MiB, and passes beyond.
  assert.deepEqual(await client.ask('XRANGE k:wide - +'), [])
  assert.ok(client.closed)
  const ofRun = proxy.records().filter(({ run }) => run === 'r-wide')
  const result = ofRun.find(({ event, limit }) => event === 'result' && limit !== undefined)
  assert.equal(result?.['limit'], 'bytes')
  const end = ofRun.find(({ event }) => event === 'session.end')
  assert.equal(end?.['cause'], 'limit')
})
