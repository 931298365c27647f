// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own placeholders are under test
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { stringify } from 'yaml'
import { redacted, resolved } from '../../../src/commands/check-config.ts'
import { writeKeys } from '../../../src/commands/init.ts'
import { STARTER_CONFIGURATION } from '../../../src/commands/starter-configuration.ts'
import { ConfigError } from '../../../src/config/config.ts'
import { type LoadedConfig, loadConfig } from '../../../src/config/load.ts'
import { loadAdmin } from '../../../src/config/load-admin.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()
before(async () => {
  await writeKeys(folder)
  writeFileSync(join(folder, 'secret'), 'from a file\n')
})

const environment = { SHOP_PASSWORD: 'from the environment' }

function load(text: string): LoadedConfig {
  const file = join(folder, 'bulkhead.yaml')
  writeFileSync(file, text)
  return loadConfig(file, { environment, secrets: 'required' })
}

function problems(text: string): string[] {
  try {
    load(text)
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems.map(({ line, column, key, message }) => `${line}:${column} ${key}: ${message}`)
    }
    throw error
  }
  return []
}

/** A configuration that is right, with one part replaced. */
function with_(parts: { systems?: string; grants?: string; rest?: string; issuers?: string } = {}): string {
  return [
    'systems:',
    parts.systems ??
      '  shop: { protocol: postgres, listen: 127.0.0.1:6432, backend: { url: "postgres://b@127.0.0.1/shop" } }',
    'grants:',
    parts.grants ?? '  read: { system: shop, allow: [select on orders] }',
    'issuers:',
    parts.issuers ?? '  - { issuer: bulkhead, key: ./keys/issuer.pub.jwk }',
    parts.rest ?? '',
  ].join('\n')
}

test('the starter configuration has no problems', () => {
  assert.deepEqual(problems(STARTER_CONFIGURATION), [])
})

test('defaults are filled in: port, schema, TLS by whether the backend is on this machine', () => {
  const { config } = load(
    with_({
      systems: `  near: { protocol: postgres, listen: 127.0.0.1:6432, backend: { url: "postgres://b@localhost/shop" } }
  far: { protocol: mysql, listen: "[::1]:6306", backend: { url: "mysql://b@db2/crm" } }
  cache: { protocol: redis, listen: 127.0.0.1:6380, backend: { url: "redis://db3" } }`,
      grants: '  read: { system: near, allow: [select on orders] }',
    }),
  )
  const near = config.systems.get('near')?.backend
  assert.deepEqual([near?.port, near?.schema, near?.tls], [5432, 'public', 'disable'])
  assert.equal(config.systems.get('far')?.backend?.tls, 'verify-full')
  assert.deepEqual(config.systems.get('far')?.listen, { host: '::1', port: 6306 })
  assert.equal(config.systems.get('cache')?.backend?.database, '0')
  assert.equal(config.grants.get('read')?.metadata, 'driver')
  assert.equal(config.onHop.wrong_system, 'reject')
})

test('secrets come from the environment and from files, and a doubled dollar is a plain one', () => {
  const backend = (password: string) =>
    load(
      with_({
        systems: `  shop: { protocol: postgres, listen: 127.0.0.1:6432, backend: { url: "postgres://b@127.0.0.1/shop", password: "${password}" } }`,
      }),
    ).config.systems.get('shop')?.backend?.password
  assert.equal(backend('${SHOP_PASSWORD}'), 'from the environment')
  assert.equal(backend('${file:secret}'), 'from a file')
  assert.equal(backend('$${SHOP_PASSWORD}'), '${SHOP_PASSWORD}')
})

test('the printed configuration holds no secret', () => {
  const { written } = load(
    with_({
      systems:
        '  shop: { protocol: postgres, listen: 127.0.0.1:6432, backend: { url: "postgres://b:in-url@127.0.0.1/shop", password: "${SHOP_PASSWORD}" } }',
    }),
  )
  const text = JSON.stringify(redacted(written))
  assert.ok(!text.includes('from the environment') && !text.includes('in-url'), text)
  assert.ok(text.includes('127.0.0.1:6432'))
})

