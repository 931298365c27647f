import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { GRAMMAR_MAJORS, loadGrammar } from '../../../src/backends/postgres-grammar.ts'

for (const major of GRAMMAR_MAJORS) {
  const grammar = await loadGrammar(major)
  const parse = (text: string | Buffer) => grammar.parse(Buffer.from(text))

  test(`grammar ${major} gives a tree for each statement`, () => {
    const parsed = parse('select 1; select 2')
    assert.equal(parsed.kind === 'tree' && parsed.statements.length, 2)
  })

  test(`grammar ${major} says where a syntax error is, in characters`, () => {
    assert.deepEqual(parse("select 'é', from"), {
      kind: 'syntax_error',
      message: 'syntax error at or near "from"',
      position: 13,
    })
  })

  test(`grammar ${major} reads no text that a C string cuts short, nor one that is not UTF-8`, () => {
    for (const text of [
      Buffer.from('select 1\0; drop table t'),
      Buffer.from([0x73, 0xff]),
      Buffer.from([0xed, 0xa0, 0x80]),
    ]) {
      assert.equal(parse(text).kind, 'unparsable')
    }
  })

  test(`grammar ${major} refuses a text beyond its bound unread`, () => {
    assert.equal(parse(`select '${'x'.repeat(1024 * 1024)}'`).kind, 'unparsable')
    assert.equal(parse(`select '${'x'.repeat(1000 * 1000)}'`).kind, 'tree')
  })

  test(`grammar ${major} survives texts that overflow its stack`, { timeout: 120_000 }, async () => {
    const poison = `select ${'a+'.repeat(20_000)}a`
    for (let count = 0; count < 100; count += 1) {
      assert.equal(parse(poison).kind, 'unparsable')
      if (count % 2 === 0) await setImmediate()
      const parsed = parse('select a from t')
      // Without a ready parser it refuses; with one it reads as ever.
      if (parsed.kind === 'tree') assert.equal(JSON.stringify(parsed.statements).includes('RangeVar'), true)
    }
    await setImmediate()
    assert.equal(parse('select a from t').kind, 'tree')
  })
}

test('a server major without a grammar is refused', async () => {
  await assert.rejects(loadGrammar(14), RangeError)
  await assert.rejects(loadGrammar(19), RangeError)
})
