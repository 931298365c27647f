import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type LexerRules, lex, TOKENS_MAX } from '../../../../protocols/mysql/lexer/lexer.ts'

const MYSQL: LexerRules = { flavour: 'mysql', versionNumber: 90_704 }
const MARIADB: LexerRules = { flavour: 'mariadb', versionNumber: 101_119 }

/** The tokens as `kind:value`, without the end. */
function tokensOf(text: string, rules: LexerRules = MYSQL): string[] {
  const lexed = lex(text, rules)
  assert.ok(lexed.ok, lexed.ok ? '' : lexed.why)
  return lexed.tokens.slice(0, -1).map(({ kind, value }) => `${kind}:${value}`)
}

function forwardOf(text: string, rules: LexerRules = MYSQL): string {
  const lexed = lex(text, rules)
  assert.ok(lexed.ok, lexed.ok ? '' : lexed.why)
  return lexed.text
}

const cuts: { text: string; tokens: string[]; rules?: LexerRules }[] = [
  { text: 'select a', tokens: ['word:select', 'word:a'] },
  { text: 'a\t\n\v\f\r b', tokens: ['word:a', 'word:b'] },
  { text: '`a``b`', tokens: ['name:a`b'] },
  { text: 't.select', tokens: ['word:t', 'operator:.', 'name:select'] },
  { text: 't. select', tokens: ['word:t', 'operator:.', 'word:select'] },
  { text: 't .select', tokens: ['word:t', 'operator:.', 'name:select'] },
  { text: '`t`.a', tokens: ['name:t', 'operator:.', 'name:a'] },
  { text: "'a''b'", tokens: ["string:a'b"] },
  { text: `'a\\'b\\n\\Z\\%\\_\\x'`, tokens: ["string:a'b\n\x1a\\%\\_x"] },
  { text: '"a""b\'"', tokens: ['string:a"b\''] },
  { text: "N'a' n'b'", tokens: ['string:a', 'string:b'] },
  {
    text: "x'4a' X'' b'01' 0xfF 0b1",
    tokens: ["literal:x'4a'", "literal:X''", "literal:b'01'", 'literal:0xfF', 'literal:0b1'],
  },
  {
    text: '1 1.5 .5 5. 1e3 1.5E-3',
    tokens: ['1', '1.5', '.5', '5.', '1e3', '1.5E-3'].map((n) => `literal:${n}`),
  },
  {
    text: '@a @`a b` @"c" @\'d\' @a.b$',
    tokens: ['a', 'a b', 'c', 'd', 'a.b$'].map((n) => `user_variable:${n}`),
  },
  {
    text: '@@x @@global.y @@SESSION.z',
    tokens: ['x', 'global.y', 'SESSION.z'].map((n) => `system_variable:${n}`),
  },
  { text: 'a<=>b', tokens: ['word:a', 'operator:<=>', 'word:b'] },
  { text: 'a:=b', tokens: ['word:a', 'operator::=', 'word:b'] },
  { text: "a->>'$'", tokens: ['word:a', 'operator:->>', 'string:$'] },
  { text: '1--1', tokens: ['literal:1', 'operator:-', 'operator:-', 'literal:1'] },
  { text: '1 -- 1', tokens: ['literal:1'] },
  { text: '1 --', tokens: ['literal:1'] },
  { text: '1 --\n2', tokens: ['literal:1', 'literal:2'] },
  { text: '1 #x\n2', tokens: ['literal:1', 'literal:2'] },
  { text: '1/*x*/2', tokens: ['literal:1', 'literal:2'] },
  { text: '/* /* */ 1', tokens: ['literal:1'] },
  { text: "'/*' 1 '*/'", tokens: ['string:/*', 'literal:1', 'string:*/'] },
  { text: 'é', tokens: ['word:é'] },
  { text: '?', tokens: ['parameter:?'] },
  { text: '\\N', tokens: ['literal:\\N'], rules: MARIADB },
]

for (const { text, tokens, rules } of cuts) {
  test(`the lexer cuts ${JSON.stringify(text)}`, () => {
    assert.deepEqual(tokensOf(text, rules), tokens)
  })
}

