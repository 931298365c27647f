import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { CheckpointVerifier } from '../../../src/audit/checkpoint.ts'
import { auditFiles } from '../../../src/audit/files.ts'
import { AuditLog } from '../../../src/audit/log.ts'
import { type VerifyOptions, type VerifyReport, verifyFiles } from '../../../src/audit/verify.ts'
import { temporaryFolder } from '../../support/folders.ts'

const key = (): { private: string; public: string } => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    private: JSON.stringify(privateKey.export({ format: 'jwk' })),
    public: JSON.stringify(publicKey.export({ format: 'jwk' })),
  }
}
const ours = key()
const verifier = new CheckpointVerifier([ours.public])

const folder = temporaryFolder()
let count = 0

/** A log of several files with checkpoints. */
function logged({ bytes = 3_000, records = 40, signed = ours.private } = {}): string {
  count += 1
  const file = join(folder, `log-${count}.jsonl`)
  const log = new AuditLog(file, { rotate: { bytes }, checkpoint: { key: signed, everyMs: 60_000 } })
  for (let index = 0; index < records; index += 1) {
    log.append('statement', `"statement":"select ${index} as 'é'"`)
    log.flush(0)
  }
  log.close()
  return file
}

const verified = (file: string, options: VerifyOptions = { verifier }): Promise<VerifyReport> =>
  verifyFiles(auditFiles(file), options)
const problems = async (file: string, options?: VerifyOptions): Promise<string[]> =>
  (await verified(file, options)).findings.map(({ problem }) => problem)
const linesOf = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1)
const write = (file: string, lines: readonly string[]): void =>
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))

/** The line with other text and a hash that fits it. */
function forged(line: string, change: (line: string) => string): string {
  const body = change(line.slice(0, line.lastIndexOf(',"hash":')))
  return `${body},"hash":"${createHash('sha256').update(body).digest('hex')}"}`
}

test('a log as it was written has nothing to find, over all its files', async () => {
  const file = logged()
  const report = await verified(file)
  assert.deepEqual(report.findings, [])
  assert.ok(report.files.length > 2)
  assert.equal(report.head?.seq, report.records)
  assert.equal(report.signedSeq, report.records - 1)
  const shuffled = await verifyFiles([...auditFiles(file)].reverse(), { verifier })
  assert.deepEqual(shuffled, report, 'in whatever order the files are given')
})

test('a changed record is found where it stands', async () => {
  const file = logged()
  const [part = ''] = auditFiles(file)
  const lines = linesOf(part)
  write(part, lines.with(3, lines[3]?.replace('select', 'SELECT') ?? ''))
  const { findings } = await verified(file)
  assert.deepEqual(findings, [
    { file: part, line: 4, seq: 4, problem: 'changed: the record is not the one that its hash was made of' },
  ])
})

test('a record that was replaced with one whose hash fits is found by the record after it', async () => {
  const file = logged()
  const [part = ''] = auditFiles(file)
  const lines = linesOf(part)
  write(
    part,
    lines.with(
      3,
      forged(lines[3] ?? '', (line) => line.replace('select', 'SELECT')),
    ),
  )
  const { findings } = await verified(file)
  assert.deepEqual(
    findings.map(({ line, problem }) => [line, problem]),
    [[5, 'replaced: it does not follow record 4 as it is here']],
  )
})

test('a removed, a repeated and a swapped record are told apart', async () => {
  const file = logged({ bytes: 1e6 })
  const lines = linesOf(file)
  write(file, lines.toSpliced(5, 2))
  assert.deepEqual(await problems(file), ['2 records are missing between 5 and 8'])
  write(file, lines.toSpliced(5, 0, lines[4] ?? ''))
  assert.deepEqual(await problems(file), ['out of place: it stands after record 5'])
  write(file, lines.with(5, lines[6] ?? '').with(6, lines[5] ?? ''))
  assert.deepEqual(await problems(file), [
    '1 records are missing between 5 and 7',
    'out of place: it stands after record 7',
    '1 records are missing between 6 and 8',
  ])
  write(file, lines.toSpliced(5, 0, 'nothing'))
  assert.deepEqual(await problems(file), ['not a record'])
})

