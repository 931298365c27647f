/** Ordinary drivers and the command-line client through the whole proxy, and accounts of every authentication plugin. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { generateKeyPair } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Connection as CallbackConnection } from 'mysql2'
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import type { BackendNotice } from '../../../src/backends/backend.ts'
import { openMysqlBackend } from '../../../src/backends/mysql.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { connection, type FreshDatabase, freshMysqlDatabase, mariadbServer } from '../../support/servers.ts'

const run = promisify(execFile)
const makeKeyPair = promisify(generateKeyPair)
const RUN = 'r-driver'

let server: DatabaseServer
let database: FreshDatabase
let direct: Connection
let proxy: TestProxy
const opened: Connection[] = []

let hasEd25519 = true
/** An account of its own for this file, so that others are not disturbed. */
const ED25519_USER = `ed_${process.pid}`

before(async () => {
  server = await mariadbServer()
  database = await freshMysqlDatabase(server)
  direct = await createConnection({ ...connection(database), multipleStatements: true })
  await direct.query(
    'create table orders (id int primary key auto_increment, item varchar(50), price decimal(10,2), made datetime, doc json);' +
      "insert into orders (item, price, made, doc) values ('Größe', 1.50, '2026-01-02 03:04:05', '{\"a\":1}'), (null, null, null, null);" +
      'create table salaries (id int, amount int);' +
      'create procedure pair() begin select 1 as one; select 2 as two; end;',
  )
  try {
    await direct.query('install soname "auth_ed25519"')
  } catch (error) {
    const { code } = error as { code?: string }
    // Where another test has loaded it before: ER_UDF_EXISTS. Where the package does not have it: no such file.
    hasEd25519 = code === 'ER_UDF_EXISTS' || code === 'ER_PLUGIN_INSTALLED'
  }
  if (hasEd25519) {
    await direct.query(`create user ${ED25519_USER}@'%' identified via ed25519 using password('a secret')`)
    await direct.query(`grant all on ${database.database}.* to ${ED25519_USER}@'%'`)
  }
  const url = (user: string, password: string): string =>
    `mysql://${user}:${password}@${server.host}:${server.port}/${database.database}`
  const rsaFile = join(temporaryFolder(), 'rsa.pem')
  // Long enough for the tokens of these tests; 8192 bits, for any token, take a minute to make.
  const { privateKey } = await makeKeyPair('rsa', { modulusLength: 4096 })
  writeFileSync(rsaFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const allow = ['select, insert, update, delete on orders', 'execute on procedure pair']
  proxy = await startProxy({
    systems: {
      shop: {
        protocol: 'mysql',
        rsa_key: rsaFile,
        backend: { url: url(server.user, server.password ?? '') },
      },
      ...(hasEd25519 && {
        signed: {
          protocol: 'mysql',
          backend: { url: url(ED25519_USER, encodeURIComponent('a secret')) },
        },
      }),
    },
    grants: {
      orders: { system: 'shop', allow },
      ...(hasEd25519 && { signed: { system: 'signed', allow } }),
    },
  })
})

after(async () => {
  for (const each of opened) each.destroy()
  await proxy.stop()
  if (hasEd25519) await direct.query(`drop user ${ED25519_USER}@'%'`)
  await direct.end()
  await database.drop()
  await server.stop()
})

async function connect(
  options: Readonly<Record<string, unknown>> = {},
  grant = 'orders',
  system = 'shop',
): Promise<Connection> {
  const { host, port } = proxy.address(system)
  const made = await createConnection({
    ...{ host, port, user: RUN, password: await proxy.token(grant, RUN), database: database.database },
    ssl: { rejectUnauthorized: false },
    ...options,
  })
  opened.push(made)
  return made
}

const rowsOf = async (client: Connection, sql: string, values?: unknown[]): Promise<RowDataPacket[]> =>
  (await client.query<RowDataPacket[]>(sql, values))[0]

const denial = { errno: 1142, sqlState: '42000', code: 'ER_TABLEACCESS_DENIED_ERROR' }

describe('mysql2', () => {
  test('sees every type of value as it would without the proxy', async () => {
    const sql = 'select id, item, price, made, doc from orders order by id'
    const expected = (await direct.query(sql))[0]
    assert.deepEqual(await rowsOf(await connect(), sql), expected)
    const client = await connect({ database: undefined })
    assert.deepEqual((await client.execute(sql))[0], (await direct.execute(sql))[0])
  })

  test('prepares once and executes often, with named placeholders too', async () => {
    const client = await connect({ namedPlaceholders: true })
    for (const id of [1, 2, 1]) {
      const [rows] = await client.execute<RowDataPacket[]>('select id from orders where id = :id', { id })
      assert.equal(rows[0]?.['id'], id)
    }
    const statement = await client.prepare('select id from orders where id > 0 and id = ?')
    assert.deepEqual((await statement.execute([2]))[0], [{ id: 2 }])
    await statement.close()
    await assert.rejects(client.execute('select * from salaries where id = ?', [1]), denial)
    assert.deepEqual((await client.execute('select id from orders where id = :id', { id: 1 }))[0], [
      { id: 1 },
    ])
  })

  test('writes, commits and rolls back; a denial does not end the transaction', async () => {
    const client = await connect()
    await client.beginTransaction()
    const [made] = await client.query('insert into orders (item) values (?)', ['in a transaction'])
    assert.equal((made as { affectedRows: number }).affectedRows, 1)
    await assert.rejects(client.query('update salaries set amount = 0'), denial)
    assert.equal((await rowsOf(client, "select id from orders where item = 'in a transaction'")).length, 1)
    await client.rollback()
    assert.equal((await rowsOf(client, "select id from orders where item = 'in a transaction'")).length, 0)
  })

  test('reads all results of a procedure, and streams rows', async () => {
    const client = await connect()
    const [sets] = await client.query<RowDataPacket[][]>('call pair()')
    assert.deepEqual(sets.slice(0, 2), [[{ one: 1 }], [{ two: 2 }]])
    let rows = 0
    const plain = (client as unknown as { connection: CallbackConnection }).connection
    for await (const _ of plain.query('select o.id from orders o, orders p, orders q').stream()) rows += 1
    assert.equal(rows, 8)
  })

  test('sends many statements without waiting, and each gets its own answer', async () => {
    const client = await connect()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, index) =>
        client.query(index % 3 === 0 ? 'select * from salaries' : `select ${index} as n from orders limit 1`),
      ),
    )
    outcomes.forEach((outcome, index) => {
      assert.equal(outcome.status, index % 3 === 0 ? 'rejected' : 'fulfilled')
      if (outcome.status === 'fulfilled') assert.deepEqual(outcome.value[0], [{ n: index }])
    })
  })

  test('cannot become another user, and lives on when it tries', async () => {
    const client = await connect()
    await assert.rejects(client.changeUser({ user: 'root' }), { errno: 1227 })
  })

  test('cannot be given a file to read: the capability is not there', async () => {
    const client = await connect({ flags: ['+LOCAL_FILES'] })
    await assert.rejects(client.query("load data local infile '/etc/passwd' into table orders"))
    assert.equal((await rowsOf(await connect(), 'select 1 as n'))[0]?.['n'], 1)
  })

  test('logs in without TLS on loopback, the token encrypted by the RSA key of the listener', async () => {
    const client = await connect({ ssl: undefined })
    assert.deepEqual(await rowsOf(client, 'select id from orders where id = 1'), [{ id: 1 }])
  })

  test('reaches a backend account of client_ed25519', async (context) => {
    if (!hasEd25519) {
      context.skip('this server package has no auth_ed25519')
      return
    }
    const client = await connect({}, 'signed', 'signed')
    assert.deepEqual(await rowsOf(client, 'select id from orders where id = 1'), [{ id: 1 }])
  })
})

