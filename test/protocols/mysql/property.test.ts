/**
 * Properties of the wire: how a stream was cut never matters, and no bytes of either side lead to anything but a result
 * or a `ProtocolError`. `BULKHEAD_FUZZ_RUNS` sets how many cases each property tries.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from '../../../protocols/errors.ts'
import { MysqlAgentLogin } from '../../../protocols/mysql/agent-login.ts'
import { MysqlBackendLogin } from '../../../protocols/mysql/backend-login.ts'
import { CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { packet } from '../../../protocols/mysql/frames.ts'
import { clientCharacters } from '../../../protocols/mysql/pin.ts'
import {
  CLASSIC,
  type Conversation,
  fixedRandom,
  handshakeResponse,
  MODERN,
  openConversation,
  serverGreeting,
} from './conversation.ts'
import { KnownTexts } from './known-texts.ts'
import {
  command,
  err,
  execute,
  ok,
  packets,
  prepare,
  prepared,
  query,
  result,
  split,
  uint32,
} from './packets.ts'

const numRuns = Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 400)

/** Feeds `bytes` in pieces whose sizes come from `cuts`, in turn. */
function inPieces(bytes: Buffer, cuts: readonly number[], feed: (piece: Buffer) => void): void {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = cuts.length === 0 ? bytes.length : Math.max(1, cuts[turn % cuts.length] ?? 1)
    // A copy: no reader may rely on what lies around a piece.
    feed(Buffer.from(bytes.subarray(at, at + size)))
    at += size
  }
}

/** What a server of the tests says to a command; the same for the same command. */
function answerTo(body: Buffer, deprecateEof: boolean): Buffer | undefined {
  const rows = Array.from({ length: body.length % 4 }, (_, index) => [`row ${index}`])
  switch (body[0]) {
    case 3:
      if (body.includes('SET ')) return packets(1, ok())
      return body.length % 5 === 0 ? packets(1, err(1146, 'no such table')) : result({ rows, deprecateEof })
    case 22:
      return prepared(1 + (body.length % 3), { parameters: body.length % 2, columns: 1, deprecateEof })
    case 23:
      return result({ rows, deprecateEof, columns: 1 + (body.length % 3) })
    case 24:
    case 25:
    case 1:
      return undefined
    case 28:
      return packets(1, Buffer.of(0, 0), deprecateEof ? ok({ header: 0xfe }) : Buffer.of(0xfe, 0, 0, 2, 0))
    default:
      return packets(1, ok({ status: 2, ...(body.length % 2 === 0 && { variables: { autocommit: 'ON' } }) }))
  }
}

/** Plays a whole conversation and gives what each side saw. */
function play(
  stream: Buffer,
  options: {
    readonly flags: number
    readonly clientCuts: readonly number[]
    readonly serverCuts: readonly number[]
  },
): { client: string; server: string; statements: string[]; completions: unknown[] } {
  const talk = openConversation({ flags: options.flags })
  const seen = { client: [] as Buffer[], server: [] as Buffer[] }
  const completions: unknown[] = []
  let unanswered = Buffer.alloc(0)
  const serve = (): void => {
    seen.client.push(talk.toClient())
    for (let sent = talk.toServer(); sent.length > 0; sent = talk.toServer()) {
      seen.server.push(sent)
      unanswered = Buffer.concat([unanswered, sent])
      for (let whole = wholePacket(unanswered); whole !== undefined; whole = wholePacket(unanswered)) {
        unanswered = unanswered.subarray(4 + whole.length)
        const answer = answerTo(whole, (options.flags & CLIENT.DEPRECATE_EOF) !== 0)
        if (answer !== undefined) inPieces(answer, options.serverCuts, (piece) => talk.server(piece))
        seen.client.push(talk.toClient())
      }
    }
    for (let done = talk.session.completion(); done !== undefined; done = talk.session.completion()) {
      completions.push(done)
    }
  }
  inPieces(stream, options.clientCuts, (piece) => {
    talk.client(piece)
    serve()
  })
  return {
    client: Buffer.concat(seen.client).toString('hex'),
    server: Buffer.concat(seen.server).toString('hex'),
    statements: talk.statements.map(({ id, text, analysis }) => `${id} ${text} ${analysis.outcome}`),
    completions,
  }
}

