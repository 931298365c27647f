/** The list of built-in functions against the `pg_proc` of a real server. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Client } from 'pg'
import { BUILTIN_FUNCTIONS } from '../../../protocols/postgres/analysis/builtin-functions.ts'
import { connection, postgresServer } from '../../support/servers.ts'

let client: Client
before(async () => {
  client = new Client(connection(await postgresServer()))
  await client.connect()
})
after(() => client.end())

async function namesWhere(condition: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ proname: string }>(
    `select distinct p.proname from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and ${condition} order by 1`,
  )
  return rows.map(({ proname }) => proname)
}

const HARMLESS: ReadonlySet<string | undefined> = new Set(['pure', 'time', 'session', 'driver'])

async function harmlessWhere(condition: string): Promise<readonly string[]> {
  return (await namesWhere(condition)).filter((name) => HARMLESS.has(BUILTIN_FUNCTIONS.get(name)))
}

test('every built-in function of the server has a class', async () => {
  const names = await namesWhere('true')
  assert.ok(names.length > 2500)
  assert.deepEqual(
    names.filter((name) => !BUILTIN_FUNCTIONS.has(name)),
    [],
  )
})

test('no function that the server keeps from PUBLIC counts as harmless', async () => {
  assert.deepEqual(await harmlessWhere('p.proacl is not null'), [])
})

test('no function that takes the name of a relation, role or routine counts as harmless', async () => {
  const types = ['regclass', 'regrole', 'regproc', 'regprocedure', 'regnamespace', 'regoper', 'regoperator']
  const list = types.map((type) => `'${type}'::regtype`).join(', ')
  assert.deepEqual(await harmlessWhere(`array[${list}] && p.proargtypes::regtype[]`), [])
})

test('the volatile functions that count as harmless are known one by one', async () => {
  assert.deepEqual(
    (await harmlessWhere(`p.provolatile = 'v'`)).filter((name) => !VOLATILE.has(name)),
    [],
  )
})

/** They read the clock, draw random numbers, or tell a session of itself. */
const VOLATILE = new Set([
  'array_sample',
  'array_shuffle',
  'clock_timestamp',
  'current_query',
  'gen_random_uuid',
  'pg_advisory_unlock_all',
  'pg_is_in_recovery',
  'pg_jit_available',
  'pg_xact_status',
  'random',
  'random_normal',
  'setseed',
  'timeofday',
  'txid_status',
  'uuidv4',
  'uuidv7',
])