test('a missing file and a cut one are found by the file after them', async () => {
  const file = logged()
  const [first = '', second = '', third = ''] = auditFiles(file)
  assert.deepEqual(
    (await verifyFiles([first, third, ...auditFiles(file).slice(3)], { verifier })).findings.map(
      ({ file: where, line }) => [where, line],
    ),
    [[third, 1]],
  )
  const whole = readFileSync(second)
  writeFileSync(second, whole.subarray(0, whole.length - 10))
  assert.match((await problems(file))[0] ?? '', /ends in the middle of a record/)
  write(second, whole.toString().split('\n').slice(0, -3))
  assert.match((await problems(file))[0] ?? '', /records are missing/)
})

test('a log whose oldest files were put away begins with the record that names the last of them', async () => {
  const file = logged()
  const { findings } = await verifyFiles(auditFiles(file).slice(1), { verifier })
  assert.deepEqual(findings, [])
  const [, second = ''] = auditFiles(file)
  write(second, linesOf(second).slice(1))
  assert.match(
    (await verifyFiles(auditFiles(file).slice(1), { verifier })).findings[0]?.problem ?? '',
    /begins in the middle/,
  )
})

test('a whole new chain is found by its signatures', async () => {
  const theirs = logged({ signed: key().private })
  assert.ok((await problems(theirs)).every((problem) => /key that is not given|no checkpoint/.test(problem)))
  assert.ok((await problems(theirs)).length > 0)
  assert.deepEqual(await problems(theirs, {}), [], 'which the chain alone does not show')

  const file = logged({ bytes: 1e6 })
  let prev = '0'.repeat(64)
  const rechained = linesOf(file).map((line) => {
    const next = forged(line, (text) =>
      text.replace('select 7', 'select 8').replace(/"prev":"[0-9a-f]{64}"$/, `"prev":"${prev}"`),
    )
    prev = next.slice(-66, -2)
    return next
  })
  write(file, rechained)
  assert.deepEqual(await problems(file, {}), [], 'every hash fits')
  assert.match((await problems(file))[0] ?? '', /signs another record/)
  write(
    file,
    rechained.filter((line) => !line.includes('audit.checkpoint')),
  )
  assert.match((await problems(file))[0] ?? '', /no checkpoint is signed/)
})

test('records cut off behind the last checkpoint are told by a head that was kept elsewhere', async () => {
  const file = logged({ bytes: 1e6 })
  const { head } = await verified(file)
  const expectedHead = { seq: head?.seq, hash: head?.hash ?? '' }
  assert.deepEqual(await problems(file, { verifier, expectedHead }), [])
  const log = new AuditLog(file)
  log.append('statement', '')
  log.flush(0)
  log.close()
  assert.deepEqual(
    await problems(file, { verifier, expectedHead }),
    [],
    'a log that has grown since still has it',
  )
  write(file, linesOf(file).slice(0, -3))
  assert.deepEqual(await problems(file, {}), [])
  assert.match((await problems(file, { expectedHead }))[0] ?? '', /is not here: the end was cut off/)
})

test('what is being written at the end is no finding', async () => {
  const file = logged({ bytes: 1e6 })
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, -20))
  const report = await verified(file, {})
  assert.deepEqual(report.findings, [])
  assert.ok(report.unfinishedBytes > 0)
})

test('a file made of a token of the same issuer is no checkpoint', () => {
  const token = `${Buffer.from('{"alg":"EdDSA","typ":"JWT"}').toString('base64url')}.e30.AAAA`
  assert.equal(verifier.verify(token), 'malformed')
})

test('whatever single byte of a log is changed, it is found in its line or the next', async () => {
  const file = logged({ bytes: 1e6, records: 6 })
  const whole = readFileSync(file)
  const lineOf = (offset: number): number => whole.subarray(0, offset).toString('latin1').split('\n').length
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 2), fc.integer({ min: 1, max: 255 }), async (offset, mask) => {
      const changed = Buffer.from(whole)
      changed[offset] = (changed[offset] ?? 0) ^ mask
      const path = join(folder, 'mutated.jsonl')
      writeFileSync(path, changed)
      const { findings } = await verifyFiles([path], { verifier })
      assert.ok(findings.length > 0, `byte ${offset}`)
      const at = lineOf(offset)
      assert.ok(
        findings.some(({ line }) => line === at || line === at + 1),
        `byte ${offset} of line ${at}: ${JSON.stringify(findings)}`,
      )
    }),
    { numRuns: 300 },
  )
})
