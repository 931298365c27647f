/** Shapes of statements: no value in them, and nothing lost but values. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { scan } from 'libpg-query-18'
import { countWords, hasMoreWords, redact } from '../../../protocols/postgres/redact.ts'
import { HIDES } from '../../evasion/postgres/hides.ts'
import { INNOCENT, INNOCENT_INTROSPECTION } from '../../evasion/postgres/innocent.ts'

const RUNS = Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 1_000)

for (const [text, shape] of [
  ["select * from t where a = 'x' and b = 42", 'select * from t where a = ? and b = ?'],
  ["select E'it\\'s', 'it''s', U&'\\0041', N'n', B'01', X'1F'", 'select ?, ?, ?, ?, ?, ?'],
  ['select $$a$$, $tag$ $$ $tag$, 1.5e-3, .5, 1_000, 0xFF', 'select ?, ?, ?, ?, ?, ?'],
  ["select 'a' -- and more\n  'b'", 'select ?'],
  ["select E'a' -- and more\n  'b\\'c'", 'select ?'],
  ["select 'a' 'b'", 'select ? ?'],
  ['select 1/**/-1 -- the end', 'select ? -?'],
  ['select a[1..2], $1, "it""s", U&"d\\0061ta"', 'select a[?..?], $1, "it""s", U&"d\\0061ta"'],
  ['  select\n\t1 ;\r\n', 'select ? ;'],
  ['set application_name = secret; select secret', 'set application_name = ?; select secret'],
  ['SET SESSION a.b TO x, "y", \'z\'', 'SET SESSION a.b TO ?, ?, ?'],
  ['update t set a = b where c = 3', 'update t set a = b where c = ?'],
  ["notify jobs, 'payload'", 'notify jobs, ?'],
  ["copy t to stdout with (delimiter '|', null 'none')", 'copy t to stdout with (delimiter ?, null ?)'],
  ['select e1, x2, b3, n4, u5', 'select e1, x2, b3, n4, u5'],
  ['select namé from bücher', 'select namé from bücher'],
  ['', ''],
  ['FunctionCall 1600', 'FunctionCall ?'],
] as const)
  test(`the shape of ${JSON.stringify(text)}`, () => assert.equal(redact(text), shape))

for (const text of [
  "select 'no end",
  'select "no end',
  "select E'no end\\'",
  'select $a$ no end $b$',
  'select /* no /* end */',
  'select 1abc',
  'select $1abc',
  'select a \\ b',
  'select \0',
  'select $ 1',
])
  test(`a text that cannot be read whole tells nothing: ${JSON.stringify(text)}`, () =>
    assert.equal(redact(text), '?'))

/**
 * A value that occurs nowhere else. A comma follows those with backslashes: a string in the next line would be a part of
 * them, with other ends.
 */
const secret = fc.stringMatching(/^[a-z]{8}$/).map((word) => `zq${word}`)
const literal = fc.oneof(
  secret.map((word) => [word, `'${word}'`] as const),
  secret.map((word) => [word, `'it''s ${word} \\'`] as const),
  secret.map((word) => [word, `E'a\\'${word}\\\\' ,`] as const),
  secret.map((word) => [word, `e'' -- x\n\n '\\'${word}' ,`] as const),
  secret.map((word) => [word, `U&'\\0041${word}' UESCAPE '!'`] as const),
  secret.map((word) => [word, `$$${word} ' $a$$`.replace('$a', '$b')] as const),
  secret.map((word) => [word, `$x$ $$ ${word} $x$`] as const),
  secret.map((word) => [word, `N'${word}'`] as const),
  secret.map((word) => [word, `'a'\n-- ${word}\n'b'`] as const),
  fc.bigInt({ min: 10n ** 9n, max: 10n ** 18n }).map((number) => [`${number}`, `${number}`] as const),
  fc.bigInt({ min: 10n ** 9n, max: 10n ** 18n }).map((number) => [`${number}`, `${number}.5e-7`] as const),
  fc
    .bigInt({ min: 10n ** 9n, max: 10n ** 12n })
    .map((number) => [number.toString(2), `b'${number.toString(2)}'`] as const),
)
const comment = secret.chain((word) =>
  fc.constantFrom([word, `/* ${word} /* ' */ */`] as const, [word, `-- ${word} '\n`] as const),
)
const name = fc.constantFrom(
  'a',
  'd',
  'x',
  '"q ""uoted"',
  'U&"\\0061"',
  'select',
  'from',
  'where',
  '$1',
  'bücher',
)
const glue = fc.constantFrom(
  ' ',
  '\n',
  '\t',
  ' + ',
  ', ',
  ' (',
  ') ',
  ' = ',
  '::',
  ' || ',
  ' <> ',
  ';',
  ' - ',
  ' / ',
  ' * ',
)

