/** Ordinary clients through the whole proxy: node-postgres and psql, with a token, TLS, a grant and the audit log. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import pg from 'pg'
import { serialize } from 'pg-protocol'
import { int32 } from '../../../protocols/postgres/frames.ts'
import { serverText } from '../../protocols/postgres/messages.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import {
  connection,
  type FreshDatabase,
  freshPostgresDatabase,
  postgresServer,
} from '../../support/servers.ts'

let server: FreshDatabase
let proxy: TestProxy
let token: string

before(async () => {
  server = await freshPostgresDatabase(await postgresServer())
  const direct = new pg.Client(connection(server))
  await direct.connect()
  await direct.query(`
    create type mood as enum ('sad', 'happy');
    create domain checked as text check (value <> 'never');
    create table orders (id int primary key, note text, mood mood, total numeric default 0);
    insert into orders values (1, 'first', 'happy', 10), (2, 'second', 'sad', 20), (3, null, null, 30);
    create table payroll (id int, salary int);
    insert into payroll values (1, 100000);
    create table imported (a int, b text)`)
  await direct.end()
  const url = `postgres://${server.user}:${server.password}@${server.host}:${server.port}/${server.database}`
  proxy = await startProxy({
    systems: { shop: { protocol: 'postgres', backend: { url } } },
    grants: {
      work: {
        system: 'shop',
        metadata: 'introspect',
        allow: ['select, update on orders', 'select, insert on imported'],
      },
    },
  })
  token = await proxy.token('work', 'r-1')
})

after(async () => {
  await proxy.stop()
  await server.drop()
})

const client = async (more: pg.ClientConfig = {}): Promise<pg.Client> => {
  const { host, port } = proxy.address('shop')
  const it = new pg.Client({
    host,
    port,
    user: 'r-1',
    password: token,
    database: server.database,
    ssl: { rejectUnauthorized: false },
    ...more,
  })
  await it.connect()
  return it
}

/** SQLSTATE and message of the error that the work must end in. */
const failure = async (work: Promise<unknown>): Promise<pg.DatabaseError> => {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof pg.DatabaseError, String(error))
    return error
  }
  throw new Error('it worked')
}

describe('node-postgres', () => {
  test('reads, with parameters of every kind', async () => {
    const it = await client()
    const { rows } = await it.query('select id, note, mood from orders where id = $1 and mood = $2', [
      1,
      'happy',
    ])
    assert.deepEqual(rows, [{ id: 1, note: 'first', mood: 'happy' }])
    assert.equal((await it.query('select count(*)::int as n from orders')).rows[0].n, 3)
    await it.end()
  })

  test('keeps a prepared statement, which is judged each time', async () => {
    const it = await client()
    const before = proxy.records().length
    for (const id of [1, 2, 3])
      assert.equal(
        (await it.query({ name: 'one', text: 'select id from orders where id = $1', values: [id] })).rows[0]
          .id,
        id,
      )
    await it.end()
    const records = proxy.records().slice(before)
    assert.equal(
      records.filter(({ event }) => event === 'statement').length,
      4,
      'one Parse and three Executes',
    )
  })

  test('is told in the words of the database what it may not do, and goes on', async () => {
    const it = await client()
    const error = await failure(it.query('select salary from payroll'))
    assert.equal(error.code, '42501')
    assert.match(error.message, /^permission denied for table payroll: /)
    assert.match(error.hint ?? '', /this grant allows: /)
    assert.equal((await failure(it.query('select salary from payroll where id = $1', [1]))).code, '42501')
    assert.equal((await it.query('select 1 as one')).rows[0].one, 1)
    await it.end()
  })

  test('sees the server’s own syntax error, with its position', async () => {
    const it = await client()
    const error = await failure(it.query('select id frm orders x'))
    assert.equal(error.code, '42601')
    assert.ok(Number(error.position) > 0)
    await it.end()
  })

  test('is left in an aborted transaction by a denial, and recovers to a savepoint', async () => {
    const it = await client()
    await it.query('begin')
    await it.query("update orders set note = 'changed' where id = 1")
    await failure(it.query('delete from orders'))
    assert.equal((await failure(it.query('select 1'))).code, '25P02')
    assert.equal((await it.query('commit')).command, 'ROLLBACK')
    assert.equal((await it.query('select note from orders where id = 1')).rows[0].note, 'first')

    await it.query('begin')
    await it.query('savepoint s')
    await failure(it.query('delete from orders where id = $1', [1]))
    await it.query('rollback to s')
    assert.equal((await it.query('select 1 as one')).rows[0].one, 1)
    await it.query('commit')
    await it.end()
  })

  test('reads a portal in pieces', async () => {
    const it = await client()
    const { rows } = await it.query({
      text: 'select g from generate_series(1, 25) g',
      rows: 10,
    } as pg.QueryConfig)
    assert.equal(rows.length, 25)
    await it.end()
  })

  test('fetches from a cursor of its own', async () => {
    const it = await client()
    await it.query('begin')
    await it.query('declare c cursor for select id from orders order by id')
    assert.deepEqual((await it.query('fetch 2 from c')).rows, [{ id: 1 }, { id: 2 }])
    assert.equal((await failure(it.query('fetch 1 from nobody'))).code, '34000')
    await it.query('rollback')
    await it.end()
  })

  test('prepares and executes in SQL', async () => {
    const it = await client()
    await it.query('prepare p(int) as select note from orders where id = $1')
    assert.equal((await it.query('execute p(2)')).rows[0].note, 'second')
    assert.equal((await failure(it.query('execute q(2)'))).code, '26000')
    assert.equal((await failure(it.query('prepare q as select salary from payroll'))).code, '42501')
    await it.query('deallocate p')
    await it.end()
  })

  test('listens to nothing that was not granted', async () => {
    const it = await client()
    assert.equal((await failure(it.query('listen secrets'))).code, '42501')
    await it.end()
  })
})

