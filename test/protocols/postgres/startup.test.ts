import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  isPinnedSearchPath,
  parseOptions,
  readStartup,
  StartupRefusal,
} from '../../../protocols/postgres/startup.ts'

const packet = (...pairs: readonly string[]): Buffer =>
  Buffer.from(`${pairs.map((part) => `${part}\0`).join('')}\0`)
const refused = (body: Buffer): string => {
  try {
    readStartup(body)
  } catch (error) {
    if (error instanceof StartupRefusal) return error.message
    throw error
  }
  return 'accepted'
}

test('the parameters of ordinary drivers are understood', () => {
  const startup = readStartup(
    packet(
      'user',
      'r-1',
      'database',
      'shop',
      'client_encoding',
      "'utf-8'",
      'DateStyle',
      'ISO',
      'TimeZone',
      'UTC',
    ),
  )
  assert.equal(startup.user, 'r-1')
  assert.equal(startup.database, 'shop')
  assert.deepEqual(
    [...startup.settings],
    [
      ['datestyle', 'ISO'],
      ['timezone', 'UTC'],
    ],
  )
})

test('the name of the application is for the record, and is cut', () => {
  const startup = readStartup(packet('user', 'u', 'application_name', 'x'.repeat(200)))
  assert.equal(startup.application?.length, 64)
  assert.equal(startup.settings.has('application_name'), false)
})

for (const [name, pairs, why] of [
  ['another role', ['role', 'boss'], /permission denied to set parameter "role"/],
  ['another session user', ['session_authorization', 'boss'], /permission denied/],
  ['a library', ['session_preload_libraries', 'evil'], /permission denied/],
  ['a parameter that is not known', ['new_setting', '1'], /permission denied/],
  ['backslashes in strings', ['standard_conforming_strings', 'off'], /permission denied/],
  ['a multibyte encoding with ASCII trail bytes', ['client_encoding', 'SJIS'], /client_encoding/],
  ['physical replication', ['replication', 'true'], /replication/],
  ['logical replication', ['replication', 'database'], /replication/],
  ['a role inside options', ['options', '-c role=boss'], /permission denied to set parameter "role"/],
  ['a role in the long form', ['options', '--role=boss'], /permission denied/],
  ['a role without a space', ['options', '-crole=boss'], /permission denied/],
  ['a name with hyphens', ['options', '--session-authorization=boss'], /"session_authorization"/],
  ['a switch that is no setting', ['options', '-e'], /invalid command-line argument/],
  ['a cluster of switches', ['options', '-ec role=boss'], /invalid command-line argument/],
  ['a word of its own', ['options', 'role=boss'], /invalid command-line argument/],
  ['an escaped space inside a value', ['options', '-c search_path=a\\ -c\\ role=boss'], /accepted/],
  ['the user twice', ['user', 'other'], /twice/],
] as const) {
  test(`a startup packet with ${name}: ${why.source}`, () => {
    assert.match(refused(packet('user', 'u', ...pairs)), why)
  })
}

test('options are split as the server splits them', () => {
  assert.deepEqual(
    [...parseOptions(' -c  DateStyle=ISO\\ DMY\t--extra-float-digits=2 -cTimeZone=UTC')],
    [
      ['datestyle', 'ISO DMY'],
      ['extra_float_digits', '2'],
      ['timezone', 'UTC'],
    ],
  )
})

for (const body of [
  Buffer.from(''),
  Buffer.from('user'),
  Buffer.from('user\0u'),
  Buffer.from('user\0u\0'),
  Buffer.from('user\0u\0\0more'),
]) {
  test(`a packet of the wrong shape is refused: ${JSON.stringify(body.toString())}`, () => {
    assert.match(refused(body), /invalid startup packet layout/)
  })
}

test('a packet without a user is refused', () => {
  assert.match(refused(packet('database', 'x')), /no PostgreSQL user name/)
})

test('any bytes give a startup or a refusal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      refused(Buffer.from(bytes))
    }),
  )
  fc.assert(
    fc.property(fc.array(fc.constantFrom('-', 'c', ' ', '\\', '=', 'role', 'a', '--')), (parts) => {
      const message = refused(packet('user', 'u', 'options', parts.join('')))
      // Whatever was understood, `role` is never let through as a setting.
      if (message === 'accepted')
        assert.equal(readStartup(packet('user', 'u', 'options', parts.join(''))).settings.has('role'), false)
    }),
  )
})

for (const [value, schema, then] of [
  ['public', 'public', true],
  ['"$user", public', 'public', true],
  ['PUBLIC', 'public', true],
  ['public, pg_temp', 'public', true],
  ['"Shop"', 'Shop', true],
  ['shop', 'Shop', false],
  ['pg_temp, public', 'public', false],
  ['public, evil', 'public', false],
  ['', 'public', false],
] as const) {
  test(`search_path ${value} ${then ? 'is' : 'is not'} the pinned ${schema}`, () => {
    assert.equal(isPinnedSearchPath(value, schema), then)
  })
}
