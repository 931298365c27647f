import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { freePort } from '../../src/demo/servers/process.ts'
import { startRedis } from '../../src/demo/servers/redis.ts'
import type { DatabaseServer } from '../../src/demo/servers/server.ts'
import { loaderOptions, moduleUrl } from '../support/child.ts'
import { temporaryFolder } from '../support/folders.ts'
import {
  connection,
  freshMysqlDatabase,
  freshPostgresDatabase,
  mariadbServer,
  ownRedisServer,
  postgresServer,
} from '../support/servers.ts'

test('a fresh PostgreSQL database is empty, ours, and gone after drop()', async () => {
  const database = await freshPostgresDatabase(await postgresServer())
  const client = new pg.Client(connection(database))
  await client.connect()
  const { rows } = await client.query("select count(*)::int as n from pg_tables where schemaname = 'public'")
  assert.deepEqual(rows, [{ n: 0 }])
  await client.end()
  await database.drop()
  await assert.rejects(new pg.Client(connection(database)).connect(), { code: '3D000' })
})

test('PostgreSQL refuses a login without the password', async () => {
  const server = await postgresServer()
  const client = new pg.Client({ ...connection(server), password: 'not the password' })
  await assert.rejects(client.connect(), { code: '28P01' })
})

test('a fresh MariaDB database is empty, utf8mb4, and gone after drop()', async () => {
  const database = await freshMysqlDatabase(await mariadbServer())
  const session = await createConnection(connection(database))
  const [rows] = await session.query('select @@character_set_database as charset, database() as name')
  assert.deepEqual(rows, [{ charset: 'utf8mb4', name: database.database }])
  const [tables] = await session.query('show tables')
  assert.deepEqual(tables, [])
  await session.end()
  await database.drop()
  await assert.rejects(createConnection(connection(database)), { code: 'ER_BAD_DB_ERROR' })
})

test('MariaDB has no user without a password', async () => {
  const server = await mariadbServer()
  for (const user of ['root', '', 'mysql', 'PUBLIC']) {
    await assert.rejects(createConnection({ host: server.host, port: server.port, user }), {
      code: 'ER_ACCESS_DENIED_ERROR',
    })
  }
})

test('stop() ends the server, removes its data and may be called twice', async () => {
  const folder = temporaryFolder()
  const server = await startRedis({ folder, settings: ['--maxmemory', '50mb'] })
  const client = new Redis({ host: server.host, port: server.port, password: server.password ?? '' })
  assert.deepEqual(await client.config('GET', 'maxmemory'), ['maxmemory', '52428800'])
  client.disconnect()
  await server.stop()
  await server.stop()
  assert.equal(existsSync(folder), false)
  assert.equal(await isListening(server), false)
  assert.throws(() => process.kill(server.pid, 0), { code: 'ESRCH' })
})

test('Redis refuses a command without the password', async () => {
  const server = await ownRedisServer()
  const client = new Redis({ host: server.host, port: server.port, enableReadyCheck: false })
  client.on('error', () => {})
  await assert.rejects(client.get('cart:1'), /^ReplyError: NOAUTH/)
  client.disconnect()
  await server.stop()
})

test('a server that does not start says why, in its own last words', async () => {
  const folder = temporaryFolder()
  await assert.rejects(
    startRedis({ folder, settings: ['--no-such-setting', 'yes'] }),
    /did not start.*no-such-setting/s,
  )
  assert.equal(existsSync(folder), false)
})

test('the servers of a process that is killed end with it', async () => {
  const folder = temporaryFolder()
  const script = `
    import { startRedis } from ${JSON.stringify(moduleUrl('src/demo/servers/redis'))}
    const { port, pid } = await startRedis({ folder: ${JSON.stringify(folder)} })
    console.log(JSON.stringify({ port, pid }))
    setInterval(() => {}, 1000)
  `
  const child = spawn(process.execPath, [...loaderOptions(), '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(child.stdout, 'data')
  const { port, pid } = JSON.parse(String(line)) as DatabaseServer
  child.kill('SIGKILL')
  await once(child, 'exit')
  const server = { port, host: '127.0.0.1' } as const
  for (let tries = 0; tries < 400 && (await isListening(server)); tries++) await delay(50)
  assert.equal(await isListening(server), false, `process ${pid} still listens`)
  for (let tries = 0; tries < 400 && existsSync(join(folder, 'server.log')); tries++) await delay(50)
  assert.equal(existsSync(join(folder, 'server.log')), false)
})

test('freePort() gives a port that can be bound', async () => {
  const port = await freePort()
  assert.ok(port > 1023 && port < 65536)
  assert.equal(await isListening({ host: '127.0.0.1', port }), false)
})

async function isListening(server: { readonly host: string; readonly port: number }): Promise<boolean> {
  const socket = connect(server.port, server.host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
