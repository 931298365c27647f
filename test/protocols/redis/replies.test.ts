import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from '../../../protocols/errors.ts'
import { Inbox } from '../../../protocols/inbox.ts'
import { ReplyScanner } from '../../../protocols/redis/replies.ts'
import { cut, raw } from './wire.ts'

/** The long form, by hand: `BULKHEAD_FUZZ_RUNS=1000000 npm run test:one -- test/protocols/redis/replies.test.ts`. */
const FUZZ_RUNS = Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 2_000)

/** Each reply whole, in the order found; an error's sentence at the end where there was one. */
function scan(pieces: readonly Buffer[]): string[] {
  const inbox = new Inbox()
  const scanner = new ReplyScanner(inbox)
  const found: string[] = []
  let under: Buffer[] = []
  let inReply = false
  const take = () => {
    under.push(inbox.take(scanner.at))
    scanner.at = 0
  }
  try {
    for (const piece of pieces) {
      inbox.push(piece)
      for (;;) {
        if (!inReply && (inbox.length === 0 || !scanner.begin())) break
        inReply = true
        const walked = scanner.walk()
        if (walked === 'redirection') {
          scanner.skipLine()
          continue
        }
        take()
        if (walked === 'more') break
        inReply = false
        found.push(Buffer.concat(under).toString('latin1'))
        under = []
      }
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    assert.equal(error.side, 'server')
    found.push(error.message)
  }
  return found
}

const line = fc.string({ maxLength: 12 }).map((text) => text.replaceAll(/[\r\n]/g, ''))
const bulk = fc.uint8Array({ maxLength: 60 }).map((bytes) => {
  const body = Buffer.from(bytes).toString('latin1')
  return `$${body.length}\r\n${body}\r\n`
})
const leaf = fc.oneof(
  line.map((text) => `+${text}\r\n`),
  line.map((text) => `-ERR ${text}\r\n`),
  fc.integer().map((n) => `:${n}\r\n`),
  bulk,
  fc.constantFrom(
    '$-1\r\n',
    '*-1\r\n',
    '_\r\n',
    '#t\r\n',
    ',1.5\r\n',
    ',inf\r\n',
    '(12345678901234567890\r\n',
  ),
  fc.constant('=7\r\ntxt:abc\r\n'),
)
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }).map((all) => `*${all.length}\r\n${all.join('')}`),
    fc.array(tie('value'), { maxLength: 4 }).map((all) => `~${all.length}\r\n${all.join('')}`),
    fc
      .array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 })
      .map((all) => `%${all.length}\r\n${all.flat().join('')}`),
  ),
}))
const reply = fc.oneof(
  value,
  fc.array(value, { minLength: 1, maxLength: 3 }).map((all) => `>${all.length}\r\n${all.join('')}`),
)

test('replies are told apart however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(reply, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 })),
      (all, sizes) => {
        const bytes = Buffer.from(all.join(''), 'latin1')
        assert.deepEqual(scan([bytes]), all)
        assert.deepEqual(scan(cut(bytes, sizes)), all)
      },
    ),
    { numRuns: 1000 },
  )
})

test('a reply of a hundred thousand levels needs no stack', () => {
  const deep = '*1\r\n'.repeat(100_000)
  assert.deepEqual(scan([Buffer.from(`${deep}:1\r\n`)]), [`${deep}:1\r\n`])
})

for (const [when, bytes] of [
  ['a type that is not known', '?1|'],
  ['an attribute', '|1|'.replace('|', '\x7c')],
  ['a streamed string', '$?|'],
  ['a streamed array', '*?|'],
  ['a blob error', '!5|ERR x|'],
  ['a length that is not a number', '$1a|'],
  ['a length below -1', '$-2|'],
  ['a line without CR', '+OK\n'],
  ['a string longer than it says', '$2|abc|'],
  ['a push inside a reply', '*1|>1|:1|'],
  ['an array of more elements than memory', '*99999999999|'],
  ['a line without an end', `+${'a'.repeat(70_000)}`],
] as const) {
  test(`${when} ends the connection`, () => {
    const found = scan([raw(bytes)])
    assert.equal(found.length, 1)
    assert.match(found[0] ?? '', /^a /)
  })
}

const RESP_BYTES = [...'+-:$*_#,(=%~>0123456789\r\n\r\n\r\n\r\nab'].map((char) => char.charCodeAt(0))

test('random bytes give replies or a ProtocolError, however they are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...RESP_BYTES), { maxLength: 120 }),
      fc.array(fc.integer({ min: 1, max: 9 })),
      (codes, sizes) => {
        const bytes = Buffer.from(codes)
        assert.deepEqual(scan(cut(bytes, sizes)), scan([bytes]))
      },
    ),
    { numRuns: FUZZ_RUNS },
  )
})
