import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from '../../../protocols/errors.ts'
import { Inbox } from '../../../protocols/inbox.ts'
import {
  encodeCommand,
  LIMITS,
  LIMITS_BEFORE_LOGIN,
  type RequestLimits,
  RequestScanner,
} from '../../../protocols/redis/frames.ts'
import { cut, raw, words } from './wire.ts'

/** The long form, by hand: `BULKHEAD_FUZZ_RUNS=1000000 npm run test:one -- test/protocols/redis/frames.test.ts`. */
const FUZZ_RUNS = Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 2_000)

/** Every command in the pieces, or the sentence of the error that ended the stream. */
function scan(pieces: readonly Buffer[], limits: RequestLimits = LIMITS): (string[] | string)[] {
  const inbox = new Inbox()
  const scanner = new RequestScanner(inbox, limits)
  const found: (string[] | string)[] = []
  try {
    for (const piece of pieces) {
      inbox.push(piece)
      while (scanner.next()) {
        found.push(words(scanner.args))
        inbox.skip(scanner.size)
      }
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    found.push(error.message)
  }
  return found
}

const CASES: { when: string; bytes: string; gives: (string[] | string)[] }[] = [
  { when: 'an array of bulk strings', bytes: '*2|$3|GET|$1|k|', gives: [['GET', 'k']] },
  { when: 'several commands', bytes: '*1|$4|PING|*1|$4|PING|', gives: [['PING'], ['PING']] },
  { when: 'an empty argument', bytes: '*2|$3|GET|$0||', gives: [['GET', '']] },
  { when: 'line ends inside an argument', bytes: '*2|$3|GET|$4|a|b|', gives: [['GET', 'a\r\nb']] },
  { when: 'empty commands, which no server answers', bytes: '*0|*-1|*-10|||*1|$4|PING|', gives: [['PING']] },
  { when: 'an inline command', bytes: 'GET  k|', gives: [['GET', 'k']] },
  { when: 'an inline command with a lone LF', bytes: 'PING\n', gives: [['PING']] },
  {
    when: 'a leading zero in the number of arguments',
    bytes: '*01|$4|PING|',
    gives: ['invalid multibulk length'],
  },
  { when: 'a plus sign', bytes: '*+1|$4|PING|', gives: ['invalid multibulk length'] },
  { when: 'a space in a length', bytes: '*1|$ 4|PING|', gives: ['invalid bulk length'] },
  { when: 'minus zero', bytes: '*-0|', gives: ['invalid multibulk length'] },
  { when: 'a leading zero in a length', bytes: '*1|$04|PING|', gives: ['invalid bulk length'] },
  { when: 'a null argument', bytes: '*1|$-1|', gives: ['invalid bulk length'] },
  { when: 'no length', bytes: '*1|$|PING|', gives: ['invalid bulk length'] },
  { when: 'CR without LF behind a count', bytes: '*1\rX$4|PING|', gives: ['invalid CRLF in request'] },
  { when: 'a lone LF behind a length', bytes: '*1|$4\nPING|', gives: ['invalid bulk length'] },
  { when: 'CR without LF behind a length', bytes: '*1|$4\rXPING|', gives: ['invalid CRLF in request'] },
  { when: 'an argument longer than it says', bytes: '*1|$4|PINGS|', gives: ['invalid CRLF in request'] },
  { when: 'a nested array', bytes: '*1|*1|$4|PING|', gives: ["expected '$', got '*'"] },
  { when: 'an integer as an argument', bytes: '*2|$3|GET|:1|', gives: ["expected '$', got ':'"] },
  { when: 'a million and one arguments', bytes: '*1048577|', gives: ['invalid multibulk length'] },
  { when: 'an argument of a gigabyte', bytes: '*1|$1073741824|', gives: ['invalid bulk length'] },
  { when: 'a length of many digits', bytes: '*1|$99999999999999999999|', gives: ['invalid bulk length'] },
  { when: 'an endless number', bytes: `*${'1'.repeat(40)}`, gives: ['invalid multibulk length'] },
  { when: 'quotes inline', bytes: 'GET "a b"|', gives: ['an inline command with quotes or escapes'] },
  { when: 'single quotes inline', bytes: "GET 'a'|", gives: ['an inline command with quotes or escapes'] },
  { when: 'an escape inline', bytes: 'GET \\x41|', gives: ['an inline command with quotes or escapes'] },
  { when: 'a quote inline that does not close', bytes: 'SET k "v|', gives: ['unbalanced quotes in request'] },
  { when: 'a quote that closes too soon', bytes: 'SET k "v"w|', gives: ['unbalanced quotes in request'] },
  { when: 'a quote in an endless line', bytes: `"${'a'.repeat(5000)}`, gives: ['too big inline request'] },
  {
    when: 'a NUL inline',
    bytes: 'GET a\0b|',
    gives: ['an inline command with bytes that are not printable'],
  },
  { when: 'a tab inline', bytes: 'GET\ta|', gives: ['an inline command with bytes that are not printable'] },
  {
    when: 'two CRs at the end of a line',
    bytes: 'GET \r|',
    gives: ['an inline command with bytes that are not printable'],
  },
  { when: 'an HTTP request', bytes: 'POST / HTTP/1.1|', gives: ['possible cross-protocol request'] },
  { when: 'an HTTP header', bytes: 'Host: localhost|', gives: ['possible cross-protocol request'] },
  { when: 'an endless line', bytes: 'a'.repeat(5000), gives: ['too big inline request'] },
]

for (const { when, bytes, gives } of CASES) {
  test(`${when}: ${typeof gives[0] === 'string' ? 'refused' : 'read'}`, () => {
    assert.deepEqual(scan([raw(bytes)]), gives)
    assert.deepEqual(scan(cut(raw(bytes), new Array(bytes.length * 2).fill(1))), gives, 'byte by byte')
  })
}

test('a stranger may send ten arguments of 16 KiB, as to the server', () => {
  const ten = encodeCommand(new Array(10).fill('x'))
  assert.equal(scan([ten], LIMITS_BEFORE_LOGIN).length, 1)
  assert.deepEqual(scan([raw('*11|')], LIMITS_BEFORE_LOGIN), ['unauthenticated multibulk length'])
  assert.deepEqual(scan([raw('*1|$16385|')], LIMITS_BEFORE_LOGIN), ['unauthenticated bulk length'])
})

test('a command of more than 64 MiB in all is refused at the header of the argument that makes it too big', () => {
  const half = Buffer.alloc(33 * 1024 * 1024, 0x61)
  const head = Buffer.from(`*3\r\n$3\r\nSET\r\n$${half.length}\r\n`)
  assert.deepEqual(scan([head, half, Buffer.from(`\r\n$${half.length}\r\n`)]), ['invalid bulk length'])
})

test('a big argument in many pieces is copied a bounded number of times', () => {
  const inbox = new Inbox()
  const scanner = new RequestScanner(inbox, LIMITS)
  const value = Buffer.alloc(16 * 1024 * 1024, 0x62)
  const buffers = new Set<ArrayBufferLike>()
  for (const piece of cut(encodeCommand(['SET', 'k', value]), new Array(300).fill(65_536))) {
    inbox.push(piece)
    if (scanner.next()) break
    buffers.add(inbox.buffer.buffer)
  }
  assert.equal(scanner.args.size(2), value.length)
  assert.ok(buffers.size < 12, `${buffers.size} buffers`)
})

const someArgument = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom('GET', '', '\r\n', '*1\r\n', '$-1'),
)
const someCommand = fc.array(someArgument, { minLength: 1, maxLength: 8 })

test('any cutting of the stream gives the same commands', () => {
  fc.assert(
    fc.property(
      fc.array(someCommand, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 30 })),
      (all, sizes) => {
        const bytes = Buffer.concat(all.map(encodeCommand))
        const expected = all.map((one) => one.map((word) => Buffer.from(word).toString('latin1')))
        assert.deepEqual(scan([bytes]), expected)
        assert.deepEqual(scan(cut(bytes, sizes)), expected)
      },
    ),
  )
})

const RESP_BYTES = [...'*$-+:0123456789\r\n\r\n\r\naG "\\\0'].map((char) => char.charCodeAt(0))

test('random bytes give commands or a ProtocolError, however they are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...RESP_BYTES), fc.integer({ min: 0, max: 255 })), {
        maxLength: 200,
      }),
      fc.array(fc.integer({ min: 1, max: 9 })),
      (codes, sizes) => {
        const bytes = Buffer.from(codes)
        assert.deepEqual(scan(cut(bytes, sizes)), scan([bytes]))
      },
    ),
    { numRuns: FUZZ_RUNS },
  )
})
