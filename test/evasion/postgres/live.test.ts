/**
 * The evasion corpus through the proxy, with a real driver and a server where the forbidden things exist: a wrong
 * relay would be seen as an effect, a row read or a table changed, and not as an opinion.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Client, type QueryConfig } from 'pg'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import {
  connection,
  type FreshDatabase,
  freshPostgresDatabase,
  postgresServer,
} from '../../support/servers.ts'
import { eachAtOnce } from '../each-at-once.ts'
import { ALLOW, SCHEMA, SECRET_TEXT, UNTOUCHED } from './database.ts'
import { HIDES, type Hiding } from './hides.ts'
import { INNOCENT } from './innocent.ts'

type ServerError = { readonly code?: string; readonly message: string }
type Answer = { readonly error: ServerError | undefined; readonly text: string }

let database: FreshDatabase
let proxy: TestProxy
let administrator: Client
let agent: Client

before(async () => {
  database = await freshPostgresDatabase(await postgresServer())
  administrator = new Client(connection(database))
  await administrator.connect()
  await administrator.query(SCHEMA)
  const { host, port, user, password = '' } = database
  proxy = await startProxy({
    systems: {
      shop: {
        protocol: 'postgres',
        backend: { url: `postgres://${user}@${host}:${port}/${database.database}`, password, tls: 'prefer' },
      },
    },
    grants: { agent: { system: 'shop', allow: ALLOW, metadata: 'introspect' } },
  })
  agent = await connectAgent()
})
after(async () => {
  await agent.end()
  await proxy.stop()
  await administrator.end()
  await database.drop()
})

async function connectAgent(): Promise<Client> {
  const { host, port } = proxy.address('shop')
  const client = new Client({
    ...{ host, port, user: 'evader', database: database.database },
    password: await proxy.token('agent', 'evader'),
    ssl: { rejectUnauthorized: false },
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function ask(client: Client, text: string, extended: boolean): Promise<Answer> {
  try {
    const result: unknown = await client.query(
      extended ? ({ text, queryMode: 'extended' } as QueryConfig) : text,
    )
    return { error: undefined, text: JSON.stringify(result) }
  } catch (error) {
    const {
      code,
      message,
      detail = '',
      hint = '',
    } = error as ServerError & { detail?: string; hint?: string }
    return { error: { ...(code !== undefined && { code }), message }, text: `${message} ${detail} ${hint}` }
  }
}

async function checksum(): Promise<unknown> {
  const { rows } = await administrator.query({ text: UNTOUCHED, rowMode: 'array' })
  return rows[0]?.[0]
}

for (const hiding of HIDES) {
  for (const extended of [false, true]) {
    const protocol = extended ? 'the extended protocol' : 'a simple query'
    test(`by ${protocol}, nothing gets through that ${hiding.trick}`, async () => {
      const beforehand = await checksum()
      const attempt = async (client: Client, statement: string): Promise<void> => {
        const { error, text } = await ask(client, statement, extended)
        assert.ok(error !== undefined, `it was answered: ${statement.slice(0, 200)}`)
        assert.ok(!text.includes(SECRET_TEXT), `it was told: ${statement.slice(0, 200)}`)
        await client.query('rollback')
      }
      if (hiding.reason === 'unknown_object') await eachAtOnce(hiding.statements, connectAgent, attempt)
      else for (const statement of hiding.statements) await attempt(agent, statement)
      assert.equal(await checksum(), beforehand)
    })
  }
}

test('each of those attempts is on record as refused, and those that were hops as hops', () => {
  const records = proxy.records()
  const refused = records.filter((record) => record.event === 'statement' && record['verdict'] === 'deny')
  const attempts = HIDES.reduce((count, { statements }) => count + statements.length, 0)
  assert.ok(refused.length >= 2 * attempts, `${refused.length} of ${2 * attempts}`)
  const hops = HIDES.filter(({ reason }) => reason === 'hop')
  const hopAttempts = hops.reduce((count, { statements }) => count + statements.length, 0)
  assert.equal(records.filter((record) => record.event === 'hop').length, 2 * hopAttempts)
})

test('the server itself would have run what was refused for want of a grant', async () => {
  const failed: string[] = []
  for (const statement of statementsOf('not_granted')) {
    await administrator.query(
      "begin; set local statement_timeout = '5s'; set local client_min_messages = error",
    )
    const { error } = await ask(administrator, statement, false)
    await administrator.query('rollback; deallocate all')
    if (error !== undefined && !RUNTIME_ERRORS.has(error.code ?? ''))
      failed.push(`${error.code} ${error.message}: ${statement}`)
  }
  assert.deepEqual(failed, [])
})

/** Errors of execution, after the statement had reached what it names: values, constraints, no copy source. */
const RUNTIME_ERRORS: ReadonlySet<string> = new Set([
  '22003',
  '22021',
  '22023',
  '22P02',
  '2200L',
  '2200M',
  '23502',
  '23503',
  '23505',
  '23514',
  '2202H',
  '2BP01',
  '55000',
  '57014',
  '0A000',
  '21000',
])

function statementsOf(reason: Hiding['reason']): readonly string[] {
  return HIDES.filter((hiding) => hiding.reason === reason).flatMap(({ statements }) => statements)
}

test('innocent statements are answered as the server answers them', async () => {
  const direct = new Client(connection(database))
  await direct.connect()
  try {
    for (const statement of INNOCENT) {
      const expected = await ask(direct, statement, false)
      const answer = await ask(agent, statement, false)
      assert.equal(answer.error?.code, expected.error?.code, `${statement}: ${answer.error?.message}`)
      await direct.query('rollback')
      await agent.query('rollback')
    }
  } finally {
    await direct.end()
  }
})
