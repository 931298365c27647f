/** What a statement that is refused whatever the grant touches or names all the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MysqlAnalyser } from '../../../../protocols/mysql/analyser.ts'
import { catalogOf } from '../../../evasion/mysql/database.ts'

const CASES: readonly (readonly [statement: string, outcome: string, touched: readonly string[]])[] = [
  ['select sleep(1) from secret', 'forbidden', ['secret']],
  ['SELECT SLEEP(1) FROM `crm` . `secret`', 'forbidden', ['secret']],
  ['select sleep(1) from orders o, secret', 'forbidden', ['orders', 'secret']],
  [
    'select sleep(1) from orders o join tickets t on t.id = o.id, secret',
    'forbidden',
    ['orders', 'secret', 'tickets'],
  ],
  [
    'select sleep(1) from orders, (select id from customers c, tickets) x, secret',
    'forbidden',
    ['customers', 'orders', 'secret', 'tickets'],
  ],
  ['select sleep(1), secret from orders order by id, secret', 'forbidden', ['orders']],
  ['select id from orders where exists (select sleep(1) from secret)', 'forbidden', ['orders', 'secret']],
  ['with secret as (select 1) select sleep(1) from secret', 'forbidden', []],
  ['with secret as (select 1) select sleep(1) from crm.secret', 'forbidden', ['secret']],
  ['select sleep(1) from /*! secret */', 'forbidden', ['secret']],
  ['select sleep(1) from orders -- , secret', 'forbidden', ['orders']],
  ["select sleep(1), 'from secret' from orders", 'forbidden', ['orders']],
  ['insert secret select sleep(1)', 'forbidden', ['secret']],
  ['insert into tickets (title, secret) values (sleep(1), 2), (3, 4)', 'forbidden', ['tickets']],
  [
    'insert into tickets (id) values (1) on duplicate key update title = sleep(1), secret = 2',
    'forbidden',
    ['tickets'],
  ],
  ['update ignore secret set v = sleep(1), orders = 2', 'forbidden', ['secret']],
  ['delete from secret where sleep(1)', 'forbidden', ['secret']],
  ['grant select on secret to bob', 'forbidden', ['secret']],
  ['checksum table orders, secret', 'forbidden', ['orders', 'secret']],
  ['optimize table secret', 'forbidden', ['secret']],
  ['analyze table secret', 'forbidden', ['secret']],
  ['create trigger x before insert on secret for each row set @a = 1', 'forbidden', ['secret']],
  ["prepare p from 'select sleep(1) from secret'", 'forbidden', ['secret']],
  ['select * from secret procedure analyse()', 'not_understood', ['secret']],
  ['select * from secret where', 'not_understood', ['secret']],
  [`select ${'('.repeat(200)}1${')'.repeat(200)} from secret`, 'not_understood', ['secret']],
  ["select * from secret where v = 'unclosed", 'not_understood', []],
  ["select * into outfile '/tmp/x' from secret", 'hop', ['secret']],
  ["load data infile '/tmp/x' into table secret", 'hop', ['secret']],
  ['select * from mysql.user, secret', 'hop', ['secret']],
  ['select * from mysql.secret', 'hop', []],
  ['select * from nowhere, secret', 'unknown_object', ['secret']],
]

for (const flavour of ['mysql', 'mariadb'] as const) {
  const analyser = new MysqlAnalyser(catalogOf(flavour))
  for (const [statement, outcome, touched] of CASES) {
    test(`${flavour}: ${statement.slice(0, 90)} is ${outcome} and names ${touched.join(', ') || 'nothing'}`, () => {
      const analysis = analyser.analyse(statement)
      assert.equal(analysis.outcome, outcome, JSON.stringify(analysis))
      const accesses = [
        ...('accesses' in analysis ? analysis.accesses : []),
        ...(('touched' in analysis && analysis.touched) || []),
      ]
      const names = accesses.map((access) => {
        assert.ok(access.kind === 'relation')
        assert.equal(access.schema, 'crm')
        return access.name
      })
      assert.deepEqual([...new Set(names)].sort(), touched)
    })
  }
}

test('a text of a megabyte that names tables is read through in a moment', () => {
  const analyser = new MysqlAnalyser(catalogOf('mysql'))
  const text = `select sleep(1) from ${'secret join '.repeat(80_000)} secret`
  const startedAt = process.cpuUsage()
  const analysis = analyser.analyse(text)
  const { user } = process.cpuUsage(startedAt)
  assert.equal('touched' in analysis && analysis.touched?.length, 1)
  assert.ok(user < 5_000_000, `${user} µs`)
})
