import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access } from '../../../../protocols/access.ts'
import { MysqlAnalyser } from '../../../../protocols/mysql/analyser.ts'
import {
  type MysqlRelation,
  offlineCatalog,
  pinnedSqlMode,
  sequencesOfDefault,
  versionNumberOf,
} from '../../../../protocols/mysql/catalog.ts'
import { catalogOf } from '../../../evasion/mysql/database.ts'

const mysql = new MysqlAnalyser(catalogOf('mysql'))
const mariadb = new MysqlAnalyser(catalogOf('mariadb'))

/** Accesses in short: `select orders(id,total)`; `*` for the whole table. */
function needsOf(analyser: MysqlAnalyser, text: string): string[] {
  const analysis = analyser.analyse(text)
  assert.equal(analysis.outcome, 'accesses', JSON.stringify(analysis))
  return analysis.outcome === 'accesses' ? analysis.accesses.map(inShort).sort() : []
}

function inShort(access: Access): string {
  switch (access.kind) {
    case 'relation':
      return `${access.action} ${access.name}(${access.columns?.join(',') ?? '*'})`
    case 'metadata':
      return `${access.level} ${access.name}`
    case 'command':
    case 'channel':
    case 'type':
    case 'schema':
      return access.kind
    default:
      return `${access.kind} ${access.action} ${access.name}`
  }
}

const cases: { text: string; needs: string[]; only?: 'mysql' | 'mariadb' }[] = [
  { text: 'select 1', needs: [] },
  { text: 'select * from orders', needs: ['select orders(*)'] },
  { text: 'select count(*) from orders', needs: ['select orders()'] },
  { text: 'select ID, `Total` from orders', needs: ['select orders(id,total)'] },
  { text: 'select o.id from orders o where o.total > 1', needs: ['select orders(id,total)'] },
  { text: 'select id from orders order by total', needs: ['select orders(id,total)'] },
  { text: 'select id as total from orders order by total', needs: ['select orders(id)'] },
  { text: 'select id as total from orders order by total + 1', needs: ['select orders(id,total)'] },
  { text: 'select id as total from orders group by total', needs: ['select orders(id,total)'] },
  {
    text: 'select city, qty from customers, order_items',
    needs: ['select customers(city)', 'select order_items(qty)'],
  },
  {
    text: 'select id from customers join orders using (id)',
    needs: ['select customers(id)', 'select orders(id)'],
  },
  {
    text: 'select 1 from customers natural join orders',
    needs: ['select customers(*)', 'select orders(*)'],
  },
  {
    text: 'select (select city from customers where id = customer_id) from orders',
    needs: ['select customers(city,id)', 'select orders(customer_id)'],
  },
  {
    // The ON clause does not see order_items: the server would look further out.
    text: 'select (select 1 from customers join orders on qty = 1 join order_items i) from order_items',
    needs: ['select customers()', 'select order_items(qty)', 'select orders()'],
  },
  { text: 'select x.id from (select id, name from customers) x', needs: ['select customers(id,name)'] },
  { text: 'select name from (select id from customers) x', needs: ['select customers(*)'] },
  { text: 'with q as (select id from orders) select * from q', needs: ['select orders(id)'] },
  { text: 'with orders as (select 1 as id) select id from orders', needs: [] },
  { text: 'with orders as (select 1 as id) select id from crm.orders', needs: ['select orders(id)'] },
  { text: 'select missing from orders', needs: ['select orders(*)'] },
  { text: 'table orders', needs: ['select orders(*)'] },
  { text: "insert into tickets (title) values ('a')", needs: ['insert tickets(title)'] },
  { text: 'insert into tickets values (1, 2, 3, 4)', needs: ['insert tickets(*)'] },
  { text: 'insert into tickets () values ()', needs: ['insert tickets()'], only: 'mariadb' },
  { text: 'insert into tickets () values ()', needs: ['insert tickets(*)'], only: 'mysql' },
  {
    text: 'insert into tickets (id, title) values (1, 2) as n on duplicate key update status = n.title',
    needs: ['insert tickets(id,title)', 'select tickets(title)', 'update tickets(status)'],
    only: 'mysql',
  },
  {
    text: 'insert into tickets (id, title) values (1, 2) as n (a, b) on duplicate key update status = n.b',
    needs: ['insert tickets(id,title)', 'select tickets(id,title)', 'update tickets(status)'],
    only: 'mysql',
  },
  {
    text: 'insert into tickets (title) values (status)',
    needs: ['insert tickets(status,title)', 'select tickets(status)'],
  },
  {
    text: 'insert into tickets (title) select note from orders',
    needs: ['insert tickets(title)', 'select orders(note)'],
  },
  {
    text: 'insert into tickets (id) values (1) on duplicate key update status = values(title)',
    needs: ['insert tickets(id)', 'select tickets(title)', 'update tickets(status)'],
    only: 'mysql',
  },
  {
    text: 'insert into tickets (id) values (1) on duplicate key update status = 2',
    needs: ['insert tickets(id)', 'select tickets(status)', 'update tickets(status)'],
    only: 'mariadb',
  },
  { text: 'replace into tickets (id) values (1)', needs: ['delete tickets(*)', 'insert tickets(id)'] },
  { text: 'update tickets set status = 1', needs: ['update tickets(status)'] },
  { text: 'update tickets set status = title', needs: ['select tickets(title)', 'update tickets(status)'] },
  { text: 'update tickets set status = 1 where 1', needs: ['select tickets()', 'update tickets(status)'] },
  {
    text: 'update tickets t join orders o using (id) set t.status = o.status',
    needs: ['select orders(id,status)', 'select tickets(id)', 'update tickets(status)'],
  },
  { text: 'delete from orders', needs: ['delete orders(*)'] },
  { text: 'delete from orders where id = 1', needs: ['delete orders(*)', 'select orders(id)'] },
  {
    text: 'delete t from orders o, tickets as t where o.id = t.id',
    needs: ['delete tickets(*)', 'select orders(id)', 'select tickets(id)'],
  },
  { text: 'select id from orders for update', needs: ['select orders(id)', 'update orders()'] },
  { text: 'select leak()', needs: ['routine execute leak'] },
  { text: 'call erase()', needs: ['routine call erase'] },
  { text: 'select version(), @@sql_mode', needs: ['driver @@sql_mode', 'driver version()'] },
  { text: 'select nextval(ticket_no)', needs: ['sequence usage ticket_no'], only: 'mariadb' },
  { text: 'insert delayed into tickets (id) values (1)', needs: ['insert tickets(*)'] },
  { text: 'desc orders', needs: ['driver columns and keys', 'select orders()'] },
  { text: 'drop table if exists orders, nowhere', needs: ['drop nowhere(*)', 'drop orders(*)'] },
  {
    text: 'create table x as select id from orders',
    needs: ['create x(*)', 'insert x(*)', 'select orders(id)'],
  },
]