describe('psql', () => {
  type Result = { readonly code: number; readonly out: string; readonly err: string }

  const psql = (commands: readonly string[], more: { readonly sslmode?: string } = {}): Promise<Result> =>
    new Promise((resolve) => {
      const { host, port } = proxy.address('shop')
      const { sslmode = 'require' } = more
      const args = [
        '-X',
        '-A',
        '-t',
        `host=${host} port=${port} user=r-1 dbname=${server.database} sslmode=${sslmode}`,
      ]
      for (const command of commands) args.push('-c', command)
      execFile(
        join(server.programs ?? '', 'psql'),
        args,
        { env: { PATH: process.env['PATH'], PGPASSWORD: token }, timeout: 20_000 },
        (error, out, err) =>
          resolve({ code: error === null ? 0 : Number(error.code ?? 1), out: out.trim(), err: err.trim() }),
      )
    })

  test('logs in over TLS and reads', async () => {
    assert.deepEqual(await psql(['select note from orders where id = 1']), { code: 0, out: 'first', err: '' })
  })

  test('shows a denial as an error of the server', async () => {
    const { code, err } = await psql(['table payroll'])
    assert.equal(code, 1)
    assert.match(err, /^ERROR: {2}permission denied for table payroll: .*\nHINT: {2}this grant allows: /)
  })

  test('describes tables', async () => {
    const list = await psql(['\\dt'])
    assert.match(list.out, /public\|orders\|table/, list.err)
    const table = await psql(['\\d orders'])
    assert.match(table.out, /note\|text/, table.err)
    for (const command of ['\\d', '\\df', '\\dn', '\\du', '\\l', '\\di', '\\dT', '\\dv']) {
      const { out, err } = await psql([command])
      assert.doesNotMatch(`${out}${err}`, /lost|unexpected|violation/, command)
    }
  })

  test('copies out', async () => {
    assert.deepEqual(
      (await psql(['\\copy (select id, note from orders order by id) to stdout'])).out.split('\n'),
      ['1\tfirst', '2\tsecond', '3\t\\N'],
    )
    assert.match((await psql(['\\copy payroll to stdout'])).err, /permission denied/)
  })

  test('copies in', async () => {
    const file = join(proxy.folder, 'import.tsv')
    writeFileSync(file, Array.from({ length: 5000 }, (_, at) => `${at}\trow ${at}\n`).join(''))
    assert.deepEqual(await psql([`\\copy imported from '${file}'`, 'select count(*) from imported']), {
      code: 0,
      out: 'COPY 5000\n5000',
      err: '',
    })
    assert.match((await psql([`\\copy payroll from '${file}'`])).err, /permission denied/)
  })

  test('is refused with a wrong token, in the database’s own words', async () => {
    const { host, port } = proxy.address('shop')
    const wrong = await new Promise<string>((resolve) =>
      execFile(
        join(server.programs ?? '', 'psql'),
        ['-X', `host=${host} port=${port} user=r-1 dbname=${server.database}`, '-c', 'select 1'],
        { env: { PATH: process.env['PATH'], PGPASSWORD: 'wrong' }, timeout: 20_000 },
        (_error, _out, err) => resolve(err),
      ),
    )
    assert.match(wrong, /FATAL: /)
    assert.equal(wrong.includes(String(server.port)), false)
  })
})

describe('TLS from the first byte', () => {
  const hello = (ALPNProtocols: string[]): Promise<string> =>
    new Promise((resolve) => {
      const { host, port } = proxy.address('shop')
      const socket = connectTls({ host, port, rejectUnauthorized: false, ALPNProtocols })
      const parameters = Buffer.from(`user\0r-1\0database\0${server.database}\0\0`)
      socket.on('secureConnect', () =>
        socket.write(Buffer.concat([int32(8 + parameters.length), int32(0x0003_0000), parameters])),
      )
      let said = Buffer.alloc(0)
      socket.on('data', (chunk) => {
        said = Buffer.concat([said, chunk])
        const text = serverText(said)
        if (text === 'R') socket.write(serialize.password(token))
        if (text.endsWith('Z(I)')) {
          socket.destroy()
          resolve(text)
        }
      })
      socket.on('error', (error) => resolve(error.message))
      socket.on('close', () => resolve(`closed after: ${serverText(said)}`))
    })

  test('is taken with the ALPN protocol of PostgreSQL', async () => {
    assert.match(await hello(['postgresql']), /^R R S .*K Z\(I\)$/)
  })

  test('is not taken with another, or with none', async () => {
    assert.match(await hello(['h2']), /closed after: $|alert/)
    assert.match(await hello([]), /closed after: $|alert/)
  })
})
