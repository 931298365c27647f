/** What statements need, to the column, and on every grammar that is built in. Long because it is a table of statements. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Access } from '../../../../protocols/access.ts'
import { PostgresAnalyser } from '../../../../protocols/postgres/analyser.ts'
import { GRAMMAR_MAJORS, loadGrammar } from '../../../../src/backends/postgres-grammar.ts'
import { smallCatalog } from './small-catalog.ts'

const analysers = new Map<number, PostgresAnalyser>()
for (const major of GRAMMAR_MAJORS) {
  analysers.set(major, new PostgresAnalyser(smallCatalog(major * 10_000), await loadGrammar(major)))
}

/** `select customers(id,name)`, `insert orders`, `execute leak`: in the order of the alphabet. */
function written(access: Access): string {
  switch (access.kind) {
    case 'relation': {
      const schema = access.schema === 'public' ? '' : `${access.schema}.`
      const columns = access.columns === undefined ? '' : `(${access.columns.join(',')})`
      return `${access.action} ${schema}${access.name}${columns}`
    }
    case 'metadata':
      return `${access.level} ${access.name}`
    case 'command':
      return access.command
    default:
      return `${access.action} ${access.kind} ${access.name}`
  }
}

function needs(analyser: PostgresAnalyser, statement: string): readonly string[] {
  const analysis = analyser.analyse(statement)
  if (analysis.outcome === 'accesses') return analysis.accesses.map(written).sort()
  return [`${analysis.outcome}: ${analysis.why}`]
}

