/** What the log says of the end of each statement, also in pipelines, cursors, portals and COPY: rows, bytes, time, error. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RowDataPacket } from 'mysql2/promise'
import {
  bind,
  copyData,
  copyDone,
  copyFail,
  execute,
  extended,
  parse,
  query,
  sync,
} from '../protocols/postgres/messages.ts'
import type { AuditRecord, TestProxy } from '../support/proxy.ts'
import { useTrio } from '../support/trio.ts'
import { RawClient } from './postgres/raw-client.ts'

const ORDERS = ['create table orders (id int primary key)']

const trio = useTrio({ shop: ORDERS, crm: ORDERS })
let proxy: TestProxy

before(async () => {
  proxy = await trio.startProxy({
    grants: {
      shop: { system: 'shop', allow: ['select, insert, update, delete on orders'] },
      crm: { system: 'crm', allow: ['select, insert, update, delete on orders'] },
      carts: { system: 'carts', allow: ['+@all ~k:*'] },
    },
  })
})

/** Each allowed statement of a run with its one result: `text → rows error`. */
async function results(run: string): Promise<string[]> {
  let records: AuditRecord[]
  do {
    await sleep(10)
    records = proxy.records().filter((record) => record['run'] === run)
  } while (!records.some(({ event }) => event === 'session.end'))
  const of = (event: string): AuditRecord[] => records.filter((record) => record.event === event)
  const ended = new Map(of('result').map((result) => [result['id'], result]))
  assert.equal(ended.size, of('result').length, 'no statement ends twice')
  return of('statement').map((statement) => {
    const result = ended.get(statement['id'])
    const text = String(statement['statement'])
    if (statement['verdict'] !== 'allow') {
      assert.equal(result, undefined, `${text} was not relayed`)
      return `${text} → ${statement['verdict']}`
    }
    assert.ok(result, `${text} has no result`)
    // What a failed one before it made the server skip has no answer of its own.
    assert.ok(Number(result['bytes']) > 0 || result['error'] !== undefined, `${text} has no answer`)
    assert.ok(Number.isInteger(result['duration_us']) && Number(result['duration_us']) >= 0)
    const error = result['error'] === undefined ? '' : ` ${result['error']}`
    return `${text} → ${result['rows']}${error}`
  })
}

test('PostgreSQL: results of scripts, pipelines, portals, cursors and COPY', async () => {
  const client = await RawClient.login(proxy.address('shop').port, {
    ...{ user: 'r-pg', password: await proxy.token('shop', 'r-pg'), database: trio.shopDatabase },
  })
  const ask = async (...parts: Buffer[]): Promise<void> => {
    client.send(...parts)
    await client.until('Z')
  }
  await ask(query('insert into orders select generate_series(1, 5)'))
  await ask(query('select id from orders; select 1'))
  await ask(query('select 1 / 0'))
  await ask(
    extended('select id from orders where id < 4'),
    extended('select 1 / 0'),
    extended('select 2'),
    sync,
  )
  await ask(parse('select id from orders'), bind(), execute('', 2), execute('', 0), sync)
  await ask(query('begin'))
  await ask(query('declare c cursor for select id from orders'))
  await ask(query('fetch 3 from c'))
  await ask(query('commit'))
  await ask(query('copy orders to stdout'))
  client.send(query('copy orders from stdin'))
  await client.until('G')
  await ask(copyData('6\n'), copyData('7\n8\n'), copyDone)
  client.send(query('copy orders from stdin'))
  await client.until('G')
  await ask(copyData('9\n'), copyFail('no'))
  await ask(query('delete from orders where id > 6'))
  await ask(query('select * from pg_authid'))
  client.end()
  assert.deepEqual(await results('r-pg'), [
    'insert into orders select generate_series(1, 5) → 5',
    'select id from orders; select 1 → 6',
    'select 1 / 0 → 0 22012',
    // Each is prepared, and then executed.
    'select id from orders where id < 4 → 0',
    'select id from orders where id < 4 → 3',
    'select 1 / 0 → 0',
    'select 1 / 0 → 0 22012',
    'select 2 → 0 22012',
    'select 2 → 0 22012',
    'select id from orders → 0',
    'select id from orders → 2',
    'select id from orders → 3',
    'begin → 0',
    'declare c cursor for select id from orders → 0',
    'fetch 3 from c → 3',
    'commit → 0',
    'copy orders to stdout → 5',
    'copy orders from stdin → 3',
    'copy orders from stdin → 0 57014',
    'delete from orders where id > 6 → 2',
    'select * from pg_authid → deny',
  ])
})

test('MariaDB: results of texts, prepared statements and errors', async () => {
  const client = await trio.connectCrm(proxy, 'r-my')
  await client.query('insert into orders values (1), (2), (3)')
  await client.query<RowDataPacket[]>('select id from orders')
  await client.execute('select id from orders where id > ?', [1])
  await client.query('insert into orders values (1)').catch(() => undefined)
  await client.query('select * from mysql.user').catch(() => undefined)
  await client.query('select count(*) from orders')
  await client.end()
  assert.deepEqual((await results('r-my')).slice(1), [
    'select id from orders → 3',
    'select id from orders where id > ? → 0',
    'select id from orders where id > ? → 2',
    'insert into orders values (1) → 0 1062',
    'select * from mysql.user → deny',
    'select count(*) from orders → 1',
  ])
})

test('Redis: results of pipelines, transactions and errors', async () => {
  const client = await trio.connectCarts(proxy, 'r-re', undefined, { enableReadyCheck: false })
  const pipeline = client.pipeline()
  pipeline.rpush('k:list', 'a', 'b', 'c').lrange('k:list', 0, -1).get('k:list').get('other').get('k:none')
  await pipeline.exec()
  await client.multi().set('k:a', '1').lrange('k:list', 0, -1).exec()
  client.disconnect()
  const greeting = /^client SETINFO/
  assert.deepEqual(
    (await results('r-re')).filter((line) => !greeting.test(line)),
    [
      'rpush k:list a b c → 1',
      'lrange k:list 0 -1 → 3',
      'get k:list → 0 WRONGTYPE',
      'get other → deny',
      'get k:none → 0',
      // Within a transaction a command is answered when it is queued, and all of them once more at its end.
      'multi → 0',
      'set k:a 1 → 0',
      'lrange k:list 0 -1 → 0',
      'exec → 2',
    ],
  )
})