for (const { text, needs, only } of cases) {
  for (const [flavour, analyser] of [
    ['mysql', mysql],
    ['mariadb', mariadb],
  ] as const) {
    if (only !== undefined && only !== flavour) continue
    test(`${flavour}: ${text} needs ${needs.join('; ') || 'nothing'}`, () => {
      assert.deepEqual(needsOf(analyser, text), needs)
    })
  }
}

function forwardOf(text: string, ignoreSpace = false): string {
  return mariadb.read(Buffer.from(text), { ignoreSpace }).forward.toString()
}

test('a statement without comments is forwarded in the very bytes that came', () => {
  const bytes = Buffer.from("select  'é'  from orders")
  assert.equal(mariadb.read(bytes, { ignoreSpace: false }).forward, bytes)
})

test('comments are not forwarded', () => {
  assert.equal(forwardOf('select /* a */ 1 -- b'), 'select   1  ')
})

test('with ignoreSpace, blanks before the parenthesis of a built-in function are not forwarded', () => {
  assert.equal(
    forwardOf('select count (*), leak (1) from orders', true),
    'select count(*), leak (1) from orders',
  )
  assert.equal(
    mariadb.read(Buffer.from('select count (*) from orders'), { ignoreSpace: true }).analysis.outcome,
    'accesses',
  )
  assert.deepEqual(needsOf(mariadb, 'select count (1)'), ['routine execute count'])
})

