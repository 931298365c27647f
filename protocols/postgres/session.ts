// Long because a session is one state machine: each message has its method, in the order of the switch.
import type { Analysis } from '../analysis.ts'
import { FieldReader } from '../fields.ts'
import type { Inbox } from '../inbox.ts'
import type { Live, Random } from '../login.ts'
import { Outbox } from '../outbox.ts'
import type { Completion, Denial, EndCause, ReplyLimits, Session, Statement } from '../session.ts'
import { broken, endResponse } from './errors.ts'
import {
  CLIENT,
  clientLengths,
  FLUSH,
  frame,
  HEADER_BYTES,
  lengthAt,
  STATEMENT_BYTES_MAX,
  TERMINATE,
  typeName,
} from './frames.ts'
import { boundsOf, Cancels, COPY_FAIL, limitWords } from './limits.ts'
import { mayBeCopy, unknownName, withNamed } from './named.ts'
import { nameKey, nameOfKey, Prepared, type Reader } from './prepared.ts'
import { FUNCTION_CALL, MALFORMED, TOO_LONG, TOO_MANY_PREPARED } from './refusals.ts'
import { Replies } from './replies.ts'
import { sent } from './sent.ts'
import { Statements } from './statements.ts'

/**
 * A session after login. Query, Parse and Execute are statements and stop at `next()`; Bind and Describe may only
 * name what was judged; Sync, Flush, Close and copy data pass.
 *
 * A refused message is replaced, in its place, by a text that cannot be parsed and that bears a marker:
 *
 *     client  P(denied) B D E S  ─▶  server  P(marker) S  ─▶  E(syntax error at or near "marker") Z
 *                                   client  ◀─────────────  E(permission denied …)                Z
 *
 * so that the order of replies, the skipping up to Sync and the state of the transaction are the server's own
 * doing. A refused Execute becomes a Parse too: its error has the same consequences, and being named it
 * leaves the unnamed statement alone. The scanner fails before a transaction's state is looked at, so that the
 * marker comes back even in an aborted transaction.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */

/** How much may wait inside while nothing can be judged, before the client is not read from any more. */
const AHEAD_BYTES_MAX = 262_144

/** The longest statement or portal name that is read. The server has no limit of its own. */
const NAME_BYTES_MAX = 1024

/** How much of a text that is too long is kept for the record. */
const EXCERPT_BYTES = 1024

/** What a Query or Parse says, as it came. */
type Source = { readonly name: string; readonly text: Buffer; readonly parameterTypes: Buffer }

const NO_BYTES = Buffer.alloc(0)

/** A message that waits for its verdict. */
type Pending = {
  readonly as: 'query' | 'parse' | 'execute' | 'refused_query' | 'refused_message'
  /** How much of the inbox it takes. */
  readonly size: number
  /** How much of it is still to come, and is dropped then. */
  readonly missing: number
  readonly name: string
  /** What a Query or Parse brought. */
  readonly source: Source | undefined
  /** What it prepares or runs; `undefined`: it cannot be relayed. */
  prepared: Prepared | undefined
  /** Under which knowledge it was read. */
  reader: Reader
  statement: Statement
}

export class PostgresSession implements Session {
  readonly #knowledge: Live<Reader | undefined>
  #reader: Reader
  readonly #random: Random
  readonly #inbox: Inbox
  readonly #outbox = new Outbox()
  readonly #statements = new Statements()
  readonly #cancels = new Cancels()
  readonly #replies: Replies
  /** What the reply to a statement may be at most. */
  #bounds: ReplyLimits | undefined
  #pending: Pending | undefined
  /** How much of the current client frame is still to come, and whether it is for the server. */
  #passing = 0
  #dropping = 0
  /** True while only the server's answers can let the client's next message be understood. */
  #stalled = false
  #flushed = false
  #finished: 'client' | undefined
  #over = false
  #statementId = 0
  #nonce: string | undefined