const CASES: readonly {
  readonly statement: string
  readonly needs: readonly string[]
  readonly since?: number
}[] = [
  { statement: 'select 1', needs: [] },
  { statement: 'select count(*) from orders', needs: ['select orders()'] },
  { statement: 'select * from orders', needs: ['select orders(customer_id,id,status,total)'] },
  { statement: 'select o from orders o', needs: ['select orders'] },
  { statement: 'select o.* from orders o', needs: ['select orders(customer_id,id,status,total)'] },
  { statement: 'select x.b from orders x(a, b)', needs: ['select orders(customer_id)'] },
  { statement: 'select ctid from orders', needs: ['select orders'] },
  {
    statement: 'select a from (select name as a, ssn as b from customers) x',
    needs: ['select customers(name,ssn)'],
  },
  { statement: 'select ssn_of(c) from customers c', needs: ['execute routine ssn_of', 'select customers'] },
  { statement: 'select c.ssn_of from customers c', needs: ['execute routine ssn_of', 'select customers'] },
  { statement: 'select name(c) from customers c', needs: ['select customers'] },
  { statement: 'select ssn(c) from customers c', needs: ['select customers'] },
  {
    statement: 'select o.total, c.name from orders o join customers c on c.id = o.customer_id',
    needs: ['select customers(id,name)', 'select orders(customer_id,total)'],
  },
  {
    statement: 'select total from orders join items on id = order_id',
    needs: ['select items(order_id)', 'select orders(id,total)'],
  },
  {
    statement: 'select 1 from orders join customers using (id)',
    needs: ['select customers(id)', 'select orders(id)'],
  },
  {
    // A column that one table is given meanwhile would be common with any of the other's.
    statement: 'select 1 from orders natural join customers',
    needs: ['select customers(city,id,name,ssn)', 'select orders(customer_id,id,status,total)'],
  },
  {
    // The inner `id` is the subquery's own, the inner `total` is of the query around it.
    statement: 'select id from orders where exists (select id from customers where total > 0)',
    needs: ['select customers(id)', 'select orders(id,total)'],
  },
  {
    // Were `status` dropped before the server reads this, the name would be that of the row of customers.
    statement: 'select (select status from orders limit 1) from customers status',
    needs: ['select customers', 'select orders(status)'],
  },
  {
    statement: 'select (select id from (select * from orders) o limit 1) from customers',
    needs: ['select customers(id)', 'select orders(customer_id,id,status,total)'],
  },
  {
    // The name is in the text and goes nowhere else.
    statement: 'select (select id from (select 1 as id) o limit 1) from customers',
    needs: ['select customers()'],
  },
  {
    statement: 'select o.* from orders o, customers c order by id',
    needs: ['select customers(id)', 'select orders(customer_id,id,status,total)'],
  },
  {
    statement: 'select count(*) as ctid from orders group by ctid',
    needs: ['select orders'],
  },
  {
    // Without LATERAL the subquery does not see the table beside it.
    statement: 'select (select x from customers, (select total as x) y) from orders',
    needs: ['select customers()', 'select orders(total)'],
  },
  {
    statement: 'select x from customers c, lateral (select c.city as x) y',
    needs: ['select customers(city)'],
  },
  { statement: 'with orders as (select 1 as a) select a from orders', needs: [] },
  {
    statement: 'with orders as (select * from public.orders) select id from orders',
    needs: ['select orders(customer_id,id,status,total)'],
  },
  {
    statement: 'with customers as (select id from customers) select id from customers',
    needs: ['select customers(id)'],
  },
  { statement: 'select city as ssn from customers order by ssn', needs: ['select customers(city)'] },
  {
    statement: 'select city as ssn from customers order by ssn || $$x$$',
    needs: ['select customers(city,ssn)'],
  },
  { statement: 'select count(*) as ssn from customers group by ssn', needs: ['select customers(ssn)'] },
  {
    statement: 'select * from orders for update',
    needs: ['select orders(customer_id,id,status,total)', 'update orders()'],
  },
  {
    statement: 'select 1 from orders o, customers c for share of c',
    needs: ['select customers()', 'select orders()', 'update customers()'],
  },
  { statement: "insert into tickets (title) values ('a')", needs: ['insert tickets(title)'] },
  { statement: 'insert into tickets values (1)', needs: ['insert tickets(id,status,title)'] },
  {
    statement: 'insert into tickets default values returning id',
    needs: ['insert tickets()', 'select tickets(id)'],
  },
  {
    statement:
      "insert into tickets as t (id) values (1) on conflict (id) do update set title = excluded.title where t.status = 'x'",
    needs: ['insert tickets(id)', 'select tickets(id,status,title)', 'update tickets(title)'],
  },
  {
    statement: 'insert into tickets (id) values (1) on conflict on constraint tickets_pkey do nothing',
    needs: ['insert tickets(id)', 'select tickets'],
  },
  { statement: 'update orders set total = 1', needs: ['update orders(total)'] },
  {
    statement:
      'update orders o set total = total + 1, status = c.name from customers c where c.id = o.customer_id',
    needs: ['select customers(id,name)', 'select orders(customer_id,total)', 'update orders(status,total)'],
  },
  { statement: 'delete from orders', needs: ['delete orders'] },
  {
    statement: 'delete from orders using items where order_id = id returning total',
    needs: ['delete orders', 'select items(order_id)', 'select orders(id,total)'],
  },
  {
    statement:
      'merge into tickets t using orders o on t.id = o.id when matched then update set status = o.status when not matched then insert (id) values (o.id)',
    needs: ['insert tickets(id)', 'select orders(id,status)', 'select tickets(id)', 'update tickets(status)'],
  },
  {
    statement: 'update tickets set title = $1 returning old.title, new.status',
    needs: ['select tickets(status,title)', 'update tickets(title)'],
    since: 18,
  },
  {
    statement: 'update tickets set title = $1 returning with (old as o) o.title',
    needs: ['select tickets(title)', 'update tickets(title)'],
    since: 18,
  },
  {
    statement:
      "select * from json_table('[]', '$[*]' columns (a text path '$' default (select name from customers) on empty)) j",
    needs: ['select customers(name)'],
    since: 17,
  },
  {
    statement: 'select json_object(status: (select max(ssn) from customers)) from orders',
    needs: ['select customers(ssn)', 'select orders(status)'],
    since: 16,
  },
  { statement: 'copy orders (id, total) to stdout', needs: ['select orders(id,total)'] },
  { statement: 'copy orders from stdin', needs: ['insert orders(customer_id,id,status,total)'] },
  { statement: 'copy (select id from orders) to stdout', needs: ['select orders(id)'] },
  { statement: 'explain analyze delete from orders', needs: ['delete orders'] },
  { statement: 'truncate orders, items', needs: ['truncate items', 'truncate orders'] },
  { statement: 'lock table orders in share mode', needs: ['update orders'] },
  { statement: 'lock table orders in access share mode', needs: ['select orders'] },
  { statement: 'select 1 +# 2', needs: ['execute routine plus'] },
  {
    statement: 'select lower(name) from customers',
    needs: ['execute routine lower', 'select customers(name)'],
  },
  { statement: 'select pg_catalog.lower(name) from customers', needs: ['select customers(name)'] },
  { statement: "select nextval('Ticket_No')", needs: ['usage sequence ticket_no'] },
  { statement: 'select setval(\'public."ticket_no"\', 1)', needs: ['update sequence ticket_no'] },
  { statement: 'select typname from pg_type', needs: ['driver pg_catalog.pg_type'] },
  { statement: "select 'orders'::regclass", needs: ['introspect pg_catalog.regclass'] },
  { statement: 'listen Jobs', needs: ['listen channel jobs'] },
  { statement: 'select amount from hr.salaries', needs: ['select hr.salaries(amount)'] },
  { statement: 'select shop.public.orders.id from shop.public.orders', needs: ['select orders(id)'] },
  {
    statement: 'create table t (a int references orders (id) check (leak() is null))',
    needs: ['create t', 'execute routine leak', 'references orders(id)'],
  },
  { statement: 'create index on orders (total)', needs: ['index orders'] },
  { statement: 'create view v as select id from orders', needs: ['create v', 'select orders(id)'] },
  { statement: 'create table t as select id from orders', needs: ['create t', 'select orders(id)'] },
  { statement: 'create unique index on orders (total)', needs: ['index orders', 'select orders(total)'] },
  { statement: 'create index on orders ((status::date))', needs: ['index orders', 'select orders(status)'] },
  {
    statement: 'create index on orders (id) where total > 1',
    needs: ['index orders', 'select orders(total)'],
  },
  { statement: 'alter table orders add column a int', needs: ['alter orders'] },
  {
    statement: 'alter table orders add column a text generated always as (status) stored',
    needs: ['alter orders', 'select orders(status)'],
  },
  {
    statement: 'alter table orders alter status type text using total',
    needs: ['alter orders', 'select orders(status,total)'],
  },
  {
    statement: 'alter table orders alter status type date',
    needs: ['alter orders', 'select orders(status)'],
  },
  {
    statement: 'alter table orders add check (status::date > now())',
    needs: ['alter orders', 'select orders(status)'],
  },
  { statement: 'alter table orders add unique (status)', needs: ['alter orders', 'select orders(status)'] },
  {
    statement: 'alter table orders add foreign key (total) references items (order_id)',
    needs: ['alter orders', 'references items(order_id)', 'select orders(total)'],
  },
  { statement: 'alter table orders drop column status', needs: ['alter orders', 'select orders'] },
  {
    statement: 'alter table orders attach partition items default',
    needs: ['alter items', 'alter orders', 'delete items', 'insert items', 'select items', 'update items'],
  },
  {
    statement: "create policy p on orders using (status = 'open')",
    needs: ['alter orders', 'select orders(status)'],
  },
  { statement: 'alter table orders rename to o', needs: ['alter orders', 'create o', 'drop orders'] },
  { statement: 'drop table if exists orders, absent', needs: ['drop absent', 'drop orders'] },
]