function wholePacket(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 4) return undefined
  const end = 4 + bytes.readUIntLE(0, 3)
  return bytes.length < end ? undefined : bytes.subarray(4, end)
}

const statementId = fc.integer({ min: 1, max: 4 })
const anyCommand = fc.oneof(
  fc
    .constantFrom(
      'select 1',
      'select 1 from orders',
      'select 1 from secret',
      'gibberish',
      'select /*x*/ 2',
      'call p',
    )
    .map(query),
  fc.constantFrom('prepare s from orders', 'execute s', 'deallocate s', 'prepare s from secret').map(query),
  fc.constantFrom('select ? from orders', 'select 1 from secrets', 'select 22').map(prepare),
  fc
    .tuple(statementId, fc.nat({ max: 1 }), fc.uint8Array({ maxLength: 40 }))
    .map(([id, flags, more]) => execute(id, flags, Buffer.from(more))),
  fc.constant(execute(0xffffffff)),
  fc.tuple(fc.constantFrom(25, 26), statementId).map(([code, id]) => command(code, uint32(id))),
  statementId.map((id) => command(28, uint32(id), uint32(5))),
  statementId.map((id) => command(24, uint32(id), Buffer.of(0, 0), 'long data')),
  fc.constantFrom(
    command(14),
    command(31),
    command(2, 'crm'),
    command(2, 'other'),
    command(9),
    command(27, '\0\0'),
  ),
)
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 })
const flags = fc.constantFrom(CLASSIC, MODERN, MODERN | CLIENT.SESSION_TRACK)

/** Runs it and gives what it threw, which may only be a ProtocolError. */
function survives(work: () => void): void {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof ProtocolError, error instanceof Error ? error.stack : String(error))
  }
}

/** INVARIANT: whatever a client sends, the server sees only commands that are served, with texts that were granted. */
function assertNothingLeaked(sent: Buffer, talk: Conversation): void {
  const granted = new Set(
    talk.statements
      .filter(({ analysis }) => analysis.outcome === 'accesses')
      .map(({ text }) => text.replace(/\/\*.*?\*\//g, ' ')),
  )
  let rest = sent
  for (let body = wholePacket(rest); body !== undefined; body = wholePacket(rest)) {
    rest = rest.subarray(4 + body.length)
    const code = body[0] ?? -1
    assert.ok([1, 2, 3, 4, 14, 22, 23, 24, 25, 26, 28, 31].includes(code), `command ${code} leaked`)
    if (code !== 3 && code !== 22) continue
    const text = body.toString('utf8', 1)
    assert.doesNotMatch(text, /secret/)
    // The proxy's own statements, which pin the session; no text of these tests is in capitals.
    if (text.startsWith('SET ')) continue
    assert.ok(granted.has(text), `a text that was not judged leaked: ${text}`)
  }
}

describe('a stream', () => {
  test('means the same however it is cut, on both sides', () => {
    fc.assert(
      fc.property(
        fc.array(anyCommand, { maxLength: 12 }),
        flags,
        cuts,
        cuts,
        (commands, chosen, ours, theirs) => {
          const stream = Buffer.concat(commands)
          const whole = play(stream, { flags: chosen, clientCuts: [], serverCuts: [] })
          assert.deepEqual(play(stream, { flags: chosen, clientCuts: ours, serverCuts: theirs }), whole)
          assert.deepEqual(play(stream, { flags: chosen, clientCuts: [1], serverCuts: [1] }), whole)
        },
      ),
      { numRuns: Math.ceil(numRuns / 8) },
    )
  })

  test('of any bytes of a client gives a result or a ProtocolError, and nothing unjudged leaks', () => {
    const noise = fc.oneof(
      { weight: 5, arbitrary: anyCommand },
      {
        weight: 2,
        arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => packet(0, Buffer.from(bytes))),
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)) },
    )
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 8 }), flags, cuts, (pieces, chosen, sizes) => {
        const talk = openConversation({ flags: chosen })
        const sent: Buffer[] = []
        survives(() =>
          inPieces(Buffer.concat(pieces), sizes, (piece) => {
            talk.client(piece)
            sent.push(talk.toServer())
            for (const { body } of split(Buffer.concat([sent.at(-1) ?? Buffer.alloc(0)].filter(isWhole)))) {
              const answer = answerTo(body, (chosen & CLIENT.DEPRECATE_EOF) !== 0)
              if (answer !== undefined) talk.server(answer)
            }
          }),
        )
        assertNothingLeaked(Buffer.concat(sent), talk)
      }),
      { numRuns },
    )
  })

  test('of any bytes of a server gives a result or a ProtocolError', () => {
    const body = fc.oneof(
      fc.constantFrom(
        ok(),
        ok({ status: 0x0a }),
        ok({ header: 0xfe }),
        err(1, 'x'),
        Buffer.of(0xfe, 0, 0, 2, 0),
      ),
      fc.constantFrom(Buffer.of(1), Buffer.of(2), ...split(result()).map((each) => each.body)),
      fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    )
    const starts = fc.constantFrom(
      query('select 1'),
      prepare('select 1'),
      command(14),
      command(31),
      command(4, 't\0'),
    )
    fc.assert(
      fc.property(starts, fc.array(body, { maxLength: 8 }), flags, cuts, (start, bodies, chosen, sizes) => {
        const talk = openConversation({ flags: chosen })
        talk.client(start)
        talk.toServer()
        const stream = packets(1, ...bodies)
        let passed = 0
        survives(() =>
          inPieces(stream, sizes, (piece) => {
            talk.server(piece)
            passed += talk.toClient().length
          }),
        )
        talk.session.end({ kind: 'protocol_error', message: 'over' })
        assert.ok(passed <= stream.length)
      }),
      { numRuns },
    )
  })
})

