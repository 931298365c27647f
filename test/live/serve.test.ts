/** The proxy as its own process: the commands that talk to it, and the signals that it takes. */
import assert from 'node:assert/strict'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import type { Redis } from 'ioredis'
import { stringify } from 'yaml'
import { type Ran, runCli, startCli } from '../support/cli.ts'
import { redisClient } from '../support/drivers.ts'
import { temporaryFolder } from '../support/folders.ts'
import { ownRedisServer } from '../support/servers.ts'

let server: Awaited<ReturnType<typeof ownRedisServer>>
const folder = temporaryFolder()
const running: Pick<Served, 'process' | 'ended'>[] = []

const cli = (...args: string[]): Promise<Ran> => runCli(args, { cwd: folder })

function configure(grants: Record<string, unknown>, more: Record<string, unknown> = {}): void {
  writeFileSync(
    join(folder, 'bulkhead.yaml'),
    stringify({
      systems: {
        carts: {
          protocol: 'redis',
          // A port of our own would race with others: the socket of the admin API tells where it is.
          listen: '127.0.0.1:0',
          backend: { url: `redis://:${server.password}@${server.host}:${server.port}/0` },
        },
      },
      grants,
      issuers: [{ issuer: 'bulkhead', key: './keys/issuer.pub.jwk' }],
      admin: { socket: './admin.sock', token: `${'$'}{file:./keys/admin.token}` },
      ...more,
    }),
  )
}

const GRANT = { warm: { system: 'carts', allow: ['+get +set ~cart:*', '+multi +exec'] } }

before(async () => {
  server = await ownRedisServer()
  await cli('init')
  configure(GRANT)
})

// One that a failed test has left would hold the audit log of all that come after it.
afterEach(async () => {
  for (const { process, ended } of running.splice(0)) {
    process.kill('SIGKILL')
    await ended
  }
})
after(() => server.stop())

type Served = {
  readonly process: ChildProcessWithoutNullStreams
  readonly port: number
  /** Resolves when a line of the log matches. */
  said(pattern: RegExp): Promise<string>
  readonly ended: Promise<number | null>
}

async function serve(): Promise<Served> {
  const process = startCli(['serve'], { cwd: folder })
  let log = ''
  process.stderr.setEncoding('utf8')
  process.stderr.on('data', (chunk: string) => {
    log += chunk
    process.emit('logged')
  })
  const said = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = pattern.exec(log)
      if (found !== null) return found[1] ?? found[0]
      if (process.exitCode !== null) throw new Error(`it ended without saying ${pattern}: ${log}`)
      await Promise.race([once(process, 'logged'), once(process, 'close')])
    }
  }
  const ended = once(process, 'close').then(([code]) => code as number | null)
  running.push({ process, ended })
  const port = Number(await said(/on 127\.0\.0\.1:(\d+)/))
  await said(/audit in/)
  return { process, port, said, ended }
}

const connect = (port: number, token: string): Redis => redisClient({ host: '127.0.0.1', port }, { token })

const issued = async (...more: string[]): Promise<string> =>
  (
    await cli('issue', '--grant', 'warm', '--run', 'r-42', '--agent', 'picker', '--format', 'token', ...more)
  ).out.trim()

test('commands say that no proxy answers, with an exit code of its own', async () => {
  for (const args of [['runs'], ['revoke', '--run', 'r-1', '--why', 'x']]) {
    const ran = await cli(...args)
    assert.equal(ran.code, 3, args.join(' '))
    assert.match(ran.err, /no proxy answers at .*admin\.sock: ENOENT/)
  }
  assert.equal((await cli('revoke', '--run', 'r', '--grant', 'g', '--why', 'x')).code, 2)
  assert.equal((await cli('runs', 'show', 'r-42')).code, 1, 'and the log knows nothing yet')
})

