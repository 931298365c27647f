import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileGlob, globCovers, literalPrefix, matchGlob } from '../../../src/grants/glob.ts'

for (const [pattern, text, matches] of [
  ['a', 'a', true],
  ['a', 'A', false],
  ['a*', 'a', true],
  ['a*', 'ab', true],
  ['*', 'a', true],
  ['*', '', false],
  ['', '', true],
  ['a?', 'a', false],
  ['a?', 'ab', true],
  ['*b*', 'abc', true],
  ['a**c', 'abc', true],
  ['[abc]', 'b', true],
  ['[^abc]', 'b', false],
  ['[^abc]', 'd', true],
  ['[a-c]', 'b', true],
  ['[c-a]', 'b', true],
  // A range whose end is the bracket, in a class without an end.
  ['[a-]', '-', false],
  ['[a-]', '_', true],
  ['[\\]]', ']', true],
  ['[]a', 'a', false],
  ['[a', 'a', true],
  ['[', '[', false],
  ['[^', 'x', true],
  ['\\*', '*', true],
  ['\\*', 'a', false],
  ['a\\', 'a\\', true],
  ['\\a', 'a', true],
  ['*\\**', 'a*b', true],
  ['[^a]*', '', false],
  ['a*b*c', 'axxbyyc', true],
  ['a*b*c', 'axxbyy', false],
] as const) {
  test(`\`${pattern}\` ${matches ? 'matches' : 'does not match'} \`${text}\``, () => {
    assert.equal(matchGlob(pattern, text), matches)
    assert.equal(compileGlob(pattern)(text), matches)
  })
}

const pattern = fc.string({
  unit: fc.constantFrom('a', 'b', ':', '*', '?', '[', ']', '^', '-', '\\'),
  maxLength: 8,
})
const text = fc.string({ unit: fc.constantFrom('a', 'b', ':', '*', '\\', '\xff'), maxLength: 8 })

test('a compiled pattern says what the general matcher says', () => {
  fc.assert(
    fc.property(pattern, text, (p, t) => assert.equal(compileGlob(p)(t), matchGlob(p, t))),
    { numRuns: 5000 },
  )
})

/** Some of the strings of one kind that a pattern may stand for: what its wildcards stand for is put in their place. */
const filled = (pattern: string, kind: fc.Arbitrary<string>): fc.Arbitrary<string> => {
  const wildcards = pattern.match(/[*?]/g)?.length ?? 0
  return fc.array(kind, { minLength: wildcards, maxLength: wildcards }).map((pieces) => {
    const left = [...pieces]
    return pattern.replace(/[*?]/g, (wildcard) => {
      const piece = left.pop() ?? ''
      return wildcard === '*' ? piece : piece.slice(0, 1)
    })
  })
}

test('what one pattern is said to cover, it covers', () => {
  // Two random patterns seldom have to do with each other: half of them are made from one another.
  const cases = pattern
    .chain((wide) => fc.tuple(fc.constant(wide), fc.oneof(pattern, filled(wide, pattern))))
    .chain(([wide, narrow]) =>
      fc.tuple(fc.constant(wide), fc.constant(narrow), fc.oneof(text, filled(narrow, text))),
    )
  fc.assert(
    fc.property(cases, ([wide, narrow, t]) => {
      fc.pre(globCovers(wide, narrow) && matchGlob(narrow, t))
      // `~*` itself is compared as `allkeys`, which matches the empty key too.
      assert.ok(wide === '*' || matchGlob(wide, t))
    }),
    { numRuns: 3000, maxSkipsPerRun: 1000 },
  )
})

test('a pattern covers those that begin with its prefix, and no others', () => {
  assert.equal(globCovers('cart:*', 'cart:7*'), true)
  assert.equal(globCovers('cart:*', 'cart:*'), true)
  assert.equal(globCovers('cart:*', 'cart:'), true)
  assert.equal(globCovers('cart:*', 'car*'), false)
  assert.equal(globCovers('cart:*', '*'), false)
  assert.equal(globCovers('cart:*', '[c]art:*'), false)
  assert.equal(globCovers('c?rt:*', 'cart:*'), false)
  assert.equal(globCovers('*', '*'), true)
})

test('the literal beginning of a pattern ends at the first special character', () => {
  assert.equal(literalPrefix('a\\*b*c'), 'a*b')
  assert.equal(literalPrefix('[a]b'), '')
  assert.equal(literalPrefix('abc'), 'abc')
})

test('a pattern made to be slow is not', () => {
  const evil = 'a*'.repeat(250)
  const started = performance.now()
  assert.equal(matchGlob(`${evil}b`, 'a'.repeat(100_000)), false)
  assert.equal(matchGlob('*?'.repeat(250), 'a'.repeat(100_000)), true)
  assert.ok(performance.now() - started < 2_000)
})