describe('the mariadb command-line client', () => {
  /** Its output, or what it said on failure. */
  async function mariadb(...args: readonly string[]): Promise<string> {
    const { host, port } = proxy.address('shop')
    const password = await proxy.token('orders', RUN)
    const program = server.programs === undefined ? 'mariadb' : join(server.programs, 'mariadb')
    const options = ['--no-defaults', `--host=${host}`, `--port=${port}`, `--user=${RUN}`, '--protocol=tcp']
    try {
      const { stdout } = await run(program, [...options, ...args, database.database], {
        env: { ...process.env, MYSQL_PWD: password },
      })
      return stdout
    } catch (error) {
      return (error as { stderr: string }).stderr
    }
  }

  test('logs in over TLS and without, reads and is denied', async () => {
    for (const tls of ['--ssl', '--skip-ssl']) {
      const options = [tls, '--skip-ssl-verify-server-cert', '--default-character-set=utf8mb4', '--batch']
      const read = await mariadb(...options, '-e', 'select item from orders where id = 1')
      assert.equal(read, 'item\nGröße\n')
      assert.match(await mariadb(...options, '-e', 'select * from salaries'), /ERROR 1142 \(42000\)/)
      assert.match(await mariadb(...options, '-e', 'use mysql'), /ERROR 1044 \(42000\)/)
    }
  })

  test('of another character set sees its own, and one that is ambiguous is refused', async () => {
    const statement = ['--ssl', '-N', '-e', 'select hex(item), item from orders where id = 1']
    const latin1 = await mariadb('--default-character-set=latin1', ...statement)
    assert.match(latin1, /4772C3B6C39F65/)
    assert.match(await mariadb('--default-character-set=sjis', ...statement), /ERROR 1115/)
  })
})