  constructor(options: {
    readonly knowledge: Live<Reader | undefined>
    readonly reader: Reader
    readonly random: Random
    /** What the server reported at login. */
    readonly parameters: ReadonlyMap<string, string>
    readonly clientInbox: Inbox
    readonly serverInbox: Inbox
  }) {
    this.#knowledge = options.knowledge
    this.#reader = options.reader
    this.#random = options.random
    this.#inbox = options.clientInbox
    this.#replies = new Replies({
      inbox: options.serverInbox,
      statements: this.#statements,
      cancels: this.#cancels,
      parameters: options.parameters,
    })
  }

  fromClient(chunk: Buffer): void {
    if (!this.#over && !this.#finished) this.#inbox.push(chunk)
  }

  fromServer(chunk: Buffer): void {
    if (this.#over) return
    this.#replies.fromServer(chunk)
    if (this.#replies.forServer.length > 0) this.#sendOurs()
  }

  #sendOurs(): void {
    // Whatever led to this was the last that was sent, so that it cannot land inside another message.
    if (this.#passing > 0) throw new Error('a message of our own inside one of the client')
    for (const bytes of this.#replies.forServer.take()) this.#outbox.push(bytes)
  }

  limitReplies(limits: ReplyLimits): void {
    this.#bounds = boundsOf(limits)
  }

  takeCancel(): boolean {
    return this.#cancels.take()
  }

  timeOut(statementId: number, denial: Denial): void {
    const statements = this.#statements
    const entry = statements.running(statementId)
    if (entry === undefined) return
    entry.limit ??= 'time'
    entry.timedOut = denial
    this.#cancels.began(limitWords('time', undefined, denial))
    // A server that waits for copy data does not look at cancels.
    if (entry === statements.head && statements.copy === 'in' && this.#passing === 0) {
      statements.copy = 'none'
      this.#outbox.push(COPY_FAIL)
      this.#outbox.push(FLUSH)
    }
  }

  cancelsOver(): void {
    this.#cancels.over()
  }

  takeForServer(): readonly Buffer[] {
    return this.#outbox.take()
  }

  takeForClient(): readonly Buffer[] {
    return this.#replies.outbox.take()
  }

  completion(): Completion | undefined {
    return this.#statements.completion()
  }

  get clientIsAhead(): boolean {
    return (this.#pending !== undefined || this.#stalled) && this.#inbox.length > AHEAD_BYTES_MAX
  }

  get idle(): boolean {
    return (
      this.#statements.length === 0 &&
      !this.#cancels.waits &&
      this.#replies.status === 'I' &&
      this.#replies.atBoundary &&
      this.#pending === undefined &&
      this.#inbox.length + this.#passing + this.#dropping === 0
    )
  }

  get finished(): 'client' | undefined {
    return this.#finished
  }

  end(cause: EndCause): void {
    if (this.#over) return
    this.#over = true
    this.#pending = undefined
    if (this.#replies.atBoundary && !this.#replies.saidFatal) this.#replies.outbox.push(endResponse(cause))
    if (this.#passing === 0 && !this.#finished) this.#outbox.push(TERMINATE)
  }

  next(): Statement | undefined {
    if (this.#over) return undefined
    this.#reader = this.#knowledge.current ?? this.#reader
    if (this.#pending !== undefined) {
      if (this.#cancels.waits) return undefined
      if (this.#pending.reader !== this.#reader) this.#judgeAgain(this.#pending)
      return this.#pending.statement
    }
    this.#stalled = false
    while (this.#pending === undefined && this.#step()) {
      // Each step consumes a frame or a part of one.
    }
    return (this.#pending as Pending | undefined)?.statement
  }

  relay(): void {
    const { as, size, name, prepared, statement } = this.#takePending()
    if (prepared === undefined) throw new Error('this statement can only be rejected')
    const bytes = this.#inbox.take(size)
    const statements = this.#statements
    if (statements.skipping) {
      // An earlier message of the batch has failed in the meantime: the server would not read this one.
      statements.complete({ statementId: statement.id, rows: 0, bytes: 0, error: statements.skippingFor })
      return
    }
    const { uses, analysis, statementCount } = prepared.reading(this.#reader)
    const { id: statementId } = statement
    const { batch } = statements
    switch (as) {
      case 'query': {
        this.#outbox.push(prepared.isRewritten ? frame(CLIENT.query, prepared.text, '\0') : bytes)
        const mayCopy = statementCount > 1 || mayBeCopy(analysis)
        // The text is kept only where it makes names.
        const made = uses.length > 0 ? { prepared, uses } : {}
        statements.push(sent('query', batch, { statementId, mayCopy, bounds: this.#bounds, ...made }))
        return
      }
      case 'parse':
        this.#outbox.push(prepared.isRewritten ? withText(bytes, prepared.text) : bytes)
        statements.push(sent('parse', batch, { statementId, name, prepared }))
        return
      case 'execute': {
        const mayCopy = mayBeCopy(analysis)
        this.#outbox.push(bytes)
        // What follows waits for the answer, so the answer must not wait for what follows.
        if (mayCopy) this.#outbox.push(FLUSH)
        statements.push(
          sent('execute', batch, { statementId, prepared, uses, mayCopy, bounds: this.#bounds }),
        )
        return
      }
      default:
        throw new Error('this statement can only be rejected')
    }
  }

  reject(denial: Denial): void {
    const { as, size, missing, name, statement } = this.#takePending()
    this.#inbox.skip(size)
    this.#dropping = missing
    const statements = this.#statements
    if (statements.skipping) return
    const marker = this.#marker(statement.id)
    const { batch } = statements
    const entry = { statementId: statement.id, denial, marker }
    if (as === 'query' || as === 'refused_query') {
      this.#outbox.push(frame(CLIENT.query, `${marker}\0`))
      statements.push(sent('query', batch, entry))
      return
    }
    // Even a Parse that fails destroys the unnamed statement, and so must this one where the client's would have.
    const nameSent = as === 'parse' && name === '' ? '' : marker
    this.#outbox.push(frame(CLIENT.parse, `${nameSent}\0${marker}\0\0\0`))
    statements.push(sent('parse', batch, entry))
    // Whatever follows up to Sync is skipped by the server, because of this or of an earlier error.
    statements.skip(undefined)
  }

  #takePending(): Pending {
    const pending = this.#pending
    if (pending === undefined) throw new Error('no statement waits for a verdict')
    this.#pending = undefined
    return pending
  }

  /** 96 bits that nobody can guess, and a number: no text of the client can be mistaken for it. */
  #marker(statementId: number): string {
    this.#nonce ??= this.#random(12).toString('hex')
    // Under 64 bytes, or the server would send a notice about the truncation.
    return `bulkhead_denied_${this.#nonce}_${statementId}`
  }

  /** Consumes one frame or a part of it. False: nothing can be done for now. */
  #step(): boolean {
    const inbox = this.#inbox
    if (this.#finished || inbox.length === 0) return false
    if (this.#passing > 0) {
      this.#outbox.push(this.#takeSome('passing'))
      return true
    }
    if (this.#dropping > 0) {
      this.#takeSome('dropping')
      return true
    }
    const statements = this.#statements
    if (statements.awaitsCopy && statements.copy !== 'in') return this.#stall()
    if (statements.isAhead) {
      // The server keeps short answers until it is told to flush them.
      if (!this.#flushed) this.#outbox.push(FLUSH)
      this.#flushed = true
      return this.#stall()
    }
    this.#flushed = false
    if (inbox.length < HEADER_BYTES) return false
    const type = inbox.buffer[inbox.start] as number
    const length = lengthAt(inbox.buffer, inbox.start + 1)
    const bounds = clientLengths(type)
    if (bounds === undefined) throw broken('client', `invalid frontend message type ${type}`)
    if (length < bounds.min || length > bounds.max) throw broken('client', 'invalid message length')
    if (statements.copy === 'in' && statements.awaitsCopy) return this.#copyFrame(type, length)
    if (statements.skipping && type !== CLIENT.sync && type !== CLIENT.terminate) return this.#drop(length)
    // A cancel hits whatever runs when it arrives.
    if (this.#cancels.waits && type !== CLIENT.terminate) return this.#stall()
    return this.#frame(type, length)
  }

  #stall(): boolean {
    this.#stalled = true
    return false
  }

  #takeSome(which: 'passing' | 'dropping'): Buffer {
    const left = which === 'passing' ? this.#passing : this.#dropping
    const size = Math.min(left, this.#inbox.length)
    if (which === 'passing') this.#passing -= size
    else this.#dropping -= size
    return this.#inbox.take(size)
  }

  #pass(length: number): boolean {
    this.#passing = 1 + length
    return true
  }

  #drop(length: number): boolean {
    this.#dropping = 1 + length
    return true
  }

  #frame(type: number, length: number): boolean {
    switch (type) {
      case CLIENT.copyData:
      case CLIENT.copyDone:
      case CLIENT.copyFail:
        // Left over from a copy that failed. The server would ignore it.
        return this.#drop(length)
      case CLIENT.bind:
        return this.#bind(length)
    }
    if (type === CLIENT.functionCall) return this.#functionCall(length)
    if (length > STATEMENT_BYTES_MAX) return this.#tooLong(type, length)
    if (this.#inbox.length < 1 + length) return false
    switch (type) {
      case CLIENT.query:
        return this.#query(length)
      case CLIENT.parse:
        return this.#parse(length)
      case CLIENT.execute:
        return this.#execute(length)
      case CLIENT.describe:
      case CLIENT.close:
        return this.#describeOrClose(type, length)
      case CLIENT.sync:
        this.#statements.skipping = false
        this.#statements.push(sent('sync', this.#statements.batch))
        return this.#pass(length)
      case CLIENT.flush:
        return this.#pass(length)
      default:
        this.#finished = 'client'
        this.#outbox.push(this.#inbox.take(1 + length))
        return false
    }
  }

  /** The server reads the next messages as copy data: CopyGetData() of src/backend/commands/copyfromparse.c. */
  #copyFrame(type: number, length: number): boolean {
    switch (type) {
      case CLIENT.copyData:
        return this.#pass(length)
      case CLIENT.copyDone:
      case CLIENT.copyFail:
        if (this.#inbox.length < 1 + length) return false
        this.#statements.copy = 'none'
        this.#outbox.push(this.#inbox.take(1 + length))
        // What follows waits for the end of the copy, so that end must not wait for what follows.
        this.#outbox.push(FLUSH)
        return true
      case CLIENT.flush:
      case CLIENT.sync:
        // Ignored by the server for the convenience of pipelining clients; dropped here, because a copy that has
        // failed meanwhile would make it count.
        return this.#drop(length)
      case CLIENT.terminate:
        return this.#frame(type, length)
      default:
        throw broken('client', `unexpected message type \`${typeName(type)}\` during COPY from stdin`)
    }
  }

  #body(length: number): FieldReader {
    const start = this.#inbox.start + HEADER_BYTES
    const range = { start, end: start + length - 4 }
    return new FieldReader(this.#inbox.buffer, range, { protocol: 'postgres', side: 'client' })
  }

  #query(length: number): boolean {
    const body = this.#body(length).rest()
    const size = 1 + length
    const nul = body.indexOf(0)
    if (nul === -1 || nul !== body.length - 1) return this.#malformed('refused_query', size, body)
    return this.#read('query', size, { name: '', text: body.subarray(0, nul), parameterTypes: NO_BYTES })
  }

  #parse(length: number): boolean {
    const reader = this.#body(length)
    const size = 1 + length
    const name = nameOf(reader)
    const text = reader.untilNul()
    if (reader.remaining < 2 || reader.uint16BE() * 4 !== reader.remaining)
      return this.#malformed('refused_message', size, text)
    const parameterTypes = reader.rest()
    if (name !== '' && this.#statements.isFull)
      return this.#refuse('refused_message', size, 0, text.toString(), TOO_MANY_PREPARED)
    // Copies of what is kept for long: a view would keep the whole chunk that it came in.
    return name === ''
      ? this.#read('parse', size, { name, text, parameterTypes })
      : this.#read('parse', size, {
          name,
          text: Buffer.from(text),
          parameterTypes: Buffer.from(parameterTypes),
        })
  }

  #read(as: 'query' | 'parse', size: number, source: Source): boolean {
    const prepared = this.#prepare(source)
    const analysis = withNamed(prepared.reading(this.#reader), this.#statements, this.#reader)
    if (analysis === 'wait') return this.#stall()
    this.#await(as, { size, name: source.name, source }, prepared, analysis)
    return false
  }

  #prepare({ text, parameterTypes }: Source): Prepared {
    const reader = this.#reader
    return new Prepared({ text, record: text.toString(), reading: reader.read(text), reader, parameterTypes })
  }

  #execute(length: number): boolean {
    const reader = this.#body(length)
    const name = nameOf(reader)
    reader.int32BE()
    if (reader.remaining > 0) throw broken('client', 'invalid message format')
    const size = 1 + length
    const prepared = this.#statements.resolvePortal(name)
    if (prepared === 'wait') return this.#stall()
    if (prepared === 'unknown')
      return this.#refuse(
        'refused_message',
        size,
        0,
        `Execute ${nameOfKey(name)}`,
        unknownName('portal', nameOfKey(name)),
      )
    const analysis = withNamed(prepared.reading(this.#reader), this.#statements, this.#reader)
    if (analysis === 'wait') return this.#stall()
    this.#await('execute', { size, name, source: undefined }, prepared, analysis)
    return false
  }

  #bind(length: number): boolean {
    const inbox = this.#inbox
    const here = Math.min(inbox.length, 1 + length)
    if (here < 1 + length && here < HEADER_BYTES + 2 * (NAME_BYTES_MAX + 1)) return false
    const reader = this.#body(here - 1)
    const portal = nameOf(reader)
    const name = nameOf(reader)
    const prepared = this.#statements.resolveStatement(name)
    if (prepared === 'wait') return this.#stall()
    if (prepared === 'unknown') {
      const missing = 1 + length - here
      return this.#refuse(
        'refused_message',
        here,
        missing,
        `Bind ${nameOfKey(name)}`,
        unknownName('statement', nameOfKey(name)),
      )
    }
    this.#statements.push(sent('bind', this.#statements.batch, { name: portal, prepared }))
    return this.#pass(length)
  }

  #describeOrClose(type: number, length: number): boolean {
    const reader = this.#body(length)
    const kind = reader.uint8()
    const name = nameOf(reader)
    if ((kind !== STATEMENT && kind !== PORTAL) || reader.remaining > 0)
      throw broken('client', 'invalid message format')
    const statements = this.#statements
    const { batch } = statements
    if (type === CLIENT.close) {
      statements.push(sent(kind === STATEMENT ? 'close_statement' : 'close_portal', batch, { name }))
      return this.#pass(length)
    }
    const found = kind === STATEMENT ? statements.resolveStatement(name) : statements.resolvePortal(name)
    if (found === 'wait') return this.#stall()
    if (found === 'unknown') {
      const analysis = unknownName(kind === STATEMENT ? 'statement' : 'portal', nameOfKey(name))
      return this.#refuse('refused_message', 1 + length, 0, `Describe ${nameOfKey(name)}`, analysis)
    }
    statements.push(sent(kind === STATEMENT ? 'describe_statement' : 'describe_portal', batch, { name }))
    return this.#pass(length)
  }

  /** Runs any function by its number, past every analysis of texts, and without a trace in the server's audit. */
  #functionCall(length: number): boolean {
    if (length < 8) throw broken('client', 'invalid message format')
    if (this.#inbox.length < HEADER_BYTES + 4) return false
    const oid = this.#body(8).uint32BE()
    const here = Math.min(this.#inbox.length, 1 + length)
    return this.#refuse('refused_query', here, 1 + length - here, `FunctionCall ${oid}`, FUNCTION_CALL)
  }

  #tooLong(type: number, length: number): boolean {
    const here = HEADER_BYTES + EXCERPT_BYTES
    if (this.#inbox.length < here) return false
    const excerpt = this.#body(EXCERPT_BYTES + 4).rest()
    const as = type === CLIENT.query ? 'refused_query' : 'refused_message'
    const text = `${excerpt.toString().replaceAll('\0', ' ').trim()}…`
    return this.#refuse(as, here, 1 + length - here, text, TOO_LONG)
  }

  #malformed(as: Pending['as'], size: number, text: Buffer): boolean {
    return this.#refuse(as, size, 0, text.toString().replaceAll('\0', '\\0'), MALFORMED)
  }

  #refuse(as: Pending['as'], size: number, missing: number, text: string, analysis: Analysis): boolean {
    this.#statementId += 1
    const statement = { id: this.#statementId, text, analysis }
    const reader = this.#reader
    this.#pending = { as, size, missing, name: '', source: undefined, prepared: undefined, reader, statement }
    return false
  }

  #await(
    as: 'query' | 'parse' | 'execute',
    message: { readonly size: number; readonly name: string; readonly source: Source | undefined },
    prepared: Prepared,
    analysis: Analysis,
  ): void {
    const { size, name, source } = message
    this.#statementId += 1
    const id = this.#statementId
    const text = prepared.record
    const statement = as === 'parse' ? { id, text, analysis, prepares: true } : { id, text, analysis }
    this.#pending = { as, size, missing: 0, name, source, prepared, reader: this.#reader, statement }
  }

  /** The catalog has changed while the statement waited. */
  #judgeAgain(pending: Pending): void {
    const reader = this.#reader
    pending.reader = reader
    if (pending.prepared === undefined) return
    if (pending.source !== undefined) pending.prepared = this.#prepare(pending.source)
    const analysis = withNamed(pending.prepared.reading(reader), this.#statements, reader)
    if (analysis !== 'wait') pending.statement = { ...pending.statement, analysis }
  }
}

const STATEMENT = 0x53
const PORTAL = 0x50

function nameOf(reader: FieldReader): string {
  const bytes = reader.untilNul()
  if (bytes.length > NAME_BYTES_MAX) throw broken('client', 'a name that is too long')
  return nameKey(bytes)
}

/** A Parse with another text. */
function withText(bytes: Buffer, text: Buffer): Buffer {
  const nameEnd = bytes.indexOf(0, HEADER_BYTES) + 1
  const textEnd = bytes.indexOf(0, nameEnd)
  return frame(CLIENT.parse, bytes.subarray(HEADER_BYTES, nameEnd), text, bytes.subarray(textEnd))
}
