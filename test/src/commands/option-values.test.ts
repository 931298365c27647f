import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressText, reachable } from '../../../src/commands/address.ts'
import {
  countOption,
  durationOption,
  grantNamed,
  momentOption,
  wordOption,
} from '../../../src/commands/option-values.ts'
import { tokenOption } from '../../../src/commands/token-option.ts'
import { NO_LIMITS } from '../../../src/grants/grant.ts'

test('a duration and a count are read, and what is none is told with its option', () => {
  assert.equal(durationOption('--for', '2h'), 7_200_000)
  assert.throws(() => durationOption('--for', '2'), /^CommandError: --for: write a number and a unit/)
  assert.equal(countOption('--last', '20'), 20)
  for (const text of ['0', '-1', '1.5', 'x', '']) {
    assert.throws(() => countOption('--last', text), /^CommandError: --last is a number from 1$/)
  }
})

test('a moment is a date or a time ago', () => {
  assert.equal(momentOption('--since', '2026-11-23T16:35:00Z'), Date.UTC(2026, 10, 23, 16, 35))
  const ago = Date.now() - momentOption('--since', '15m')
  assert.ok(ago >= 900_000 && ago < 960_000, `${ago} ms`)
  for (const text of ['yesterday', '5', '2026-13-01']) {
    assert.throws(() => momentOption('--since', text), /^CommandError: --since is a date/)
  }
})

test('a word that is not of the list is answered with the list', () => {
  assert.equal(wordOption('--format', 'url', ['url', 'env']), 'url')
  assert.throws(
    () => wordOption('--format', 'xml', ['url', 'env']),
    /^CommandError: --format is one of url, env, not `xml`$/,
  )
})

test('a grant that is not there is answered with those that are', () => {
  const grant = {
    name: 'carts',
    system: 'carts',
    allow: [],
    metadata: 'none',
    limits: NO_LIMITS,
    observe: false,
    narrowed: [],
  } as const
  const grants = new Map([['carts', grant]])
  assert.equal(grantNamed('carts', { grants }), grant)
  assert.throws(
    () => grantNamed('cart', { grants }),
    /^CommandError: there is no grant `cart`; the configuration has carts$/,
  )
  assert.throws(() => grantNamed('cart', { grants: new Map() }), /the configuration has none$/)
})

test('a token is taken as it is, or out of the connection URL that holds it', () => {
  assert.deepEqual(tokenOption(' a.b.c\n'), { token: 'a.b.c', url: undefined, protocol: undefined })
  const { token, protocol, url } = tokenOption('rediss://r-1:a.b.c%7Ed@localhost:6380/0')
  assert.deepEqual([token, protocol, url?.username], ['a.b.c~d', 'redis', 'r-1'])
  for (const text of ['http://r:a@x', 'postgres://r@x/y', 'postgres://r:%zz@x/y', 'postgres://']) {
    assert.throws(() => tokenOption(text), /^CommandError: --token takes a token, or the connection URL/)
  }
})

test('an address on every interface is reached by loopback, and one of IPv6 stands in brackets', () => {
  const shown = (host: string): string => addressText(reachable({ host, port: 1 }))
  assert.deepEqual(['0.0.0.0', '::', '10.0.0.1', 'fe80::1'].map(shown), [
    '127.0.0.1:1',
    '[::1]:1',
    '10.0.0.1:1',
    '[fe80::1]:1',
  ])
})
