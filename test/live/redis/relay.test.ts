/** Through the whole proxy to a real server: order in deep pipelines, big values, blocking, channels, drivers. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { encodeCommand } from '../../../protocols/redis/frames.ts'
import type { TestProxy } from '../../support/proxy.ts'
import { RawClient, typed } from './raw-client.ts'
import { type RedisStage, startRedisStage } from './stage.ts'

let stage: RedisStage | undefined
let direct: Redis
let proxy: TestProxy
let token: string
const clients: RawClient[] = []
const drivers: Redis[] = []

before(async () => {
  stage = await startRedisStage(
    {
      open: {
        system: 'here',
        allow: ['+@all ~open:* &open:*', '+subscribe +psubscribe &__keyspace@0__:open:*'],
      },
      pinned: { system: 'third', allow: ['+@all ~open:*'] },
    },
    { settings: ['--notify-keyspace-events', 'KEA'], databases: { here: 0, third: 3 } },
  )
  direct = stage.direct
  proxy = stage.proxy
  token = await proxy.token('open', 'r-42')
})

after(async () => {
  for (const client of clients) client.close()
  for (const driver of drivers) driver.disconnect()
  await stage?.stop()
})

async function agent(version: 2 | 3 = 2): Promise<RawClient> {
  const client = await RawClient.open(proxy.address('here'))
  clients.push(client)
  assert.match((await client.ask(`HELLO ${version} AUTH r-42 ${token}`))[0] ?? '', /^[%*]/)
  return client
}

async function driver(protocol: 2 | 3, system = 'here', password = token): Promise<Redis> {
  const { host, port } = proxy.address(system)
  const client = new Redis({
    ...{ host, port, username: 'r-42', password, protocol, replyMapping: 'legacy', lazyConnect: true },
    retryStrategy: () => null,
  })
  client.on('error', () => undefined)
  drivers.push(client)
  await client.connect()
  return client
}

test('ten thousand commands in one pipeline, a third of them denied, are answered each in its place', async () => {
  for (const version of [2, 3] as const) {
    const client = await agent(version)
    const lines = Array.from({ length: 10_000 }, (_, i) => (i % 3 === 1 ? 'GET secret:x' : `ECHO n${i}`))
    const replies = await client.ask(...lines)
    for (const [i, reply] of replies.entries()) {
      if (i % 3 === 1) assert.match(reply, /^-NOPERM /)
      else assert.ok(reply.endsWith(`n${i}\r\n`), `${i}: ${reply}`)
    }
  }
})

test('a value of 20 MiB goes in and comes back whole', async () => {
  const client = await agent()
  const value = Buffer.alloc(20 * 1024 * 1024, 'abcdefghij')
  client.send(
    encodeCommand(['SET', 'open:big', value]),
    typed('GET secret:x'),
    typed('GET open:big'),
    typed('PING'),
  )
  const [ok, denial, back, pong] = await client.read(4)
  assert.equal(ok, '+OK\r\n')
  assert.match(denial ?? '', /^-NOPERM /)
  assert.equal(back?.length, value.length + 13)
  assert.ok(
    Buffer.from(back ?? '', 'latin1')
      .subarray(11, -2)
      .equals(value),
  )
  assert.equal(pong, '+PONG\r\n')
  await direct.del('open:big')
})

test('a client that asks and never reads is not read from for ever', async () => {
  const { host, port } = proxy.address('here')
  const socket = connect({ host, port })
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write(typed(`auth ${token}`))
  // Answered by the proxy itself, with fifty times the bytes of the question.
  const questions = Buffer.from('INFO\n'.repeat(10_000))
  let sent = 0
  for (let idle = 0; idle < 100 && sent < 32 << 20; idle += 1) {
    if (socket.writableNeedDrain) {
      await sleep(10)
      continue
    }
    idle = 0
    sent += questions.length
    socket.write(questions)
  }
  socket.destroy()
  assert.ok(sent < 32 << 20, 'a gigabyte of answers would wait')
})

test('a denial behind a blocking command waits with it', async () => {
  const client = await agent()
  client.send(typed('BLPOP open:queue 5'), typed('GET secret:x'))
  await new Promise((resolve) => setTimeout(resolve, 50))
  await direct.rpush('open:queue', 'job')
  const [popped, denial] = await client.read(2)
  assert.equal(popped, '*2\r\n$10\r\nopen:queue\r\n$3\r\njob\r\n')
  assert.match(denial ?? '', /^-NOPERM /)
})

describe('channels', () => {
  test('messages arrive between replies and denials, in both versions', async () => {
    for (const version of [2, 3] as const) {
      const client = await agent(version)
      const mark = version === 2 ? '*' : '>'
      assert.match((await client.ask('SUBSCRIBE open:c'))[0] ?? '', version === 2 ? /^\*3/ : /^>3/)
      await direct.publish('open:c', 'hello')
      assert.deepEqual(await client.read(1), [`${mark}3\r\n$7\r\nmessage\r\n$6\r\nopen:c\r\n$5\r\nhello\r\n`])
      assert.match((await client.ask('SUBSCRIBE secret:c'))[0] ?? '', /^-NOPERM /)
      assert.match((await client.ask('PING'))[0] ?? '', version === 2 ? /pong/ : /PONG/)
      assert.match((await client.ask('UNSUBSCRIBE'))[0] ?? '', /unsubscribe/)
      assert.equal((await client.ask('ECHO x'))[0], '$1\r\nx\r\n')
    }
  })
  test('in RESP2 the server refuses other commands while subscribed, and the count holds', async () => {
    const client = await agent(2)
    await client.ask('SUBSCRIBE open:c')
    assert.match((await client.ask('GET open:x'))[0] ?? '', /^-ERR Can't execute 'get'/)
    assert.match((await client.ask('UNSUBSCRIBE'))[0] ?? '', /unsubscribe/)
    assert.equal((await client.ask('PING'))[0], '+PONG\r\n')
  })
  test('UNSUBSCRIBE without names is confirmed once for each subscription', async () => {
    const client = await agent(3)
    await client.ask('SUBSCRIBE open:a')
    await client.ask('SUBSCRIBE open:b')
    client.send(
      typed('UNSUBSCRIBE'),
      typed('ECHO x'),
      typed('UNSUBSCRIBE'),
      typed('GET secret:x'),
      typed('ECHO y'),
    )
    const replies = await client.read(6)
    assert.deepEqual(
      replies.map((reply) => reply.slice(0, 1)),
      ['>', '>', '$', '>', '-', '$'],
    )
  })
  test('shard channels and granted patterns work in both versions', async () => {
    for (const version of [2, 3] as const) {
      const client = await agent(version)
      assert.match((await client.ask('SSUBSCRIBE open:s'))[0] ?? '', /ssubscribe/)
      assert.match((await client.ask('PSUBSCRIBE open:*'))[0] ?? '', /psubscribe/)
      await direct.call('SPUBLISH', 'open:s', 'one')
      await direct.publish('open:c', 'two')
      const [shard, pattern] = await client.read(2)
      assert.match(shard ?? '', /smessage.*one/s)
      assert.match(pattern ?? '', /pmessage.*two/s)
      client.send(typed('SUNSUBSCRIBE'), typed('PUNSUBSCRIBE'), typed('GET secret:x'), typed('ECHO x'))
      const [first, second, denial, echo] = await client.read(4)
      assert.match(first ?? '', /sunsubscribe/)
      assert.match(second ?? '', /punsubscribe/)
      assert.match(denial ?? '', /^-NOPERM /)
      assert.equal(echo, '$1\r\nx\r\n')
    }
  })
  test('keyspace notifications come only where they are granted by name', async () => {
    const client = await agent(3)
    assert.match((await client.ask('SUBSCRIBE __keyspace@0__:secret:x'))[0] ?? '', /^-NOPERM /)
    assert.match((await client.ask('PSUBSCRIBE *'))[0] ?? '', /^-NOPERM /)
    assert.match((await client.ask('SUBSCRIBE __keyspace@0__:open:n'))[0] ?? '', /^>3/)
    await direct.set('open:n', '1')
    assert.match((await client.read(1))[0] ?? '', /\$3\r\nset\r\n$/)
  })
})

test('a blocked client is told when its token expires, and its connection ends', async () => {
  const client = await RawClient.open(proxy.address('here'))
  clients.push(client)
  const short = await proxy.token('open', 'r-42', { ttlMs: 3_000 })
  assert.deepEqual(await client.ask(`AUTH r-42 ${short}`), ['+OK\r\n'])
  assert.deepEqual(await client.ask('BLPOP open:never 0'), ['-NOAUTH the token of this run has expired\r\n'])
  await client.read(1)
  assert.equal(client.closed, true)
})

test('invalidations of keys that the client has read reach it', async () => {
  const client = await agent(3)
  await direct.set('open:tracked', '1')
  assert.equal((await client.ask('CLIENT TRACKING ON'))[0], '+OK\r\n')
  await client.ask('GET open:tracked')
  await direct.set('open:tracked', '2')
  assert.equal((await client.read(1))[0], '>2\r\n$10\r\ninvalidate\r\n*1\r\n$12\r\nopen:tracked\r\n')
})

test('a session stays in the database of its system', async () => {
  const client = await driver(2, 'third', await proxy.token('pinned', 'r-42'))
  await client.set('open:here', 'three')
  assert.equal(await client.select(3), 'OK')
  await assert.rejects(client.select(0), /NOPERM/)
  await direct.select(3)
  assert.equal(await direct.get('open:here'), 'three')
  await direct.select(0)
  assert.equal(await direct.exists('open:here'), 0)
})

describe('ioredis', () => {
  for (const protocol of [2, 3] as const) {
    test(`RESP${protocol}: commands, pipelines and transactions behave as against the server`, async () => {
      const client = await driver(protocol)
      assert.equal(await client.set('open:k', 'v'), 'OK')
      assert.equal(await client.get('open:k'), 'v')
      await assert.rejects(client.get('secret:k'), /^ReplyError: NOPERM No permissions to access a key: /)
      await assert.rejects(
        client.publish('secret', 'm'),
        /^ReplyError: NOPERM No permissions to access a channel: /,
      )
      await assert.rejects(
        client.eval('return 1', 0),
        /^ReplyError: NOPERM User r-42 has no permissions to run the 'eval' command: /,
      )
      const piped = await client.pipeline().incr('open:n1').get('secret:k').incr('open:n1').exec()
      assert.deepEqual(
        piped?.map(([error, value]) => error?.message.slice(0, 6) ?? value),
        [1, 'NOPERM', 2],
      )
      await direct.del('open:n1')
      assert.deepEqual(await client.multi().set('open:t', '1').get('open:t').exec(), [
        [null, 'OK'],
        [null, '1'],
      ])
      await assert.rejects(client.multi().set('open:t', '2').get('secret:k').exec(), /EXECABORT/)
      assert.equal(await client.get('open:t'), '1')
      await client.watch('open:t')
      await direct.set('open:t', 'changed')
      assert.equal(await client.multi().set('open:t', '3').exec(), null)
      assert.deepEqual(await client.hset('open:h', { a: '1' }), 1)
      assert.deepEqual(await client.hgetall('open:h'), { a: '1' })
      await direct.del('open:h')
    })
  }
  test('commands that it puts into pipelines by itself get each its own answer, denied ones too', async () => {
    const { host, port } = proxy.address('here')
    const client = new Redis({
      ...{ host, port, username: 'r-42', password: token, enableAutoPipelining: true, lazyConnect: true },
      retryStrategy: () => null,
    })
    client.on('error', () => undefined)
    drivers.push(client)
    await client.connect()
    const asked = Array.from({ length: 2_000 }, async (_, i) => {
      if (i % 3 === 0) return client.set(`open:auto:${i}`, String(i))
      if (i % 3 === 1) return client.get(`secret:${i}`).catch((error: Error) => error.message.slice(0, 6))
      return client.get(`open:auto:${i - 2}`)
    })
    for (const [i, answer] of (await Promise.all(asked)).entries()) {
      assert.equal(answer, ['OK', 'NOPERM', String(i - 2)][i % 3])
    }
    await direct.del(...Array.from({ length: 667 }, (_, i) => `open:auto:${3 * i}`))
  })
  test('a scan of a granted pattern finds its keys, and only that', async () => {
    const client = await driver(2)
    await direct.mset('open:s1', '1', 'open:s2', '1', 'secret:s3', '1')
    const found = new Set<string>()
    for await (const keys of client.scanStream({ match: 'open:s*', count: 100 })) {
      for (const key of keys as string[]) found.add(key)
    }
    assert.deepEqual([...found].sort(), ['open:s1', 'open:s2'])
    await assert.rejects(client.scan('0'), /NOPERM/)
  })
})

test('inline commands work as far as they are plain', async () => {
  const client = await agent()
  client.send(Buffer.from('SET open:i 1\r\nGET open:i\r\nGET secret:x\r\n'))
  const [ok, value, denial] = await client.read(3)
  assert.deepEqual([ok, value], ['+OK\r\n', '$1\r\n1\r\n'])
  assert.match(denial ?? '', /^-NOPERM /)
})

test('a broken command ends the connection with the words of the server', async () => {
  const client = await agent()
  client.send(Buffer.from('*1\r\n:1\r\n'))
  assert.deepEqual(await client.read(2), ["-ERR Protocol error: expected '$', got ':'\r\n"])
  assert.equal(client.closed, true)
})

test('the proxy’s own name stays on the backend’s connection', async () => {
  const client = await agent()
  await client.ask('CLIENT SETNAME intruder')
  assert.equal((await client.ask('CLIENT GETNAME'))[0], '$8\r\nintruder\r\n')
  const list = String(await direct.client('LIST'))
  assert.match(list, /name=bulkhead:r-42/)
  assert.doesNotMatch(list, /intruder/)
})

test('QUIT is answered and ends the connection', async () => {
  const client = await agent()
  assert.deepEqual(await client.ask('ECHO x', 'QUIT'), ['$1\r\nx\r\n', '+OK\r\n'])
  await client.read(1)
  assert.equal(client.closed, true)
})