for (const { statement, needs: expected, since = 15 } of CASES) {
  test(`needs ${expected.join(' and ') || 'nothing'}: ${statement}`, () => {
    for (const [major, analyser] of analysers) {
      if (major >= since)
        assert.deepEqual(needs(analyser, statement), [...expected].sort(), `PostgreSQL ${major}`)
    }
  })
}

const NEWEST = analysers.get(18) as PostgresAnalyser

test('an unknown relation, column or function is told in the words and at the place of the server', () => {
  const errors: readonly (readonly [string, string, string, number])[] = [
    ["select 'é', x from nope", '42P01', 'relation "nope" does not exist', 20],
    ['select nope from orders', '42703', 'column "nope" does not exist', 8],
    ['select orders.nope from orders', '42703', 'column orders.nope does not exist', 8],
    ['select o.id from orders', '42P01', 'missing FROM-clause entry for table "o"', 8],
    ['select nope()', '42883', 'function nope() does not exist', 8],
    ['select 1::nope', '42704', 'type "nope" does not exist', 11],
    ['select 1 from nope.orders', '3F000', 'schema "nope" does not exist', 15],
  ]
  for (const [statement, code, message, position] of errors) {
    const analysis = NEWEST.analyse(statement)
    assert.equal(analysis.outcome, 'unknown_object', statement)
    assert.deepEqual(analysis.outcome === 'unknown_object' && analysis.nativeError, {
      code,
      message,
      position,
    })
  }
})

