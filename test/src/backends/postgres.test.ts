/** The control connection against a real server: what it knows, when it learns, and that it comes back. */
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import type { PostgresAnalyser } from '../../../protocols/postgres/analyser.ts'
import { keyOf } from '../../../protocols/postgres/catalog.ts'
import type { Backend, BackendNotice } from '../../../src/backends/backend.ts'
import { offlinePostgresAnalyser, openPostgresBackend } from '../../../src/backends/postgres.ts'
import {
  connection,
  type FreshDatabase,
  freshPostgresDatabase,
  postgresServer,
} from '../../support/servers.ts'

let database: FreshDatabase
let client: Client
let backend: Backend<PostgresAnalyser> | undefined
const notices: BackendNotice[] = []

before(async () => {
  database = await freshPostgresDatabase(await postgresServer())
  client = new Client(connection(database))
  await client.connect()
  await client.query(`
    create table orders (id int primary key, total int, dropped int);
    alter table orders drop column dropped;
    create index orders_total on orders (total);
    create type mood as enum ('ok');
    create domain free as int not null;
    create domain checked as int check (value > 0);
    create type pair as (a int, b text);
    create function sum_of(a int, b int default 1, variadic c int[] default '{}') returns int language sql as 'select 1';
    create function plus(int, int) returns int language sql as 'select 1';
    create operator +# (leftarg = int, rightarg = int, function = plus);
    create extension citext`)
})
afterEach(async () => {
  await backend?.close()
  backend = undefined
  notices.length = 0
})
after(async () => {
  await client.end()
  await database.drop()
})

function open(target: Partial<Parameters<typeof openPostgresBackend>[0]> = {}): Backend<PostgresAnalyser> {
  backend = openPostgresBackend(
    { ...database, schema: 'public', tls: 'prefer', ca: undefined, ...target },
    (notice) => notices.push(notice),
  )
  return backend
}

async function known(): Promise<PostgresAnalyser> {
  const opened = open()
  await opened.start()
  const analyser = opened.knowledge.current
  assert.ok(analyser, JSON.stringify(notices))
  return analyser
}

test('it knows relations with the columns that are there, and the tables of indexes', async () => {
  const { relations, database: name, complete } = (await known()).catalog
  assert.equal(name, database.database)
  assert.equal(complete, true)
  const { oid, ...orders } = relations.get(keyOf('public', 'orders')) ?? {}
  assert.equal(typeof oid, 'number')
  assert.deepEqual(orders, {
    schema: 'public',
    name: 'orders',
    kind: 'r',
    columns: ['id', 'total'],
  })
  assert.deepEqual(relations.get(keyOf('public', 'orders_total'))?.indexOf, {
    schema: 'public',
    name: 'orders',
  })
  assert.ok(relations.get(keyOf('pg_catalog', 'pg_class'))?.columns?.includes('relname'))
})

test('it knows functions with the numbers of arguments they take', async () => {
  const { routines } = (await known()).catalog
  const own = routines.get(keyOf('public', 'sum_of'))
  assert.deepEqual([own?.builtin, own?.argumentsMin, own?.argumentsMax], [false, 0, 32_767])
  assert.equal(routines.get(keyOf('pg_catalog', 'lower'))?.builtin, true)
  assert.equal(routines.get(keyOf('public', 'citext_eq'))?.vetted, true)
  assert.equal(routines.get(keyOf('public', 'plus'))?.vetted, false)
})

test('it knows which casts run code and which operators do', async () => {
  const { types, operators } = (await known()).catalog
  const free = (name: string): boolean | undefined => types.get(keyOf('public', name))?.free
  assert.deepEqual(['mood', '_mood', 'free', 'checked', '_checked', 'pair', 'citext'].map(free), [
    true,
    true,
    true,
    false,
    false,
    true,
    true,
  ])
  assert.equal(types.get(keyOf('public', 'orders'))?.rowOf, 'orders')
  assert.deepEqual(operators.get(keyOf('public', '+#')), [{ schema: 'public', name: 'plus' }])
  assert.deepEqual(operators.get(keyOf('public', '=')), [])
})

test('it learns of a change when asked, and keeps the analyser while there is none', async () => {
  const first = await known()
  await backend?.refresh()
  assert.equal(backend?.knowledge.current, first)
  await client.query('create table late (id int)')
  assert.equal(first.analyse('select id from late').outcome, 'unknown_object')
  await backend?.refresh()
  assert.equal(backend?.knowledge.current?.analyse('select id from late').outcome, 'accesses')
  await client.query('alter table late rename column id to number')
  await backend?.refresh()
  assert.equal(backend?.knowledge.current?.analyse('select id from late').outcome, 'unknown_object')
})

test('many wishes to learn are one reading', async () => {
  await known()
  const startMs = performance.now()
  await Promise.all(Array.from({ length: 50 }, () => backend?.refresh()))
  assert.ok(performance.now() - startMs < 10_000)
})

test('it keeps its knowledge when the connection is lost, and comes back', async () => {
  await known()
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bulkhead catalog' and datname = current_database()`,
  )
  while (backend?.reachable === true) await delay(20)
  assert.ok(backend?.knowledge.current)
  while (backend?.reachable === false) await delay(20)
  assert.ok(notices.some(({ message }) => message.startsWith('the control connection is lost')))
})

test('a server that is not there is told, and tried again', async () => {
  const opened = open({ port: 1 })
  await opened.start()
  assert.equal(opened.reachable, false)
  assert.equal(opened.knowledge.current, undefined)
  assert.equal(notices[0]?.level, 'error')
})

test('a database in another encoding is refused with a clear notice', async () => {
  const name = `${database.database}_ascii`
  await client.query(`create database ${name} encoding 'SQL_ASCII' locale 'C' template template0`)
  const opened = open({ database: name })
  await opened.start()
  assert.equal(opened.knowledge.current, undefined)
  assert.match(notices[0]?.message ?? '', /encoded in SQL_ASCII: only UTF8 is supported/)
  await opened.close()
  await client.query(`drop database ${name} with (force)`)
})

test('a schema that is not there is told', async () => {
  await open({ schema: 'nowhere' }).start()
  assert.ok(notices.some(({ message }) => message === 'the database has no schema `nowhere`'))
})

test('without a server every name is taken to be there', async () => {
  const analyser = await offlinePostgresAnalyser({ schema: 'public', database: 'shop' })
  assert.deepEqual(analyser.analyse('select name, leak(id) from customers where ssn = $1'), {
    outcome: 'accesses',
    action: 'select',
    accesses: [
      {
        kind: 'relation',
        action: 'select',
        schema: 'public',
        name: 'customers',
        columns: ['id', 'name', 'ssn'],
      },
      { kind: 'routine', action: 'execute', schema: 'public', name: 'leak' },
    ],
  })
  assert.equal(analyser.analyse("select pg_read_file('/etc/passwd')").outcome, 'hop')
  const star = analyser.analyse('select * from customers')
  assert.deepEqual(star.outcome === 'accesses' && star.accesses, [
    { kind: 'relation', action: 'select', schema: 'public', name: 'customers', columns: undefined },
  ])
})
