import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { redacted } from '../../../src/commands/check-config.ts'
import { writeKeys } from '../../../src/commands/init.ts'
import { ConfigError } from '../../../src/config/config.ts'
import { type LoadedConfig, loadConfig } from '../../../src/config/load.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()
before(() => writeKeys(folder))

function load(backend: string, protocol = 'redis'): LoadedConfig {
  const file = join(folder, 'bulkhead.yaml')
  writeFileSync(
    file,
    [
      `systems: { carts: { protocol: ${protocol}, listen: "127.0.0.1:6380", backend: { ${backend} } } }`,
      'grants: {}',
      'issuers: [{ issuer: bulkhead, key: ./keys/issuer.pub.jwk }]',
    ].join('\n'),
  )
  return loadConfig(file, { environment: {}, secrets: 'required' })
}

const URL = 'url: "redis://b:secret@carts-main/2"'

test('the name of the master stands where a host would, and the sentinels where they are', () => {
  const { config } = load(
    `${URL}, sentinel: { addresses: ["10.0.0.1:26379", "[::1]:26380"], user: watcher, password: of-theirs }`,
  )
  const target = config.systems.get('carts')?.backend
  assert.equal(target?.host, 'carts-main')
  assert.equal(target?.database, '2')
  assert.deepEqual(target?.sentinel, {
    addresses: [
      { host: '10.0.0.1', port: 26379 },
      { host: '::1', port: 26380 },
    ],
    user: 'watcher',
    password: 'of-theirs',
    tls: 'verify-full',
  })
})

test('a master that sentinels of this machine name is not taken for one of this machine', () => {
  const { config } = load(`${URL}, sentinel: { addresses: ["127.0.0.1:26379"] }`)
  const target = config.systems.get('carts')?.backend
  assert.equal(target?.tls, 'verify-full')
  assert.equal(target?.sentinel?.tls, 'disable')
})

for (const [what, backend, protocol, message] of [
  [
    'a port',
    'url: "redis://carts-main:6379", sentinel: { addresses: ["127.0.0.1:1"] }',
    'redis',
    /the sentinels say where/,
  ],
  ['no address', `${URL}, sentinel: { addresses: [] }`, 'redis', /addresses/],
  [
    'a system of another protocol',
    'url: "postgres://b@db/shop", sentinel: { addresses: ["127.0.0.1:1"] }',
    'postgres',
    /only Redis systems have sentinels/,
  ],
] as const) {
  test(`${what} beside sentinels is a problem`, () => {
    assert.throws(
      () => load(backend, protocol),
      (error: unknown) =>
        error instanceof ConfigError &&
        message.test(error.problems.map((one) => `${one.key} ${one.message}`).join()),
    )
  })
}

test('the password of the sentinels is not printed', () => {
  const { written } = load(`${URL}, sentinel: { addresses: ["127.0.0.1:26379"], password: of-theirs }`)
  const shown = JSON.stringify(redacted(written))
  assert.doesNotMatch(shown, /of-theirs|secret/)
  assert.match(shown, /"addresses":\["127\.0\.0\.1:26379"\]/)
})
