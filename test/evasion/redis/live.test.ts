/**
 * The corpus through the whole proxy, against a server where the forbidden thing exists: alone, between allowed
 * commands of a pipeline, and in a transaction. Nothing secret comes back, and nothing changes.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Redis } from 'ioredis'
import type { DenyReason } from '../../../protocols/session.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { RawClient } from '../../live/redis/raw-client.ts'
import { type RedisStage, startRedisStage } from '../../live/redis/stage.ts'
import type { TestProxy } from '../../support/proxy.ts'
import { HIDES } from './hides.ts'
import { INNOCENT } from './innocent.ts'
import { GRANT, SECRET, seed, state } from './world.ts'

let stage: RedisStage | undefined
let server: DatabaseServer
let direct: Redis
let proxy: TestProxy
let token: string
const clients: RawClient[] = []
/** The commands that the server has. */
let names: ReadonlySet<string>

before(async () => {
  stage = await startRedisStage({ open: { system: 'here', allow: [...GRANT] } })
  server = stage.server
  direct = stage.direct
  proxy = stage.proxy
  token = await proxy.token('open', 'r-42')
  await seed(direct)
  const listed = (await direct.call('COMMAND', 'LIST')) as string[]
  names = new Set(listed.map((name) => name.toLowerCase()))
})

after(async () => {
  for (const client of clients) client.close()
  await stage?.stop()
})

async function agent(version: 2 | 3): Promise<RawClient> {
  const client = await RawClient.open(proxy.address('here'))
  clients.push(client)
  const [greeting] = await client.ask(`HELLO ${version} AUTH r-42 ${token}`)
  assert.match(greeting ?? '', /^[%*]/)
  return client
}

/** How the denial begins. */
function denied(reason: DenyReason, statement: string): RegExp {
  if (reason === 'not_understood') return /^-(?:ERR|NOPROTO) /
  const name = statement.split(' ')[0]?.toLowerCase() ?? ''
  return names.has(name) ? /^-NOPERM / : /^-ERR unknown command /
}

for (const { trick, statements, reason } of HIDES) {
  describe(`refused, because it ${trick}`, () => {
    for (const version of [2, 3] as const) {
      test(`in RESP${version}: denied, and the session lives on`, async () => {
        const client = await agent(version)
        const known = await state(direct)
        const lines = statements.flatMap((statement) => ['ECHO before', statement, 'ECHO after'])
        const replies = await client.ask(...lines)
        assert.ok(!replies.join('').includes(SECRET))
        for (const [i, statement] of statements.entries()) {
          const [echo, denial, after] = replies.slice(3 * i, 3 * i + 3)
          assert.deepEqual([echo, after], ['$6\r\nbefore\r\n', '$5\r\nafter\r\n'], statement)
          assert.match(denial ?? '', denied(reason, statement), statement)
        }
        assert.equal(await state(direct), known)
      })
    }
    test('in a transaction: it is aborted', async () => {
      const client = await agent(2)
      const known = await state(direct)
      const lines = statements.flatMap((statement) => [
        'MULTI',
        'SET open:multi 1',
        statement,
        'EXEC',
        'ECHO after',
      ])
      const replies = await client.ask(...lines)
      for (const [i, statement] of statements.entries()) {
        const [multi, queued, denial, exec, after] = replies.slice(5 * i, 5 * i + 5)
        assert.deepEqual([multi, queued, after], ['+OK\r\n', '+QUEUED\r\n', '$5\r\nafter\r\n'], statement)
        assert.match(denial ?? '', /^-(?:NOPERM|ERR|NOPROTO) /, statement)
        assert.match(exec ?? '', /^-EXECABORT /, statement)
      }
      assert.equal(await direct.exists('open:multi'), 0)
      assert.equal(await state(direct), known)
    })
  })
}

test('hops are recorded with their kind', async () => {
  const client = await agent(2)
  const expected: string[] = []
  for (const { statements, hop } of HIDES) {
    if (hop === undefined) continue
    await client.ask(...statements)
    expected.push(...statements.map(() => hop))
  }
  const hops = proxy.records().filter(({ event }) => event === 'hop')
  assert.deepEqual(
    hops.slice(-expected.length).map(({ kind }) => kind),
    expected,
  )
})

/** Answers that are the proxy's own, or differ from one call to the next. */
const OWN = /^(?:INFO|CLIENT|HELLO|ACL WHOAMI|TIME|XADD|LOLWUT|DUMP|COMMAND|OBJECT|MEMORY|XINFO|SCAN|KEYS)/

test('what is innocent is answered as the server itself answers it', async () => {
  const { host, port, password } = server
  await seed(direct)
  const straight = await RawClient.open({ host, port })
  clients.push(straight)
  await straight.ask(`AUTH ${password}`)
  const native: string[] = []
  for (const statement of INNOCENT) native.push(...(await straight.ask(statement)))
  await seed(direct)
  const client = await agent(2)
  for (const [i, statement] of INNOCENT.entries()) {
    const [reply] = await client.ask(statement)
    assert.doesNotMatch(reply ?? '', /^-NOPERM/, statement)
    if (!OWN.test(statement)) assert.equal(reply, native[i], statement)
    else assert.doesNotMatch(reply ?? '-', /^-/, statement)
  }
})
