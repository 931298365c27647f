/**
 * A server that folds the names of tables (`lower_case_table_names = 1`, as on Windows, and 2 on macOS): there a name has
 * more spellings, and each must be the table that it is to the server.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Connection } from 'mysql2/promise'
import { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import { startMariadb } from '../../../src/demo/servers/mariadb.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { catalogOf, SECRET_TEXT } from './database.ts'
import { ask, type Stage, setStage } from './stage.ts'

/** Each reaches `secret`, `Secret2` or what else is not granted, under a spelling that the server takes for it. */
const HIDDEN: readonly string[] = [
  'select * from SECRET',
  'select * from SeCrEt',
  'select * from `Secret`',
  'select * from crm.SECRET',
  'select * from CRM.secret',
  'select * from `CrM`.`SECRET`',
  'select * from SECRET2',
  'select * from secret2',
  'select * from SECRET_VIEW',
  'select id from orders union select v from CRM.SECRET',
  'select (select v from Secret limit 1) from ORDERS',
  'with SECRET as (select 1 as v) select v from secret',
  'with x as (select v from SECRET) select * from X',
  'select ORDERS.id from orders join SECRET orders2 on 1 = 1 where ORDERS2.v is not null',
  'select o.* from Secret O',
  'select O.v from orders o2, Secret o',
  'table SECRET',
  'insert into TICKETS (title) select v from SECRET',
  'update Tickets set status = (select v from sEcret limit 1)',
  'delete from SECRET',
  'delete A from SECRET a',
  'delete a from ORDERS x, SECRET A',
  'delete SECRET from orders, secret',
  'update ORDERS o, SECRET S set s.v = 1',
  'handler SECRET open',
  'lock tables SECRET read',
  'show create table SECRET',
  'describe SECRET',
  'truncate Secret',
  'drop table SECRET',
  'rename table SECRET to x',
  'select city, SSN from CUSTOMERS',
  'select Customers.Ssn from customers',
  'select c.ssn from Customers C',
  'select * from \u212a',
  'select * from \u017fecret',
  'select * from orders as \u212a, secret as k',
  'create table SECRET (a int)',
  'create or replace view ORDERS as select 1',
  'call ERASE()',
  'select LEAK()',
  'select * from HR.SALARIES',
  'use HR',
]

/** Each is granted, under a spelling of its own. */
const OPEN: readonly string[] = [
  'select id from ORDERS',
  'select Orders.ID from oRDERS',
  'select CRM.Orders.id from crm.ORDERS',
  'select O.id, o.total from Orders o',
  'select City from `CUSTOMERS`',
  'insert into TICKETS (Title) values (1)',
  'update Tickets T set t.STATUS = 1 where T.id = 0',
  'with X as (select id from Orders) select * from X',
  'select o.id from Orders O join ORDER_ITEMS I on i.Order_Id = o.ID',
  'describe ORDERS',
  'use CRM',
]

let stage: Stage | undefined
let administrator: Connection
let agent: Connection

before(async () => {
  const settings = ['--lower-case-table-names=1']
  stage = await setStage(await startMariadb({ folder: temporaryFolder(), settings }))
  administrator = stage.administrator
  agent = stage.agent
  // U+212A KELVIN SIGN, which the server folds to the letter.
  await administrator.query('create table k (v varchar(40))')
  await administrator.query(`insert into k values ('${SECRET_TEXT}')`)
})
after(() => stage?.end())

async function checksum(): Promise<string> {
  const tables = ['customers', 'orders', 'tickets', 'secret', 'secret2', 'hr.salaries', 'k']
  return JSON.stringify((await administrator.query(`checksum table ${tables.join(', ')}`))[0])
}

test('the server folds, and so does what is known of it', async () => {
  const [rows] = await administrator.query('select @@lower_case_table_names as folding')
  assert.deepEqual(rows, [{ folding: 1 }])
  assert.equal((await ask(administrator, 'select * from SECRET')).errno, 0)
})

test('what is not granted stays out of reach under every spelling', async () => {
  const beforehand = await checksum()
  for (const statement of HIDDEN) {
    const { errno, text } = await ask(agent, statement)
    assert.notEqual(errno, 0, `it was answered: ${statement}`)
    assert.ok(!text.includes(SECRET_TEXT), `it was told: ${statement}`)
  }
  assert.equal(await checksum(), beforehand)
})

test('what is granted is within reach under every spelling', async () => {
  for (const statement of OPEN) {
    const { errno, text } = await ask(agent, statement)
    assert.equal(errno, 0, `${statement}: ${text}`)
  }
})

for (const lowerCaseTableNames of [1, 2] as const) {
  test(`with lower_case_table_names ${lowerCaseTableNames} each of those is judged so without a server`, () => {
    const exact = catalogOf('mariadb')
    const relations = new Map([...exact.relations].map(([name, relation]) => [name.toLowerCase(), relation]))
    const analyser = new MysqlAnalyser({ ...exact, relations, lowerCaseTableNames })
    const granted = new Set(['orders', 'order_items', 'order_totals', 'customers', 'tickets'])
    for (const statement of OPEN) {
      const analysis = analyser.analyse(statement)
      assert.equal(analysis.outcome, 'accesses', `${statement}: ${JSON.stringify(analysis)}`)
      for (const access of analysis.outcome === 'accesses' ? analysis.accesses : []) {
        if (access.kind === 'relation') assert.ok(granted.has(access.name), statement)
      }
    }
    for (const statement of HIDDEN) {
      const analysis = analyser.analyse(statement)
      if (analysis.outcome !== 'accesses') continue
      const reachesMore = analysis.accesses.some(
        (access) =>
          (access.kind === 'relation' &&
            (!granted.has(access.name) || access.columns?.includes('ssn') || access.action === 'create')) ||
          access.kind === 'routine',
      )
      assert.ok(reachesMore, `${statement}: ${JSON.stringify(analysis.accesses)}`)
    }
  })
}
