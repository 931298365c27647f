import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { stringify } from 'yaml'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { auditFiles } from '../../../src/audit/files.ts'
import { AuditLog } from '../../../src/audit/log.ts'
import { auditQuery } from '../../../src/commands/audit/query.ts'
import { auditTail } from '../../../src/commands/audit/tail.ts'
import { auditVerify } from '../../../src/commands/audit/verify.ts'
import { recordWords } from '../../../src/commands/audit/words.ts'
import { CommandError } from '../../../src/commands/exit.ts'
import { writeKeys } from '../../../src/commands/init.ts'
import { type Ran, runCli, startCli } from '../../support/cli.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()
let file: string

/** Two runs, one denial, one hop, over several files with checkpoints. */
before(async () => {
  await writeKeys(folder)
  file = join(folder, 'logs', 'audit.jsonl')
  mkdirSync(join(folder, 'logs'))
  writeFileSync(
    join(folder, 'bulkhead.yaml'),
    stringify({
      systems: { shop: { protocol: 'postgres', listen: '127.0.0.1:0', decoy: true } },
      issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
      // The private key is not there for whoever only reads the log.
      audit: { file: './logs/audit.jsonl', checkpoint: { key: './keys/nowhere.jwk' } },
    }),
  )
  const log = opened()
  for (let index = 0; index < 40; index += 1) {
    const context = { system: 'shop', protocol: 'postgres', run: `r-${index % 2}`, agent: 'triage' } as const
    const access = [{ action: 'select', resource: `public.${index === 7 ? 'salaries' : 'orders'}(id)` }]
    const judged =
      index === 7
        ? { verdict: 'deny', reason: 'not_granted', missing: access }
        : { verdict: 'allow', rules: [] }
    const statement = index === 5 ? "select '\u001b[2J\u202e'" : `select ${index}`
    log.appendEvent('statement', context, {
      id: index,
      statement,
      action: 'select',
      accesses: access,
      ...judged,
    })
    log.appendEvent('result', context, { id: index, rows: 1, bytes: 2_048, duration_us: 1_500 })
    if (index === 9) log.appendEvent('hop', context, { kind: 'file_reach', from: 'shop', to: '/etc/passwd' })
    log.flush(0)
  }
  log.close()
})

function opened(): AuditLog {
  const key = readFileSync(join(folder, 'keys', 'issuer.jwk'), 'utf8')
  return new AuditLog(file, { rotate: { bytes: 10_000 }, checkpoint: { key, everyMs: 60_000 } })
}

const audit = (...args: string[]): Promise<Ran> => runCli(['audit', ...args], { cwd: folder })

test('a whole log is told with its head, which can be asked for later; a changed one with the place', async () => {
  const { code, out } = await audit('verify')
  assert.equal(code, 0, out)
  assert.match(out, /^whole: \d+ records in \d files/m)
  assert.match(out, /^signed up to record \d+$/m)
  const head = /^head: (\d+:[0-9a-f]{64})$/m.exec(out)?.[1] ?? ''
  assert.equal((await audit('verify', '--expect-head', head)).code, 0)
  assert.equal((await audit('verify', '--expect-head', `1:${'0'.repeat(64)}`)).code, 1)

  const [first = ''] = auditFiles(file)
  const changed = join(folder, 'changed.jsonl')
  writeFileSync(changed, readFileSync(first, 'utf8').replace('"select 3"', '"select 4"'))
  const bad = await audit('verify', changed, '--key', join(folder, 'keys', 'issuer.pub.jwk'))
  assert.equal(bad.code, 1)
  assert.match(bad.out, /changed\.jsonl:7 \(record 7\): changed/)
  assert.match(bad.out, /^NOT whole/m)
  const json = JSON.parse((await audit('verify', '--json', changed)).out) as Record<string, unknown>
  assert.equal(json['whole'], false)
  assert.deepEqual(Object.keys(json), [
    ...['whole', 'signatures_checked', 'files', 'records', 'bytes', 'first', 'head', 'checkpoints'],
    ...['unfinished_bytes', 'findings', 'finding_count'],
  ])
  assert.equal(json['signatures_checked'], false, 'files that are named are checked with keys that are named')
})