test('a syntax error is told in the words and at the place of the server', () => {
  const analysis = NEWEST.analyse("select 'é' frm orders x")
  assert.deepEqual(analysis, {
    outcome: 'not_understood',
    action: 'unknown',
    why: 'a syntax error',
    nativeError: { code: '42601', message: 'syntax error at or near "orders"', position: 16 },
  })
})

test('the gravest of several troubles is the one that is told', () => {
  const analysis = NEWEST.analyse(
    "select * from nope; vacuum; select pg_read_file('/etc/passwd'); select * from nope",
  )
  assert.equal(analysis.outcome, 'hop')
})

test('functions of libraries that reach out or run text are refused, whatever the grant says of them', () => {
  const outcomes = [
    "select dblink('x')",
    "select public.crosstab('x')",
    "select pg_file_write('a', 'b', true)",
  ].map((statement) => {
    const analysis = NEWEST.analyse(statement)
    return analysis.outcome === 'hop' ? analysis.hop : analysis.outcome
  })
  assert.deepEqual(outcomes, ['outbound_reach', 'forbidden', 'file_reach'])
})

test('a text is called by what it does, not by the transaction around it', () => {
  assert.equal(NEWEST.analyse('begin; delete from orders; commit').action, 'delete')
  assert.equal(NEWEST.analyse('begin').action, 'transaction')
})

test('an empty text has no statement and needs nothing', () => {
  for (const text of ['', ' \n', ';;', '-- x', '/* x */']) {
    const reading = NEWEST.read(Buffer.from(text))
    assert.equal(reading.statementCount, 0, text)
    assert.equal(reading.analysis.outcome, 'accesses', text)
  }
})

test('the same bytes give the same object, other bytes another', () => {
  const first = NEWEST.read(Buffer.from('select id from orders'))
  assert.equal(NEWEST.read(Buffer.from('select id from orders')), first)
  assert.notEqual(NEWEST.read(Buffer.from('select id from Orders')), first)
  // Not valid UTF-8, and different: decoding would make both the same replacement character.
  assert.notEqual(NEWEST.read(Buffer.from([0x80])), NEWEST.read(Buffer.from([0x81])))
})

test('a setting that already has its pinned value is set to that of the startup message', () => {
  const forwards: readonly (readonly [string, string | undefined])[] = [
    ["set client_encoding = 'utf-8'", ' SET client_encoding TO DEFAULT'],
    ['set local search_path to public', ' SET LOCAL search_path TO DEFAULT'],
    [
      'select 1; set search_path = "$user", public ; select 2',
      'select 1;  SET search_path TO DEFAULT; select 2',
    ],
    ['set statement_timeout = 1', undefined],
  ]
  for (const [text, forward] of forwards) {
    const reading = NEWEST.read(Buffer.from(text))
    assert.equal(reading.analysis.outcome, 'accesses', text)
    assert.equal(reading.forward?.toString(), forward, text)
  }
})