test('what is printed of a configuration is one that reads the same, in its own units', () => {
  const loaded = load(
    with_({
      systems:
        '  shop: { protocol: postgres, listen: "[::1]:6432", backend: { url: "postgres://b@127.0.0.1/shop" }, limits: { bytes: 64KiB, idle: 90s } }',
      grants:
        '  read: { system: shop, allow: [select on orders], limits: { rows: 5, bytes: 1500000, statement_timeout: 1500ms, session: 60m } }',
      rest: 'audit: { fsync_interval: 2s, rotate: { size: 64MiB, every: 24h }, checkpoint: { key: ./keys/issuer.jwk, every: 30s } }',
    }),
  )
  const text = stringify(redacted(resolved(loaded)))
  for (const written of [
    ...['bytes: 64KiB', 'idle: 90s', 'bytes: 1500kB', 'statement_timeout: 1500ms', 'session: 1h'],
    ...['fsync_interval: 2s', 'size: 64MiB', 'every: 1d', 'every: 30s', 'clock_skew: 5s', 'drain: 30s'],
    ...['tls: disable', 'listen: 127.0.0.1:9464', 'file: ./audit.state.json'],
  ]) {
    assert.ok(text.includes(written), `${written} in\n${text}`)
  }
  const again = load(text)
  assert.deepEqual(again.config, loaded.config)
  assert.equal(stringify(redacted(resolved(again))), text)
})

test('what YAML cannot make values of is a problem, not a crash', () => {
  const aliases = ['a: &a [1,1,1,1,1,1,1,1,1,1]', 'b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]']
  const bomb = [...aliases, 'c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]', 'd: [*c,*c,*c]'].join('\n')
  assert.match(problems(bomb).join(), /Excessive alias count/)
  assert.match(problems('a: [*nothing]').join(), /Unresolved alias/)
  writeFileSync(join(folder, 'bomb.yaml'), bomb)
  assert.throws(() => loadAdmin(join(folder, 'bomb.yaml'), {}), ConfigError)
})

test('an address with a percent sign that begins no escape is a problem with its mend', () => {
  assert.deepEqual(
    problems(
      with_({
        systems:
          '  shop: { protocol: postgres, listen: 127.0.0.1:6432, backend: { url: "postgres://b@127.0.0.1/sh%zzop" } }',
      }),
    ),
    ['2:71 systems.shop.backend.url: a `%` in the address begins no escape'],
  )
})

test('a drain is no longer than a timer can wait', () => {
  assert.match(problems(with_({ rest: 'drain: 25d' })).join(), /drain: write at most `24d`/)
  assert.deepEqual(problems(with_({ rest: 'drain: 24d' })), [])
})

test('every problem is reported at once, with line, column and key', () => {
  const found = problems(`systems:
  shop:
    protocol: postgres
    listen: 127.0.0.1
    backend: { url: "http://x/y", pasword: x }
grants:
  read: { system: shop, allow: [select on orders], metadata: all }
issuers:
  - { issuer: bulkhead, key: ./keys/issuer.pub.jwk }
`)
  assert.deepEqual(
    found.map((problem) => problem.split(': ')[0]),
    ['4:13 systems.shop.listen', '5:35 systems.shop.backend.pasword', '7:62 grants.read.metadata'],
  )
})

