/** `grant suggest` and `grant unused` over the log of real work by ordinary drivers, and the suggested grant put to use. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { type Ran, runCli } from '../support/cli.ts'
import type { TestProxy } from '../support/proxy.ts'
import { useTrio } from '../support/trio.ts'

const TABLES = [
  'create table orders (id int primary key, total int, status varchar(20))',
  "insert into orders values (1, 10, 'new')",
  'create table customers (id int, email varchar(50))',
]

const trio = useTrio({ shop: TABLES, crm: TABLES })
let proxy: TestProxy

before(async () => {
  proxy = await trio.startProxy({
    grants: {
      shop: { system: 'shop', metadata: 'introspect', allow: ['select, update on orders, customers'] },
      // Observed: what it lacks is relayed, recorded as `would_deny` and suggested.
      crm: { system: 'crm', allow: ['select (id) on orders'], observe: true },
      carts: { system: 'carts', allow: ['+@read +set ~cart:*', '+get ~user:*'] },
    },
  })
  for (const { system, done } of work) await each(proxy, system, system, done)
})

/** What run r-1 does on each system, and what is no part of it. */
const work: readonly {
  readonly system: string
  readonly done: readonly string[]
  readonly others: readonly string[]
}[] = [
  ...['shop', 'crm'].map((system) => ({
    system,
    done: [
      'select id, total from orders where id = 1',
      "update orders set status = 'seen' where id = 1",
      'select count(*) from orders',
    ],
    others: [
      'select status from orders',
      'update orders set total = 0',
      'select * from customers',
      'delete from orders',
    ],
  })),
  {
    system: 'carts',
    done: ['set cart:1 x', 'get cart:1', 'mget cart:1 cart:2', 'scan 0 match cart:*'],
    others: ['get cart:3', 'set cart:2 x', 'del cart:1', 'get user:1', 'mget cart:1 cart:3'],
  },
]

/** Runs statements by an ordinary driver; gives the error of each, or `undefined`. */
async function each(
  by: TestProxy,
  system: string,
  grant: string,
  statements: readonly string[],
): Promise<(Error | undefined)[]> {
  const token = await by.token(grant, 'r-1')
  const outcomes = async (ask: (text: string) => Promise<unknown>): Promise<(Error | undefined)[]> => {
    const found: (Error | undefined)[] = []
    for (const text of statements) {
      found.push(
        await ask(text).then(
          () => undefined,
          (error: Error) => error,
        ),
      )
    }
    return found
  }
  if (system === 'shop') {
    const client = await trio.connectShop(by, 'r-1', token)
    return outcomes((text) => client.query(text)).finally(() => client.end())
  }
  if (system === 'crm') {
    const client = await trio.connectCrm(by, 'r-1', token)
    return outcomes((text) => client.query(text)).finally(() => client.end())
  }
  const client = await trio.connectCarts(by, 'r-1', token)
  return outcomes((text) => client.call(...(text.split(' ') as [string, ...string[]]))).finally(() =>
    client.disconnect(),
  )
}

const run = (...args: string[]): Promise<Ran> => runCli(args, { cwd: proxy.folder })

type Suggested = { readonly system: string; readonly allow: readonly string[]; readonly metadata: string }

