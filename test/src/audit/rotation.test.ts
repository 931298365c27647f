import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { compactVerify, importJWK, type JWK } from 'jose'
import { CheckpointKeyError, CheckpointSigner } from '../../../src/audit/checkpoint.ts'
import { rotatedFile, rotatedFiles } from '../../../src/audit/files.ts'
import { AuditLog, type AuditOptions } from '../../../src/audit/log.ts'
import { readRecords } from '../../../src/audit/read.ts'
import type { AuditRecord } from '../../../src/audit/record.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const key = JSON.stringify(privateKey.export({ format: 'jwk' }))

function write(log: AuditLog, count: number): void {
  for (let index = 0; index < count; index += 1) {
    log.append('statement', '"statement":"select 1"')
    assert.equal(log.flush(Date.now()), true)
  }
}

async function all(file: string): Promise<AuditRecord[]> {
  const records: AuditRecord[] = []
  for await (const record of readRecords(file)) records.push(record)
  return records
}

/** Every record follows the one before, over all files. */
async function chained(file: string): Promise<AuditRecord[]> {
  const records = await all(file)
  for (const [index, record] of records.entries()) {
    assert.equal(record.seq, index + 1)
    assert.equal(record.prev, index === 0 ? '0'.repeat(64) : records[index - 1]?.hash)
  }
  return records
}

test('a file that is large enough gets its lasting name, and the next one names it and carries the chain on', async () => {
  const file = join(folder, 'size.jsonl')
  const log = new AuditLog(file, { rotate: { bytes: 2_000 } })
  write(log, 30)
  log.close()
  const files = rotatedFiles(file)
  assert.ok(files.length >= 3, `${files.length} rotated files`)
  const records = await chained(file)
  const openings = records.filter(({ event }) => event === 'audit.file')
  assert.deepEqual(
    openings.map(({ previous_file }) => previous_file),
    files.slice(0, openings.length).map((path) => basename(path)),
  )
  assert.ok(openings.length >= files.length - 1, 'the last file may be empty yet')
  for (const opening of openings) {
    assert.equal(opening['previous_hash'], opening.prev)
    assert.equal(opening['previous_seq'], opening.seq - 1)
  }
})

test('a log whose newest file is gone between rotation and its first record goes on from the rotated one', async () => {
  const file = join(folder, 'between.jsonl')
  const log = new AuditLog(file)
  write(log, 3)
  log.close()
  renameSync(file, rotatedFile(file, 1))
  const again = new AuditLog(file)
  write(again, 2)
  again.close()
  const records = await chained(file)
  assert.deepEqual(
    records.map(({ event }) => event),
    ['statement', 'statement', 'statement', 'audit.file', 'statement', 'statement'],
  )
})

test('a file is rotated by its age, which a restart does not make young', async () => {
  const file = join(folder, 'age.jsonl')
  const options: AuditOptions = { rotate: { everyMs: 200 }, fsync: { everyMs: 20 } }
  const log = new AuditLog(file, options)
  write(log, 1)
  log.close()
  await sleep(250)
  const again = new AuditLog(file, options)
  while (rotatedFiles(file).length === 0) await sleep(5)
  write(again, 1)
  again.close()
  assert.equal((await chained(file)).length, 3)
})

test('a file that cannot be rotated is written on, and operators are told', async () => {
  const file = join(folder, 'stuck.jsonl')
  const notices: string[] = []
  const log = new AuditLog(file, { rotate: { bytes: 500 }, notice: (line) => notices.push(line) })
  mkdirSync(rotatedFile(file, 1))
  write(log, 10)
  log.close()
  assert.equal(readFileSync(file, 'utf8').split('\n').length - 1, 10)
  assert.equal(notices.length, 1)
  assert.match(notices[0] ?? '', /cannot be rotated/)
})

test('a log that was moved or removed under the proxy goes on in a new file that says what came before', async () => {
  const file = join(folder, 'removed.jsonl')
  const notices: string[] = []
  const log = new AuditLog(file, { fsync: { everyMs: 10 }, notice: (line) => notices.push(line) })
  write(log, 2)
  unlinkSync(file)
  while (notices.length === 0) await sleep(5)
  write(log, 1)
  log.close()
  const [opening, statement] = await all(file)
  assert.equal(opening?.event, 'audit.file')
  assert.equal(opening?.['previous_seq'], 2)
  assert.equal(statement?.seq, 4)
})

