import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ABSENT, compareWithServer, type ServerCommand } from '../../../protocols/redis/index.ts'

const GET: ServerCommand = {
  name: 'get',
  calls: 'get',
  arity: 2,
  categories: ['read', 'string', 'fast'],
  keys: [{ flags: ['RO', 'access'], place: 'i1/r(0,1,0)' }],
}
const SORT: ServerCommand = {
  name: 'sort',
  calls: 'sort',
  arity: -2,
  categories: ['write', 'set', 'sortedset', 'list', 'slow', 'dangerous'],
  keys: [
    { flags: ['RO', 'access'], place: 'i1/r(0,1,0)' },
    { flags: ['RO', 'access'], place: 'unknown/unknown' },
    { flags: ['OW', 'update'], place: 'unknown/unknown' },
  ],
}

const reason = (command: ServerCommand) => compareWithServer([command]).refused.get(command.name)

test('a command that is as it was vetted is not refused, and one that is not there is absent', () => {
  const { refused } = compareWithServer([GET, SORT])
  assert.equal(refused.get('get'), undefined)
  assert.equal(refused.get('sort'), undefined)
  assert.equal(refused.get('set'), ABSENT)
})

test('what is answered here needs no server that has it', () => {
  assert.equal(compareWithServer([]).refused.get('client|setinfo'), undefined)
})

for (const [when, command, why] of [
  ['another arity', { ...GET, arity: 3 }, /its arity is 3, not 2/],
  ['another name behind it', { ...GET, calls: 'flushall' }, /the server calls `flushall` by that name/],
  [
    'another category',
    { ...GET, categories: ['write', 'string', 'fast'] },
    /its categories are `fast string write`/,
  ],
  ['a key elsewhere', { ...GET, keys: [{ flags: ['RO', 'access'], place: 'i2/r(0,1,0)' }] }, /keys at i2/],
  ['one key more', { ...GET, keys: [...GET.keys, ...GET.keys] }, /it has 2 key specifications/],
  [
    'a key that it also writes',
    { ...GET, keys: [{ flags: ['RW', 'access', 'update'], place: 'i1/r(0,1,0)' }] },
    /uses keys as/,
  ],
  [
    'a new place where a parser would not look',
    { ...SORT, keys: [{ flags: ['RO'], place: 'i9/r(0,1,0)' }] },
    /keys at i9/,
  ],
] as const) {
  test(`${when}: refused`, () => assert.match(reason(command) ?? '', why))
}

test('an arity that another known version has is no difference', () => {
  const zrank = { name: 'zrank', calls: 'zrank', categories: ['read', 'sortedset', 'fast'], keys: GET.keys }
  assert.equal(reason({ ...zrank, arity: 3 }), undefined)
  assert.equal(reason({ ...zrank, arity: -3 }), undefined)
  assert.match(reason({ ...zrank, arity: 4 }) ?? '', /arity/)
})
