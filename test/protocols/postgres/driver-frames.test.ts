/** A driver that believes a server is given nothing that it could stumble over. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'pg-protocol'
import { ProtocolError } from '../../../protocols/errors.ts'
import { DriverFrames } from '../../../protocols/postgres/driver-frames.ts'
import { frame, int32, SERVER } from '../../../protocols/postgres/frames.ts'

const READY = frame(SERVER.readyForQuery, 'I')
const ERROR = frame(SERVER.errorResponse, 'SFATAL\0C28P01\0Mno\0\0')

test('whole frames pass as they are, however they were cut', () => {
  const all = Buffer.concat([ERROR, READY, frame(SERVER.parameterStatus, 'a\0b\0'), READY])
  for (const cut of all.keys()) {
    const frames = new DriverFrames(false)
    const given = [frames.take(all.subarray(0, cut)), frames.take(all.subarray(cut))]
    assert.deepEqual(Buffer.concat(given), all)
  }
})

test('a frame is given when its last byte is there, and not before', () => {
  const frames = new DriverFrames(false)
  assert.equal(frames.take(READY.subarray(0, 5)).length, 0)
  assert.deepEqual(frames.take(READY.subarray(5)), READY)
})

const refused: Readonly<Record<string, Buffer>> = {
  'an error whose fields do not end': frame(SERVER.errorResponse, 'SABC'),
  'an error whose last field ends and which does not': frame(SERVER.errorResponse, 'SABC\0'),
  'an empty error': frame(SERVER.errorResponse),
  'an error of one field without a value': frame(SERVER.errorResponse, 'S'),
  'a notice with more behind its end': frame(SERVER.noticeResponse, 'SABC\0\0x'),
  'a length that does not count itself': Buffer.from([SERVER.dataRow, 0, 0, 0, 3]),
  'a length of four gigabytes': Buffer.from([SERVER.dataRow, 0xff, 0xff, 0xff, 0xff]),
  'a cleartext password without TLS': frame(SERVER.authentication, int32(3)),
}
for (const [what, bytes] of Object.entries(refused)) {
  test(`${what} is refused`, () => {
    assert.throws(() => new DriverFrames(false).take(bytes), ProtocolError)
  })
}

test('a cleartext password passes where the path is safe', () => {
  const bytes = frame(SERVER.authentication, int32(3))
  assert.deepEqual(new DriverFrames(true).take(bytes), bytes)
})

test('whatever a server sends, the driver comes to an end with what it is given', () => {
  const type = fc.constantFrom(...Object.values(SERVER))
  const sent = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(type, fc.uint8Array({ maxLength: 30 })).map(([one, body]) => frame(one, Buffer.from(body))),
  )
  fc.assert(
    fc.property(fc.array(sent, { maxLength: 8 }), (chunks) => {
      const frames = new DriverFrames(true)
      const stream = new PassThrough()
      parse(stream, () => undefined)
      for (const chunk of chunks) {
        try {
          const whole = frames.take(chunk)
          // What the driver throws ends its connection. That it would never stop is what is looked for here.
          if (whole.length > 0) stream.emit('data', whole)
        } catch {
          return
        }
      }
    }),
    { numRuns: 5_000 },
  )
})
