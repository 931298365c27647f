import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { rotatedFile, rotatedFiles } from '../../../src/audit/files.ts'
import type { RecordFilter } from '../../../src/audit/filter.ts'
import { readRecords } from '../../../src/audit/read.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()

const line = (seq: number, fields: Record<string, unknown> = {}): string => {
  const time = new Date(Date.UTC(2026, 10, 23, 12, 0, seq)).toISOString().replace('Z', '000Z')
  return `${JSON.stringify({ time, seq, event: 'statement', ...fields, prev: '0', hash: '0' })}\n`
}

async function seqs(file: string, filter?: RecordFilter): Promise<number[]> {
  const found: number[] = []
  for await (const { seq } of readRecords(file, filter)) found.push(seq)
  return found
}

test('records come in order over rotated files and the one being written', async () => {
  const file = join(folder, 'order.jsonl')
  writeFileSync(file, line(30) + line(31))
  writeFileSync(rotatedFile(file, 1), line(1) + line(2))
  writeFileSync(rotatedFile(file, 3), line(3))
  writeFileSync(join(folder, 'order.other.jsonl'), line(99))
  assert.deepEqual(await seqs(file), [1, 2, 3, 30, 31])
})

test('a log without a file has no records', async () => {
  assert.deepEqual(await seqs(join(folder, 'none.jsonl')), [])
})

test('a rotated name sorts where its records belong, however many there are', () => {
  const names = [9, 10, 1_000_000, 9_007_199_254_740_991].map((seq) => rotatedFile('/a/audit.jsonl', seq))
  assert.deepEqual([...names].sort(), names)
  assert.deepEqual(rotatedFiles(join(folder, 'order.jsonl')).length, 2)
})

test('a file that is rotated while it is read is read once', async () => {
  const file = join(folder, 'moving.jsonl')
  writeFileSync(rotatedFile(file, 1), line(1))
  writeFileSync(file, line(2))
  const records = readRecords(file)
  assert.equal((await records.next()).value.seq, 1)
  renameSync(file, rotatedFile(file, 2))
  writeFileSync(file, line(3))
  assert.equal((await records.next()).value.seq, 2)
  assert.equal((await records.next()).done, true)
})

test('lines are whole however long they are, and a line without its end is none yet', async () => {
  const file = join(folder, 'long.jsonl')
  const long = 'ü'.repeat(1 << 20)
  writeFileSync(file, line(1) + line(2, { statement: long }) + line(3) + line(4).slice(0, -1))
  const found: (string | undefined)[] = []
  for await (const { statement } of readRecords(file)) found.push(statement)
  assert.deepEqual(found, [undefined, long, undefined])
})

test('a filter holds for the fields of a record, not for what a statement quotes', async () => {
  const file = join(folder, 'filter.jsonl')
  writeFileSync(
    file,
    line(1, { run: 'r-1', verdict: 'deny' }) +
      line(2, { run: 'r-2', statement: 'select \'"run":"r-1"\'' }) +
      line(3, { run: 'r-12' }) +
      line(4, { run: 'r-1', verdict: 'allow', more: { run: 'r-3' } }) +
      'no record "run":"r-1"\n',
  )
  assert.deepEqual(await seqs(file, { run: 'r-1' }), [1, 4])
  assert.deepEqual(await seqs(file, { run: 'r-3' }), [])
  assert.deepEqual(await seqs(file, { runPrefix: 'r-1' }), [1, 3, 4])
  assert.deepEqual(await seqs(file, { run: 'r-1', verdict: 'allow' }), [4])
  assert.deepEqual(await seqs(file, { event: 'hop' }), [])
  const at = (second: number): number => Date.UTC(2026, 10, 23, 12, 0, second)
  assert.deepEqual(await seqs(file, { sinceMs: at(2), untilMs: at(4) }), [2, 3])
})

test('a table is found with its schema and without, among the accesses and among the missing ones', async () => {
  const file = join(folder, 'table.jsonl')
  const access = (resource: string): unknown => [{ action: 'select', resource }]
  writeFileSync(
    file,
    line(1, { accesses: access('public.orders(id,total)') }) +
      line(2, { accesses: access('public.old_orders') }) +
      line(3, { missing: access('public.orders') }) +
      line(4, { accesses: access('R~orders W~cart:7') }) +
      line(5, { statement: 'orders' }),
  )
  assert.deepEqual(await seqs(file, { table: 'orders' }), [1, 3, 4])
  assert.deepEqual(await seqs(file, { table: 'public.orders' }), [1, 3])
  assert.deepEqual(await seqs(file, { table: 'cart:7' }), [4])
})