/** The session streams parameters, so that what it has sent may end inside a packet. */
function isWhole(bytes: Buffer): boolean {
  try {
    split(bytes)
    return true
  } catch {
    return false
  }
}

describe('a login', () => {
  const mutated = (base: Buffer): fc.Arbitrary<Buffer> =>
    fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
      const copy = Buffer.from(base)
      for (const [at, byte] of changes) copy[at] = byte
      return copy
    })

  test('of any bytes of a client gives a step or a ProtocolError', () => {
    const responses = fc.oneof(
      mutated(handshakeResponse({ flags: CLASSIC | CLIENT.CONNECT_ATTRS | CLIENT.PLUGIN_AUTH_LENENC })),
      mutated(handshakeResponse()),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    )
    fc.assert(
      fc.property(responses, fc.uint8Array({ maxLength: 40 }), fc.boolean(), (response, more, tls) => {
        survives(() => {
          const login = new MysqlAgentLogin({
            knowledge: { current: new KnownTexts() },
            random: fixedRandom,
            connectionId: 1,
            tlsAvailable: tls,
            cleartextAllowed: true,
          })
          login.fromClient(packet(1, response))
          login.next()
          login.fromClient(packet(2, Buffer.from(more)))
          login.next()
        })
      }),
      { numRuns },
    )
  })

  test('of any bytes of a server gives a step or a ProtocolError', () => {
    const greetings = fc.oneof(
      mutated(serverGreeting().subarray(4)),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    )
    const replies = fc.array(
      fc.oneof(
        fc.constantFrom(
          ok(),
          err(1045, 'no'),
          Buffer.from('\xfeclient_ed25519\0x', 'latin1'),
          Buffer.of(1, 4),
        ),
        fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
      ),
      { maxLength: 4 },
    )
    fc.assert(
      fc.property(greetings, replies, (greeting, bodies) => {
        const characters = clientCharacters(45)
        assert.ok(characters)
        const login = new MysqlBackendLogin(
          {
            user: 'app',
            password: 'secret',
            database: 'crm',
            tls: 'prefer',
            applicationName: 'test',
            random: fixedRandom,
          },
          { analyser: new KnownTexts(), client: { flags: CLASSIC, extended: 0 }, characters },
        )
        survives(() => {
          login.fromServer(packet(0, greeting))
          login.next()
          bodies.forEach((body, index) => {
            login.fromServer(packet(2 + 2 * index, body))
            login.next()
          })
        })
      }),
      { numRuns },
    )
  })
})
