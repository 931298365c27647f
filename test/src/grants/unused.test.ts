import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access } from '../../../protocols/access.ts'
import type { ProtocolName } from '../../../protocols/protocol.ts'
import { compileLines, parseLines } from '../../../src/grants/grant.ts'
import { type UnusedRights, unusedRights } from '../../../src/grants/unused.ts'
import { command, read, select, write } from '../../support/accesses.ts'
import { allowLine, anyAccess, NAMINGS } from '../../support/grants.ts'

const of = (
  allow: readonly string[],
  accesses: readonly Access[],
  protocol: ProtocolName = 'postgres',
): UnusedRights =>
  unusedRights({ allow, metadata: 'none' }, accesses, { protocol, naming: NAMINGS[protocol] })

const cases: readonly {
  readonly what: string
  readonly protocol?: ProtocolName
  readonly line: string
  readonly done: readonly Access[]
  readonly unused?: readonly string[]
  readonly wider?: readonly string[]
}[] = [
  { what: 'a whole line', line: 'select on orders', done: [], unused: ['select on orders'] },
  { what: 'nothing of a line that is used as it is', line: 'select (id) on orders', done: [select(['id'])] },
  {
    what: 'a column and an action',
    line: 'select (id, city), update (id) on orders',
    done: [select(['id'])],
    unused: ['select (city) on orders', 'update (id) on orders'],
  },
  {
    what: 'an object of several',
    line: 'select on orders, "Odd Table"',
    done: [select(undefined)],
    unused: ['select on "Odd Table"'],
  },
  {
    what: 'columns of a table that is granted whole',
    line: 'select on orders',
    done: [select(['id']), select(['id', 'Total'])],
    wider: ['select on orders: "Total", id'],
  },
  {
    what: 'that rows were only counted',
    line: 'select on orders',
    done: [select([])],
    wider: ['select on orders: rows, and no column'],
  },
  {
    what: 'the objects of a schema',
    line: 'select on public.*',
    done: [select(['id']), select(undefined, 'items')],
    wider: ['select on public.*: items, orders'],
  },
  {
    what: 'what `all` stands for',
    line: 'all on orders',
    done: [select(undefined)],
    unused: ['insert', 'update', 'delete', 'truncate', 'references', 'trigger'].map(
      (action) => `${action} on orders`,
    ),
  },
  {
    what: 'a function',
    line: 'execute on function f, g',
    done: [{ kind: 'routine', action: 'execute', schema: 'public', name: 'f' }],
    unused: ['execute on routine g'],
  },
  {
    what: 'a command, a pattern and a channel',
    protocol: 'redis',
    line: '+get +ttl ~cart:* ~user:* &news',
    done: [command('get', [read('cart:1')])],
    unused: ['+ttl', '~user:*', '&news'],
    wider: ['~cart:*: read only'],
  },
  {
    what: 'the commands of a category',
    protocol: 'redis',
    line: '+@read %R~cart:*',
    done: [command('get', [read('cart:1')]), command('ttl', [read('cart:1')])],
    wider: ['+@read: get, ttl'],
  },
  {
    what: 'that keys are only written',
    protocol: 'redis',
    line: '+set ~cart:*',
    done: [command('set', [write('cart:1')])],
    wider: ['~cart:*: written only'],
  },
  {
    what: 'nothing where a command reached keys that it does not name',
    protocol: 'redis',
    line: '+dbsize %R~*',
    done: [command('dbsize', [], { allKeys: true })],
  },
  {
    what: 'what a line takes away from a category',
    protocol: 'redis',
    line: '+@read -get +mget %R~a',
    done: [command('get', [read('a')]), command('mget', [read('a')])],
    wider: ['+@read: mget'],
  },
]
for (const { what, protocol, line, done, unused = [], wider = [] } of cases) {
  test(`of \`${line}\` it tells ${what}`, () => {
    const [found] = of([line], done, protocol).lines
    assert.deepEqual(found?.unused ?? [], unused)
    assert.deepEqual(found?.wider ?? [], wider)
  })
}

test('a line of which nothing was used is told as one', () => {
  const { lines } = of(['select (id) on orders', '+no'].slice(0, 1), [select(['total'])])
  assert.deepEqual(lines, [
    { line: 0, text: 'select (id) on orders', unused: ['select (id) on orders'], wider: [], whole: true },
  ])
})

test('the level of metadata that was used is told where the grant has more', () => {
  const levels = (granted: 'driver' | 'introspect', accesses: readonly Access[]): unknown =>
    unusedRights({ allow: [], metadata: granted }, accesses, {
      protocol: 'postgres',
      naming: NAMINGS.postgres,
    }).metadata
  assert.deepEqual(levels('introspect', []), { granted: 'introspect', used: 'none' })
  assert.equal(levels('driver', [{ kind: 'metadata', level: 'driver', name: 'x' }]), undefined)
})

for (const protocol of ['postgres', 'mysql', 'redis'] as const) {
  test(`a line that covers something of what was done is never told to be unused: ${protocol}`, () => {
    fc.assert(
      fc.property(
        fc.array(allowLine(protocol), { minLength: 1, maxLength: 4 }),
        fc.array(anyAccess(protocol), { maxLength: 20 }),
        (allow, accesses) => {
          const told = of(allow, accesses, protocol).lines
          for (const [line, text] of allow.entries()) {
            const matcher = compileLines(parseLines([text], protocol), NAMINGS[protocol])
            const covers = accesses.some((access) => matcher.covering(access) !== undefined)
            const whole = told.find((one) => one.line === line)?.whole === true
            if (covers) assert.equal(whole, false, text)
            // A line may have a part of what a statement needed; a command is covered by one line or by none.
            else if (protocol === 'redis') assert.equal(whole, true, text)
          }
        },
      ),
      { numRuns: 300 },
    )
  })
}
