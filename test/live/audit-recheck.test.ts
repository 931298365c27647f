/** What the log records is enough to decide every statement again: by the grant, its ceiling, its decoys, as it was then. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { runCli } from '../support/cli.ts'
import type { TestProxy } from '../support/proxy.ts'
import { useTrio } from '../support/trio.ts'

const TABLES = [
  'create table orders (id int primary key, note varchar(20), secret varchar(20))',
  'create table customers (id int primary key, city varchar(20), email varchar(20))',
  'create table salaries (id int primary key)',
]

const STATEMENTS = [
  'select 1',
  'select id, note from orders',
  'select * from orders',
  'select secret from orders where id = 1',
  'select count(*) from customers',
  'select c.city, o.id from customers c join orders o on o.id = c.id',
  "insert into orders (id, note) values (7, 'x')",
  'update orders set secret = note',
  'select id from salaries',
  'select nothing from orders',
  'select nothing from nowhere',
  'drop table orders',
  'begin',
  'commit',
]

const trio = useTrio({
  shop: [...TABLES, 'create table "Odd.Name" ("a,b" int, "c""d" int)'],
  crm: [...TABLES, 'create table `Odd.Name` (`a,b` int)'],
})
let proxy: TestProxy

before(async () => {
  const sql = ['select (id, note), insert on orders', 'select on customers', 'update on orders']
  proxy = await trio.startProxy({
    systems: {
      shop: { ceiling: ['select, insert on orders, customers, "Odd.Name"'], decoys: ['salaries'] },
      crm: { observe: true },
      carts: { decoys: ['~admin:*'] },
    },
    grants: {
      shop: { system: 'shop', allow: [...sql, 'select ("a,b") on "Odd.Name"'] },
      crm: { system: 'crm', allow: [...sql, 'select on `Odd.Name`'] },
      carts: { system: 'carts', allow: ['+@read ~k:*', '+set %W~in:*', '+subscribe &news.*'] },
    },
  })
  await runEverything()
})

/** What comes of each statement does not matter here. */
const whatever = (): void => undefined

async function runEverything(): Promise<void> {
  const postgres = await trio.connectShop(proxy, 'r-1')
  const odd = ['select "a,b" from "Odd.Name"', 'select "c""d" from "Odd.Name"']
  for (const statement of [...STATEMENTS, ...odd]) await postgres.query(statement).catch(whatever)
  await postgres.end()
  const mysql = await trio.connectCrm(proxy, 'r-1')
  for (const statement of [...STATEMENTS, 'select `a,b` from `Odd.Name`'])
    await mysql.query(statement).catch(whatever)
  await mysql.end()
  const redis = await trio.connectCarts(proxy, 'r-1', undefined, { enableReadyCheck: false })
  const key = Buffer.from([0x6b, 0x3a, 0x20, 0x22, 0xff, 0x00])
  for (const command of [
    ['get', 'k:1'],
    ['get', key],
    ['mget', 'k:1', 'other', 'two words'],
    ['set', 'in:1', 'x', 'get'],
    ['set', 'in:1', 'x'],
    ['scan', '0', 'match', 'k:*'],
    ['scan', '0'],
    ['get', 'admin:1'],
    ['publish', 'news.1', 'x'],
    ['nonsense'],
    ['subscribe', 'news.1'],
  ] as const) {
    const [name, ...args] = command
    await redis.call(name, ...args).catch(whatever)
  }
  redis.disconnect()
}

type Answer = {
  readonly same: number
  readonly different: number
  readonly not_by_grant: number
  readonly cut: number
  readonly unknown_grant: number
  readonly differences: readonly {
    readonly line: number
    readonly recorded: string
    readonly decided: string
  }[]
}

async function recheck(file: string): Promise<{ readonly code: number | null; readonly answer: Answer }> {
  const { code, out, err } = await runCli(['audit', 'recheck', '--json', file], { cwd: proxy.folder })
  assert.equal(err, '')
  return { code, answer: JSON.parse(out) as Answer }
}

test('every verdict of a log is decided again, and the same', async () => {
  const { code, answer } = await recheck(proxy.auditFile)
  assert.deepEqual(answer.differences, [])
  assert.equal(code, 0)
  assert.equal(answer.cut, 0)
  assert.equal(answer.unknown_grant, 0)
  const statements = proxy.records().filter(({ event }) => event === 'statement')
  assert.equal(answer.same + answer.not_by_grant, statements.length)
  const words = new Set(statements.map(({ verdict, reason }) => `${verdict} ${reason ?? ''}`.trim()))
  for (const word of [
    'allow',
    'deny not_granted',
    'deny hop',
    'deny unknown_object',
    'would_deny not_granted',
  ]) {
    assert.ok(words.has(word), `${word} is among ${[...words].join(', ')}`)
  }
  // What no grant decides: the command that does not exist.
  assert.ok(answer.not_by_grant < statements.length / 4)
})

test('a verdict that does not follow from the grant is found', async () => {
  const lines = readFileSync(proxy.auditFile, 'utf8').split('\n')
  const file = join(proxy.folder, 'changed.jsonl')
  const changed = async (change: (line: string) => string): Promise<Answer> => {
    writeFileSync(file, lines.map(change).join('\n'))
    const { code, answer } = await recheck(file)
    assert.equal(code, 1)
    return answer
  }
  const waved = await changed((line) =>
    line.replace(
      /"verdict":"deny","reason":"not_granted","missing":.*?\]/,
      '"verdict":"allow","rules":["select on orders"]',
    ),
  )
  assert.ok(waved.different >= 3, JSON.stringify(waved))
  const others = await changed((line) =>
    line.includes('"event":"statement"')
      ? line.replaceAll('public.orders(id,note)', 'public.orders(id,secret)')
      : line,
  )
  assert.ok(others.different >= 1)
})

test('a grant that is not the one its statements name is not taken for it', async () => {
  const lines = readFileSync(proxy.auditFile, 'utf8').split('\n')
  const file = join(proxy.folder, 'widened.jsonl')
  writeFileSync(
    file,
    lines
      .map((line) =>
        line.replace('"allow":["select (id, note)', '"allow":["select on salaries","select (id, note)'),
      )
      .join('\n'),
  )
  const { answer } = await recheck(file)
  assert.ok(answer.unknown_grant > 10, JSON.stringify(answer))
})
