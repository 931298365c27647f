import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { decodeJwt } from 'jose'
import { type Ran, runCli, startCli } from '../../support/cli.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()
let made: Ran
const run = (...args: string[]): Promise<Ran> => runCli(args, { cwd: folder })

before(async () => {
  made = await run('init')
  writeFileSync(join(folder, 'broken.jwk'), '{"kty":"OKP","crv":"Ed25519","d":"AA","x":"AA"}')
})

test('init makes a key pair, a certificate and a configuration that has no problems', async () => {
  assert.equal(made.code, 0, made.err)
  for (const file of [
    'bulkhead.yaml',
    'keys/issuer.jwk',
    'keys/issuer.pub.jwk',
    'keys/tls.key',
    'keys/tls.crt',
  ]) {
    assert.ok(existsSync(join(folder, file)), file)
  }
  assert.equal(statSync(join(folder, 'keys/issuer.jwk')).mode & 0o077, 0, 'the private key is private')
  const publicKey = JSON.parse(readFileSync(join(folder, 'keys/issuer.pub.jwk'), 'utf8')) as Record<
    string,
    unknown
  >
  assert.equal(publicKey['crv'], 'Ed25519')
  assert.equal(publicKey['d'], undefined)
  const checked = await run('check-config')
  assert.equal(checked.code, 0, checked.err)
  assert.match(checked.out, /no problems[\s\S]*warm-carts/)
})

test('init overwrites nothing', async () => {
  const before = readFileSync(join(folder, 'keys/issuer.jwk'), 'utf8')
  const again = await run('init')
  assert.equal(again.code, 2)
  assert.match(again.err, /exists already, and init overwrites nothing/)
  assert.equal(readFileSync(join(folder, 'keys/issuer.jwk'), 'utf8'), before)
})

test('issue prints a URL, a token, an env block or JSON', async () => {
  const issue = (format: string): Promise<Ran> =>
    run(
      'issue',
      '--grant',
      'read-orders',
      '--run',
      'r-1',
      '--agent',
      'triage',
      '--ttl',
      '10m',
      '--format',
      format,
    )
  const url = new URL((await issue('url')).out.trim())
  assert.equal(
    `${url.protocol}//${url.username}@${url.host}${url.pathname}`,
    'postgres://r-1@127.0.0.1:6432/shop',
  )
  const claims = decodeJwt(url.password)
  assert.deepEqual(
    [claims.iss, claims.sub, claims['run'], claims.aud, claims['grant']],
    ['bulkhead', 'triage', 'r-1', 'shop', 'read-orders'],
  )
  assert.equal(Number(claims.exp) - Number(claims.nbf), 600)
  assert.match((await issue('token')).out, /^eyJ[\w-]+\.[\w-]+\.[\w-]+~[\w-]{43}\n$/)
  assert.match((await issue('env')).out, /^PGHOST=127\.0\.0\.1\nPGPORT=6432\nPGUSER=r-1\nPGPASSWORD=eyJ/)
  const json = JSON.parse((await issue('json')).out) as Record<string, unknown>
  assert.equal(json['system'], 'shop')
})

const mistakes: readonly [string, readonly string[], RegExp][] = [
  [
    'an unknown grant',
    ['issue', '--grant', 'nope', '--run', 'r-1'],
    /there is no grant `nope`; the configuration has read-orders/,
  ],
  ['a run id with a blank', ['issue', '--grant', 'read-orders', '--run', 'r 1'], /--run takes/],
  [
    'a duration without a unit',
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--ttl', '15'],
    /write a number and a unit/,
  ],
  [
    'an unknown format',
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--format', 'xml'],
    /--format is one of url/,
  ],
  [
    'a missing key',
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--key', 'nope.jwk'],
    /there is no key nope.jwk: make one with `bulkhead init`/,
  ],
  [
    'the public key to sign with',
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--key', 'keys/issuer.pub.jwk'],
    /not a private Ed25519 key/,
  ],
  [
    'a private key that is none',
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--key', 'broken.jwk'],
    /broken\.jwk is not a private Ed25519 key/,
  ],
  [
    'a token that has ended when it begins',
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--ttl', '500ms'],
    /--ttl is `1s` or longer/,
  ],
  [
    'an agent without a name',
    ['issue', '--grant', 'read-orders', '--run', 'r-1', '--agent', ''],
    /--agent takes 1 to 256 characters/,
  ],
  ['a folder as a log', ['audit', 'recheck', 'keys'], /keys is a folder: name the files of the log in it/],
  ['a verdict that is none', ['audit', 'query', '--verdict', 'denied'], /--verdict is one of allow, deny/],
  ['a missing configuration', ['serve', '--config', 'nope.yaml'], /there is no such file/],
  ['an unknown command', ['frobnicate'], /unknown command/],
  ['a missing option', ['check', 'select 1'], /say which grant: --grant, or --token/],
]
for (const [what, args, says] of mistakes) {
  test(`${what} is said in a line, with exit code 2 and no stack`, async () => {
    const { code, err } = await run(...args)
    assert.equal(code, 2, err)
    assert.match(err, says)
    assert.doesNotMatch(err, /\n {4}at /)
  })
}