test('a run is listed, shown, revoked and released on the command line, with its secret', async () => {
  const served = await serve()
  const client = connect(served.port, await issued())
  await client.set('cart:7', 'apple')
  await assert.rejects(client.get('other'), /NOPERM/)

  const listed = await cli('runs')
  assert.equal(listed.code, 0, listed.err)
  assert.match(listed.out, /^RUN +AGENT +GRANT +SYSTEMS/)
  assert.match(listed.out, /^r-42 +picker +warm +carts +- +1\/1 +\d+ +0 +1 +0 +.* live$/m)
  const asJson = JSON.parse((await cli('runs', '--live', '--json')).out) as { runs: { run: string }[] }
  assert.deepEqual(
    asJson.runs.map(({ run }) => run),
    ['r-42'],
  )

  const ended = once(client, 'end')
  const revoked = await cli('revoke', '--run', 'r-42', '--why', 'it looked odd')
  assert.match(revoked.out, /^run r-42 is revoked until it is released; 1 session ended$/m)
  await ended

  const shown = await cli('runs', 'show', 'r-42')
  assert.equal(shown.code, 0, shown.err)
  const lines = shown.out.trimEnd().split('\n')
  const at = (pattern: RegExp): number => lines.findIndex((line) => pattern.test(line))
  assert.ok(at(/carts +session +starts under warm/) >= 0, shown.out)
  assert.ok(at(/carts +allow +set cart:7 apple +\[/i) > at(/starts under/), shown.out)
  assert.ok(at(/carts +DENY +get other +\[not_granted/i) > at(/set cart:7/i), shown.out)
  assert.ok(at(/REVOKED +by .*: it looked odd/) > at(/DENY/), shown.out)
  assert.ok(at(/ends: revoked/) > at(/REVOKED/), shown.out)
  const records = (await cli('runs', 'show', 'r-42', '--json')).out.trimEnd().split('\n')
  assert.ok(records.every((line) => (JSON.parse(line) as { run: string }).run === 'r-42'))

  const released = await cli('release', '--run', 'r-42')
  assert.match(released.out, /run r-42 is no longer revoked \(was: it looked odd\)/)
  assert.equal((await cli('release', '--run', 'r-42')).code, 1)

  const url = (await cli('issue', '--secret', '--grant', 'warm', '--run', 'r-42')).out.trim()
  const { password } = new URL(url)
  assert.match(password, /^[\w-]{32}$/)
  const withSecret = redisClient({ host: '127.0.0.1', port: served.port }, { run: 'r-42', token: password })
  assert.equal(await withSecret.get('cart:7'), 'apple')
  withSecret.disconnect()

  configure(GRANT, { admin: { socket: './admin.sock', token: 'x'.repeat(43) } })
  const stranger = await cli('runs')
  assert.equal(stranger.code, 3)
  assert.match(stranger.err, /does not take this configuration's `admin\.token`/)
  configure(GRANT)
  served.process.kill('SIGTERM')
  assert.equal(await served.ended, 0)
})

test('SIGHUP and `reload` read the configuration anew, and a wrong one changes nothing', async () => {
  const served = await serve()
  const client = connect(served.port, await issued())
  assert.equal(await client.get('cart:7'), 'apple')
  configure({ warm: { system: 'carts', allow: ['+set ~cart:*'] } })
  served.process.kill('SIGHUP')
  await served.said(/the configuration was reloaded: grant warm changed/)
  await assert.rejects(client.get('cart:7'), /NOPERM/)
  configure(GRANT, { on_hop: 'explode' })
  const refused = await cli('reload')
  assert.equal(refused.code, 2)
  assert.match(refused.err, /the configuration before it goes on:[\s\S]*on_hop/)
  const revoked = await cli('revoke', '--run', 'r-1', '--why', 'also while somebody edits')
  assert.equal(revoked.code, 0, revoked.err)
  configure(GRANT)
  const good = await cli('reload')
  assert.equal(good.out, 'reloaded: grant warm changed\n')
  assert.equal(await client.get('cart:7'), 'apple')
  client.disconnect()
  served.process.kill('SIGINT')
  assert.equal(await served.ended, 0)
})

test('SIGTERM waits for the transaction that is open, and a second one does not', async () => {
  const served = await serve()
  const client = connect(served.port, await issued())
  await client.call('multi')
  const ended = once(client, 'end')
  served.process.kill('SIGTERM')
  await served.said(/info: stopping/)
  await client.call('set', 'cart:8', 'pear')
  assert.deepEqual(await client.call('exec'), ['OK'])
  await ended
  assert.equal(await served.ended, 0)

  const again = await serve()
  const stuck = connect(again.port, await issued())
  await stuck.call('multi')
  const stuckEnded = once(stuck, 'end')
  again.process.kill('SIGTERM')
  await again.said(/info: stopping/)
  again.process.kill('SIGTERM')
  assert.equal(await again.ended, 0)
  await stuckEnded
  const log = readFileSync(join(folder, 'audit.jsonl'), 'utf8').trimEnd().split('\n')
  assert.match(log.at(-1) ?? '', /"event":"(proxy\.stop|audit\.checkpoint)"/)
})