test('sql_mode DEFAULT becomes the mode that the session is pinned to', () => {
  assert.equal(
    forwardOf('set sql_mode = default, autocommit = 1'),
    "set sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1",
  )
})

test('a client can only add to the variables whose changes the server reports', () => {
  const added = "CONCAT(@@session.session_track_system_variables,',tx_isolation')"
  for (const value of [
    "concat(@@global.session_track_system_variables, ',tx_isolation')",
    "concat(@@session_track_system_variables, 'tx_isolation')",
    "'tx_isolation'",
  ]) {
    assert.equal(
      forwardOf(`set session_track_system_variables = ${value}`),
      `set session_track_system_variables = ${added}`,
    )
  }
  assert.equal(
    forwardOf("set session_track_system_variables = ''"),
    'set session_track_system_variables = @@session.session_track_system_variables',
  )
})

test('a prepared text is analysed, and quoted anew for the server', () => {
  const reading = mariadb.read(Buffer.from("PREPARE P FROM 'select \\'a\\', id /* x */ from orders'"), {
    ignoreSpace: false,
  })
  assert.equal(reading.forward.toString(), "PREPARE P FROM 'select ''a'', id   from orders'")
  const [use] = reading.uses
  assert.equal(use?.kind, 'prepare')
  assert.equal(use?.name, 'p')
  assert.deepEqual(use?.kind === 'prepare' && use.analysis, {
    outcome: 'accesses',
    action: 'select',
    accesses: [{ kind: 'relation', action: 'select', schema: 'crm', name: 'orders', columns: ['id'] }],
  })
  assert.deepEqual(mariadb.read(Buffer.from('execute P using @a'), { ignoreSpace: false }).uses, [
    { kind: 'execute', name: 'p' },
  ])
  assert.deepEqual(mariadb.read(Buffer.from('drop prepare `P`'), { ignoreSpace: false }).uses, [
    { kind: 'deallocate', name: 'p' },
  ])
})

test('the same text gives the same analysis object', () => {
  assert.equal(mysql.analyse('select id from orders'), mysql.analyse('select id from orders'))
})

test('texts whose names take the product of their length to look up are refused and not worked through', () => {
  const many = (count: number, item: (index: number) => string, separator = ','): string =>
    Array.from({ length: count }, (_, index) => item(index)).join(separator)
  const sources = many(60, (index) => `orders o${index}`)
  const texts = [
    `${'select ('.repeat(35)}select concat(${many(100_000, (index) => `c${index}`)})${`) from ${sources}`.repeat(35)}`,
    `with a as (select ${many(20_000, (index) => `1 a${index}`)}) select ${many(8_000, () => '(select 1 from (select * from a) x)')}`,
    `with a as (select 1), ${many(20_000, (index) => `a${index} as (select 1 from a)`)} select 1`,
  ]
  for (const text of texts) {
    const { analysis } = mysql.read(Buffer.from(text), { ignoreSpace: false })
    assert.equal(analysis.outcome === 'not_understood' && analysis.why, 'too many columns in too many blocks')
  }
})

test('the pinned database may be named, any other is a hop', () => {
  assert.deepEqual(mysql.useDatabase('crm'), { outcome: 'accesses', action: 'session', accesses: [] })
  const other = mysql.useDatabase('hr')
  assert.equal(other.outcome === 'hop' && other.hop, 'wrong_database')
})

test('with lower_case_table_names names of tables and databases do not depend on case', () => {
  const folding = new MysqlAnalyser(catalogOf('mysql', { lowerCaseTableNames: 1 }))
  assert.deepEqual(needsOf(folding, 'select O.id from CRM.Orders o'), ['select orders(id)'])
  assert.equal(folding.useDatabase('CRM').outcome, 'accesses')
  assert.equal(folding.analyse('select é.id from orders é').outcome, 'not_understood')
})

test('without a server every table may exist, with columns that are not known', () => {
  const offline = new MysqlAnalyser(offlineCatalog({ flavour: 'mysql', database: 'crm' }))
  assert.deepEqual(needsOf(offline, 'select id from anything'), ['select anything(id)'])
  assert.deepEqual(needsOf(offline, 'select a.x, y from a, b'), ['select a(x,y)', 'select b(y)'])
  assert.deepEqual(needsOf(offline, 'select f(1)'), ['routine execute f'])
})