test('check tells the accesses, the verdict and what is missing, by exit code too', async () => {
  const allowed = await run('check', '--grant', 'read-orders', 'select id, city from customers')
  assert.equal(allowed.code, 0, allowed.out + allowed.err)
  assert.match(
    allowed.out,
    /^ALLOW\n {2}covered {2}select \(city, id\) on public\.customers\n {2}by {7}select \(id, city\)/,
  )
  const denied = await run('check', '--grant', 'read-orders', 'delete from orders')
  assert.equal(denied.code, 1)
  assert.match(denied.out, /^DENY {2}not_granted\n {2}missing {2}delete on public\.orders/)
})

test('check reads each system in its own words', async () => {
  assert.equal((await run('check', '--grant', 'read-accounts', 'select * from `accounts`')).code, 0)
  assert.equal((await run('check', '--grant', 'read-accounts', 'select * from crm.contacts')).code, 1)
  assert.equal((await run('check', '--grant', 'warm-carts', 'set cart:7 "two words" ex 60')).code, 0)
  const hop = await run('check', '--json', '--grant', 'warm-carts', 'migrate 10.0.0.7 6379 cart:7 0 100')
  assert.equal(hop.code, 1)
  const judged = JSON.parse(hop.out) as { hop: string; hops: string[] }
  assert.deepEqual([judged.hop, judged.hops], ['outbound_reach', ['outbound_reach']])
})

test('check takes a token for its grant, and knows what its narrowings took away', async () => {
  const token = (await run('issue', '--grant', 'read-orders', '--run', 'r-1', '--format', 'token')).out.trim()
  const child = (await run('narrow', '--token', token, '--allow', 'select (id) on orders')).out.trim()
  assert.equal((await run('check', '--token', token, 'select * from orders')).code, 0)
  const url = `postgres://r-1:${child}@127.0.0.1:6432/shop`
  assert.equal((await run('check', '--token', url, 'select id from orders')).code, 0)
  const denied = await run('check', '--token', child, 'select * from orders')
  assert.equal(denied.code, 1)
  assert.match(denied.out, /^DENY {2}not_granted\n[\s\S]*this grant allows: select \(id\) on orders\./)
  const cut = await run('check', '--token', child.replace(/~[^~]*$/, ''), 'select id from orders')
  assert.equal(cut.code, 2)
  assert.match(cut.err, /the token is refused: bad_chain: its narrowings are incomplete or were changed/)
})

test('check tells a decoy from what is only not granted, and what a grant that observes would relay', async () => {
  const file = join(folder, 'observing.yaml')
  writeFileSync(
    file,
    readFileSync(join(folder, 'bulkhead.yaml'), 'utf8')
      .replace('    protocol: postgres\n', '    protocol: postgres\n    decoys: [salaries]\n')
      .replace('    system: shop\n', '    system: shop\n    observe: true\n'),
  )
  const check = (text: string, ...more: string[]): Promise<Ran> =>
    run('check', '--config', file, '--grant', 'read-orders', ...more, text)
  assert.match((await check('select * from salaries')).out, /^DENY {2}hop \(decoy\)/)
  const observed = await check('delete from orders')
  assert.equal(observed.code, 1)
  assert.match(observed.out, /^WOULD DENY {2}not_granted, and relay it: the grant only observes/)
  assert.deepEqual(JSON.parse((await check('delete from orders', '--json')).out), {
    verdict: 'would_deny',
    action: 'delete',
    accesses: [{ action: 'delete', resource: 'public.orders' }],
    reason: 'not_granted',
    missing: [{ action: 'delete', resource: 'public.orders' }],
  })
})

