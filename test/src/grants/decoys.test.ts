import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Access, CommandAccess, RelationAccess } from '../../../protocols/access.ts'
import { PostgresNaming } from '../../../protocols/postgres/naming.ts'
import type { ProtocolName } from '../../../protocols/protocol.ts'
import { redisNaming } from '../../../protocols/redis/naming.ts'
import { AllowLineError } from '../../../src/grants/allow-line-error.ts'
import { checkDecoy, compileDecoys } from '../../../src/grants/decoys.ts'

const orders: RelationAccess = {
  kind: 'relation',
  action: 'select',
  schema: 'public',
  name: 'orders',
  columns: undefined,
}

const get: CommandAccess = {
  kind: 'command',
  command: 'get',
  subcommand: undefined,
  categories: new Set(['read']),
  keys: [{ key: 'admin:1', read: true, write: false }],
  channels: [],
  allKeys: false,
}

const keyed = (key: string, pattern?: true): Access => ({
  ...get,
  keys: [{ key, read: true, write: false, ...(pattern && { pattern }) }],
})

const cases: readonly {
  readonly decoys: readonly string[]
  readonly protocol: ProtocolName
  readonly access: Access
  readonly touched: string | undefined
}[] = [
  { decoys: ['orders'], protocol: 'postgres', access: orders, touched: 'public.orders' },
  {
    decoys: ['ORDERS'],
    protocol: 'postgres',
    access: { ...orders, action: 'drop' },
    touched: 'public.orders',
  },
  { decoys: ['"ORDERS"'], protocol: 'postgres', access: orders, touched: undefined },
  {
    decoys: ['orders'],
    protocol: 'postgres',
    access: { ...orders, columns: [] },
    touched: 'public.orders',
  },
  {
    decoys: ['hr.*'],
    protocol: 'postgres',
    access: { ...orders, schema: 'hr', name: 'salaries' },
    touched: 'hr.salaries',
  },
  { decoys: ['hr.orders'], protocol: 'postgres', access: orders, touched: undefined },
  { decoys: ['a', 'orders'], protocol: 'postgres', access: orders, touched: 'public.orders' },
  { decoys: ['~admin:*'], protocol: 'redis', access: keyed('admin:7'), touched: '~admin:7' },
  { decoys: ['~admin:*'], protocol: 'redis', access: keyed('cart:7'), touched: undefined },
  { decoys: ['~admin:*'], protocol: 'redis', access: keyed('admin:[ab]*', true), touched: '~admin:[ab]*' },
  { decoys: ['~admin:*'], protocol: 'redis', access: keyed('*', true), touched: undefined },
]

for (const { decoys, protocol, access, touched } of cases) {
  const what =
    access.kind === 'relation'
      ? `${access.action} on ${access.schema}.${access.name}`
      : JSON.stringify(access)
  test(`${decoys.join(', ')} and ${what}: ${touched ?? 'not touched'}`, () => {
    const find = compileDecoys(
      decoys,
      protocol,
      protocol === 'redis' ? redisNaming : new PostgresNaming('public'),
    )
    assert.equal(find?.(access), touched)
  })
}

test('without decoys there is nothing to ask', () => {
  assert.equal(compileDecoys([], 'mysql', redisNaming), undefined)
})

for (const [protocol, decoy, at] of [
  ['postgres', 'orders, ', 8],
  ['postgres', '(id) on orders', 0],
  ['redis', 'admin:*', 0],
  ['redis', '~', 0],
  ['redis', '~a b', 0],
] as const) {
  test(`\`${decoy}\` is no decoy of a ${protocol} system`, () => {
    assert.throws(
      () => checkDecoy(decoy, protocol),
      (error) => error instanceof AllowLineError && error.at === at,
    )
  })
}
