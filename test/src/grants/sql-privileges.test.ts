import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AllowLineError } from '../../../src/grants/allow-line-error.ts'
import { parsePrivilegeLine } from '../../../src/grants/sql-privileges.ts'

const read = (line: string, protocol: 'postgres' | 'mysql' = 'postgres') =>
  parsePrivilegeLine(line, protocol === 'mysql' ? '`' : '"', protocol)

const shape = (line: string, protocol?: 'postgres' | 'mysql') => {
  const { privileges, kind, objects } = read(line, protocol)
  const privilege = privileges.map(({ action, columns }) =>
    columns === undefined ? action : `${action}(${columns.map(({ text }) => text).join()})`,
  )
  const named = objects.map(({ schema, name }) => `${schema ? `${schema.text}.` : ''}${name?.text ?? '*'}`)
  return `${privilege.join('+')} on ${kind} ${named.join()}`
}

const lines: readonly [string, string][] = [
  ['select on orders', 'select on table orders'],
  ['SELECT ON orders, order_items', 'select on table orders,order_items'],
  ['insert, update (status, note) on tickets', 'insert+update(status,note) on table tickets'],
  ['select (id, city) on sales.customers', 'select(id,city) on table sales.customers'],
  ['select on reporting.*', 'select on table reporting.*'],
  ['select on table orders', 'select on table orders'],
  ['select on table', 'select on table table'],
  ['execute on function next_ticket_no', 'execute on routine next_ticket_no'],
  ['call on procedure audit.close_day', 'call on routine audit.close_day'],
  ['usage on sequence ticket_no', 'usage on sequence ticket_no'],
  ['usage on type mood', 'usage on type mood'],
  ['create on schema scratch', 'create on schema scratch'],
  ['listen, notify on channel jobs', 'listen+notify on channel jobs'],
  ['select on "Weird ""Name""", other', 'select on table Weird "Name",other'],
  ['select on öl', 'select on table öl'],
  ['all on orders', 'select+insert+update+delete+truncate+references+trigger on table orders'],
  ['all privileges on sequence s', 'usage+select+update on sequence s'],
]
for (const [line, expected] of lines) {
  test(`\`${line}\` reads as ${expected}`, () => assert.equal(shape(line), expected))
}

test('MySQL quotes names with backticks', () => {
  assert.equal(shape('select on `my table`.`a``b`', 'mysql'), 'select on table my table.a`b')
})

const mistakes: readonly [string, number, RegExp][] = [
  ['', 0, /privilege is expected/],
  ['selct on orders', 0, /`selct` is no privilege on a table or view/],
  ['select orders', 7, /`on` is expected/],
  ['select on', 9, /name is expected/],
  ['select on *', 10, /every schema/],
  ['select on a.b.c', 13, /not expected/],
  ['select (id on t', 11, /`\)` is expected/],
  ['select () on t', 8, /column name is expected/],
  ['delete (id) on t', 0, /takes no columns/],
  ['all (id) on t', 0, /takes no columns/],
  ['select on function f', 0, /no privilege on a routine/],
  ['select on widget w', 10, /no kind of object/],
  ['select on "open', 10, /has no end/],
  ['select on ""', 10, /cannot be empty/],
  ['select on t;', 11, /not expected/],
  ["select on 't'", 10, /not expected/],
  ['select on t, ', 13, /name is expected/],
  ['usage on schema a.b', 17, /has no schema/],
]
for (const [line, at, message] of mistakes) {
  test(`\`${line}\` is wrong at character ${at}`, () => {
    assert.throws(
      () => read(line),
      (error) =>
        error instanceof AllowLineError &&
        error.at === at &&
        message.test(error.message) &&
        error.mend !== '',
    )
  })
}

test('only PostgreSQL has channels', () => {
  assert.throws(() => read('listen on channel jobs', 'mysql'), AllowLineError)
})

test('any text is a line or an AllowLineError that points into it', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'select on(),.*"ab ') })),
      (text) => {
        try {
          read(text)
        } catch (error) {
          assert.ok(error instanceof AllowLineError)
          assert.ok(error.at >= 0 && error.at <= text.length)
        }
      },
    ),
  )
})