test('what a grant only observed is listed as neither allowed nor denied, and a revoked run that nobody has seen is noted', async () => {
  const { port } = proxy.admin
  const client = join(proxy.folder, 'client.yaml')
  const token = `${'$'}{file:./keys/admin.token}`
  writeFileSync(client, `admin: { listen: "0.0.0.0:${port}", token: "${token}" }`)
  const { code, out, err } = await run('runs', '--config', client, '--json')
  assert.equal(code, 0, err)
  const [entry] = (JSON.parse(out) as { runs: Record<string, unknown>[] }).runs
  const { statements_allowed, statements_would_deny, statements_denied } = entry ?? {}
  assert.deepEqual([statements_would_deny, statements_denied], [2, 0])
  const [headings, row, ...rest] = (await run('runs', '--config', client)).out.trimEnd().split('\n')
  assert.deepEqual(rest, [])
  const columns = (headings ?? '').split(/ {2,}/)
  const cells = (row ?? '').split(/ {2,}/)
  assert.deepEqual(
    ['RUN', 'ALLOWED', 'WOULD-DENY', 'DENIED'].map((heading) => cells[columns.indexOf(heading)]),
    ['r-1', String(statements_allowed), '2', '0'],
  )
  const revoke = (name: string): Promise<Ran> =>
    run('revoke', '--config', client, '--run', name, '--why', 'a test')
  const unseen = await revoke('r-2')
  assert.equal(unseen.code, 0, unseen.err)
  assert.match(unseen.out, /^run r-2 is revoked until it is released; 0 sessions ended\n$/)
  assert.match(unseen.err, /^note: no run r-2 has been seen since the proxy started/)
  assert.match((await revoke('r 2')).err, /^bulkhead: `r 2` is no run id\n$/)
  assert.match((await run('runs', 'show', 'r-1')).out, /\nr-1 {2}3 {9}\d+ +2 {11}0 {7}0\n$/)
})

test('the grants suggested for a run let it do all that it did again, and nothing else', async () => {
  const { code, out, err } = await run('grant', 'suggest', '--run', 'r-1', '--json')
  assert.equal(code, 0, err)
  const suggested = JSON.parse(out) as readonly Suggested[]
  assert.deepEqual(suggested.map(({ system }) => system).sort(), ['carts', 'crm', 'shop'])
  const narrow = await trio.startProxy({
    grants: Object.fromEntries(
      suggested.map(({ system, allow, metadata }) => [`new-${system}`, { system, allow, metadata }]),
    ),
  })
  for (const { system, done, others } of work) {
    assert.deepEqual(
      await each(narrow, system, `new-${system}`, done),
      done.map(() => undefined),
      system,
    )
    for (const [index, error] of (await each(narrow, system, `new-${system}`, others)).entries()) {
      assert.match(String(error?.message), /does not allow|permissions/, others[index])
    }
  }
})

test('the suggestion is printed as it stands in a configuration', async () => {
  const { out } = await run('grant', 'suggest', '--grant', 'shop')
  assert.match(
    out,
    /^# 3 statements of 1 run on shop, \d{4}-[^\n]*\n(# [^\n]*\n)*grants:\n {2}suggested-shop:\n {4}system: shop\n {4}metadata: \w+\n {4}allow:\n {6}- select \(id, total\), update \(status\) on orders\n/,
  )
})

test('what was only observed is counted and suggested', async () => {
  const { out } = await run('grant', 'suggest', '--grant', 'crm', '--since', '1h')
  assert.match(
    out,
    /# 2 of them the grant did not allow\n[\s\S]*- select \(id, total\), update \(status\) on orders\n/,
  )
})

test('keys become patterns where that is asked for and granted', async () => {
  await each(proxy, 'carts', 'carts', ['get cart:4', 'get cart:5'])
  const { out } = await run('grant', 'suggest', '--grant', 'carts', '--generalise')
  assert.match(out, /\+get[^\n]* %R~cart:\*/)
})

test('rights that no run has used are told line by line', async () => {
  const { code, out, err } = await run('grant', 'unused')
  assert.equal(code, 0, err)
  assert.match(out, /^shop on shop: 3 statements of 1 run\n {2}unused {2}line 1 {2}select on customers\n/)
  assert.match(out, / {2}unused {2}line 1 {2}update on customers\n/)
  assert.match(out, / {2}wider {3}line 1 {2}select on orders: id, total\n/)
  assert.match(out, / {2}unused {2}line 2 {2}\+get ~user:\*\n/)
})

test('a run that nobody knows, and a question without a subject, are said in a line', async () => {
  const unknown = await run('grant', 'suggest', '--run', 'r-99')
  assert.equal(unknown.code, 1)
  assert.match(unknown.err, /no statement is on record of run `r-99`/)
  assert.match((await run('grant', 'suggest')).err, /say whose work: --run, --grant or --since/)
  assert.match((await run('grant', 'unused', '--grant', 'nope')).err, /there is no grant `nope`/)
})