test('a statement that no reader understands is denied, not a crash', async () => {
  for (const grant of ['read-orders', 'read-accounts', 'warm-carts']) {
    const { code, out, err } = await run('check', '--grant', grant, 'frobnicate; the "table')
    assert.equal(code, 1, err)
    assert.match(out, /^DENY/)
  }
})

test('check-config shows a mistake with file, line, key and mend', async () => {
  const file = join(folder, 'wrong.yaml')
  writeFileSync(
    file,
    readFileSync(join(folder, 'bulkhead.yaml'), 'utf8').replace('select on orders,', 'selct on orders,'),
  )
  const { code, err } = await run('check-config', '--config', file)
  assert.equal(code, 2)
  assert.match(
    err,
    /wrong\.yaml:\d+:\d+: grants\.read-orders\.allow\[0\]: not an allow line\n {4}selct on orders/,
  )
  assert.match(err, /\^ `selct` is no privilege[^\n]*\n {4}mend: write one of select/)
  assert.match(err, /1 problem in the configuration/)
})

test('serve runs without its backends, says where it listens, and ends on SIGTERM', async () => {
  const file = join(folder, 'serve.yaml')
  const anyPort = readFileSync(join(folder, 'bulkhead.yaml'), 'utf8').replace(
    /listen: 127\.0\.0\.1:\d+/g,
    'listen: 127.0.0.1:0',
  )
  writeFileSync(
    file,
    anyPort
      .replace(/@127\.0\.0\.1:\d+/g, '@127.0.0.1:1')
      .replace('redis://127.0.0.1:6379', 'redis://127.0.0.1:1'),
  )
  const child = startCli(['serve', '--config', file], { cwd: folder })
  let said = ''
  const up = new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes('admin on')) resolve()
    })
  })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  await Promise.race([up, ended])
  const admin = /admin on (http:\/\/[^/\s]+)/.exec(said)?.[1]
  assert.ok(admin, said)
  assert.equal((await fetch(`${admin}/healthz`)).status, 200)
  assert.equal((await fetch(`${admin}/readyz`)).status, 503)
  const metrics = await (await fetch(`${admin}/metrics`)).text()
  assert.match(metrics, /bulkhead_hop_attempts_total\{system="shop",kind="wrong_system"\} 0/)
  // Whoever reads its log may go away; what it has to say after that is no reason to end sessions.
  child.stderr.destroy()
  child.kill('SIGTERM')
  assert.equal(await ended, 0, said)
})

for (const [what, code, args] of [
  ['an argument that is missing', 2, ['check', '--json']],
  ['a configuration that is not there', 2, ['check-config', '--json', '--config', 'nowhere.yaml']],
  ['a file that is not there', 2, ['audit', 'verify', '--json', 'nowhere.jsonl']],
  ['a file that is no log', 2, ['audit', 'recheck', '--json', 'bulkhead.yaml']],
  ['a proxy that does not run', 3, ['runs', '--json']],
] as const) {
  test(`for a program that asks for JSON, ${what} is an object, too`, async () => {
    const { code: exit, out, err } = await run(...args)
    assert.equal(exit, code)
    const { error } = JSON.parse(out) as { error: string }
    assert.ok(error !== '' && err.includes(error), `${error} / ${err}`)
  })
}

test('a reader that goes away ends no command with a stack', async () => {
  const closed = startCli(['check-config'], { cwd: folder })
  closed.stdout.destroy()
  let err = ''
  closed.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  assert.deepEqual(await once(closed, 'close'), [0, null])
  assert.equal(err, '')
})

test('every command has a help text', async () => {
  const root = await run('--help')
  assert.equal(root.code, 0)
  for (const command of ['serve', 'check-config', 'init', 'issue', 'narrow', 'check', 'grant', 'demo']) {
    assert.ok(root.out.includes(command))
    assert.equal((await run(command, '--help')).code, 0)
  }
})
