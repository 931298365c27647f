/** Big values: judged by what stands before them, then passed on as they come. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from '../../../protocols/errors.ts'
import { Args } from '../../../protocols/redis/args.ts'
import { encodeCommand } from '../../../protocols/redis/frames.ts'
import { COMMANDS, offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { Conversation, poison } from './conversation.ts'
import { command, cut, text } from './wire.ts'

const MB = 1024 * 1024

/** A command whose last argument has `size` bytes, cut behind the first `some` of them. */
function big(line: string, size: number, some: number): { head: Buffer; rest: Buffer } {
  const whole = encodeCommand([...line.split(' '), Buffer.alloc(size, 'v')])
  const at = whole.length - size - 2 + some
  return { head: whole.subarray(0, at), rest: whole.subarray(at) }
}

describe('a big value', () => {
  for (const line of [
    'SET a',
    'APPEND a',
    'SETEX a 60',
    'HSET a f',
    'RPUSH a one',
    'PUBLISH a',
    'XADD a * f',
    'SADD a',
  ]) {
    test(`is passed on as it comes behind ${line}`, () => {
      const it = new Conversation()
      const { head, rest } = big(line, MB, 2000)
      it.session.fromClient(head)
      assert.match(it.session.next()?.text ?? '', /"?v+"?…\(1048576 bytes\)$/)
      assert.deepEqual(it.session.takeForServer(), [])
      it.session.relay()
      assert.equal(it.session.next(), undefined)
      assert.ok(Buffer.concat([...it.session.takeForServer()]).equals(head))
      assert.equal(it.session.idle, false)
      for (const piece of cut(rest, [1, 70_000, 65_536])) {
        it.session.fromClient(piece)
        assert.equal(it.session.next(), undefined)
        assert.ok(Buffer.concat([...it.session.takeForServer()]).equals(piece))
      }
      assert.equal(it.client('PING'), '*1|$4|PING|')
      assert.equal(it.server('+OK|+PONG|'), '+OK|+PONG|')
      assert.deepEqual(
        it.completions().map(({ statementId }) => statementId),
        [1, 2],
      )
    })
  }

  for (const [what, words] of [
    ['with options behind it', ['SET', 'a', Buffer.alloc(MB), 'EX', '10']],
    ['that is a key', ['GET', Buffer.alloc(MB)]],
    ['among keys', ['MSET', 'a', '1', 'b', Buffer.alloc(MB)]],
    ['where options decide', ['ZADD', 'a', '1', Buffer.alloc(MB)]],
    ['where a subcommand may stand', ['ECHO', Buffer.alloc(MB)]],
    ['that is a channel', ['SUBSCRIBE', Buffer.alloc(MB)]],
    ['behind a number of keys', ['EVAL', 'return 1', '1', 'a', Buffer.alloc(MB)]],
    ['of a command that is not known', ['NOSUCH', 'a', Buffer.alloc(MB)]],
  ] as const) {
    test(`${what} is held until the command is whole`, () => {
      const it = new Conversation()
      const bytes = encodeCommand(words)
      it.session.fromClient(bytes.subarray(0, -2))
      assert.equal(it.session.next(), undefined)
      it.session.fromClient(bytes.subarray(-2))
      assert.ok(it.session.next())
    })
  }

  test('that is denied is dropped as it comes, and what follows is in step', () => {
    const it = new Conversation()
    const { head, rest } = big('SET no', MB, 2000)
    assert.equal(it.clientBytes(head), '')
    assert.equal(it.answers, '-NOPERM denied|')
    for (const piece of cut(rest, [5, 65_536])) assert.equal(it.clientBytes(piece), '')
    assert.equal(it.client('PING'), '*1|$4|PING|')
  })
  test('that is denied in a transaction aborts it', () => {
    const it = new Conversation()
    it.client('MULTI')
    const { head, rest } = big('SET no', MB, 2000)
    assert.equal(it.clientBytes(head), text([command(poison(1))]))
    assert.equal(it.clientBytes(rest), '')
    assert.equal(it.client('EXEC'), '*1|$4|EXEC|')
  })
  test('whose end is not where it says breaks the session before the server has seen an end', () => {
    const it = new Conversation()
    const { head, rest } = big('SET a', MB, 2000)
    it.clientBytes(head)
    it.clientBytes(rest.subarray(0, -2))
    it.session.fromClient(Buffer.from('xx'))
    assert.throws(() => it.session.next(), ProtocolError)
    assert.deepEqual(it.session.takeForServer(), [])
  })
  test('is not passed on any further once the session has ended', () => {
    const it = new Conversation()
    const { head, rest } = big('SET a', MB, 2000)
    it.clientBytes(head)
    it.session.end({ kind: 'revoked', message: 'revoked' })
    it.session.fromClient(rest)
    assert.equal(it.session.next(), undefined)
    assert.deepEqual(it.session.takeForServer(), [])
  })
  test('may have 512 MiB and not a byte more; what is held, 64 MiB', () => {
    const header = (words: string, size: number) => {
      const it = new Conversation()
      const list = words.split(' ')
      const head = encodeCommand(list).subarray(4)
      it.session.fromClient(
        Buffer.concat([Buffer.from(`*${list.length + 1}\r\n`), head, Buffer.from(`$${size}\r\n`)]),
      )
      return it.session.next()
    }
    assert.equal(header('SET a', 512 * MB), undefined)
    assert.throws(() => header('SET a', 512 * MB + 1), /invalid bulk length/)
    assert.equal(header('MGET a', 32 * MB), undefined)
    assert.throws(() => header('MGET a', 64 * MB), /invalid bulk length/)
  })
})

