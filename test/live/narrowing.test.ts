/** A narrowed token through the whole proxy, by ordinary drivers of all three protocols. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, test } from 'node:test'
import { addNarrowing } from '../../src/grants/narrowing.ts'
import type { TestProxy } from '../support/proxy.ts'
import { useTrio } from '../support/trio.ts'

const TABLES = [
  'create table orders (id int primary key, total int)',
  'insert into orders values (1, 10)',
  'create table customers (id int)',
  'insert into customers values (7)',
]

const trio = useTrio({ shop: TABLES, crm: TABLES })
let proxy: TestProxy

before(async () => {
  proxy = await trio.startProxy({
    grants: {
      shop: { system: 'shop', allow: ['select on orders, customers'] },
      crm: { system: 'crm', allow: ['select on orders, customers'] },
      carts: { system: 'carts', allow: ['+get +set ~cart:*'] },
    },
  })
})

/** A token of the built-in issuer that its holder can narrow. */
const issued = (system: string, run: string): Promise<string> =>
  proxy.token(system, run, { narrowable: true })

const child = (parent: string, run: string, allow: readonly string[]): Promise<string> =>
  addNarrowing(parent, { run, jti: randomUUID(), allow, metadata: undefined, expiresAtMs: undefined })

type Ask = (statement: string) => Promise<unknown>

/** Connects as a run, asks, and leaves. */
const CONNECT: Readonly<
  Record<string, (run: string, token: string, use: (ask: Ask) => Promise<void>) => Promise<void>>
> = {
  shop: async (run, token, use) => {
    const client = await trio.connectShop(proxy, run, token)
    await use((text) => client.query(text)).finally(() => client.end())
  },
  crm: async (run, token, use) => {
    const client = await trio.connectCrm(proxy, run, token)
    await use((text) => client.query(text)).finally(() => client.end())
  },
  carts: async (run, token, use) => {
    const client = await trio.connectCarts(proxy, run, token)
    await use((text) => client.call(...(text.split(' ') as [string, ...string[]]))).finally(() =>
      client.disconnect(),
    )
  },
}

const systems: readonly {
  readonly system: string
  readonly lines: readonly string[]
  readonly both: string
  readonly parentOnly: string
  readonly childOnly: string
}[] = [
  ...['shop', 'crm'].map((system) => ({
    system,
    // The second line is more than the parent has, and gives nothing.
    lines: ['select (id) on orders', 'delete on orders'],
    both: 'select id from orders',
    parentOnly: 'select id from customers',
    childOnly: 'delete from orders',
  })),
  {
    system: 'carts',
    lines: ['+get ~cart:7', '+del ~cart:*'],
    both: 'get cart:7',
    parentOnly: 'get cart:8',
    childOnly: 'del cart:7',
  },
]
for (const { system, lines, both, parentOnly, childOnly } of systems) {
  test(`${system}: a child does what parent and narrowing both allow, and its parent goes on as before`, async () => {
    const connect = CONNECT[system]
    assert.ok(connect)
    const parent = await issued(system, 'r-1')
    await connect('r-1', parent, async (ask) => {
      await ask(both)
      await ask(parentOnly)
    })
    const token = await child(parent, 'r-1.sub', lines)
    await connect('r-1.sub', token, async (ask) => {
      await ask(both)
      await assert.rejects(ask(parentOnly), (error) => {
        assert.match(String(error), /does not allow/)
        // What the parent may do besides is not for the child to learn.
        assert.doesNotMatch(JSON.stringify(error) + String(error), /select on orders, customers|~cart:\*"/)
        return true
      })
      await assert.rejects(ask(childOnly), /does not allow/)
    })
    const records = proxy
      .records()
      .filter((record) => record['run'] === 'r-1.sub' && record.event === 'statement')
    assert.ok(records.every((record) => record['root_run'] === 'r-1'))
    assert.ok(records.length >= 3, 'the child is recorded under its own name')
  })

  test(`${system}: what is no whole chain gets no session`, async () => {
    const connect = CONNECT[system]
    assert.ok(connect)
    const parent = await issued(system, 'r-2')
    const token = await child(parent, 'r-2.sub', lines)
    const [jwt = '', block = '', seed = ''] = token.split('~')
    const own = parent.split('~')[1] ?? ''
    for (const [run, shown] of [
      ['r-2', jwt],
      ['r-2', `${jwt}~${seed}`],
      ['r-2.sub', `${jwt}~${block}`],
      ['r-2.sub', `${jwt}~${block}~${own}`],
      ['r-2', token],
      ['r-2.sub', await child(parent, 'r-2.sub', ['nonsense'])],
    ] as const) {
      await assert.rejects(
        connect(run, shown, () => Promise.reject(new Error('a session'))),
        (error) => {
          assert.doesNotMatch(String(error), /a session/)
          return true
        },
      )
    }
  })
}

test('a child of another system is refused there, and it counts as a hop', async () => {
  const token = await child(await issued('shop', 'r-3'), 'r-3.sub', ['select on orders'])
  const connect = CONNECT['crm']
  await assert.rejects(connect?.('r-3.sub', token, () => Promise.resolve()) ?? Promise.resolve())
  assert.ok(
    proxy
      .records()
      .some(
        (record) =>
          record.event === 'hop' && record['kind'] === 'wrong_system' && record['run'] === 'r-3.sub',
      ),
  )
})
