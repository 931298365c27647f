import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { changesOf, keepUnchangedGrants } from '../../../src/config/changes.ts'
import type { Config } from '../../../src/config/config.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()
writeFileSync(join(folder, 'key.jwk'), '{"kty":"OKP"}')

const BASE = `systems:
  one: { protocol: redis, listen: 127.0.0.1:1, backend: { url: redis://127.0.0.1/0 } }
  two: { protocol: redis, listen: 127.0.0.1:2, backend: { url: redis://127.0.0.1/0 } }
grants:
  a: { system: one, allow: ["+get ~a"] }
  b: { system: two, allow: ["+get ~b"] }
issuers: [{ issuer: i, key: ./key.jwk }]
drain: 10s
`

function config(text: string): Config {
  const file = join(folder, 'bulkhead.yaml')
  writeFileSync(file, text)
  return loadConfig(file, { environment: {}, secrets: 'required' }).config
}

const base = config(BASE)

const cases: { when: string; edit: (text: string) => string; lines: string[]; fixed?: string[] }[] = [
  { when: 'nothing', edit: (text) => `# a word\n${text}`, lines: [] },
  { when: 'an allow line', edit: (text) => text.replace('~a"', '~aa"'), lines: ['grant a changed'] },
  { when: 'a grant less', edit: (text) => text.replace(/ {2}a: .*\n/, ''), lines: ['grant a removed'] },
  { when: 'an address', edit: (text) => text.replace(':2,', ':3,'), lines: ['system two changed'] },
  {
    when: 'a database',
    edit: (text) =>
      text.replace('1:2, backend: { url: redis://127.0.0.1/0', '1:2, backend: { url: redis://127.0.0.1/1'),
    lines: ['system two replaced'],
  },
  {
    when: 'the limits of a system',
    edit: (text) => text.replace('listen: 127.0.0.1:1,', 'listen: 127.0.0.1:1, limits: { rows: 5 },'),
    lines: ['system one changed', 'grant a changed'],
  },
  {
    when: 'a ceiling',
    edit: (text) => text.replace('listen: 127.0.0.1:1,', 'listen: 127.0.0.1:1, ceiling: ["+get ~*"],'),
    lines: ['system one changed'],
  },
  { when: 'on_hop', edit: (text) => `${text}on_hop: quarantine\n`, lines: ['on_hop changed'] },
  {
    when: 'the clocks',
    edit: (text) => `${text}tokens: { clock_skew: 9s }\n`,
    lines: ['tokens.clock_skew changed'],
  },
  { when: 'the drain', edit: (text) => text.replace('10s', '20s'), lines: ['drain changed'] },
  {
    when: 'the audit file',
    edit: (text) => `${text}audit: { file: ./x.jsonl }\n`,
    lines: [],
    fixed: ['audit', 'state'],
  },
  {
    when: 'the admin port',
    edit: (text) => `${text}admin: { listen: 127.0.0.1:7 }\n`,
    lines: [],
    fixed: ['admin'],
  },
  {
    when: 'the state file',
    edit: (text) => `${text}state: { file: ./x.json }\n`,
    lines: [],
    fixed: ['state'],
  },
]
for (const { when, edit, lines, fixed = [] } of cases) {
  test(`another configuration that changes ${when} says: ${[...lines, ...fixed].join(', ') || 'nothing'}`, () => {
    const changes = changesOf(base, config(edit(BASE)))
    assert.deepEqual([...changes.lines], lines)
    assert.deepEqual([...changes.fixed].sort(), fixed)
  })
}

test('a grant that did not change is the very object that it was', () => {
  const next = keepUnchangedGrants(base, config(BASE.replace('~b"', '~bb"')))
  assert.equal(next.grants.get('a'), base.grants.get('a'))
  assert.notEqual(next.grants.get('b'), base.grants.get('b'))
  assert.deepEqual(next.grants.get('b')?.allow, ['+get ~bb'])
})