const refused = [
  ...[
    '1a',
    '1e5x',
    '0xabg',
    '1.a',
    '1..2',
    't.1e5',
    't.1',
    '$a',
    '$$a$$',
    'a\\b',
    '\\N',
    '1\u0000',
    '\u0001',
    '\u007f',
  ],
  ...[
    "'a",
    '"a',
    '`a',
    '``',
    '`a\u0000`',
    "x'1'",
    "x'zz'",
    "b'2'",
    '@ a',
    '@@ a',
    '@@a.b',
    '@@é',
    '@é',
    '/* a',
    '/*!50000 a',
  ],
  ...['/*!50000 /*!50000 a */ */', '[a]', ':a', '\u{1F600}', 'a\u{1F600}', '1--/**/1'],
]

for (const text of refused) {
  test(`the lexer refuses ${JSON.stringify(text)}`, () => {
    assert.equal(lex(text, MYSQL).ok, false)
  })
}

const executable: { text: string; mysql: string; mariadb: string }[] = [
  { text: 'a /*! b */ c', mysql: 'a   b   c', mariadb: 'a   b   c' },
  { text: 'a /*!50000 b */ c', mysql: 'a   b   c', mariadb: 'a   b   c' },
  { text: 'a /*!50700 b */ c', mysql: 'a   b   c', mariadb: 'a   c' },
  { text: 'a /*!80000 b */ c', mysql: 'a   b   c', mariadb: 'a   c' },
  { text: 'a /*!90704 b */ c', mysql: 'a   b   c', mariadb: 'a   c' },
  { text: 'a /*!90705 b */ c', mysql: 'a   c', mariadb: 'a   c' },
  { text: 'a /*!090704 b */ c', mysql: 'a   b   c', mariadb: 'a   c' },
  { text: 'a /*!100100 b */ c', mysql: 'a   c', mariadb: 'a   b   c' },
  { text: 'a /*!101120 b */ c', mysql: 'a   c', mariadb: 'a   c' },
  { text: 'a /*M! b */ c', mysql: 'a   c', mariadb: 'a   b   c' },
  { text: 'a /*M!50700 b */ c', mysql: 'a   c', mariadb: 'a   b   c' },
  { text: 'a /*!99999 b /* c */ d */ e', mysql: 'a   e', mariadb: 'a   e' },
  { text: 'a /*!50000 b /* c */ d */ e', mysql: 'a   b   d   e', mariadb: 'a   b   d   e' },
  { text: 'select /*+ SET_VAR(x=1) */ a', mysql: 'select   a', mariadb: 'select   a' },
]

for (const { text, mysql, mariadb } of executable) {
  test(`each family is sent what it would have run of ${text}`, () => {
    assert.equal(forwardOf(text, MYSQL), mysql)
    assert.equal(forwardOf(text, MARIADB), mariadb)
  })
}

test('a text without comments is forwarded as it came', () => {
  const text = "select  count( * ),\n\t'x''y' from `t` where a=1--1"
  assert.equal(forwardOf(text), text)
})

test('what is forwarded has the tokens that were analysed and no comment', () => {
  const parts = [
    'a',
    '1',
    "'x'",
    '`n`',
    '/*',
    '*/',
    '/*!50000',
    '/*!99999',
    '/*M!',
    '--',
    '#',
    '\n',
    ' ',
    '-',
    '/',
    '*',
    '!',
    '.',
    '@',
    '(',
    ')',
    ';',
    '"',
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...parts), { maxLength: 24 }), fc.boolean(), (pieces, isMysql) => {
      const rules = isMysql ? MYSQL : MARIADB
      const lexed = lex(pieces.join(''), rules)
      if (!lexed.ok) return
      const again = lex(lexed.text, rules)
      assert.ok(again.ok)
      assert.equal(again.text, lexed.text)
      assert.deepEqual(again.tokens, lexed.tokens)
    }),
    { numRuns: 3000 },
  )
})

test('any text gives tokens or a reason, and the tokens cover all of it but blanks', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
      const lexed = lex(text, MARIADB)
      if (!lexed.ok) return
      let at = 0
      for (const { start, end } of lexed.tokens) {
        assert.match(lexed.text.slice(at, start), /^[\t-\r ]*$/)
        at = end
      }
      assert.equal(at, lexed.text.length)
    }),
    { numRuns: 2000 },
  )
})

test('a text of too many tokens is refused', () => {
  assert.equal(lex('1 '.repeat(TOKENS_MAX + 2), MYSQL).ok, false)
})