test('however the stream is cut, the server gets every allowed command whole and nothing of the others', () => {
  const one = fc.record({
    name: fc.constantFrom('SET a', 'SET no', 'HSET a f', 'GET', 'APPEND no', 'PUBLISH a'),
    size: fc.constantFrom(3, 65_535, 65_536, 70_000),
  })
  fc.assert(
    fc.property(
      fc.array(one, { minLength: 1, maxLength: 4 }),
      fc.array(fc.constantFrom(1, 2, 30, 1000, 1024, 65_000, 65_536), { maxLength: 30 }),
      (commands, sizes) => {
        const it = new Conversation()
        const wire = commands.map(({ name, size }) =>
          encodeCommand([...name.split(' '), Buffer.alloc(size, 'v')]),
        )
        const got: Buffer[] = []
        for (const piece of cut(Buffer.concat(wire), sizes)) {
          it.session.fromClient(piece)
          it.judge()
          got.push(...it.session.takeForServer())
        }
        const allowed = wire.filter((_, i) => !commands[i]?.name.endsWith('no'))
        assert.ok(Buffer.concat(got).equals(Buffer.concat(allowed)))
      },
    ),
    { numRuns: 200 },
  )
})

test('a command that is judged without its last argument is judged alike whatever that is', () => {
  const analyser = new RedisAnalyser(offlineCatalog())
  const word = fc.oneof(
    fc.nat(3).map(String),
    fc.constantFrom(
      'a',
      'b',
      'NX',
      'GET',
      'STORE',
      'STREAMS',
      'MATCH',
      'BY',
      'KEYS',
      'DB',
      'AUTH',
      'LIMIT',
      '*',
    ),
    fc.string({ maxLength: 4 }),
  )
  let ignored = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...COMMANDS.keys()),
      fc.array(word, { maxLength: 7 }),
      fc.array(word, { minLength: 2, maxLength: 6 }),
      (name, some, lasts) => {
        const words = [...name.split('|'), ...some]
        if (!analyser.ignoresNext(Args.of(words))) return
        ignored += 1
        const analyses = lasts.map((last) => analyser.read(Args.of([...words, last])))
        for (const analysis of analyses) assert.deepEqual(analysis, analyses[0])
      },
    ),
    { numRuns: 20_000 },
  )
  assert.ok(ignored > 2_000, `${ignored} were judged without it`)
})
