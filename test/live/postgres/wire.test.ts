/** The wire against a real server, one trait at a time: cancel, protocol 3.2, streaming, and every way to log in. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import selfsigned from 'selfsigned'
import { PostgresBackendLogin } from '../../../protocols/postgres/backend-login.ts'
import { cancelRequest } from '../../../protocols/postgres/cancel.ts'
import { startPostgres } from '../../../src/demo/servers/postgres.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { dialUpstream } from '../../../src/relay/upstream.ts'
import { copyData, copyDone, extended, query, serverText, sync } from '../../protocols/postgres/messages.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { connection } from '../../support/servers.ts'
import { openWireProxy, type WireProxy } from './proxy.ts'
import { RawClient } from './raw-client.ts'

for (const major of [15, 18]) {
  describe(`the wire, PostgreSQL ${major}`, () => {
    let server: DatabaseServer
    let proxy: WireProxy
    let login: { user: string; password: string }

    before(async () => {
      server = await startPostgres({ folder: temporaryFolder(), major })
      const { port, user, password = '' } = server
      login = { user, password }
      proxy = await openWireProxy({
        backend: { port, user, password, database: 'postgres' },
        judge: () => undefined,
        serverVersionNum: major * 10_000,
      })
    })
    after(async () => {
      await proxy.close()
      await server.stop()
    })

    test('a cancel request ends the statement of the session that owns the key, and of no other', async () => {
      const mine = await RawClient.login(proxy.port, login)
      const other = await RawClient.login(proxy.port, login)
      assert.notEqual(mine.key.readUInt32BE(0), 0)
      mine.send(query('select pg_sleep(20)'))
      other.send(query('select pg_sleep(0.4)'))
      await mine.quiet(100)
      sendCancel(proxy.port, mine.key)
      assert.equal(await mine.read(), 'T E(57014) Z(I)')
      assert.equal(await other.read(), 'T D C(SELECT 1) Z(I)')
      mine.end()
      other.end()
    })

    test('a key that was never given out cancels nothing', async () => {
      const client = await RawClient.login(proxy.port, login)
      client.send(query('select pg_sleep(0.4)'))
      await client.quiet(50)
      const guess = Buffer.from(client.key)
      guess.writeUInt8((guess.readUInt8(guess.length - 1) + 1) % 256, guess.length - 1)
      sendCancel(proxy.port, guess)
      assert.equal(await client.read(), 'T D C(SELECT 1) Z(I)')
      client.end()
    })

    test('the key that the client gets is not the key of the server', async () => {
      const client = await RawClient.login(proxy.port, login)
      client.send(query('select pg_backend_pid()'))
      const reply = await client.until('Z')
      assert.equal(reply.includes(String(client.key.readUInt32BE(0))), false)
      client.end()
    })

    test('a client of protocol 3.2 gets a key of 32 bytes, whatever the server speaks', async () => {
      const client = await RawClient.login(proxy.port, { ...login, version: 0x0003_0002 })
      assert.equal(client.key.length, 36)
      client.send(query('select pg_sleep(20)'))
      await client.quiet(100)
      sendCancel(proxy.port, client.key)
      assert.equal(await client.read(), 'T E(57014) Z(I)')
      client.end()
    })

    test('a result of 100 MB and a COPY of 100 MB pass without being collected', async () => {
      const client = await RawClient.login(proxy.port, login)
      const before = process.memoryUsage().arrayBuffers
      client.discard = true
      client.send(query("select repeat('x', 1000000) from generate_series(1, 100)"))
      await client.seen(100_000_000)
      await client.quiet(300)
      client.discard = false
      client.send(query('create temp table t (a text)'))
      await client.read()
      client.send(query('copy t from stdin'))
      await client.read('G')
      const megabyte = copyData(`${'y'.repeat(999_999)}\n`)
      for (let count = 0; count < 100; count += 1) await client.sendAll(megabyte)
      client.send(copyDone)
      assert.equal(await client.read(), 'C(COPY 100) Z(I)')
      client.send(extended('select count(*) from t'), sync)
      assert.match(await client.read(), /C\(SELECT 1\)/)
      client.end()
      const grown = process.memoryUsage().arrayBuffers - before
      assert.ok(grown < 150_000_000, `${grown} bytes more`)
      assert.equal(proxy.completions.filter(({ rows }) => rows === 100).length, 2)
    })

    test('a notice and a change of an unwatched setting pass', async () => {
      const client = await RawClient.login(proxy.port, login)
      client.send(query("do $$ begin raise notice 'hello'; end $$; set timezone = 'UTC+1'"))
      assert.match(await client.read(), /^N C\(DO\) C\(SET\) S Z\(I\)$/)
      client.end()
    })

    test('a change of a watched setting ends the session', async () => {
      const client = await RawClient.login(proxy.port, login)
      client.send(query("select set_config('standard_conforming_strings', 'off', false)"))
      assert.match(await client.read('E'), /E\(08P01\)/)
      assert.match(await client.read('nothing'), /end/)
    })

    test('resets lead back to what is pinned', async () => {
      const client = await RawClient.login(proxy.port, login)
      for (const reset of ['reset all', 'discard all']) {
        client.send(query(reset))
        assert.match(await client.read(), /Z\(I\)$/)
        client.send(query("select current_setting('search_path')"))
        const reply = await client.until('Z')
        assert.ok(reply.includes('"public", pg_temp'), reply.toString())
      }
      client.end()
    })

    test('the server says why it ends a session', async () => {
      const client = await RawClient.login(proxy.port, login)
      const admin = await RawClient.login(server.port, login)
      admin.send(
        query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bulkhead test'",
        ),
      )
      await admin.read()
      assert.match(await client.read('E'), /E\(57P01\)/)
      admin.end()
    })
  })
}

function sendCancel(port: number, key: Buffer): void {
  const socket = connect(port, '127.0.0.1')
  socket.end(cancelRequest(key.readUInt32BE(0), key.subarray(4)))
}

describe('logging in to the server', () => {
  let server: DatabaseServer
  let certificate: string

  before(async () => {
    const folder = temporaryFolder()
    chmodSync(folder, 0o755)
    const { cert, private: key } = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], {
      algorithm: 'sha256',
      keySize: 2048,
    })
    certificate = cert
    const hba = [
      'hostssl all only_tls 127.0.0.1/32 scram-sha-256',
      'hostnossl all only_tls 127.0.0.1/32 reject',
      'hostssl all clear_tls 127.0.0.1/32 password',
      'host all by_md5 127.0.0.1/32 md5',
      'host all by_clear 127.0.0.1/32 password',
      'host all by_trust 127.0.0.1/32 trust',
      'host all rejected 127.0.0.1/32 reject',
      'host all all 127.0.0.1/32 scram-sha-256',
    ]
    write(folder, 'pg_hba.conf', hba.join('\n'))
    write(folder, 'server.crt', cert)
    server = await startPostgres({
      folder: temporaryFolder(),
      major: 15,
      settings: [`hba_file=${join(folder, 'pg_hba.conf')}`],
    })
    const admin = await RawClient.login(server.port, { user: server.user, password: server.password ?? '' })
    for (const statement of [
      "create role only_tls login password 'pw'",
      "create role clear_tls login password 'pw'",
      "create role by_clear login password 'pw'",
      "create role by_scram login password 'pw'",
      'create role by_trust login',
      'create role rejected login',
      "set password_encryption = md5; create role by_md5 login password 'pw'",
      "create database latin encoding 'LATIN1' locale 'C' template template0",
      // The server reads its key as its own user: it writes the files itself.
      `copy (select unnest(string_to_array('${key}', e'\\n'))) to program 'umask 077; cat > server.key'`,
      `copy (select unnest(string_to_array('${cert}', e'\\n'))) to program 'cat > server.crt'`,
      'alter system set ssl = on',
      'select pg_reload_conf()',
    ]) {
      admin.send(query(statement))
      assert.match(await admin.read(), /^(?!.*E\().*Z\(I\)/, statement)
    }
    admin.end()
  })
  after(() => server.stop())

  type Attempt = {
    tls?: 'disable' | 'prefer' | 'require' | 'verify-full'
    password?: string
    database?: string
  }

  const dial = async (user: string, more: Attempt) => {
    const { tls = 'disable', password = 'pw', database = 'postgres' } = more
    const { port } = server
    const login = new PostgresBackendLogin({
      user,
      password,
      database,
      tls,
      applicationName: 'bulkhead test',
      random: randomBytes,
      schema: 'public',
      serverVersionNum: 150_000,
      settings: new Map(),
    })
    const target = {
      host: '127.0.0.1',
      port,
      user,
      password,
      database,
      schema: 'public',
      tls,
      ca: certificate,
    }
    return { login, target, socket: await dialUpstream(target, login) }
  }

  const attempt = async (user: string, more: Attempt = {}): Promise<string> => {
    try {
      const { socket } = await dial(user, more)
      socket.destroy()
      return 'ready'
    } catch (error) {
      const { fault, message } = error as Error & { fault: string }
      return `${fault}: ${message}`
    }
  }

  test('a cancel request crosses TLS where the session does', async () => {
    const { login, target, socket } = await dial('only_tls', { tls: 'require' })
    const replies: Buffer[] = []
    socket.on('data', (chunk) => replies.push(chunk))
    socket.resume()
    socket.write(query('select pg_sleep(20)'))
    const watcher = new Client(connection(server))
    await watcher.connect()
    const isRunning = "select from pg_stat_activity where state = 'active' and query = 'select pg_sleep(20)'"
    while ((await watcher.query(isRunning)).rowCount === 0) await sleep(5)
    await watcher.end()
    const cancel = login.cancel()
    assert.ok(cancel)
    const canceling = await dialUpstream(target, cancel)
    canceling.destroy()
    while (!Buffer.concat(replies).includes('57014')) await once(socket, 'data')
    assert.match(serverText(Buffer.concat(replies)), /E\(57014\)/)
    socket.destroy()
  })

  test('by SCRAM', async () => assert.equal(await attempt('by_scram'), 'ready'))
  test('by MD5', async () => assert.equal(await attempt('by_md5'), 'ready'))
  test('by cleartext', async () => assert.equal(await attempt('by_clear'), 'ready'))
  test('by trust', async () => assert.equal(await attempt('by_trust'), 'ready'))
  test('over TLS, with the binding of the channel', async () =>
    assert.equal(await attempt('only_tls', { tls: 'require' }), 'ready'))
  test('by cleartext over TLS', async () =>
    assert.equal(await attempt('clear_tls', { tls: 'require' }), 'ready'))
  test('over TLS where it is preferred', async () =>
    assert.equal(await attempt('only_tls', { tls: 'prefer' }), 'ready'))
  test('not with a wrong password', async () =>
    assert.match(await attempt('by_scram', { password: 'no' }), /^authentication: 28P01/))
  test('not with a wrong password, by MD5', async () =>
    assert.match(await attempt('by_md5', { password: 'no' }), /^authentication: 28P01/))
  test('not where the server rejects', async () =>
    assert.match(await attempt('rejected'), /^authentication: 28000/))
  test('not to a database that is not there', async () =>
    assert.match(await attempt('by_scram', { database: 'nowhere' }), /^refused: 3D000/))
  test('not to a database of another encoding', async () =>
    assert.match(await attempt('by_scram', { database: 'latin' }), /^unsupported: .*server_encoding=LATIN1/))
  test('not without TLS where the server wants it', async () =>
    assert.match(await attempt('only_tls'), /^authentication: 28000/))
})

function write(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, name), text)
  chmodSync(join(folder, name), 0o644)
}