test('a table that does not exist is told in the words of the server', () => {
  const analysis = mysql.analyse('select * from nowhere')
  assert.equal(analysis.outcome, 'unknown_object')
  assert.deepEqual(analysis.outcome === 'unknown_object' && analysis.nativeError, {
    code: '42S02',
    message: "Table 'crm.nowhere' doesn't exist",
  })
})

test('bytes that are not UTF-8 are refused', () => {
  const { analysis } = mysql.read(Buffer.from([0x73, 0xff]), { ignoreSpace: false })
  assert.equal(analysis.outcome, 'not_understood')
})

test('a column beyond ASCII is never taken for another one', () => {
  // To the server `ıd` or `İd` may be `id`.
  assert.deepEqual(needsOf(mysql, 'select ſtatus from orders'), ['select orders(*)'])
})

test('a stored function behind the name of a built-in one that some servers lack needs execute', () => {
  const functions = new Set(['uuid_v4', 'point'])
  const shadowed = new MysqlAnalyser(catalogOf('mariadb', { functions }))
  assert.deepEqual(needsOf(shadowed, 'select uuid_v4()'), ['routine execute uuid_v4'])
  assert.deepEqual(needsOf(shadowed, 'select Point(1)'), ['routine execute point'])
  assert.deepEqual(needsOf(mariadb, 'select uuid_v4()'), [])
})

test('nesting and joins have bounds', () => {
  for (const text of [
    `select ${'('.repeat(100_000)}`,
    `select ${'(select '.repeat(50_000)}`,
    `select ${'not '.repeat(100_000)}1 and ${'('.repeat(1000)}`,
    `select * from ${Array(100).fill('orders').join(' join ')}`,
    `select ${Array(1000).fill('case when').join(' ')}`,
    `select ${'abs('.repeat(5000)}`,
  ]) {
    assert.equal(mysql.analyse(text).outcome, 'not_understood')
  }
})

test('any run of words and marks gives an analysis, in bounded time', () => {
  const words =
    `select from orders secret customers where and or not in exists ( ( ) ) , . * = ' \` " 1 'x' @x @@version join left on using
    union all with q as insert into values update set delete order by group having limit for update explain set names utf8mb4
    /* */ /*!50000 -- # ; case when then else end count( sum( over partition like between null is interval day default`.split(
      /\s+/,
    )
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 40 }), (pieces) => {
      const { analysis } = mariadb.read(Buffer.from(pieces.join(' ')), { ignoreSpace: false })
      assert.ok(
        ['accesses', 'not_understood', 'unknown_object', 'forbidden', 'hop', 'readers_disagree'].includes(
          analysis.outcome,
        ),
      )
    }),
    { numRuns: 3000 },
  )
})

test('what is forwarded is understood as the statement itself was', () => {
  const pieces = [
    'select',
    'id',
    'from',
    'orders',
    'where',
    '1',
    '=',
    '/* x */',
    '/*!50000',
    '*/',
    '-- y\n',
    ',',
    'total',
    'count (*)',
    "'a'",
    '(',
    ')',
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 20 }), (parts) => {
      const reading = mariadb.read(Buffer.from(`select ${parts.join(' ')}`), { ignoreSpace: true })
      if (reading.analysis.outcome !== 'accesses') return
      const again = mariadb.read(reading.forward, { ignoreSpace: false })
      assert.deepEqual(again.analysis, reading.analysis)
      assert.deepEqual(again.forward, reading.forward)
    }),
    { numRuns: 2000 },
  )
})

test('versions and modes are read from what servers say', () => {
  assert.equal(versionNumberOf('10.11.19-MariaDB-0+deb12u1'), 101_119)
  assert.equal(versionNumberOf('5.5.5-10.11.19-MariaDB'), 101_119)
  assert.equal(versionNumberOf('9.7.4'), 90_704)
  assert.equal(versionNumberOf('8.0.36-0ubuntu0.22.04.1'), 80_036)
  assert.equal(versionNumberOf('what'), 0)
  assert.equal(pinnedSqlMode('REAL_AS_FLOAT,ANSI_QUOTES,IGNORE_SPACE,ANSI'), 'REAL_AS_FLOAT')
})

