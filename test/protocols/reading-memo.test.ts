/** What is remembered of texts: found again, for which other texts, and forgotten in the end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReadingMemo } from '../../protocols/reading-memo.ts'
import { POSTGRES_SHAPES } from '../../protocols/shape.ts'

/** A memo of what was read first under each name. */
function memo() {
  const readings = new ReadingMemo<string>(POSTGRES_SHAPES)
  return {
    keep: (text: string, reading: string, ...indifferent: readonly number[]) =>
      readings.keep(Buffer.from(text), reading, new Set(indifferent)),
    keepAlone: (text: string, reading: string) => readings.keep(Buffer.from(text), reading, undefined),
    find: (text: string) => readings.find(Buffer.from(text)),
  }
}

test('a text is found again, and one that differs in an indifferent literal', () => {
  const { keep, find } = memo()
  assert.equal(find('select a from t where b = 42'), undefined)
  keep('select a from t where b = 42', 'first', 26)
  assert.equal(find('select a from t where b = 42'), 'first')
  assert.equal(find('select a from t where b = 7'), 'first')
  for (const other of [
    "select a from t where b = '7'",
    'select a from t where b = 7.5',
    'select a from t where b =  7',
  ])
    assert.equal(find(other), undefined, other)
})

test('where one literal is not indifferent, the reading holds for its text alone', () => {
  const { keep, find } = memo()
  keep("select nextval('s'), 1", 'first', 21)
  assert.equal(find("select nextval('s'), 1"), 'first')
  assert.equal(find("select nextval('s'), 2"), undefined)
})

test('a reading that holds for its text alone is found for no other', () => {
  const { keepAlone, find } = memo()
  keepAlone('select 1', 'first')
  assert.equal(find('select 1'), 'first')
  assert.equal(find('select 2'), undefined)
})

test('a text that is written as a shape is not taken for one', () => {
  const { keep, keepAlone, find } = memo()
  keep('select 1', 'first', 7)
  assert.equal(find('select \u0001'), undefined)
  keepAlone('select \u0003', 'other')
  assert.equal(find("select 'a'"), undefined)
})

test('texts are told apart by their bytes', () => {
  const readings = new ReadingMemo<string>(POSTGRES_SHAPES)
  readings.keep(Buffer.from([0x61, 0xff]), 'first', undefined)
  assert.equal(readings.find(Buffer.from([0x61, 0xfe])), undefined)
  assert.equal(readings.find(Buffer.from([0x61, 0xff])), 'first')
})

test('the oldest are forgotten', () => {
  const { keepAlone, find } = memo()
  for (let index = 0; index < 4097; index += 1) keepAlone(`select c${index}`, String(index))
  assert.equal(find('select c0'), undefined)
  assert.equal(find('select c1023'), undefined)
  assert.equal(find('select c1024'), '1024')
  assert.equal(find('select c4096'), '4096')
})

test('the oldest are forgotten where texts are long, too', () => {
  const { keepAlone, find } = memo()
  const long = (index: number): string => `select c${index} ${'a'.repeat(16_000)}`
  for (let index = 0; index < 2_000; index += 1) keepAlone(long(index), String(index))
  assert.equal(find(long(1_999)), '1999')
  let kept = 0
  for (let index = 0; index < 2_000; index += 1) if (find(long(index)) !== undefined) kept += 1
  assert.ok(kept > 700 && kept * 16_000 <= 16 * 1_048_576, `${kept} are kept`)
})

test('a long text is not remembered', () => {
  const { keepAlone, find } = memo()
  const text = `select ${'a'.repeat(16_384)}`
  keepAlone(text, 'first')
  assert.equal(find(text), undefined)
})
