/** The limits of a grant against a real server, through a whole proxy: what the client and the record are told. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Client, QueryConfig } from 'pg'
import { extended, query, sync } from '../../protocols/postgres/messages.ts'
import { connectPg } from '../../support/drivers.ts'
import { type PrivateShop, startPrivateShop } from './private-shop.ts'
import { RawClient } from './raw-client.ts'

type ServerError = { readonly code?: string; readonly message: string; readonly detail?: string }

const SCHEMA = `
  create table numbers as select n, repeat('x', 100) as pad from generate_series(1, 20000) n;
  create table log (id serial primary key, what text);
  create function slow(seconds float8) returns int language plpgsql as
    $$ begin perform pg_sleep(seconds); return 1; end $$`

for (const major of [15, 18]) {
  describe(`limits, PostgreSQL ${major}`, () => {
    let shop: PrivateShop

    before(async () => {
      const allow = [
        'select on numbers',
        'select, insert on log',
        'usage on sequence log_id_seq',
        'execute on function slow',
      ]
      shop = await startPrivateShop(major, SCHEMA, {
        rows: { system: 'shop', allow, limits: { rows: 100 } },
        bytes: { system: 'shop', allow, limits: { bytes: '64KiB' } },
        time: { system: 'shop', allow, limits: { statement_timeout: '1s' } },
      })
    })
    after(() => shop?.stop())

    async function agent(grant: string): Promise<Client> {
      const { proxy, server } = shop
      const login = { run: grant, token: await proxy.token(grant, grant), database: server.database }
      const client = await connectPg(proxy.address('shop'), login)
      client.on('error', () => undefined)
      return client
    }

    async function raw(grant: string): Promise<RawClient> {
      const { proxy, server } = shop
      const { port } = proxy.address('shop')
      const password = await proxy.token(grant, grant)
      return RawClient.login(port, { user: grant, password, database: server.database })
    }

    async function failure(promise: Promise<unknown>): Promise<ServerError> {
      return promise.then(
        () => assert.fail('it was answered'),
        (error: ServerError) => error,
      )
    }

    for (const mode of ['simple', 'extended']) {
      test(`by ${mode} protocol: no row over the bound, and the session goes on`, async () => {
        const client = await agent('rows')
        try {
          const asked = (text: string): QueryConfig | string =>
            mode === 'simple' ? text : ({ text, queryMode: 'extended' } as QueryConfig)
          for (let round = 0; round < 5; round += 1) {
            for (const table of ['numbers', 'numbers order by n limit 101', 'numbers limit 15000']) {
              const error = await failure(client.query(asked(`select * from ${table}`)))
              assert.equal(error.code, '53400')
              assert.match(error.message, /row limit: the grant allows 100 rows/)
              const { rows } = await client.query(asked('select n from numbers order by n limit 100'))
              assert.equal(rows.length, 100, 'the next statement is whole, and nobody cancels it')
            }
          }
        } finally {
          await client.end()
        }
      })
    }

    test('in a transaction the limit aborts it, whether the cancel was in time or not', async () => {
      const client = await agent('rows')
      try {
        for (const limit of [101, 20_000]) {
          await client.query('begin')
          await client.query("insert into log (what) values ('lost')")
          assert.equal((await failure(client.query(`select * from numbers limit ${limit}`))).code, '53400')
          assert.equal((await failure(client.query('select 1'))).code, '25P02')
          assert.equal((await client.query('commit')).command, 'ROLLBACK')
        }
        const { rows } = await client.query('select count(*)::int as count from log')
        assert.deepEqual(rows, [{ count: 0 }])
        await client.query('begin')
        await client.query('savepoint s')
        await failure(client.query('select * from numbers'))
        await client.query('rollback to s')
        await client.query('commit')
      } finally {
        await client.end()
      }
    })

    test('cursors and portals bring as many rows a time as the bound, and no more', async () => {
      const client = await agent('rows')
      try {
        await client.query('begin')
        await client.query('declare c cursor for select n from numbers order by n')
        assert.equal((await client.query('fetch 100 from c')).rows.length, 100)
        assert.equal((await client.query('fetch 100 from c')).rows[99]?.n, 200)
        assert.equal((await failure(client.query('fetch 101 from c'))).code, '53400')
        assert.equal((await failure(client.query('fetch 1 from c'))).code, '25P02')
        await client.query('rollback')
      } finally {
        await client.end()
      }
    })

    test('a pipeline gets its answers in order, each in its place', async () => {
      const client = await raw('rows')
      client.send(
        extended('select n from numbers limit 1'),
        sync,
        extended('select n from numbers limit 20000'),
        sync,
      )
      assert.equal(await client.read('Z', 1), '1 2 D C(SELECT 1) Z(I)')
      assert.match(await client.read('Z', 1), /^1 2 (D ){100}E\(53400\) Z\(I\)$/)
      client.send(query('select n from numbers limit 2; select n from numbers; select 1'))
      assert.match(await client.read(), /^T D D C\(SELECT 2\) T (D ){98}E\(53400\) Z\(I\)$/)
      client.end()
    })

    test('a bound in bytes holds for rows and for COPY', async () => {
      const client = await raw('bytes')
      for (const text of ['select * from numbers', 'copy numbers to stdout']) {
        client.send(query(text))
        const reply = await client.until('Z')
        assert.ok(reply.length <= 64 * 1024 + 300, `${reply.length} bytes`)
        assert.match(reply.toString('latin1'), /size limit: the grant allows 65536 bytes/)
        client.send(query('select 1'))
        assert.equal(await client.read(), 'T D C(SELECT 1) Z(I)')
      }
      client.end()
    })

    test('a statement is cancelled when its time is up, and none that comes after it', async () => {
      const client = await agent('time')
      try {
        for (let round = 0; round < 2; round += 1) {
          const error = await failure(client.query('select slow(20)'))
          assert.equal(error.code, '57014')
          assert.match(error.message, /statement timeout: .*the grant allows/)
          assert.deepEqual((await client.query('select slow(0.02)')).rows, [{ slow: 1 }])
        }
      } finally {
        await client.end()
      }
    })

    test('statements that end just when their time is up are answered once, and harm no other', async () => {
      const client = await agent('time')
      try {
        for (let round = 0; round < 3; round += 1) {
          const edge = client.query(`select slow(${0.985 + round * 0.007})`).then(
            ({ rows }) => assert.deepEqual(rows, [{ slow: 1 }]),
            (error: ServerError) => assert.match(error.message, /statement timeout: .*the grant allows/),
          )
          await edge
          assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
        }
      } finally {
        await client.end()
      }
    })

    test('a COPY FROM STDIN that sends nothing more is ended when its time is up', async () => {
      const client = await raw('time')
      client.send(query('copy log (what) from stdin'))
      await client.read('G')
      assert.equal(await client.read(), 'E(57014) Z(I)')
      client.send(query('select 1'))
      assert.equal(await client.read(), 'T D C(SELECT 1) Z(I)')
      client.end()
    })

    test('the record says which limit ended a statement, and how many rows had left', () => {
      const results = shop.proxy.records().filter(({ event }) => event === 'result')
      const limits = new Set(results.map((record) => record['limit']))
      assert.deepEqual(limits, new Set([undefined, 'rows', 'bytes', 'time']))
      for (const record of results.filter((result) => result['limit'] === 'rows'))
        assert.ok(Number(record['rows']) <= 100)
    })
  })
}