test('a query finds records by their fields, over all files', async () => {
  const lines = async (...args: string[]): Promise<string[]> =>
    (await audit('query', ...args)).out.split('\n').filter((line) => line !== '')
  assert.equal((await lines('--run', 'r-1', '--event', 'statement')).length, 21, 'a denial has two lines')
  const denied = await lines('--verdict', 'deny', '--table', 'salaries')
  assert.match(denied[0] ?? '', /DENY +shop +r-1 +select 7$/)
  assert.match(denied[1] ?? '', /^ +not_granted: select public\.salaries\(id\)$/)
  const hops = await lines('--kind', 'file_reach', '--json')
  assert.equal((JSON.parse(hops[0] ?? '') as Record<string, unknown>)['to'], '/etc/passwd')
  assert.ok(
    readFileSync(auditFiles(file)[0] ?? '', 'utf8').includes(hops[0] ?? ''),
    'as it stands in the log',
  )
  assert.deepEqual(
    (await lines('--event', 'statement', '--limit', '2')).map((line) => line.slice(-9)),
    ['select 38', 'select 39'],
  )
  assert.ok((await lines('--since', '1h', '--until', '2999-01-01')).length > 80)
})

test('what a terminal would obey is shown, not done', () => {
  const evil = '\u001b[2J\u202e'
  const all = {
    time: evil,
    seq: 1,
    prev: evil,
    hash: evil,
    system: evil,
    run: evil,
    agent: evil,
    grant: evil,
  }
  const more = {
    verdict: 'deny',
    reason: evil,
    why: evil,
    kind: evil,
    to: evil,
    error: evil,
    client: evil,
    [evil]: evil,
  }
  const statement = { statement: `select '${evil}'`, missing: [{ action: evil, resource: evil }] }
  for (const event of ['statement', 'result', 'hop', 'session.start', 'proxy.start', evil] as AuditEvent[]) {
    const words = recordWords({ ...all, ...more, ...statement, event }, 1_000)
    assert.ok(!words.includes('\u001b[2J') && !words.includes('\u202e'), event)
    assert.ok(words.includes('\\u001b[2J\\u202e'), words)
  }
})

test('a log that is not to be signed is whole without a signature, and says what that leaves open', async () => {
  const plain = join(folder, 'plain.yaml')
  writeFileSync(
    plain,
    stringify({
      systems: { shop: { protocol: 'postgres', listen: '127.0.0.1:0', decoy: true } },
      issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
      audit: { file: './plain.jsonl' },
    }),
  )
  const log = new AuditLog(join(folder, 'plain.jsonl'))
  log.appendEvent('proxy.start', undefined, {})
  log.close()
  const { code, out } = await audit('verify', '--config', plain)
  assert.equal(code, 0, out)
  assert.match(out, /^whole: 1 record in 1 file,/)
  assert.match(out, /^no checkpoints: /m)
  assert.equal((await audit('verify', '--config', plain, '--key', './keys/issuer.pub.jwk')).code, 1)
})

test('wrong questions are answered in one line', async () => {
  const options = { config: join(folder, 'bulkhead.yaml'), json: false }
  const wrong = (asked: Promise<void>): Promise<void> =>
    assert.rejects(asked, (error: Error) => error instanceof CommandError && !error.message.includes('\n'))
  await wrong(auditQuery([], { ...options, since: 'yesterday' }))
  await wrong(auditQuery([], { ...options, limit: '0' }))
  await wrong(auditVerify(['nowhere.jsonl'], options))
  await wrong(auditVerify([], { ...options, key: ['nowhere.jwk'] }))
  await wrong(auditVerify([], { ...options, expectHead: 'nonsense' }))
  await wrong(auditTail({ ...options, lines: 'x' }))
  const { code, err } = await audit('query', '--limit', '0')
  assert.equal(code, 2)
  assert.match(err, /^bulkhead: --limit is [^\n]+\n$/)
})

test('tail shows the newest, and follows the log over rotations without losing or repeating a record', async () => {
  const { out } = await audit('tail', '-n', '3', '--event', 'result')
  assert.equal(out.split('\n').length, 4)

  const child = startCli(['audit', 'tail', '--follow', '-n', '1', '--event', 'statement', '--json'], {
    cwd: folder,
  })
  let seen = ''
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString()
  })
  await once(child.stdout, 'data')
  const log = opened()
  for (let index = 100; index < 160; index += 1) {
    log.appendEvent('statement', undefined, { id: index, filler: 'x'.repeat(500) })
    log.flush(0)
    if (index % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 50))
  }
  log.close()
  while (!seen.includes('"id":159')) await once(child.stdout, 'data')
  child.kill()
  const ids = seen
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { id: number }).id)
  assert.deepEqual(ids, [39, ...Array.from({ length: 60 }, (_, index) => 100 + index)])
})