const mistakes: readonly { readonly when: string; readonly text: () => string; readonly found: RegExp }[] = [
  {
    when: 'an allow line is wrong',
    text: () => with_({ grants: '  read: { system: shop, allow: [selct on orders] }' }),
    found: /grants\.read\.allow\[0\]: not an allow line/,
  },
  {
    when: 'a grant names no system',
    text: () => with_({ grants: '  read: { system: shpo, allow: [] }' }),
    found: /grants\.read\.system: there is no system `shpo`/,
  },
  {
    when: 'a variable is not set',
    text: () =>
      with_({
        systems:
          '  shop: { protocol: postgres, listen: 127.0.0.1:1, backend: { url: "postgres://b@127.0.0.1/shop", password: "${NOPE}" } }',
      }),
    found: /password: the environment variable `NOPE` is not set/,
  },
  {
    when: 'a secret file is missing',
    text: () =>
      with_({
        systems:
          '  shop: { protocol: postgres, listen: 127.0.0.1:1, backend: { url: "postgres://b@127.0.0.1/shop", password: "${file:nope}" } }',
      }),
    found: /cannot read `nope`: ENOENT/,
  },
  {
    when: 'the backend is of another protocol',
    text: () =>
      with_({
        systems:
          '  shop: { protocol: postgres, listen: 127.0.0.1:1, backend: { url: "mysql://b@127.0.0.1/shop" } }',
      }),
    found: /backend\.url: not an address of such a backend/,
  },
  {
    when: 'the database is missing',
    text: () =>
      with_({
        systems:
          '  shop: { protocol: postgres, listen: 127.0.0.1:1, backend: { url: "postgres://b@127.0.0.1" } }',
      }),
    found: /the database is missing/,
  },
  {
    when: 'a system has neither backend nor decoy',
    text: () => with_({ systems: '  shop: { protocol: postgres, listen: 127.0.0.1:1 }' }),
    found: /systems\.shop: the system has no backend/,
  },
  {
    when: 'something is granted on a decoy',
    text: () => with_({ systems: '  shop: { protocol: postgres, listen: 127.0.0.1:1, decoy: true }' }),
    found: /is a decoy/,
  },
  {
    when: 'tokens would cross a network in clear text',
    text: () =>
      with_({
        systems:
          '  shop: { protocol: postgres, listen: 0.0.0.0:6432, backend: { url: "postgres://b@127.0.0.1/shop" } }',
      }),
    found: /listen: tokens would cross a network in clear text/,
  },
  {
    when: 'two systems listen on one port',
    text: () =>
      with_({
        systems:
          '  shop: { protocol: postgres, listen: 127.0.0.1:1, backend: { url: "postgres://b@127.0.0.1/shop" } }\n  two: { protocol: postgres, listen: 127.0.0.1:1, backend: { url: "postgres://b@127.0.0.1/shop" } }',
      }),
    found: /systems\.two\.listen: `shop` already listens/,
  },
  {
    when: 'an issuer has neither key nor jwks',
    text: () => with_({ issuers: '  - { issuer: bulkhead }' }),
    found: /issuers\[0\]: an issuer has either `key` or `jwks`/,
  },
  {
    when: 'a key set would be fetched in clear text',
    text: () => with_({ issuers: '  - { issuer: a, jwks: "http://idp.example.com/jwks" }' }),
    found: /not an https address/,
  },
  {
    when: 'an issuer stands twice',
    text: () =>
      with_({
        issuers:
          '  - { issuer: a, key: ./keys/issuer.pub.jwk }\n  - { issuer: a, key: ./keys/issuer.pub.jwk }',
      }),
    found: /`a` stands twice/,
  },
  {
    when: 'a duration has no unit',
    text: () => with_({ rest: 'tokens: { clock_skew: 5 }' }),
    found: /tokens\.clock_skew/,
  },
  { when: 'the YAML is broken', text: () => 'systems: [', found: /^1:/ },
  { when: 'a key stands twice', text: () => `${with_()}\nissuers: []`, found: /Map keys must be unique/ },
  { when: 'the file is empty', text: () => '', found: /1:1/ },
]
for (const { when, text, found } of mistakes) {
  test(`when ${when}, it is said`, () => {
    const all = problems(text())
    assert.ok(
      all.some((problem) => found.test(problem)),
      all.join('\n'),
    )
  })
}

test('a wrong allow line is shown with a caret under the character', () => {
  assert.throws(
    () => load(with_({ grants: '  read: { system: shop, allow: ["select on orders; drop"] }' })),
    (error) =>
      error instanceof ConfigError &&
      error.message.includes('select on orders; drop\n                    ^ `;` is not expected here'),
  )
})

test('a missing file is said with the mend', () => {
  assert.throws(
    () => loadConfig(join(folder, 'nothing.yaml'), { environment, secrets: 'required' }),
    (error) =>
      error instanceof ConfigError && /there is no such file[\s\S]*bulkhead init/.test(error.message),
  )
})
