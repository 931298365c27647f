/** Properties of a session that hold for any messages, however the bytes are cut and whoever speaks first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from '../../../protocols/errors.ts'
import { CLIENT, frame } from '../../../protocols/postgres/frames.ts'
import { bind, close, describe, execute, flush, parse, query, server, serverText, sync } from './messages.ts'
import { ModelServer } from './model-server.ts'
import { DENIAL, Fixture } from './session-fixture.ts'

/** Run with more by `BULKHEAD_FUZZ_RUNS=100000`. */
const RUNS = Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 1_000)

const long = 'n'.repeat(63)
const statementName = fc.constantFrom('', 's', 't', `${long}1`, `${long}2`)
const portalName = fc.constantFrom('', 'p', 'q')
const extendedText = fc.constantFrom(
  'select from a',
  'select from b',
  'select from c',
  'fail',
  'refused',
  'begin',
  'commit',
  'rollback',
  'prepare s as select from d',
  'deallocate s',
)
const simpleText = fc.oneof(
  extendedText,
  fc.constantFrom(
    'execute s',
    'execute t',
    '',
    'select from a; fail; select from b',
    'prepare t as select from e; fail',
  ),
)

const message = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(extendedText, statementName).map(([text, name]) => parse(text, name)) },
  { weight: 4, arbitrary: fc.tuple(statementName, portalName).map(([name, portal]) => bind(name, portal)) },
  { weight: 4, arbitrary: portalName.map((portal) => execute(portal)) },
  { weight: 3, arbitrary: simpleText.map(query) },
  { weight: 3, arbitrary: fc.constant(sync) },
  { weight: 1, arbitrary: fc.constant(flush) },
  { weight: 1, arbitrary: statementName.map((name) => describe('S', name)) },
  { weight: 1, arbitrary: portalName.map((name) => describe('P', name)) },
  { weight: 1, arbitrary: statementName.map((name) => close('S', name)) },
  { weight: 1, arbitrary: portalName.map((name) => close('P', name)) },
)

/** Who moves next, and by how many bytes. */
const schedule = fc.array(
  fc.tuple(fc.constantFrom('client', 'server', 'replies'), fc.integer({ min: 1, max: 80 })),
  { minLength: 1, maxLength: 200 },
)

test('no schedule and no cut of the bytes lets the client see anything but the server', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 30 }), schedule, (messages, moves) => {
      const bytes = Buffer.concat([...messages, sync, query('rollback')])
      const native = new ModelServer()
      native.receive(bytes)
      while (native.step()) {
        // To the end.
      }
      const proxied = converse(bytes, moves)
      assert.equal(serverText(proxied.toClient), serverText(native.take()))
      assert.deepEqual(proxied.server.ran, native.ran, 'the same ran, in the same order')
      assert.equal(
        proxied.server.seen.some((text) => text.includes('refused')),
        false,
      )
      assert.equal(proxied.fixture.session.idle, true)
    }),
    { numRuns: RUNS },
  )
})

test('what runs under a name was judged with the text that runs', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 30 }), schedule, (messages, moves) => {
      const { fixture, server: model } = converse(Buffer.concat([...messages, sync]), moves)
      // Each thing that ran was asked about just so, in the same order: skipped ones may lie between.
      const judged = fixture.statements.filter(({ prepares }) => prepares !== true)
      let at = 0
      for (const text of model.ran) {
        while (at < judged.length && !covers(judged[at]?.text ?? '', judged[at]?.analysis, text)) at += 1
        assert.ok(at < judged.length, `\`${text}\` ran and was not judged in its place`)
      }
    }),
    { numRuns: RUNS },
  )
})

function covers(text: string, analysis: unknown, ran: string): boolean {
  const table = /^select from (\w+)/.exec(ran)?.[1]
  const isNamed = table === undefined || JSON.stringify(analysis).includes(`"${table}"`)
  // What EXECUTE ran was asked about by its accesses only.
  return isNamed && (text.startsWith('execute') || text.split(';').some((part) => part.trim().endsWith(ran)))
}