describe('the control connection', () => {
  test('learns a changed schema on refresh, and keeps its analyser while nothing changes', async () => {
    const notices: BackendNotice[] = []
    const backend = openMysqlBackend(
      { ...connection(database), schema: '', tls: 'prefer', ca: undefined },
      (notice) => notices.push(notice),
    )
    try {
      await backend.start()
      assert.equal(backend.reachable, true)
      const first = backend.knowledge.current
      assert.equal(first?.catalog.flavour, 'mariadb')
      assert.equal(first.catalog.serverVersion, server.version)
      assert.deepEqual(first.catalog.relations.get('salaries')?.columns, ['id', 'amount'])
      assert.ok(first.catalog.procedures.has('pair'))
      await backend.refresh()
      assert.equal(backend.knowledge.current, first)
      await direct.query(
        'create table appeared (a int, `B c` int); create view seen as select id from orders',
      )
      await Promise.all([backend.refresh(), backend.refresh()])
      const { relations } = backend.knowledge.current?.catalog ?? { relations: new Map() }
      assert.deepEqual(relations.get('appeared'), { kind: 'table', columns: ['a', 'B c'] })
      assert.equal(relations.get('seen')?.kind, 'view')
    } finally {
      await backend.close()
    }
  })

  test('comes back after it was killed, and knows what it knew meanwhile', async () => {
    const notices: BackendNotice[] = []
    const backend = openMysqlBackend(
      { ...connection(database), schema: '', tls: 'disable', ca: undefined },
      (notice) => notices.push(notice),
    )
    try {
      await backend.start()
      const known = backend.knowledge.current
      const [sessions] = await direct.query<RowDataPacket[]>(
        `select id from information_schema.processlist where db = '${database.database}' and id <> connection_id()`,
      )
      for (const { id } of sessions) await direct.query(`kill ${id}`).catch(() => undefined)
      while (notices.length < 2) await sleep(20)
      assert.equal(backend.knowledge.current, known)
      while (!backend.reachable) await sleep(20)
    } finally {
      await backend.close()
    }
  })

  test('says once what is wrong with an account, and is there when it is mended', async () => {
    const notices: BackendNotice[] = []
    const user = `late_${database.database}`
    await direct.query(`create user ${user} identified by 'as it was'`)
    await direct.query(`grant all on ${database.database}.* to ${user}`)
    const target = {
      ...connection(database),
      user,
      password: 'hunter2',
      schema: '',
      tls: 'disable',
      ca: undefined,
    } as const
    const backend = openMysqlBackend(target, (notice) => notices.push(notice))
    try {
      await backend.start()
      assert.equal(backend.reachable, false)
      assert.equal(backend.knowledge.current, undefined)
      await backend.refresh()
      assert.deepEqual(
        notices.map(({ level }) => level),
        ['error'],
      )
      assert.match(notices[0]?.message ?? '', /Access denied/)
      await direct.query(`alter user ${user} identified by 'hunter2'`)
      await backend.refresh()
      assert.equal(backend.reachable, true)
      assert.doesNotMatch(JSON.stringify(notices), /hunter2/)
    } finally {
      await backend.close()
      await direct.query(`drop user ${user}`)
    }
  })
})
