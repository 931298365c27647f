/** `webhook` and `export` of the configuration: defaults, checks, and what is shown of them. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { stringify } from 'yaml'
import { redacted } from '../../../src/commands/check-config.ts'
import { writeKeys } from '../../../src/commands/init.ts'
import { ConfigError } from '../../../src/config/config.ts'
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../../src/config/load.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()
const file = join(folder, 'bulkhead.yaml')

before(() => writeKeys(folder))

function load(
  sections: Readonly<Record<string, unknown>>,
  options: LoadOptions = { environment: {}, secrets: 'required' },
): LoadedConfig {
  const system = { protocol: 'postgres', listen: '127.0.0.1:0', decoy: true }
  const issuers = [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }]
  writeFileSync(file, stringify({ systems: { payroll: system }, issuers, ...sections }))
  return loadConfig(file, options)
}

function problems(sections: Readonly<Record<string, unknown>>): readonly string[] {
  try {
    load(sections)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ key, message }) => `${key}: ${message}`)
    throw error
  }
  return []
}

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

test('nothing is exported unless the configuration says so', () => {
  assert.deepEqual(load({}).config.exports, { webhook: undefined, otlp: undefined, syslog: undefined })
})

test('what is not written has its default', () => {
  const { exports } = load({
    webhook: { url: 'https://example.net/hook', secret: SECRET },
    export: { otlp: { url: 'https://collector.example.net:4318' }, syslog: { host: '127.0.0.1' } },
  }).config
  assert.deepEqual(exports, {
    webhook: {
      url: 'https://example.net/hook',
      secret: SECRET,
      events: ['hop', 'quarantine', 'revoked'],
    },
    otlp: { url: 'https://collector.example.net:4318/v1/logs', headers: {} },
    syslog: { host: '127.0.0.1', port: 514, protocol: 'udp' },
  })
})

test('a path that is written stays', () => {
  const url = 'https://collector.example.net/otlp/v1/logs'
  assert.equal(load({ export: { otlp: { url } } }).config.exports.otlp?.url, url)
})

test('records that would cross a network in clear text are refused, unless that is meant', () => {
  const http = 'http://collector.example.net:4318'
  const sections = (more: object) => ({
    webhook: { url: http, secret: SECRET, ...more },
    export: { otlp: { url: http, ...more }, syslog: { host: 'logs.example.net', ...more } },
  })
  assert.deepEqual(problems(sections({})), [
    'webhook.url: records would cross a network in clear text',
    'export.otlp.url: records would cross a network in clear text',
    'export.syslog.host: statements would cross a network in clear text',
  ])
  assert.deepEqual(problems(sections({ allow_cleartext: true })), [])
  const loopback = 'http://127.0.0.1:4318'
  assert.deepEqual(problems({ webhook: { url: loopback, secret: SECRET } }), [])
})

for (const url of [
  'not a url',
  'ftp://example.net/',
  'https://user:password@example.net/',
  'https://:password@example.net/',
  'file:///etc/passwd',
]) {
  test(`${url} is no address to send to`, () => {
    assert.deepEqual(problems({ webhook: { url, secret: SECRET } }), [
      'webhook.url: not an address to send to',
    ])
    assert.deepEqual(problems({ export: { otlp: { url } } }), ['export.otlp.url: not an address to send to'])
  })
}

for (const secret of ['', 'short', 'whsec_', 'whsec_c2hvcnQ=', 'x'.repeat(23)]) {
  test(`\`${secret}\` is too short a secret to sign with`, () => {
    assert.deepEqual(problems({ webhook: { url: 'https://example.net/', secret } }), [
      'webhook.secret: shorter than 24 bytes',
    ])
  })
}

test('a command that sends nothing does not need the secrets', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the configuration that fills it in
  const webhook = { url: 'https://example.net/', secret: '${WEBHOOK_SECRET}' }
  assert.deepEqual(problems({ webhook }), [
    'webhook.secret: the environment variable `WEBHOOK_SECRET` is not set',
    'webhook.secret: shorter than 24 bytes',
  ])
  load({ webhook }, { environment: {}, secrets: 'optional' })
})

test('a header cannot smuggle in another', () => {
  const headers = { 'x\r\nauthorization': 'Bearer x' }
  assert.equal(problems({ export: { otlp: { url: 'https://example.net', headers } } }).length, 1)
  const value = { authorization: 'Bearer x\r\nhost: elsewhere' }
  assert.equal(problems({ export: { otlp: { url: 'https://example.net', headers: value } } }).length, 1)
})

test('check-config shows neither the secret, nor the receiver’s path, nor a header’s value', () => {
  const shown = JSON.stringify(
    redacted(
      load({
        webhook: { url: 'https://example.net/services/T0/B0/very-secret', secret: SECRET },
        export: {
          otlp: {
            url: 'https://collector.example.net',
            headers: { authorization: 'Bearer of-the-collector' },
          },
        },
      }).written,
    ),
  )
  for (const secret of [SECRET, 'very-secret', 'of-the-collector']) assert.ok(!shown.includes(secret), shown)
  assert.match(shown, /example\.net/)
  assert.match(shown, /authorization/)
})
