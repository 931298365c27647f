/**
 * The wire against real servers: layouts and sizes that drivers hide, and a server that dies. MariaDB always; MySQL,
 * which is 70 MB to fetch and takes 500 MB of memory, where `BULKHEAD_TEST_MYSQL` is set.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createConnection } from 'mysql2/promise'
import { CLIENT, MARIADB_CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { startMariadb } from '../../../src/demo/servers/mariadb.ts'
import { startMysql } from '../../../src/demo/servers/mysql.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { CLASSIC } from '../../protocols/mysql/conversation.ts'
import { command, execute, lenenc, prepare, query, uint32 } from '../../protocols/mysql/packets.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { connection } from '../../support/servers.ts'
import { longCommand, RawClient, type Reply } from './raw-client.ts'

const RUN = 'r-raw'
const LAYOUTS = {
  'with EOF packets': CLASSIC,
  'without EOF packets': CLASSIC | CLIENT.DEPRECATE_EOF,
  'with session tracking': CLASSIC | CLIENT.DEPRECATE_EOF | CLIENT.SESSION_TRACK,
} as const

const errorOf = (reply: Reply): number | undefined => {
  const last = reply.at(-1)?.body
  return last?.[0] === 0xff ? last.readUInt16LE(1) : undefined
}
const textOf = (reply: Reply): string => Buffer.concat(reply.map(({ body }) => body)).toString('latin1')
const idOf = (reply: Reply): number => reply[0]?.body.readUInt32LE(1) ?? 0

const SERVERS = [
  { name: 'MariaDB', start: startMariadb, skip: false },
  {
    name: 'MySQL',
    start: startMysql,
    skip: process.env['BULKHEAD_TEST_MYSQL'] === undefined && 'set BULKHEAD_TEST_MYSQL=1 to run it',
  },
]

for (const { name, start, skip } of SERVERS) {
  describe(name, { skip }, () => {
    let server: DatabaseServer
    let proxy: TestProxy
    const clients: RawClient[] = []

    before(async () => {
      // An own server: it has other limits than the shared one, and it is killed at the end.
      server = await start({ folder: temporaryFolder(), settings: ['--max-allowed-packet=128M'] })
      const direct = await createConnection({ ...connection(server), multipleStatements: true })
      await direct.query(
        'create table orders (id int primary key, note varchar(50));' +
          "insert into orders values (1,'one'),(2,'two'),(3,'three');" +
          'create table big (id int primary key auto_increment, body longblob); create table secret (x int);' +
          'create procedure two() begin select id from orders; select 2 as b, 3 as c; end;' +
          "create procedure its_own_mode() begin set sql_mode='ANSI_QUOTES'; select 1; end;",
      )
      await direct.end()
      const url = `mysql://${server.user}:${server.password}@${server.host}:${server.port}/test`
      proxy = await startProxy({
        systems: { shop: { protocol: 'mysql', backend: { url } } },
        grants: {
          all: {
            system: 'shop',
            allow: [
              'select on orders, big',
              'insert, delete on big',
              'execute on procedure two, its_own_mode',
            ],
          },
        },
      })
    })

    after(async () => {
      for (const client of clients) client.close()
      await proxy.stop()
      await server.stop()
    })

    async function connect(flags: number, extended = 0): Promise<RawClient> {
      const { port } = proxy.address('shop')
      const token = await proxy.token('all', RUN)
      const client = await RawClient.connect({ port, user: RUN, token, database: 'test', flags, extended })
      clients.push(client)
      return client
    }

    test('a client that sends many costly statements at once does not hold up the others', async () => {
      const [busy, other] = [await connect(CLASSIC), await connect(CLASSIC)]
      const nested = `${'cast('.repeat(7)}1${' as char)'.repeat(7)}`
      const statements = Array.from({ length: 400 }, (_, index) =>
        query(`select ${nested} a${index} from secret`),
      )
      busy.send(Buffer.concat(statements))
      // The first answer comes before the last is worked out, and so do those of another client.
      await busy.reply()
      let answered = 1
      const rest = (async () => {
        for (; answered < statements.length; answered += 1) await busy.reply()
      })()
      for (let count = 0; count < 5; count += 1)
        await other.ask(query('select note from orders where id = 1'))
      assert.ok(answered < statements.length, `${answered} were answered first`)
      await rest
    })

    for (const [layout, flags] of Object.entries(LAYOUTS)) {
      describe(`a client ${layout}`, () => {
        let client: RawClient
        before(async () => {
          client = await connect(flags)
        })

        test('reads results, denials and results again', async () => {
          assert.match(textOf(await client.ask(query('select note from orders where id = 3'))), /three/)
          assert.equal(errorOf(await client.ask(query('select * from secret'))), 1142)
          assert.equal(errorOf(await client.ask(query('select note from'))), 1064)
          assert.match(textOf(await client.ask(query('select note from orders where id = 1'))), /one/)
        })

        test('reads all results of a procedure', async () => {
          const reply = await client.ask(query('call two()'))
          assert.equal(errorOf(reply), undefined)
          assert.equal(reply.at(-1)?.body[0], 0)
          assert.match(textOf(await client.ask(query('select note from orders where id = 1'))), /one/)
        })

        test('may call a procedure that has a mode of its own, and goes on', async () => {
          assert.equal(errorOf(await client.ask(query('call its_own_mode()'))), undefined)
          assert.match(textOf(await client.ask(query('select note from orders where id = 2'))), /two/)
        })

        test('prepares, executes, resets and closes', async () => {
          const id = idOf(await client.ask(prepare('select note from orders where id = ?'), 'prepare'))
          const parameter = Buffer.from([0, 1, 3, 0, 2, 0, 0, 0])
          assert.match(textOf(await client.ask(execute(id, 0, parameter))), /two/)
          assert.equal((await client.ask(command(26, uint32(id))))[0]?.body[0], 0)
          assert.match(textOf(await client.ask(execute(id, 0, parameter))), /two/)
          client.send(command(25, uint32(id)))
          assert.equal(errorOf(await client.ask(execute(id, 0, parameter))), 1243)
        })

        test('fetches from a cursor', async () => {
          const id = idOf(await client.ask(prepare('select note from orders order by id'), 'prepare'))
          client.send(execute(id, 1))
          const opened = await client.reply('result', true)
          assert.doesNotMatch(textOf(opened), /one/)
          assert.match(textOf(await client.ask(command(28, uint32(id), uint32(2)), 'rows')), /one.*two/s)
          assert.match(textOf(await client.ask(command(28, uint32(id), uint32(2)), 'rows')), /three/)
          client.send(command(25, uint32(id)))
          assert.match(textOf(await client.ask(query('select note from orders where id = 1'))), /one/)
        })

        test('sends long data in pieces', async () => {
          const id = idOf(await client.ask(prepare('insert into big (body) values (?)'), 'prepare'))
          client.send(command(24, uint32(id), Buffer.of(0, 0), 'a'.repeat(100_000)))
          client.send(command(24, uint32(id), Buffer.of(0, 0), 'b'.repeat(100_000)))
          assert.equal(errorOf(await client.ask(execute(id, 0, Buffer.from([0, 1, 252, 0])))), undefined)
          const sum = await client.ask(
            query('select length(body), left(body, 1), right(body, 1) from big where id = last_insert_id()'),
          )
          assert.match(textOf(sum), /200000.*a.*b/s)
        })

        test('resets its connection and finds it pinned as before', async () => {
          const pinned = query('select @@sql_mode, @@character_set_client, database()')
          const fresh = textOf(await client.ask(pinned))
          const id = idOf(await client.ask(prepare('select note from orders'), 'prepare'))
          assert.equal(errorOf(await client.ask(command(31))), undefined)
          assert.equal(textOf(await client.ask(pinned)), fresh)
          assert.equal(errorOf(await client.ask(execute(id))), 1243)
        })

        test('pipelines: commands sent at once are answered in order', async () => {
          const texts = ['one', 'two', 'three']
          const order = [1, 2, 9, 3, 2, 9, 1]
          client.send(
            Buffer.concat(
              order.map((id) =>
                query(id === 9 ? 'select * from secret' : `select note from orders where id = ${id}`),
              ),
            ),
          )
          for (const id of order) {
            const reply = await client.reply()
            if (id === 9) assert.equal(errorOf(reply), 1142)
            else assert.match(textOf(reply), new RegExp(texts[id - 1] ?? 'none'))
          }
        })

        test('lists the columns of a table that it may read, and of no other', async () => {
          const columns = await client.ask(command(4, 'orders\0'), 'rows')
          assert.match(textOf(columns), /note/)
          assert.equal(errorOf(await client.ask(command(4, 'secret\0'), 'rows')), 1142)
        })

        test('cannot reach what is not served', async () => {
          const refused: Readonly<Record<number, Buffer>> = {
            1047: command(9),
            // Of nobody: the small ones are those of the run's own sessions.
            1095: command(12, uint32(2_000_000_001)),
            1044: command(2, 'mysql'),
            1227: command(17, 'root\0\0test\0'),
          }
          for (const [number, bytes] of Object.entries(refused)) {
            assert.equal(errorOf(await client.ask(bytes)), Number(number))
          }
          assert.equal(errorOf(await client.ask(command(27, Buffer.of(0, 0)))), 1047)
          assert.notEqual(errorOf(await client.ask(query('select 1; select 2'))), undefined)
          assert.equal((await client.ask(command(14)))[0]?.body[0], 0)
        })
      })
    }

    test('one bulk execution inserts many rows, where the server has it', {
      skip: name === 'MySQL',
    }, async () => {
      const client = await connect(CLASSIC & ~CLIENT.MYSQL, MARIADB_CLIENT.STMT_BULK)
      const id = idOf(await client.ask(prepare('insert into big (body) values (?)'), 'prepare'))
      // The parameter is a BLOB; each value has a byte before it that says that it is one, or NULL.
      const values = ['one', 'two', 'three'].map((text) =>
        Buffer.from(`\0${String.fromCharCode(text.length)}${text}`),
      )
      const rows = Buffer.concat([Buffer.from([128, 0, 252, 0]), ...values, Buffer.of(1)])
      assert.equal(errorOf(await client.ask(command(250, uint32(id), rows))), undefined)
      const inserted = await client.ask(
        query(
          "select group_concat(ifnull(body, 'none') order by id) from big where ifnull(length(body), 0) < 9",
        ),
      )
      assert.match(textOf(inserted), /one,two,three,none/)
      const denied = await client.ask(prepare('insert into secret values (?)'), 'prepare')
      assert.equal(errorOf(denied), 1142)
      client.close()
    })

    describe('packets of 16 MB', () => {
      // The body of the execution is 10 bytes, the null map, the types and the length of the parameter longer.
      const around = 0xffffff - 10 - 2 - 2 - 4
      for (const size of [around - 1, around, around + 1, 0x1000000, 2 * 0xffffff - 18, 20_000_000]) {
        test(`carry a parameter of ${size} bytes both ways`, async () => {
          const client = await connect(CLASSIC)
          const id = idOf(await client.ask(prepare('insert into big (body) values (?)'), 'prepare'))
          const blob = Buffer.alloc(size, 0x61)
          const head = Buffer.concat([
            Buffer.of(23),
            uint32(id),
            Buffer.of(0),
            uint32(1),
            Buffer.from([0, 1, 252, 0]),
          ])
          const length =
            size > 0xffffff ? Buffer.concat([Buffer.of(0xfe), uint32(size), uint32(0)]) : lenenc(size)
          const done = await client.ask(longCommand(Buffer.concat([head, length, blob])))
          assert.equal(errorOf(done), undefined, textOf(done))
          const back = await client.ask(query('select body from big where id = last_insert_id()'))
          const row = back.find(({ body }) => body.length > 1_000)
          assert.equal(row?.body.length, blob.length + length.length)
          assert.equal(errorOf(await client.ask(query('delete from big'))), undefined)
          client.close()
        })
      }

      test('of a statement that is not granted are read to their end, and the session lives on', async () => {
        const client = await connect(CLASSIC)
        const denied = longCommand(Buffer.concat([Buffer.of(3), Buffer.alloc(17_000_000, 0x20)]))
        const reply = await client.ask(denied)
        assert.equal(errorOf(reply), 1153)
        assert.equal(reply[0]?.sequence, 2)
        assert.equal((await client.ask(command(14)))[0]?.body[0], 0)
        client.close()
      })
    })

    describe('a backend that dies', () => {
      test('inside a statement ends the session with an error and not the proxy', async () => {
        const client = await connect(CLASSIC)
        const answer = client.ask(slowQuery())
        const watcher = await createConnection(connection(server))
        watcher.on('error', () => undefined)
        const isRunning = "select id from information_schema.processlist where info like '%orders o19'"
        while (((await watcher.query(isRunning))[0] as unknown[]).length === 0) await sleep(5)
        process.kill(server.pid, 'SIGKILL')
        const outcome = await answer
        assert.equal(errorOf(outcome), 1152, textOf(outcome))
        await assert.rejects(client.packet(), /closed/)
        await assert.rejects(connect(CLASSIC), /Server not available|not available/)
      })
    })
  })
}

/** Runs for seconds without any function that no grant gives. */
function slowQuery(): Buffer {
  const many = Array.from({ length: 20 }, (_, index) => `orders o${index}`).join(', ')
  return query(`select count(*) from ${many}`)
}