test('a file that comes after another names it, also where records wait while it is put in its place', async () => {
  const file = join(folder, 'waiting.jsonl')
  const log = new AuditLog(file, { rotate: { everyMs: 20 }, fsync: { everyMs: 5 } })
  write(log, 1)
  while (rotatedFiles(file).length === 0) {
    log.append('result', '')
    await sleep(1)
  }
  const rotated = log.records
  write(log, 1)
  log.close()
  const records = await chained(file)
  assert.equal(records[rotated]?.event, 'audit.file')
  assert.equal(readFileSync(rotatedFile(file, 1), 'utf8').split('\n').length - 1, rotated)
})

test('nothing is written to a file that was moved while no new one can be made', async () => {
  const file = join(folder, 'misplaced.jsonl')
  let nowMs = 1_000_000
  const log = new AuditLog(file, { fsync: { everyMs: 10 }, now: () => nowMs })
  write(log, 2)
  const moved = rotatedFile(file, 1)
  renameSync(file, moved)
  mkdirSync(file)
  while (log.failures === 0) await sleep(5)
  const before = readFileSync(moved, 'utf8')
  for (let second = 0; second < 3; second += 1) {
    nowMs += 1_100
    assert.equal(log.isWritable(nowMs), false)
    log.append('statement', '')
    assert.equal(log.flush(nowMs), false)
  }
  assert.equal(readFileSync(moved, 'utf8'), before)
  rmdirSync(file)
  nowMs += 1_100
  assert.equal(log.isWritable(nowMs), true)
  write(log, 1)
  log.close()
  assert.deepEqual(
    (await chained(file)).map(({ event }) => event),
    ['statement', 'statement', 'audit.file', 'audit.recovered', 'statement'],
  )
})

test('checkpoints sign the head at rotation and at the end, and jose finds the signature good', async () => {
  const file = join(folder, 'signed.jsonl')
  const log = new AuditLog(file, { rotate: { bytes: 2_000 }, checkpoint: { key, everyMs: 60_000 } })
  write(log, 12)
  log.close()
  const records = await chained(file)
  const checkpoints = records.filter(({ event }) => event === 'audit.checkpoint')
  assert.equal(checkpoints.length, rotatedFiles(file).length + 1)
  assert.equal(records.at(-1)?.event, 'audit.checkpoint')
  const verifyingKey = await importJWK(publicKey.export({ format: 'jwk' }) as JWK, 'EdDSA')
  for (const checkpoint of checkpoints) {
    const covered = records[checkpoint.seq - 2]
    const { payload, protectedHeader } = await compactVerify(String(checkpoint['jws']), verifyingKey)
    const head = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>
    assert.deepEqual(head, { seq: covered?.seq, hash: covered?.hash, count: checkpoint['count'] })
    assert.equal(protectedHeader.typ, 'bulkhead-audit-checkpoint')
  }
  for (const path of rotatedFiles(file)) {
    const last = readFileSync(path, 'utf8').trimEnd().split('\n').at(-1) ?? ''
    assert.match(last, /"event":"audit.checkpoint"/, `${path} ends signed`)
  }
})

test('a checkpoint is made in time while there is something new to sign, and only then', async () => {
  const file = join(folder, 'periodic.jsonl')
  const log = new AuditLog(file, { fsync: { everyMs: 10 }, checkpoint: { key, everyMs: 50 } })
  write(log, 1)
  while (log.records < 2) await sleep(5)
  await sleep(150)
  assert.equal(log.records, 2)
  log.close()
  assert.deepEqual(
    (await chained(file)).map(({ event }) => event),
    ['statement', 'audit.checkpoint'],
  )
})

test('a key that cannot sign checkpoints is refused at once', () => {
  const refused = (jwk: string, why: RegExp): void =>
    assert.throws(
      () => new CheckpointSigner(jwk),
      (error: Error) => error instanceof CheckpointKeyError && why.test(error.message),
    )
  refused(JSON.stringify(publicKey.export({ format: 'jwk' })), /public key/)
  refused('{}', /Ed25519/)
  refused('-----BEGIN', /JSON Web Key/)
})

test('every policy of fsync leaves the same log', async () => {
  for (const fsync of ['never', 'always', { everyMs: 10 }] as const) {
    const file = join(folder, `fsync-${typeof fsync === 'string' ? fsync : 'interval'}.jsonl`)
    const log = new AuditLog(file, { fsync, rotate: { bytes: 1_000 } })
    write(log, 20)
    await sleep(30)
    write(log, 1)
    log.close()
    const statements = (await chained(file)).filter(({ event }) => event === 'statement')
    assert.equal(statements.length, 21)
  }
})

test('a file that ends in something else than a record is refused', () => {
  const file = join(folder, 'other.jsonl')
  writeFileSync(file, '{"a":1}\n')
  assert.throws(() => new AuditLog(file), /no audit record/)
  writeFileSync(file, 'text\n')
  assert.throws(() => new AuditLog(file), /no audit record/)
})
