/** The control connection against real servers: what is known of them, and what is said when they are not as they must be. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisAnalyser } from '../../../protocols/redis/index.ts'
import type { Backend, BackendNotice, BackendTarget } from '../../../src/backends/backend.ts'
import { openRedisBackend } from '../../../src/backends/redis.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { ownRedisServer } from '../../support/servers.ts'

const opened: Backend<RedisAnalyser>[] = []
const servers: DatabaseServer[] = []

after(async () => {
  await Promise.all(opened.map((backend) => backend.close()))
  await Promise.all(servers.map((server) => server.stop()))
})

async function server(...settings: string[]): Promise<DatabaseServer> {
  const started = await ownRedisServer({ settings })
  servers.push(started)
  return started
}

async function open(target: Partial<BackendTarget> & { readonly port: number }) {
  const notices: BackendNotice[] = []
  const backend = openRedisBackend(
    {
      ...{
        host: '127.0.0.1',
        user: '',
        password: undefined,
        database: '0',
        schema: '',
        tls: 'disable',
        ca: undefined,
      },
      ...target,
    },
    (notice) => notices.push(notice),
  )
  opened.push(backend)
  await backend.start()
  return { backend, notices }
}

test('a server is known after the first connection, and every vetted command is what was vetted', async () => {
  const { port, password, version } = await server()
  const { backend, notices } = await open({ port, password, database: '3' })
  const catalog = backend.knowledge.current?.catalog
  assert.equal(backend.reachable, true)
  assert.equal(catalog?.version, version)
  assert.equal(catalog?.database, 3)
  assert.equal(catalog?.complete, true)
  assert.deepEqual(
    notices.map(({ level }) => level),
    ['info'],
  )
})

test('a command that was renamed is unknown under both names', async () => {
  const { port, password } = await server('--rename-command', 'GETSET', 'fetchset')
  const { backend } = await open({ port, password })
  const analyser = backend.knowledge.current
  for (const line of ['GETSET a b', 'FETCHSET a b']) {
    const analysis = analyser?.analyse(line)
    assert.equal(analysis?.outcome, 'not_understood')
    assert.match(
      analysis?.outcome === 'not_understood' ? (analysis.nativeError?.message ?? '') : '',
      /^unknown command/,
    )
  }
  assert.equal(analyser?.analyse('GET a').outcome, 'accesses')
})

test('a name that leads to another command is refused', async () => {
  const { port, password } = await server('--rename-command', 'GET', '', '--rename-command', 'DUMP', 'get')
  const { backend, notices } = await open({ port, password })
  const analysis = backend.knowledge.current?.analyse('GET a')
  assert.equal(analysis?.outcome, 'not_understood')
  assert.match(
    notices.map(({ message }) => message).join(),
    /the server calls `dump` by that name; it is refused/,
  )
})

test('a cluster is refused with a line that says so', async () => {
  const { port, password } = await server('--cluster-enabled', 'yes')
  const { backend, notices } = await open({ port, password })
  assert.equal(backend.reachable, false)
  assert.equal(backend.knowledge.current, undefined)
  assert.match(
    notices.map(({ message }) => message).join(),
    /the backend is a cluster, which is not supported/,
  )
})

test('a wrong password is said once, without the password', async () => {
  const { port } = await server()
  const { backend, notices } = await open({ port, password: 'hunter2' })
  assert.equal(backend.reachable, false)
  assert.match(notices[0]?.message ?? '', /WRONGPASS/)
  assert.doesNotMatch(JSON.stringify(notices), /hunter2/)
})

test('a server that goes away is noticed, and what was known of it is kept', async () => {
  const gone = await ownRedisServer()
  const { backend } = await open({ port: gone.port, password: gone.password })
  assert.equal(backend.reachable, true)
  await gone.stop()
  for (let waited = 0; backend.reachable && waited < 5_000; waited += 20) await sleep(20)
  assert.equal(backend.reachable, false)
  assert.ok(backend.knowledge.current)
})

test('calls of refresh made together share one reading', async () => {
  const { port, password } = await server()
  const { backend } = await open({ port, password })
  await sleep(1_100)
  const first = backend.refresh()
  assert.equal(backend.refresh(), first)
  await first
  assert.equal(backend.reachable, true)
})