test('where the parser stumbles over a comment, the text without comments is read and sent', () => {
  const reading = NEWEST.read(Buffer.from("select 'a' -- é\n 'b', id from orders /* x */"))
  assert.deepEqual(reading.analysis.outcome === 'accesses' && reading.analysis.accesses.map(written), [
    'select orders(id)',
  ])
  assert.equal(reading.forward?.toString(), "select 'a'     \n 'b', id from orders        ")
})

test('names that outlive a statement are told, in order', () => {
  const { uses } = NEWEST.read(
    Buffer.from(
      'prepare p as select id from orders; execute p; deallocate p; declare c cursor for select 1; fetch c; close all; discard all',
    ),
  )
  assert.deepEqual(
    uses.map((use) => use.kind),
    ['prepare', 'execute', 'deallocate', 'declare', 'fetch', 'close_cursor', 'discard_all'],
  )
  const [prepared] = uses
  assert.ok(prepared?.kind === 'prepare' && prepared.analysis.outcome === 'accesses')
  assert.deepEqual(prepared.analysis.accesses.map(written), ['select orders(id)'])
})

test('EXPLAIN of a cursor makes no name, and one that runs a name tells it', () => {
  const usesOf = (text: string) => NEWEST.read(Buffer.from(text)).uses
  assert.deepEqual(usesOf('explain declare c cursor for select id from orders'), [])
  assert.deepEqual(usesOf('explain analyze execute p'), [{ kind: 'execute', name: 'p' }])
})

/** Many names, each to be looked for in many places. */
const QUADRATIC: readonly string[] = [
  `select 1 from ${numbered('orders t#', 240)} where id in (${'total, '.repeat(100_000)}1)`,
  `select 1 from ${numbered('orders t#', 240)} ${'for update '.repeat(60_000)}`,
  `with c as (select ${numbered('1 as a#', 1600)}) select 1 from ${numbered('c x#', 240)} where ${'a1599 = 1 or '.repeat(20_000)}true`,
  `with c as (select ${numbered('1 as a#', 1600)}) select ${numbered('(select 1 from c x# natural join c y#)', 1000)}`,
  `prepare z as select 1; ${'execute b;'.repeat(80_000)}`,
]

function numbered(piece: string, count: number): string {
  return Array.from({ length: count }, (_, index) => piece.replaceAll('#', String(index))).join(', ')
}

test('a text of which every name is looked for in too many places is not understood', () => {
  for (const text of QUADRATIC)
    assert.equal(NEWEST.analyse(text).outcome, 'not_understood', text.slice(0, 40))
})

test('a text with a thousand names over eighty tables is read', () => {
  const { outcome } = NEWEST.analyse(
    `select ${numbered('t7.id as c#', 1000)} from ${numbered('orders t#', 80)}`,
  )
  assert.equal(outcome, 'accesses')
})

test('texts made to take long are refused or read in short time', () => {
  const texts = [
    `with ${Array.from({ length: 20_000 }, (_, index) => `c${index} as (select 1)`).join(', ')} select 1`,
    `select ${'*, '.repeat(200_000)}1 from orders`,
    `select 1 from ${'orders o, '.repeat(50_000)}orders`,
    `select ${'nope, '.repeat(100_000)}1 from orders`,
    `select ${'id, '.repeat(100_000)}1 from orders`,
    `select 1 where ${'id = 1 or '.repeat(50_000)}true`,
    `select ${'('.repeat(3000)}1${')'.repeat(3000)}`,
    ...QUADRATIC,
  ]
  for (const text of texts) {
    // The processor's time: the machine may be busy with other tests.
    const before = process.cpuUsage()
    NEWEST.analyse(text)
    const { user, system } = process.cpuUsage(before)
    const tookMs = (user + system) / 1000
    assert.ok(tookMs < 8_000, `${tookMs} ms for ${text.slice(0, 40)}`)
  }
})
