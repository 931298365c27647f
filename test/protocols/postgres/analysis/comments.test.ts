import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blankComments } from '../../../../protocols/postgres/analysis/comments.ts'

const CASES: readonly (readonly [string, string | undefined])[] = [
  ['select 1', undefined],
  ['select 1 -- c', 'select 1     '],
  ["'a' -- c\n'b'", "'a'     \n'b'"],
  ["'a' -- c\r'b'", "'a'     \r'b'"],
  ['a /* b */ c', 'a         c'],
  ['a /* b\n*/ c', 'a         c'],
  ['a /* /* b */ */ c', 'a               c'],
  ['a /* unterminated', 'a                '],
  ["'-- not' /* x */", "'-- not'        "],
  ["'it''s -- not'", undefined],
  ["E'a\\' -- not' --x", "E'a\\' -- not'    "],
  ["'a\\' -- x", "'a\\'     "],
  ['"-- not"', undefined],
  ['$$ -- not $$ --x', '$$ -- not $$    '],
  ['$t$ $$ -- not $t$ --x', '$t$ $$ -- not $t$    '],
  ['a$t$ -- x', 'a$t$     '],
  ['$1--x', '$1   '],
  ["name'--not'--x", "name'--not'   "],
  ['/* é🙂 */ x', '         x'],
]

for (const [text, expected] of CASES) {
  test(`blanks the comments of ${JSON.stringify(text)}`, () => {
    assert.equal(blankComments(Buffer.from(text))?.toString(), expected)
  })
}