test('no literal and no comment of a generated statement is in its shape, names are, and twice is as once', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.oneof(
            literal,
            comment,
            name.map((word) => ['', word] as const),
          ),
          glue,
        ),
        { maxLength: 25 },
      ),
      (parts) => {
        const text = parts.map(([[, written], between]) => ` ${written}${between}`).join('')
        const shape = redact(text)
        for (const [[hidden]] of parts)
          if (hidden !== '') assert.equal(shape.includes(hidden), false, `${hidden} of ${text} in ${shape}`)
        for (const [[hidden, written]] of parts)
          if (hidden === '' && shape !== '?') assert.ok(shape.includes(written))
        assert.equal(redact(shape), shape)
      },
    ),
    { numRuns: RUNS },
  )
})

test('any text at all gives a shape, and that one itself', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      "'",
      '"',
      '$',
      '$$',
      '$a$',
      '/*',
      '*/',
      '--',
      '\n',
      '\\',
      "E'",
      "U&'",
      '1',
      '.',
      '..',
      'e',
      '_',
      '\0',
      '\ud800',
      ';',
      'set x =',
    ),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const shape = redact(pieces.join(''))
      assert.equal(redact(shape), shape)
    }),
    { numRuns: 2 * RUNS },
  )
})

/** The numbers of the tokens of libpg_query's scanner that are values: FCONST, SCONST, USCONST, BCONST, XCONST, ICONST. */
const VALUES: ReadonlySet<number> = new Set([260, 261, 262, 263, 264, 266])
const COMMENTS: ReadonlySet<string> = new Set(['SQL_COMMENT', 'C_COMMENT'])

test('literals are those of the scanner of the server', async () => {
  const corpus = [...HIDES.flatMap(({ statements }) => statements), ...INNOCENT, ...INNOCENT_INTROSPECTION]
  let compared = 0
  for (const text of corpus) {
    // A `SET` has its values dropped as words, and libpg_query gives comments inside a string as tokens.
    if (/\bset\b/i.test(text) || text.length > 10_000) continue
    let tokens: { start: number; end: number; tokenType: number; tokenName: string }[]
    try {
      tokens = (await scan(text)).tokens
    } catch {
      continue
    }
    const bytes = Buffer.from(text)
    let shape = ''
    let last = 0
    for (const { start, end, tokenType, tokenName } of tokens) {
      if (COMMENTS.has(tokenName)) continue
      if (start > last && shape !== '') shape += ' '
      shape += VALUES.has(tokenType) ? '?' : bytes.toString('utf8', start, end)
      last = end
    }
    compared += 1
    const ours = redact(text)
    // Two parts of one string, with a comment between, are two tokens to libpg_query.
    if (ours !== '?') assert.equal(ours.replace(/\? \?/g, '?'), shape.replace(/\? \?/g, '?'), text)
  }
  assert.ok(compared > 500, `${compared} statements were compared`)
})

test('a long line of dashes behind a string is read in one go', () => {
  const text = `select 'a' ${'-- '.repeat(200_000)}\n${'-- x\n'.repeat(100_000)} 1`
  assert.equal(redact(text), 'select ? ?')
})

test('words and literals are counted, punctuation is not, and counting stops where it may', () => {
  assert.equal(countWords("select a, 'b c' /* d */ from t where e = 1;", 100), 8)
  assert.equal(countWords("select 'no end", 100), Number.POSITIVE_INFINITY)
  assert.ok(countWords('a,'.repeat(1_000_000), 10) <= 12)
})

test('whether a text has more words than it may is told by counting them, or without where its characters tell', () => {
  const piece = fc.constantFrom(
    ..."a b é 1 .5 1e5 $1 $ ' '' \" $$ E'x' U&\"x\" -- /* */ , ; + 0x1F a1b \n".split(' '),
    ' ',
  )
  const texts = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
  fc.assert(
    fc.property(texts, fc.nat(20), (text, max) => {
      const count = countWords(text, 1000)
      if (count !== Number.POSITIVE_INFINITY) assert.equal(hasMoreWords(text, max), count > max)
    }),
    { numRuns: 2000 },
  )
})
