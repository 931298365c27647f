/**
 * The evasion corpus through the proxy, with a real driver and a server where the forbidden things exist: a wrong
 * relay would be seen as an effect, a row read or a table changed, and not as an opinion.
 *
 * On MariaDB; with `BULKHEAD_TEST_MYSQL_KIND=mysql` on MySQL, which is fetched where the machine has none.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Connection, createConnection } from 'mysql2/promise'
import { startMariadb } from '../../../src/demo/servers/mariadb.ts'
import { startMysql } from '../../../src/demo/servers/mysql.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { eachAtOnce } from '../each-at-once.ts'
import { DATABASE, SECRET_TEXT } from './database.ts'
import { HIDES } from './hides.ts'
import { INNOCENT, INNOCENT_INTROSPECTION, INNOCENT_OF } from './innocent.ts'
import { ask, type Stage, setStage } from './stage.ts'

const FLAVOUR = process.env['BULKHEAD_TEST_MYSQL_KIND'] === 'mysql' ? 'mysql' : 'mariadb'
const cases = HIDES.filter(({ flavour = FLAVOUR }) => flavour === FLAVOUR)

let server: DatabaseServer
let stage: Stage | undefined
let administrator: Connection
let agent: Connection

before(async () => {
  const start = FLAVOUR === 'mysql' ? startMysql : startMariadb
  server = await start({ folder: temporaryFolder() })
  stage = await setStage(server)
  administrator = stage.administrator
  agent = stage.agent
})
after(() => stage?.end())

function connectAgent(): Promise<Connection> {
  assert.ok(stage)
  return stage.connectAgent()
}

/** Of everything that no case may change. */
async function checksum(): Promise<string> {
  const tables = ['customers', 'orders', 'order_items', 'tickets', 'secret', 'Secret2', 'hr.salaries']
  const [sums] = await administrator.query(`checksum table ${tables.join(', ')}`)
  const [objects] = await administrator.query(
    `select table_schema, table_name, table_type from information_schema.tables
     where table_schema not in ('information_schema', 'performance_schema') order by 1, 2`,
  )
  const [accounts] = await administrator.query('select user, host from mysql.user order by 1, 2')
  return JSON.stringify([sums, objects, accounts])
}

for (const { trick, reason, hop, statements } of cases) {
  test(`through the proxy, nothing that ${trick} gets through (${hop ?? reason})`, async () => {
    const beforehand = await checksum()
    const attempt = async (client: Connection, statement: string): Promise<void> => {
      const { errno, text } = await ask(client, statement)
      assert.notEqual(errno, 0, `it was answered: ${statement.slice(0, 200)}`)
      assert.ok(!text.includes(SECRET_TEXT), `it was told: ${statement.slice(0, 200)}`)
    }
    if (reason === 'unknown_object') await eachAtOnce(statements, connectAgent, attempt)
    else for (const statement of statements) await attempt(agent, statement)
    assert.equal(await checksum(), beforehand)
    assert.equal((await ask(agent, 'select id from orders')).errno, 0)
  })
}

test('each of those attempts is on record as refused, and those that were hops as hops', () => {
  const records = stage?.proxy.records() ?? []
  const attempts = cases.reduce((count, { statements }) => count + statements.length, 0)
  const refused = records.filter((record) => record.event === 'statement' && record['verdict'] === 'deny')
  assert.ok(refused.length >= attempts, `${refused.length} of ${attempts}`)
  const hopAttempts = cases.reduce(
    (count, { hop, statements }) => count + (hop === undefined ? 0 : statements.length),
    0,
  )
  assert.equal(records.filter((record) => record.event === 'hop').length, hopAttempts)
})

/**
 * What the corpus takes from both families: words that are not SQL here, columns that are made up or too few, handlers
 * that are not open, tables that are not versioned.
 */
const NO_SQL_HERE: ReadonlySet<number> = new Set([
  ...[
    1052, 1054, 1055, 1060, 1064, 1066, 1091, 1109, 1136, 1176, 1191, 1210, 1221, 1222, 1235, 1241, 1248,
    1295, 1305, 1347, 1415, 1616, 4124,
  ],
])

test('the server itself would have taken what was refused for want of a grant', async () => {
  let taken = 0
  const failed: string[] = []
  const statements = cases
    .filter(({ reason }) => reason === 'not_granted')
    .flatMap((hiding) => hiding.statements)
  for (const statement of statements) {
    const { errno, message } = await ask(
      administrator,
      `prepare taken from ${administrator.escape(statement)}`,
    )
    if (errno === 0) taken++
    else if (!NO_SQL_HERE.has(errno)) failed.push(`${errno} ${message}: ${statement}`)
  }
  assert.deepEqual(failed, [])
  assert.ok(taken > statements.length * 0.85, `${taken} of ${statements.length}`)
})

/** Each reads all that a table of information_schema has to say, in a way of its own. */
const ALL_OF_IT: readonly string[] = [
  ...['tables', 'columns', 'statistics', 'views', 'schemata', 'key_column_usage', 'table_constraints'].map(
    (name) => `select * from information_schema.${name}`,
  ),
  'select * from information_schema.check_constraints',
  'select * from information_schema.referential_constraints',
  'select information_schema.tables.* from information_schema.tables',
  'select t.* from (information_schema.tables t join information_schema.columns c using (table_name))',
  'select tables.table_schema from information_schema.schemata left join information_schema.tables on 1 = 1',
  'select information_schema.tables.table_schema x from information_schema.tables group by x',
  'select (select group_concat(schema_name) from information_schema.schemata)',
  "select id from orders where exists (select 1 from information_schema.tables where table_schema = 'hr')",
  "select * from (select table_schema from information_schema.tables where table_schema <> 'crm') x",
  'with q as (select schema_name from information_schema.schemata) select * from q union select * from q',
  "select * from information_schema.tables where table_schema = 'crm' or 1 = 1",
  'table information_schema.schemata',
  'show databases',
  "show databases like '%'",
  "show schemas where `Database` like '%' or 1",
  "prepare names from 'select schema_name from information_schema.schemata'",
  'execute names',
]

test('nothing of another database is told, however information_schema is asked', async () => {
  for (const statement of [...ALL_OF_IT, ...INNOCENT_INTROSPECTION]) {
    const { errno, text, message } = await ask(agent, statement)
    assert.equal(errno, 0, `${statement}: ${message}`)
    assert.doesNotMatch(text, /"hr"|salaries|"mysql"|"sys"|"id":1/, statement)
  }
  const [, schemata] = await Promise.all([
    agent.query('deallocate prepare names'),
    agent.query('select schema_name from information_schema.schemata'),
  ])
  assert.equal((schemata[0] as readonly unknown[]).length, 1)
})

test('innocent statements are answered as the server answers them', async () => {
  const { host, port, user, password = '' } = server
  const direct = await createConnection({
    host,
    port,
    user,
    password,
    database: DATABASE,
    flags: ['-IGNORE_SPACE'],
  })
  try {
    const differing: string[] = []
    for (const statement of [...INNOCENT, ...INNOCENT_OF[FLAVOUR]]) {
      const expected = await ask(direct, statement)
      await direct.query('rollback')
      const answer = await ask(agent, statement)
      await agent.query('rollback')
      if (answer.errno !== expected.errno) {
        differing.push(
          `${statement}: ${answer.errno} ${answer.message} instead of ${expected.errno} ${expected.message}`,
        )
      }
    }
    assert.deepEqual(differing, [])
  } finally {
    await direct.end()
  }
})
