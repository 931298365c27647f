import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MysqlAnalyser } from '../../../../protocols/mysql/analyser.ts'
import { catalogOf } from '../../../evasion/mysql/database.ts'
import { HIDES } from '../../../evasion/mysql/hides.ts'
import { Generator } from '../../../oracle/mysql/generate.ts'

const analysers = {
  mysql: new MysqlAnalyser(catalogOf('mysql')),
  mariadb: new MysqlAnalyser(catalogOf('mariadb')),
}

const shapes: readonly (readonly [text: string, shape: string, only?: 'mysql' | 'mariadb'])[] = [
  ["select * from t where a = 'x' and b = 1.5e3", 'select * from t where a = ? and b = ?'],
  ['insert into t (a, b) values (1, "two"), (-3, null)', 'insert into t (a, b) values (?, ?), (-?, null)'],
  ['select `a b`.`c` as \'alias\', "x", true from `a b`', 'select `a b`.`c` as ?, ?, true from `a b`'],
  ["select x'4142', 0x4142, b'01', 0b01, N'x', _utf8mb4'x', _latin1 0x41", 'select ?, ?, ?, ?, ?, ?, ?'],
  ["select 'it''s', 'a\\'b', 'a' 'b', date '2026-01-02'", 'select ?, ?, ? ?, date ?'],
  ['select /* secret */ 1 -- secret\n, 2 # secret', 'select ? , ?'],
  ['select  1\n\tfrom\r\n t', 'select ? from t'],
  ["select @a, @'secret', @@session.sql_mode, ?", 'select @a, ?, @@session.sql_mode, ?'],
  ["set password = 'secret'", 'set password = ?'],
  ["create user 'a'@'h' identified by 'secret'", 'create user ?? identified by ?'],
  ["prepare s from 'select 1'", 'prepare s from ?'],
  ['select \\N', 'select ?', 'mariadb'],
  ["select 1--_utf8'x'", 'select ?--?'],
  ["select 1 /*!50000 + 'secret' */", 'select ? + ?'],
  ["select 1 /*M!100000 + 'secret' */", 'select ? + ?', 'mariadb'],
  ["select 1 /*M!100000 + 'secret' */", 'select ?', 'mysql'],
  ["COM_STMT_FETCH: select 'x'", 'COM_STMT_FETCH: select ?'],
  ['COM_INIT_DB crm', 'COM_INIT_DB crm'],
  ["select 'without an end", '?'],
  ['select $$secret$$', '?'],
  ['select 1; select 2', 'select ?; select ?'],
  ['', ''],
]

for (const [text, shape, only] of shapes) {
  for (const flavour of ['mysql', 'mariadb'] as const) {
    if (only !== undefined && only !== flavour) continue
    test(`${flavour}: the shape of ${JSON.stringify(text)} is ${shape}`, () => {
      assert.equal(analysers[flavour].redact(text), shape)
    })
  }
}

/** A literal that occurs nowhere else, in each way of writing one; with a blank where it would be part of a word before. */
const literal = fc.constantFrom(
  "'zqx7'",
  '"zqx7"',
  " N'zqx7'",
  " _utf8mb4'zqx7'",
  " _binary 'zqx7'",
  "'a\\'zqx7'",
  "'a''zqx7'",
  "@'zqx7'",
  " x'7a717837'",
  ' 0x7a717837',
  " b'0111101001110001'",
  ' 7577377',
  ' 7577377.7577377',
  ' .7577377e7',
)
const DATA = /zqx7|7a717837|0111101001110001|7577377/

test('no literal of a statement is in its shape, and the shape of a shape is itself', () => {
  const piece = fc.oneof(
    literal,
    fc.constantFrom(
      'select',
      'from',
      '`t`',
      'a',
      '(',
      ')',
      ',',
      '=',
      '-',
      '--1',
      '/',
      '*',
      ';',
      'as',
      'x',
      'n',
    ),
    fc.constantFrom(' ', ' ', '\n', '/* zqx7 */', '/*! 1 */', '-- zqx7\n', '# zqx7\n', '/*!99999 zqx7 */'),
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(piece, fc.constantFrom('', ' '))),
      fc.constantFrom('mysql' as const, 'mariadb' as const),
      (pieces, flavour) => {
        const analyser = analysers[flavour]
        const shape = analyser.redact(pieces.flat().join(''))
        // The one comment of these that a server could run holds words, which are names.
        if (!pieces.some(([text]) => text.startsWith('/*!99999'))) assert.doesNotMatch(shape, DATA)
        assert.equal(analyser.redact(shape), shape)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('nothing that is written can make it throw, and the shape of a shape is itself', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constantFrom(...HIDES.flatMap(({ statements }) => statements)),
  )
  fc.assert(
    fc.property(texts, fc.constantFrom('mysql' as const, 'mariadb' as const), (text, flavour) => {
      const shape = analysers[flavour].redact(text)
      assert.equal(analysers[flavour].redact(shape), shape)
    }),
    { numRuns: 2_000 },
  )
})

test('statements of every production have one shape whatever their literals are', () => {
  for (const flavour of ['mysql', 'mariadb'] as const) {
    const generator = new Generator(7)
    for (let index = 0; index < 300; index += 1) {
      const shape = analysers[flavour].redact(generator.statement())
      assert.doesNotMatch(shape.replaceAll(/`[^`]*`/g, ''), /['"]|(?<![\w$])\d/, shape)
      assert.equal(analysers[flavour].redact(shape), shape)
    }
  }
})
