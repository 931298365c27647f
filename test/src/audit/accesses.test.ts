import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Access, RELATION_ACTIONS } from '../../../protocols/access.ts'
import { accessesMember, recordedAccesses } from '../../../src/audit/accesses.ts'
import { parseAccesses } from '../../../src/audit/parse-accesses.ts'

const CATEGORIES = new Set(['read', 'all'])
const categoriesOf = (command: string): ReadonlySet<string> | undefined =>
  command === 'get' || command === 'client|id' ? CATEGORIES : undefined

/** With the prototype of a literal, which fast-check's records have not. */
const plain = (access: Access): Access => ({ ...structuredClone(access) })

/** Names that hold what resources are made of. */
const name = fc.oneof(
  fc.constantFrom('orders', 'a.b', 'a"b', '', ' ', '(id)', 'a,b', '…', 'routine x', '"', '\\', 'ü', '\n'),
  fc.string({ unit: 'grapheme' }),
)
const bytes = fc.oneof(
  fc.constantFrom('cart:7', 'a b', '"', '\\x41', '', '~', '&', 'allkeys', 'R~x', '\u0000', 'é'),
  fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array).toString('latin1')),
)
const use = fc
  .record({ key: bytes, read: fc.boolean(), write: fc.boolean() })
  .filter(({ read, write }) => read || write)
const access: fc.Arbitrary<Access> = fc.oneof(
  fc.record({
    kind: fc.constant('relation' as const),
    action: fc.constantFrom(...RELATION_ACTIONS),
    schema: name,
    name,
    columns: fc.option(fc.array(name), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('routine' as const),
    action: fc.constantFrom('execute' as const, 'call' as const),
    schema: name,
    name,
  }),
  fc.record({
    kind: fc.constant('sequence' as const),
    action: fc.constant('usage' as const),
    schema: name,
    name,
  }),
  fc.record({ kind: fc.constant('schema' as const), action: fc.constant('create' as const), name }),
  fc.record({ kind: fc.constant('channel' as const), action: fc.constant('listen' as const), name }),
  fc.record({
    kind: fc.constant('metadata' as const),
    level: fc.constantFrom('driver' as const, 'introspect' as const),
    name: fc.constantFrom('pg_catalog.pg_type', 'information_schema.columns'),
  }),
  fc.record({
    kind: fc.constant('command' as const),
    command: fc.constant('get'),
    subcommand: fc.constant(undefined),
    categories: fc.constant(CATEGORIES),
    keys: fc.array(
      fc.oneof(
        use,
        use.map((key) => ({ ...key, pattern: true })),
      ),
    ),
    channels: fc.array(fc.record({ channel: bytes, pattern: fc.boolean() })),
    allKeys: fc.boolean(),
  }),
)

test('what is recorded of an access reads back as the same access, whatever its names hold', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 4 }), (accesses) => {
      assert.deepEqual(parseAccesses(recordedAccesses(accesses), categoriesOf), accesses.map(plain))
    }),
    { numRuns: 500 },
  )
})

test('the member of a record is the JSON of what is recorded', () => {
  fc.assert(
    fc.property(fc.array(access, { minLength: 1, maxLength: 3 }), (accesses) => {
      const written = JSON.parse(`{"":0${accessesMember('accesses', accesses)}}`) as { accesses: unknown }
      assert.deepEqual(written.accesses, recordedAccesses(accesses))
    }),
  )
  assert.equal(accessesMember('missing', []), '')
})

test('ordinary names stand as they are written in a grant', () => {
  const orders = { kind: 'relation', action: 'select', schema: 'public', name: 'orders' } as const
  const key = { key: 'cart:7', read: true, write: false }
  const get = {
    kind: 'command',
    command: 'get',
    subcommand: undefined,
    categories: CATEGORIES,
    channels: [],
  } as const
  assert.deepEqual(
    recordedAccesses([
      { ...orders, columns: ['id', 'total'] },
      { ...orders, columns: undefined },
      { ...orders, columns: [] },
      { ...orders, schema: 'a.b', name: 'Orders 2019', columns: undefined },
      { ...get, keys: [key, { ...key, key: 'two words', write: true }], allKeys: false },
      { ...get, keys: [{ ...key, key: 'cart:*', pattern: true }], allKeys: true },
    ]).map(({ action, resource }) => `${action} ${resource}`),
    [
      'select public.orders(id,total)',
      'select public.orders',
      'select public.orders()',
      'select "a.b"."Orders 2019"',
      '+get R~cart:7 RW~"two words"',
      '+get PR~cart:* allkeys',
    ],
  )
})

test('what is cut short is not taken for the whole', () => {
  const keys = (count: number, size: number): Access[] => [
    {
      kind: 'command',
      command: 'get',
      subcommand: undefined,
      categories: CATEGORIES,
      keys: Array.from({ length: count }, (_, index) => ({
        key: `${index} ${'x'.repeat(size)}`,
        read: true,
        write: false,
      })),
      channels: [],
      allKeys: false,
    },
  ]
  const relation: Access = { kind: 'relation', action: 'select', schema: 's', name: 't', columns: undefined }
  const cut: Access[][] = [
    keys(100_000, 1),
    keys(1, 100_000),
    Array.from({ length: 50_000 }, () => relation),
    [{ ...relation, columns: Array.from({ length: 50_000 }, (_, index) => `c${index}`) }],
    [{ ...relation, name: 'n'.repeat(70_000), columns: ['a'.repeat(70_000)] }, relation],
  ]
  for (const accesses of cut) {
    const recorded = recordedAccesses(accesses)
    const parsed = parseAccesses(recorded, categoriesOf)
    assert.ok(parsed === undefined || JSON.stringify(parsed) === JSON.stringify(accesses))
    assert.ok(JSON.stringify(recorded).length < 1 << 19)
  }
})

test('a command that the table does not have, and a resource of another version, are told apart from accesses', () => {
  assert.equal(parseAccesses([{ action: '+gone', resource: 'R~k' }], categoriesOf), undefined)
  assert.equal(parseAccesses([{ action: '+get', resource: 'R~two words' }], categoriesOf), undefined)
  assert.equal(parseAccesses([{ action: 'select', resource: 'orders' }], categoriesOf), undefined)
  assert.equal(parseAccesses([{ action: 'select', resource: 'a.b(c' }], categoriesOf), undefined)
  assert.equal(parseAccesses([{ action: 'fly', resource: 'a.b' }], categoriesOf), undefined)
})

test('of a key of many megabytes no more is escaped than a record keeps', () => {
  const keys = [{ key: '\u0001'.repeat(1 << 20), read: true, write: false }]
  const command = { kind: 'command', command: 'get', subcommand: undefined, categories: CATEGORIES } as const
  const [recorded] = recordedAccesses([{ ...command, keys, channels: [], allKeys: false }])
  assert.match(recorded?.resource ?? '', /^R~"(\\x01)+(\\x0?|\\)?…\(\d+ characters\)$/)
  const characters = Number(/(\d+) characters/.exec(recorded?.resource ?? '')?.[1])
  assert.ok(characters < 5 * 65_536, `${characters} were made`)
})
