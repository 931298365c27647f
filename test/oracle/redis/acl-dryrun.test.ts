/**
 * The verdicts of generated commands under generated grants, against `ACL DRYRUN` of a real server that has the same
 * rules: equal, or ours is the stricter one for a reason that is named. The short form runs with the tests; a longer
 * one, or one against a server of one's choice, by hand:
 *
 *     BULKHEAD_ORACLE_COMMANDS=1000000 BULKHEAD_ORACLE_PORT=6379 npm run test:one -- test/oracle/redis/acl-dryrun.test.ts
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { compareWithServer } from '../../../protocols/redis/index.ts'
import { serverCommands } from '../../../src/backends/redis.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { matchGlob } from '../../../src/grants/glob.ts'
import { ownRedisServer } from '../../support/servers.ts'
import { compare } from './acl.ts'
import { commandsOf, Dice } from './generate.ts'

const COMMANDS = Number(process.env['BULKHEAD_ORACLE_COMMANDS'] ?? 20_000)
const SEED = Number(process.env['BULKHEAD_ORACLE_SEED'] ?? 1)
const PORT = process.env['BULKHEAD_ORACLE_PORT']

let server: DatabaseServer | undefined
let client: Redis

before(async () => {
  if (PORT === undefined) server = await ownRedisServer()
  client = new Redis({
    host: '127.0.0.1',
    port: server?.port ?? Number(PORT),
    ...(server?.password !== undefined && { password: server.password }),
    protocol: 2,
    replyMapping: 'legacy',
  })
})

after(async () => {
  client.disconnect()
  await server?.stop()
})

test('no command is allowed that the ACL of a server with the same rules denies', async (t) => {
  const commands = serverCommands(await client.call('COMMAND'))
  const { refused } = compareWithServer(commands)
  const names = new Set(commands.map((command) => command.name).filter((name) => !refused.has(name)))
  const catalog = { server: 'redis', version: 'test', database: 0, refused, complete: true } as const
  const tally = await compare({ client, catalog, names, seed: SEED, commands: COMMANDS })
  t.diagnostic(
    `${tally.compared} compared: ${tally.bothAllow} allowed by both, ${tally.bothDeny} denied by both, ${tally.wrongArity} of another arity`,
  )
  const grantable = commandsOf(names).filter(({ decision }) => decision.is === 'grantable')
  const never = grantable.map(({ name }) => name).filter((name) => !tally.namesAllowed.has(name))
  t.diagnostic(
    `${commands.length} commands of the server, ${tally.names.size} compared; of ${grantable.length} that a category can grant all are allowed by both but ${never.join(', ') || 'none'}`,
  )
  for (const [reason, count] of tally.stricter) t.diagnostic(`${count} stricter: ${reason}`)
  assert.deepEqual(tally.looser, [])
  assert.deepEqual(tally.unexplained, [])
  assert.ok(
    tally.bothAllow > COMMANDS / 10,
    'too few commands are allowed for the comparison to mean anything',
  )
})

test('a pattern matches what it matches on the server', async () => {
  const dice = new Dice(SEED)
  const bytes = ['a', 'b', 'z', ':', '*', '?', '[', ']', '^', '-', '\\', '\xff']
  const some = (length: number) =>
    Array.from({ length: dice.int(length + 1) }, () => dice.pick(bytes)).join('')
  for (let n = 0; n < 300; n++) {
    const pattern = some(7)
    if (pattern === '*') continue
    await client.call('ACL', 'SETUSER', 'globs', 'reset', '+get', Buffer.from(`~${pattern}`, 'latin1'))
    const texts = Array.from({ length: 40 }, () => some(5))
    const answers = await Promise.all(
      texts.map((text) => client.call('ACL', 'DRYRUN', 'globs', 'get', Buffer.from(text, 'latin1'))),
    )
    for (const [i, text] of texts.entries()) {
      assert.equal(
        matchGlob(pattern, text),
        answers[i] === 'OK',
        `${JSON.stringify(pattern)} on ${JSON.stringify(text)}`,
      )
    }
  }
  await client.call('ACL', 'DELUSER', 'globs')
})
