/** Issuers in the configuration: what is refused before it can let a stranger in, and that the documented ones are right. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { writeKeys } from '../../../src/commands/init.ts'
import { ConfigError } from '../../../src/config/config.ts'
import { type LoadedConfig, loadConfig } from '../../../src/config/load.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { MAPPINGS } from '../../support/workload-tokens.ts'

const folder = temporaryFolder()
before(() => writeKeys(folder))

function load(text: string): LoadedConfig {
  const file = join(folder, 'bulkhead.yaml')
  writeFileSync(file, text)
  return loadConfig(file, { environment: {}, secrets: 'required' })
}

const withIssuer = (issuer: Record<string, unknown>): string =>
  stringify({
    systems: {
      shop: { protocol: 'postgres', listen: '127.0.0.1:0', backend: { url: 'postgres://b@127.0.0.1/shop' } },
      crm: { protocol: 'mysql', listen: '127.0.0.1:0', backend: { url: 'mysql://b@127.0.0.1/crm' } },
    },
    grants: { triage: { system: 'shop', allow: ['select on orders'] } },
    issuers: [{ issuer: 'https://idp.example.com', key: './keys/issuer.pub.jwk', ...issuer }],
  })

function problems(issuer: Record<string, unknown>): string[] {
  try {
    load(withIssuer(issuer))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ key, message }) => `${key}: ${message}`)
  }
  return []
}

/** The checkout; this file runs from `test/src/config` and, compiled, from `dist/test/src/config`. */
const HERE = dirname(fileURLToPath(import.meta.url))
const ROOT = join(HERE, HERE.includes(join('dist', 'test')) ? '../../../..' : '../../..')

test('every configuration in docs/tokens.md is right, and says what the tests say', () => {
  const blocks = [...readFileSync(join(ROOT, 'docs/tokens.md'), 'utf8').matchAll(/```yaml\n(.*?)```/gs)]
    .map(([, text]) => text ?? '')
    .filter((text) => text.startsWith('systems:'))
  assert.equal(blocks.length, 3)
  const documented = blocks.map((text) => load(text).config.issuers[0])
  for (const [index, { issuer, audience, claims }] of Object.values(MAPPINGS).entries()) {
    const found = documented[index]
    assert.ok(found)
    assert.deepEqual([found.issuer, found.audience], [issuer, audience])
    assert.deepEqual(
      { agent: found.mapping?.agent, run: found.mapping?.run },
      { agent: claims.agent, run: claims.run },
    )
  }
})

test('a binding is for the system of its grant', () => {
  const { config } = load(
    withIssuer({ claims: { run: 'jti' }, bind: [{ when: { sub: 'a' }, grant: 'triage' }] }),
  )
  assert.equal(config.issuers[0]?.mapping?.bind[0]?.system, 'shop')
})

const claims = { run: 'run_id' }
const mistakes: readonly {
  readonly what: string
  readonly issuer: Record<string, unknown>
  readonly says: RegExp
}[] = [
  {
    what: 'claims and no condition',
    issuer: { claims },
    says: /^issuers\[0\]: tokens whose claims are mapped name no grant/,
  },
  {
    what: 'conditions and no run',
    issuer: { bind: [{ when: { sub: 'a' }, grant: 'triage' }] },
    says: /^issuers\[0\]: tokens whose claims are mapped/,
  },
  { what: 'an empty list of rules', issuer: { claims, bind: [] }, says: /^issuers\[0\]\.bind/ },
  {
    what: 'a rule without a condition',
    issuer: { claims, bind: [{ when: {}, grant: 'triage' }] },
    says: /no condition here says whose/,
  },
  {
    what: 'a rule on the audience alone, which whoever asks for a token chooses',
    issuer: { claims, bind: [{ when: { aud: 'shop' }, grant: 'triage' }] },
    says: /no condition here says whose/,
  },
  {
    what: 'a rule that everything fits',
    issuer: { claims, bind: [{ when: { sub: '**' }, grant: 'triage' }] },
    says: /no condition here says whose/,
  },
  {
    what: 'a rule of which one value fits everything',
    issuer: { claims, bind: [{ when: { sub: ['a', '*'] }, grant: 'triage' }] },
    says: /no condition here says whose/,
  },
  {
    what: 'a grant that is not there',
    issuer: { claims, bind: [{ when: { sub: 'a' }, grant: 'nope' }] },
    says: /there is no grant `nope`/,
  },
  {
    what: 'a system that is not there',
    issuer: { audience: { x: 'nope' } },
    says: /audience\.x: there is no system `nope`/,
  },
  {
    what: 'grants of its own and bindings',
    issuer: { claims, grants: 'inline', bind: [{ when: { sub: 'a' }, grant: 'triage' }] },
    says: /defines no grants/,
  },
  {
    what: 'a template with an open brace',
    issuer: { claims: { run: 'x-{run_id' }, bind: [{ when: { sub: 'a' }, grant: 'triage' }] },
    says: /claims\.run: a brace has no partner/,
  },
  { what: 'an authority for a file', issuer: { ca: './keys/tls.crt' }, says: /needs no authority/ },
  {
    what: 'a key and an address',
    issuer: { jwks: 'https://idp.example.com/jwks' },
    says: /either `key` or `jwks`/,
  },
  {
    what: 'an address in clear text',
    issuer: { key: undefined, jwks: 'http://idp.example.com/jwks' },
    says: /not an https address/,
  },
]
for (const { what, issuer, says } of mistakes) {
  test(`an issuer with ${what} is told`, () => {
    const found = problems(issuer)
    assert.ok(found.length === 1 && says.test(found[0] ?? ''), found.join('\n') || 'no problem')
  })
}

const tenants: readonly (readonly [string, Record<string, unknown>, boolean])[] = [
  ['https://token.actions.githubusercontent.com', { ref: 'refs/heads/main' }, false],
  ['https://token.actions.githubusercontent.com', { repository: 'octo*' }, false],
  ['https://token.actions.githubusercontent.com', { repository: 'oct*/app', ref: 'refs/heads/main' }, false],
  ['https://token.actions.githubusercontent.com', { repository: ['octo/app', 'oct*/app'] }, false],
  [
    'https://token.actions.githubusercontent.com',
    { job_workflow_ref: 'octo/app/.github/workflows/x.yml@refs/heads/main' },
    false,
  ],
  ['https://token.actions.githubusercontent.com', { actor: 'octocat' }, false],
  ['https://token.actions.githubusercontent.com', { repository: 'octo/*' }, true],
  ['https://token.actions.githubusercontent.com', { repository_owner_id: 65 }, true],
  ['https://token.actions.githubusercontent.com', { sub: 'repo:octo/app:ref:refs/heads/main' }, true],
  ['https://token.actions.githubusercontent.com', { sub: 'repo:octo*' }, false],
  ['https://gitlab.com', { project_path: 'octo/app' }, true],
  ['https://gitlab.com', { ref: 'main' }, false],
  ['https://accounts.google.com', { sub: '110169484474386276334' }, true],
  ['https://accounts.google.com', { email_verified: true }, false],
]
for (const [issuer, when, good] of tenants) {
  test(`of ${issuer}, ${JSON.stringify(when)} ${good ? 'names an owner' : 'is met by strangers'}`, () => {
    const found = problems({ issuer, claims, bind: [{ when, grant: 'triage' }] })
    if (good) assert.deepEqual(found, [])
    else assert.match(found.join('\n'), /no condition here names whose it is/)
  })
}
