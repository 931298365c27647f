import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AuditLock, AuditLocked } from '../../../src/audit/lock.ts'
import { AuditLog } from '../../../src/audit/log.ts'
import { loaderOptions, moduleUrl } from '../../support/child.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** A process that has the log open, once it says so. */
async function holder(file: string): Promise<ChildProcess> {
  const program = `
    import { AuditLog } from ${JSON.stringify(moduleUrl('src/audit/log').href)}
    new AuditLog(${JSON.stringify(file)})
    setInterval(() => undefined, 1_000)
    process.stdout.write('open')`
  const child = spawn(process.execPath, [...loaderOptions(), '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  await once(child.stdout, 'data')
  return child
}

test('a second process is refused by name while the first one lives, and let in once it was killed', async () => {
  const file = join(folder, 'two.jsonl')
  const first = await holder(file)
  assert.throws(
    () => new AuditLog(file),
    (error: Error) => error instanceof AuditLocked && error.message.includes(`process ${first.pid}`),
  )
  const ended = once(first, 'exit')
  first.kill('SIGKILL')
  await ended
  assert.ok(existsSync(`${file}.lock`), 'nobody could remove it')
  const log = new AuditLog(file)
  assert.match(readFileSync(`${file}.lock`, 'utf8'), new RegExp(`"pid":${process.pid}\\b`))
  log.close()
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('two.jsonl.')),
    [],
    'nothing is left beside the log',
  )
})

test('a killed process that nobody has buried yet does not hold its lock', {
  skip: process.platform === 'linux' ? false : 'processes are looked at in /proc',
}, async () => {
  const file = join(folder, 'zombie.jsonl')
  // The shell becomes `sleep`, which never asks after the child that it had before.
  const parent = spawn('sh', ['-c', 'sleep 1 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(parent)
  const [said] = (await once(parent.stdout, 'data')) as [Buffer]
  const pid = Number(said.toString())
  const stat = (): string => readFileSync(`/proc/${pid}/stat`, 'utf8')
  while (!stat().includes(') Z ')) await sleep(5)
  const lock = new AuditLock(file)
  const ours = JSON.parse(readFileSync(`${file}.lock`, 'utf8')) as Record<string, unknown>
  lock.release()
  const started = stat()
    .slice(stat().lastIndexOf(')') + 2)
    .split(' ')[19]
  writeFileSync(`${file}.lock`, JSON.stringify({ ...ours, pid, started }))
  new AuditLog(file).close()
})

test('the same process cannot open a log twice either', () => {
  const file = join(folder, 'once.jsonl')
  const log = new AuditLog(file)
  assert.throws(() => new AuditLog(file), AuditLocked)
  log.close()
  new AuditLog(file).close()
})

test('a lock of another machine holds while it is touched, and no longer', () => {
  const file = join(folder, 'far.jsonl')
  const lock = `${file}.lock`
  writeFileSync(lock, JSON.stringify({ pid: 1, started: '1', place: 'elsewhere', nonce: 'x' }))
  assert.throws(() => new AuditLog(file), /process 1 \(elsewhere\)/)
  const longAgo = new Date(Date.now() - 60_000)
  utimesSync(lock, longAgo, longAgo)
  new AuditLog(file).close()
})

test('a process with the number of a dead one does not hold its lock', () => {
  const file = join(folder, 'reused.jsonl')
  const lock = new AuditLock(file)
  const ours = JSON.parse(readFileSync(`${file}.lock`, 'utf8')) as Record<string, unknown>
  lock.release()
  writeFileSync(`${file}.lock`, JSON.stringify({ ...ours, started: '1' }))
  new AuditLog(file).close()
})

test('a lock that another process has put in the place of ours is not ours', () => {
  const file = join(folder, 'lost.jsonl')
  const lock = new AuditLock(file)
  assert.equal(lock.keep(), true)
  writeFileSync(`${file}.lock`, '{}')
  assert.equal(lock.keep(), false)
  lock.release()
  assert.ok(existsSync(`${file}.lock`), 'and not ours to remove')
})
