import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AuditLog } from '../../../src/audit/log.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()

const lines = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1)

/** Follows the chain as an auditor would; gives the number of records. */
function verifiedChain(file: string): number {
  let previous = '0'.repeat(64)
  for (const [index, line] of lines(file).entries()) {
    const { hash, prev, seq } = JSON.parse(line) as { hash: string; prev: string; seq: number }
    assert.equal(prev, previous, `record ${index + 1} does not follow its predecessor`)
    assert.equal(seq, index + 1)
    assert.equal(
      createHash('sha256')
        .update(line.slice(0, line.indexOf(',"hash":')))
        .digest('hex'),
      hash,
    )
    previous = hash
  }
  return lines(file).length
}

test('nothing is in the file before flush, everything after', () => {
  const file = join(folder, 'flush.jsonl')
  const log = new AuditLog(file)
  log.append('statement', '"statement":"select 1"')
  assert.equal(readFileSync(file, 'utf8'), '')
  assert.equal(log.flush(0), true)
  const record = JSON.parse(lines(file)[0] ?? '') as Record<string, unknown>
  assert.equal(record['event'], 'statement')
  assert.match(String(record['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  log.close()
})

test('records are chained, also across a restart', () => {
  const file = join(folder, 'chain.jsonl')
  for (let start = 0; start < 3; start += 1) {
    const log = new AuditLog(file)
    for (let count = 0; count < 5; count += 1)
      log.appendEvent('statement', undefined, { count, text: 'ü"\\\n' })
    log.flush(0)
    log.close()
  }
  assert.equal(verifiedChain(file), 15)
})

test('a torn last line is cut off at start, and the chain goes on', () => {
  const file = join(folder, 'torn.jsonl')
  const log = new AuditLog(file)
  log.appendEvent('statement', undefined, {})
  log.flush(0)
  log.close()
  appendFileSync(file, '{"time":"2026-11-23T')
  const again = new AuditLog(file)
  again.appendEvent('statement', undefined, {})
  again.flush(0)
  again.close()
  assert.equal(verifiedChain(file), 3)
  const repaired = JSON.parse(lines(file)[1] ?? '') as Record<string, unknown>
  assert.equal(repaired['event'], 'audit.repaired')
  assert.equal(repaired['bytes'], 20)
  assert.equal(repaired['sha256'], createHash('sha256').update('{"time":"2026-11-23T').digest('hex'))
})

test('a record longer than any buffer is found again at the next start, and torn ones of that length are cut off', () => {
  const file = join(folder, 'long.jsonl')
  const append = (text: string): void => {
    const log = new AuditLog(file)
    log.appendEvent('statement', undefined, { text })
    log.flush(0)
    log.close()
  }
  append('short')
  append('x'.repeat(3 << 20))
  append('short')
  assert.equal(verifiedChain(file), 3)
  append('y'.repeat(3 << 20))
  appendFileSync(file, `{"time":"${'z'.repeat(3 << 20)}`)
  append('short')
  assert.equal(verifiedChain(file), 6)
})

test('a small record that fits does not stand for a big one that did not', () => {
  const log = new AuditLog('/dev/full')
  log.appendEvent('statement', undefined, {})
  assert.equal(log.flush(1_000), false)
  log.appendEvent('session.end', undefined, {})
  assert.equal(log.flush(1_000), false, 'whatever the device would take now')
  assert.equal(log.failures, 1, 'the device was not asked')
  log.close()
})

test('characters that a terminal obeys are escaped, and read back as they were', () => {
  const file = join(folder, 'unseen.jsonl')
  const log = new AuditLog(file)
  const text = 'a\u009b2J\u202egnp.exe\u2028\u007f\u200bä'
  log.appendEvent('statement', undefined, { text })
  log.flush(0)
  log.close()
  assert.doesNotMatch(readFileSync(file, 'utf8'), /[\u007f-\u009f\u200b\u2028\u202e]/)
  assert.equal((JSON.parse(lines(file)[0] ?? '') as { text: string }).text, text)
  assert.equal(verifiedChain(file), 1)
})

test('a file of one torn line begins anew', () => {
  const file = join(folder, 'only-torn.jsonl')
  writeFileSync(file, '{"time":')
  const log = new AuditLog(file)
  log.appendEvent('statement', undefined, {})
  log.flush(0)
  log.close()
  assert.equal(verifiedChain(file), 2)
})

test('a device that is full refuses the records, and they leave no trace in the chain', () => {
  // /dev/full takes the open and refuses every write with ENOSPC.
  const log = new AuditLog('/dev/full')
  log.appendEvent('statement', undefined, {})
  assert.equal(log.flush(1_000), false)
  assert.equal(log.records, 0)
  assert.equal(log.failures, 1)
  assert.equal(log.isWritable(1_500), false, 'it is not tried again within a second')
  assert.equal(log.isWritable(2_500), false, 'and still full when it is')
  assert.equal(log.failures, 2)
  log.close()
})

test('a log that failed is tried again although the clock was set back meanwhile', () => {
  const log = new AuditLog('/dev/full')
  log.append('statement', '')
  assert.equal(log.flush(10_000_000), false)
  log.isWritable(1_000_000)
  assert.equal(log.failures, 2, 'it was tried again')
  log.isWritable(1_000_500)
  assert.equal(log.failures, 2, 'and then waits by the clock as it is now')
  log.close()
})

test('a device that is slow refuses what comes next, not what it took', {
  skip: process.platform === 'linux' ? false : 'a pipe that is open for both is had on Linux',
}, async () => {
  const file = join(folder, 'slow.fifo')
  execFileSync('mkfifo', [file])
  // Takes one byte, and reads on only after a while: a pipe takes 64 KiB meanwhile.
  const reader = spawn(
    'sh',
    [
      '-c',
      'exec 3<>"$0"; echo open; dd bs=1 count=1 <&3 >/dev/null 2>&1; sleep 1.5; exec cat <&3 >/dev/null',
      file,
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  await once(reader.stdout, 'data')
  const log = new AuditLog(file)
  log.appendEvent('statement', undefined, { text: 'x'.repeat(1 << 20) })
  assert.equal(log.flush(10_000), true, 'it is in the file')
  assert.equal(log.fault, 'slow')
  assert.equal(log.isWritable(10_500), false, 'but the next ones wait for a quick one')
  log.appendEvent('statement', undefined, {})
  assert.equal(log.flush(10_500), false)
  assert.equal(log.isWritable(11_500), true)
  assert.equal(log.fault, undefined)
  log.close()
  reader.kill('SIGKILL')
})

test('a log that another process has taken writes nothing any more', async () => {
  const file = join(folder, 'taken.jsonl')
  const notices: string[] = []
  const log = new AuditLog(file, { keepMs: 10, fsync: { everyMs: 10 }, notice: (line) => notices.push(line) })
  log.append('statement', '')
  assert.equal(log.flush(0), true)
  writeFileSync(`${file}.lock`, '{}')
  while (notices.length === 0) await sleep(5)
  log.append('statement', '')
  assert.equal(log.flush(0), false)
  assert.equal(log.isWritable(Date.now() + 60_000), false, 'and no retry brings it back')
  log.close()
  assert.equal(verifiedChain(file), 1)
})

test('an unwritable place is an error at start, not a silent log', () => {
  assert.throws(() => new AuditLog(join(folder, 'no', 'such', 'folder', 'audit.jsonl')))
})

/** Resolves with what a waiter is told. */
const told = (log: AuditLog, heldSince: number): Promise<boolean> =>
  new Promise((resolve) => log.flushTogether({ heldSince, flushed: resolve }))

test('all that wait in one turn share a write, and go on when it is done', async () => {
  const file = join(folder, 'together.jsonl')
  const log = new AuditLog(file)
  const waiting: Promise<boolean>[] = []
  for (const run of ['r-1', 'r-2', 'r-3']) {
    log.append('statement', `"run":"${run}"`)
    waiting.push(told(log, log.failures))
  }
  assert.equal(readFileSync(file, 'utf8'), '', 'nothing is written within the turn')
  assert.deepEqual(await Promise.all(waiting), [true, true, true])
  assert.equal(verifiedChain(file), 3)
  log.close()
})

test('whose records a failure has dropped is told so, whatever was written after them', async () => {
  const log = new AuditLog(join(folder, 'dropped.jsonl'))
  log.append('statement', '"run":"r-1"')
  const beforeTheFailure = told(log, log.failures - 1)
  const afterIt = told(log, log.failures)
  assert.deepEqual(await Promise.all([beforeTheFailure, afterIt]), [false, true])
  log.close()
  const full = new AuditLog('/dev/full')
  full.append('statement', '"run":"r-1"')
  assert.equal(await told(full, full.failures), false)
  full.close()
})