type Conversation = { readonly toClient: Buffer; readonly server: ModelServer; readonly fixture: Fixture }

function converse(
  bytes: Buffer,
  moves: readonly (readonly ['client' | 'server' | 'replies', number])[],
): Conversation {
  const fixture = new Fixture()
  const model = new ModelServer()
  let unsent = bytes
  let given = 0
  let replies = Buffer.alloc(0)
  const move = (who: 'client' | 'server' | 'replies', size: number): void => {
    if (who === 'client') {
      fixture.session.fromClient(unsent.subarray(0, size))
      unsent = unsent.subarray(size)
    } else if (who === 'server') {
      model.step()
      replies = Buffer.concat([replies, model.take()])
    } else {
      fixture.session.fromServer(replies.subarray(0, size))
      replies = replies.subarray(size)
    }
    fixture.settle()
    model.receive(fixture.toServer.subarray(given))
    given = fixture.toServer.length
  }
  const progress = (): number => fixture.toServer.length + fixture.toClient.length
  for (const [who, size] of moves) move(who, size)
  // Then to the end: until a whole round changes nothing.
  for (let before = -1; before !== progress(); ) {
    before = progress()
    move('client', bytes.length)
    for (let step = 0; step < 50; step += 1) move('server', 0)
    move('replies', 1_000_000)
  }
  return { toClient: fixture.toClient, server: model, fixture }
}

test('any bytes from either side give a result or a ProtocolError', () => {
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    // A plausible frame: a type of either side, any length, any body.
    fc
      .tuple(
        fc.constantFrom(...'QPBEDCHSXFdcf123AGIKNRTVWZnstv'),
        fc.oneof(fc.integer({ min: -3, max: 40 }), fc.constantFrom(0x7fff_ffff, -1, 1_048_577, 10_001)),
        fc.uint8Array({ maxLength: 40 }),
      )
      .map(([type, length, body]) => {
        const head = Buffer.alloc(5)
        head.write(type)
        head.writeInt32BE(length, 1)
        return Buffer.concat([head, body])
      }),
    message,
    fc.constantFrom(
      server.parseComplete,
      server.bindComplete,
      server.ready('I'),
      server.error('42601', 'x'),
      server.copyIn,
    ),
    fc.uint8Array({ maxLength: 30 }).map((body) => frame(CLIENT.parse, Buffer.from(body))),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), chunk), { maxLength: 20 }), (chunks) => {
      const fixture = new Fixture(({ id }) => (id % 2 === 0 ? DENIAL : undefined))
      // A statement that was refused for its form may not be relayed, which the judge below respects.
      const { session } = fixture
      try {
        for (const [isClient, bytes] of chunks) {
          if (isClient) session.fromClient(bytes)
          else session.fromServer(bytes)
          for (let statement = session.next(); statement !== undefined; statement = session.next()) {
            if (statement.analysis.outcome === 'accesses' && statement.id % 2 === 0) session.relay()
            else session.reject(DENIAL)
          }
          while (session.completion() !== undefined) {
            // Nothing to check but that it ends.
          }
          fixture.collect()
        }
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error))
        session.end({ kind: 'protocol_error', message: error.message })
        fixture.collect()
      }
    }),
    { numRuns: RUNS * 2 },
  )
})

test('streamed rows come out byte for byte, however they are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 50 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      (rows, cuts) => {
        const fixture = new Fixture()
        fixture.client(query('select'))
        const bytes = Buffer.concat([
          server.rowDescription,
          ...rows.flatMap((row) => [server.row(row), server.notice('n')]),
          server.complete(`SELECT ${rows.length}`),
          server.ready('I'),
        ])
        for (let at = 0, cut = 0; at < bytes.length; cut += 1) {
          const size = cuts[cut % cuts.length] ?? 1
          fixture.session.fromServer(bytes.subarray(at, at + size))
          fixture.settle()
          at += size
        }
        assert.deepEqual(fixture.toClient, bytes)
        assert.equal(fixture.completions[0]?.rows, rows.length)
      },
    ),
    { numRuns: Math.min(RUNS, 500) },
  )
})
