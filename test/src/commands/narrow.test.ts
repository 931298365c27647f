import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { CommandError } from '../../../src/commands/exit.ts'
import { type NarrowOptions, narrow as narrowHere } from '../../../src/commands/narrow.ts'
import { type Ran, runCli } from '../../support/cli.ts'
import { temporaryFolder } from '../../support/folders.ts'

/** With a configuration, and without one: where a sub-agent's parent works. */
const home = temporaryFolder()
const elsewhere = temporaryFolder()
let url: string
let token: string

before(async () => {
  await runCli(['init'], { cwd: home })
  url = (await runCli(['issue', '--grant', 'read-orders', '--run', 'r-1'], { cwd: home })).out.trim()
  token = new URL(url).password
})

const narrow = (cwd: string, ...args: string[]): Promise<Ran> => runCli(['narrow', ...args], { cwd })

test('without a configuration, a token gives a token and an address gives an address', async () => {
  const bare = await narrow(elsewhere, '--token', token, '--allow', 'select (id) on orders')
  assert.equal(bare.code, 0, bare.err)
  assert.ok(bare.out.startsWith(token.replace(/~[^~]*$/, '~')), 'the parent stands in it')
  assert.ok(!bare.out.includes(token.replace(/^.*~/, '')), 'but not the key of the parent')
  const address = await narrow(
    elsewhere,
    '--token',
    url,
    '--allow',
    'select on orders',
    '--run',
    'r-1.reader',
  )
  assert.equal(address.code, 0, address.err)
  const child = new URL(address.out.trim())
  assert.equal(child.username, 'r-1.reader')
  assert.equal(child.host + child.pathname, '127.0.0.1:6432/shop')
  assert.notEqual(child.password, token)
})

test('a child can be narrowed again', async () => {
  const child = (await narrow(elsewhere, '--token', url, '--allow', 'select on orders')).out.trim()
  const grandchild = await narrow(elsewhere, '--token', child, '--allow', 'select (id) on orders')
  assert.equal(grandchild.code, 0, grandchild.err)
  assert.match(new URL(grandchild.out.trim()).username, /^r-1\.[0-9a-f]{6}\.[0-9a-f]{6}$/)
})

test('with the configuration, every form can be had of a bare token', async () => {
  const env = await narrow(
    home,
    '--token',
    token,
    '--allow',
    'select on orders',
    '--format',
    'env',
    '--ttl',
    '1m',
  )
  assert.match(env.out, /^PGHOST=127\.0\.0\.1\nPGPORT=6432\nPGUSER=r-1\.[0-9a-f]{6}\nPGPASSWORD=eyJ/, env.err)
  const json = await narrow(home, '--token', token, '--allow', 'select on orders', '--format', 'json')
  assert.equal((JSON.parse(json.out) as { system: string }).system, 'shop')
})

const NOWHERE = './no-configuration-here.yaml'

const mistakes: readonly {
  readonly what: string
  readonly options: () => Partial<NarrowOptions>
  readonly says: RegExp
}[] = [
  {
    what: 'a token that was issued without a key',
    options: () => ({ token: token.replace(/~[^~]*$/, '') }),
    says: /carries no key for it/,
  },
  {
    what: 'a token with the end of another',
    options: () => ({ token: token.replace(/~[^~]*$/, `~${'A'.repeat(43)}`) }),
    says: /incomplete or was changed/,
  },
  { what: 'what is no token', options: () => ({ token: 'hello~x' }), says: /takes a token/ },
  {
    what: 'an address without a password',
    options: () => ({ token: 'postgres://r-1@127.0.0.1/shop' }),
    says: /takes a token/,
  },
  {
    what: 'an allow line in no words',
    options: () => ({ allow: ['selct on orders'] }),
    says: /not an allow line\n {4}selct on orders\n {4}\^ `selct` is no privilege[^\n]*\n {4}mend:/,
  },
  {
    what: 'an allow line of another database',
    options: () => ({ token: url, allow: ['+get ~k'] }),
    says: /not an allow line/,
  },
  {
    what: 'lines of two databases',
    options: () => ({ allow: ['select on orders', '+get ~k'] }),
    says: /not an allow line/,
  },
  {
    what: 'a run that is not named after its parent',
    options: () => ({ run: 'r-2' }),
    says: /--run takes the parent's run, a dot and a name: `r-1\.1`/,
  },
  {
    what: 'an unknown level of metadata',
    options: () => ({ metadata: 'all' }),
    says: /--metadata is one of none, driver, introspect/,
  },
  {
    what: 'a form that needs an address',
    options: () => ({ format: 'env' }),
    says: /--format env needs the system's address/,
  },
  { what: 'a time without a unit', options: () => ({ ttl: '15' }), says: /--ttl: write a number and a unit/ },
]
for (const { what, options, says } of mistakes) {
  test(`narrow says in a line what is wrong with ${what}`, async () => {
    const asked = { config: NOWHERE, token, allow: ['select on orders'], ...options() }
    await assert.rejects(
      narrowHere(asked),
      (error) => error instanceof CommandError && says.test(error.message),
    )
  })
}

test('a command line without an allow line is told', async () => {
  const { code, err } = await narrow(elsewhere, '--token', token)
  assert.equal(code, 2)
  assert.match(err, /required option '--allow/)
})

test('a token that its issuer made short cannot be narrowed', async () => {
  const short = await runCli(
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--no-narrow', '--format', 'token'],
    { cwd: home },
  )
  assert.match(short.out, /^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
  assert.match(
    (await narrow(elsewhere, '--token', short.out, '--allow', 'select on orders')).err,
    /carries no key/,
  )
})