test('the names of sequences are read out of a default', () => {
  assert.deepEqual(sequencesOfDefault('(nextval(`crm`.`a``b`) + lastval(`other`.`s`))'), [
    { database: 'crm', name: 'a`b' },
    { database: 'other', name: 's' },
  ])
  assert.deepEqual(sequencesOfDefault("'interval'"), [])
})

test('a table whose defaults ask a sequence needs it wherever a default is evaluated, and nowhere else', () => {
  const table = {
    kind: 'table',
    columns: ['id', 'note'],
    sequences: sequencesOfDefault('nextval(`crm`.`s`)'),
  } as const
  const relations = new Map<string, MysqlRelation>([
    ['t', table],
    ['s', { kind: 'sequence', columns: [] }],
    ['u', { kind: 'table', columns: ['id'] }],
  ])
  const analyser = new MysqlAnalyser(catalogOf('mariadb', { relations, database: 'crm' }))
  const asks = (text: string): boolean => needsOf(analyser, text).includes('sequence usage s')
  for (const text of [
    'insert into t (note) values (1)',
    'insert into t values (1, 2)',
    'replace into t (note) values (1)',
    'update t set id = default',
    'select default(id) from t',
    'truncate t',
    'alter table t force',
    'create index i on t (note)',
    'create table v like t',
  ]) {
    assert.ok(asks(text), text)
  }
  for (const text of [
    'select * from t',
    'update t set note = 1',
    'delete from t',
    'insert into u select id from t',
  ]) {
    assert.ok(!asks(text), text)
  }
  const elsewhere = { ...table, sequences: sequencesOfDefault('nextval(`other`.`s`)') }
  const foreign = new MysqlAnalyser(catalogOf('mariadb', { relations: new Map([['t', elsewhere]]) }))
  assert.equal(foreign.analyse('insert into t (note) values (1)').outcome, 'not_understood')
})

test('a table is put in the order of columns that are then read', () => {
  assert.deepEqual(needsOf(mysql, 'alter table orders order by total'), [
    'alter orders(*)',
    'select orders(total)',
  ])
})

const FORWARDED: readonly (readonly [text: string, mariadb: string])[] = [
  [
    'select table_name, t.engine e from information_schema.tables t',
    "select table_name AS `table_name`, t.engine e from (SELECT * FROM information_schema.`tables` WHERE TABLE_SCHEMA = 'crm' AND BINARY TABLE_SCHEMA = 'crm') t",
  ],
  [
    'select 1 from `INFORMATION_SCHEMA`.`SCHEMATA`',
    "select 1 from (SELECT * FROM information_schema.`SCHEMATA` WHERE SCHEMA_NAME = 'crm' AND BINARY SCHEMA_NAME = 'crm') AS `SCHEMATA`",
  ],
  ['select * from information_schema.collations', 'select * from information_schema.collations'],
  [
    "show databases like 'a'",
    "show databases WHERE `Database` = 'crm' AND BINARY `Database` = 'crm' AND `Database` like 'a'",
  ],
  [
    'show schemas where 1 or 2',
    "show schemas WHERE `Database` = 'crm' AND BINARY `Database` = 'crm' AND ( 1 or 2)",
  ],
  ['describe information_schema.tables', 'describe information_schema.tables'],
]

for (const [text, forwarded] of FORWARDED) {
  test(`only what is about the pinned database is asked: ${text}`, () => {
    const read = (analyser: MysqlAnalyser): string =>
      analyser.read(Buffer.from(text), { ignoreSpace: false }).forward.toString()
    assert.equal(read(mariadb), forwarded)
    // MySQL's information_schema compares names as the server does, and keeps the spelling of the statement.
    const plain = forwarded.replaceAll(/ AND BINARY \S+ = 'crm'/g, '').replaceAll(' AS `table_name`', '')
    assert.equal(read(mysql), plain)
  })
}

test('the name of the pinned database is quoted where it is asked for', () => {
  const analyser = new MysqlAnalyser(catalogOf('mysql', { database: "a'b\\c" }))
  const { forward } = analyser.read(Buffer.from('show databases'), { ignoreSpace: false })
  assert.equal(forward.toString(), "show databases WHERE `Database` = 'a''b\\\\c'")
})
