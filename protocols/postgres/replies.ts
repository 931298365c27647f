import type { Inbox } from '../inbox.ts'
import { Outbox } from '../outbox.ts'
import { broken, denialCode, denialResponse, readServerError } from './errors.ts'
import { frame, HEADER_BYTES, lengthAt, SERVER, serverLengths, typeName, WHOLE_LENGTH_MAX } from './frames.ts'
import {
  ABORT,
  CANCELED_CODE,
  type Cancels,
  COPY_FAIL,
  lateCancelResponse,
  limitCode,
  limitFatal,
  limitResponse,
  limitWords,
  passedBy,
} from './limits.ts'
import { type Sent, sent } from './sent.ts'
import type { Statements } from './statements.ts'
import { checkSetting } from './watched.ts'

/**
 * What the server says, on its way to the client. Frames are walked by their headers: rows, copy data, notices and
 * descriptions are never collected, and a run of untouched frames leaves as one span. Only the messages that
 * end something are read, and only the error that our own marker provoked is replaced, and the end of a reply that has
 * passed a bound, of which the rest is dropped.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html
 */

/** What becomes of a message: `read`: that is known once it is whole. */
type Fate = 'pass' | 'drop' | 'read'

export class Replies {
  readonly outbox = new Outbox()
  /** What we ourselves must tell the server. */
  readonly forServer = new Outbox()
  readonly #inbox: Inbox
  readonly #statements: Statements
  readonly #cancels: Cancels
  readonly #parameters: ReadonlyMap<string, string>
  /** How much of a frame, whose beginning was relayed or dropped, is still to come. */
  #streaming = 0
  #dropping = false
  /** Of whose limit the client has been told, so that it expects nothing more before ReadyForQuery. */
  #muted: Sent | undefined
  #lastWords: Buffer | undefined
  /** The status of the last ReadyForQuery: idle, in a transaction, in a failed one. */
  status = 'I'
  /** The server has ended the session itself, and said why. */
  saidFatal = false

  constructor(options: {
    readonly inbox: Inbox
    readonly statements: Statements
    readonly cancels: Cancels
    /** What the server reported at login. */
    readonly parameters: ReadonlyMap<string, string>
  }) {
    this.#inbox = options.inbox
    this.#statements = options.statements
    this.#cancels = options.cancels
    this.#parameters = options.parameters
  }

  /** True where a message of our own would not land inside another. */
  get atBoundary(): boolean {
    return this.#streaming === 0 || this.#dropping
  }

  fromServer(chunk: Buffer): void {
    this.#inbox.push(chunk)
    const { buffer, start, end } = this.#inbox
    let at = start
    let spanStart = start
    try {
      if (this.#streaming > 0) {
        const size = Math.min(this.#streaming, end - at)
        this.#streaming -= size
        at += size
        if (this.#dropping) spanStart = at
      }
      while (end - at >= HEADER_BYTES) {
        const type = buffer[at] as number
        const length = lengthAt(buffer, at + 1)
        const bounds = serverLengths(type)
        if (bounds === undefined || length < bounds.min || length > bounds.max)
          throw broken('server', `an unexpected message \`${typeName(type)}\` of length ${length}`)
        const size = 1 + length
        const here = Math.min(size, end - at)
        const fate = this.#fate(type, size)
        if (fate !== 'read') {
          this.#dropping = fate === 'drop'
          if (this.#dropping) {
            this.outbox.push(buffer.subarray(spanStart, at))
            spanStart = at + here
          }
          this.#streaming = size - here
          at += here
          continue
        }
        // An error may be longer than what is read of it: then it streams on.
        if (here < size && here <= WHOLE_LENGTH_MAX) break
        const replacement = this.#read(type, buffer.subarray(at + HEADER_BYTES, at + here), size)
        this.#dropping = replacement !== undefined
        if (replacement !== undefined) {
          this.outbox.push(buffer.subarray(spanStart, at))
          this.outbox.push(replacement)
          spanStart = at + here
        }
        this.#streaming = size - here
        at += here
      }
    } finally {
      if (at > spanStart) this.outbox.push(buffer.subarray(spanStart, at))
      if (this.#lastWords !== undefined) this.outbox.push(this.#lastWords)
      this.#inbox.skip(at - start)
    }
  }

  #fate(type: number, size: number): Fate {
    const fate = this.#streamed(type, size)
    return this.#muted !== undefined && fate === 'pass' && type !== SERVER.notificationResponse
      ? 'drop'
      : fate
  }

  /** Messages that may be long and whose bodies nobody reads. */
  #streamed(type: number, size: number): Fate {
    const head = this.#statements.head
    switch (type) {
      case SERVER.dataRow: {
        if (head === undefined || !runs(head)) throw unasked(type)
        const fate = this.#give(head, size, true)
        if (fate === 'pass') head.rowsOfCurrent += 1
        return fate
      }
      case SERVER.copyData:
        if (head === undefined || this.#statements.copy !== 'out') throw unasked(type)
        return this.#give(head, size, true)
      case SERVER.rowDescription:
        if (head?.kind === 'query') return this.#give(head, size, false)
        if (head?.kind !== 'describe_statement' && head?.kind !== 'describe_portal') throw unasked(type)
        head.bytes += size
        this.#statements.shift()
        return 'pass'
      case SERVER.parameterDescription:
        if (head?.kind !== 'describe_statement') throw unasked(type)
        return 'pass'
      case SERVER.noticeResponse:
        // A function may say in notices what it may not give in rows.
        return head !== undefined && runs(head) ? this.#give(head, size, false) : 'pass'
      case SERVER.notificationResponse:
        return 'pass'
      default:
        return 'read'
    }
  }

  /** A part of a statement's reply, which its bounds may cut short. */
  #give(head: Sent, size: number, isRow: boolean): Fate {
    if (head.cut) return 'drop'
    const passed = passedBy(head, size, isRow)
    if (passed !== undefined) {
      head.cut = true
      head.limit ??= passed
      this.#cancels.want(limitWords(head.limit, head.bounds, head.timedOut))
      return 'drop'
    }
    if (isRow) head.rowsGiven += 1
    head.bytes += size
    return 'pass'
  }

  /** Acts on a message; gives what the client gets in its place, where that is something else. */
  #read(type: number, body: Buffer, size: number): Buffer | undefined {
    if (type === SERVER.parameterStatus) {
      checkSetting(body, this.#parameters)
      return undefined
    }
    const head = this.#statements.head
    if (type === SERVER.errorResponse) return this.#error(head, body, size)
    if (head === undefined) throw unasked(type)
    head.bytes += size
    const { kind } = head
    switch (type) {
      case SERVER.parseComplete:
        if (kind !== 'parse' || head.denial !== undefined) throw unasked(type)
        this.#statements.parsed(head)
        this.#statements.shift()
        return this.#unchanged()
      case SERVER.bindComplete:
        if (kind !== 'bind') throw unasked(type)
        this.#statements.bound(head)
        this.#statements.shift()
        return this.#unchanged()
      case SERVER.closeComplete:
        if (kind === 'close_statement') this.#statements.closedStatement(head.name)
        else if (kind === 'close_portal') this.#statements.closedPortal(head.name)
        else throw unasked(type)
        this.#statements.shift()
        return this.#unchanged()
      case SERVER.noData:
        if (kind !== 'describe_statement' && kind !== 'describe_portal') throw unasked(type)
        this.#statements.shift()
        return this.#unchanged()
      case SERVER.readyForQuery:
        return this.#ready(head, body)
    }
    if (!runs(head) || head.denial !== undefined || head.aborts) throw unasked(type)
    return head.cut ? this.#readCut(type, head, body) : this.#readResult(type, head, body)
  }

  #unchanged(): Buffer | undefined {
    return this.#muted === undefined ? undefined : NOTHING
  }

  /** Messages that belong to the run of a statement. */
  #readResult(type: number, head: Sent, body: Buffer): undefined {
    const statements = this.#statements
    switch (type) {
      case SERVER.commandComplete: {
        countRows(head, body)
        statements.copy = 'none'
        if (head.uses.length > 0) statements.done(head, body.toString('latin1', 0, body.length - 1))
        break
      }
      case SERVER.emptyQueryResponse:
        break
      case SERVER.portalSuspended:
        if (head.kind !== 'execute') throw unasked(type)
        countRows(head, NO_TAG)
        break
      case SERVER.copyInResponse:
      case SERVER.copyOutResponse:
        // A copy that no analysed statement asks for: then the server has read the text differently.
        if (!head.mayCopy || statements.copy !== 'none') throw unasked(type)
        statements.copy = type === SERVER.copyInResponse ? 'in' : 'out'
        return
      case SERVER.copyDone:
        if (statements.copy !== 'out') throw unasked(type)
        return
      default:
        throw unasked(type)
    }
    if (head.kind === 'execute') statements.shift()
  }

  /** The server goes on with a statement of which the client gets no more. */
  #readCut(type: number, head: Sent, body: Buffer): Buffer {
    const statements = this.#statements
    // A text of several statements ends with ReadyForQuery; an Execute has nothing behind this.
    const ends =
      head.kind === 'execute' && (type === SERVER.commandComplete || type === SERVER.portalSuspended)
    if (ends) this.#tell(head)
    this.#readResult(type, head, body)
    if (statements.copy === 'in') {
      statements.copy = 'none'
      this.forServer.push(COPY_FAIL)
    }
    if (!ends) return NOTHING
    const rest = statements.restOf(head.batch)
    if (rest.some(({ kind }) => kind !== 'sync' && !WITHOUT_EFFECT.has(kind))) this.#giveUp(head)
    if (!rest.some(({ kind }) => kind === 'sync')) statements.skip(head.error)
    this.#muted = head
    return limitResponse(head, true)
  }

  #tell(head: Sent): void {
    head.told = true
    head.error = limitCode(head)
    this.#cancels.withdraw()
  }

  #ready(head: Sent, body: Buffer): Buffer | undefined {
    const statements = this.#statements
    if (head.kind !== 'query' && head.kind !== 'sync') throw unasked(SERVER.readyForQuery)
    const status = body.toString('latin1')
    if (status === 'I') statements.transactionEnded()
    else if (status !== 'T' && status !== 'E') throw broken('server', 'an unknown transaction status')
    this.status = status
    statements.copy = 'none'
    const endsCut = head.cut && !head.told
    if (endsCut) this.#tell(head)
    statements.shift()
    if (statements.length === 0) this.#cancels.forget()
    const cut = endsCut ? head : this.#muted
    this.#muted = undefined
    if (cut !== undefined && status === 'T') {
      // Whatever was sent behind runs in a transaction that the client takes for aborted.
      if (statements.length > 0) this.#giveUp(cut)
      this.forServer.push(ABORT)
      statements.push(sent('query', statements.batch, { aborts: true }))
      return endsCut ? limitResponse(head, true) : NOTHING
    }
    return endsCut ? Buffer.concat([limitResponse(head, true), READY[status]]) : undefined
  }

  #error(head: Sent | undefined, body: Buffer, size: number): Buffer | undefined {
    const { severity, code } = readServerError(body)
    // Its last words: an administrator ends the session, the server shuts down.
    if (severity === 'FATAL' || severity === 'PANIC') this.saidFatal = true
    if (head === undefined) {
      if (this.saidFatal) return undefined
      throw unasked(SERVER.errorResponse)
    }
    const { denial, marker } = head
    const isOurs = denial !== undefined && marker !== undefined && body.includes(marker)
    head.bytes += size
    head.error = isOurs ? denialCode(denial) : code
    countRows(head, NO_TAG)
    this.#statements.copy = 'none'
    const replacement = isOurs ? denialResponse(denial) : this.#limitError(head, code)
    // After a failed simple Query, and after a failed Sync, ReadyForQuery follows at once; after any other message
    // the server waits for a Sync.
    if (head.kind !== 'query' && head.kind !== 'sync') this.#statements.failed(head.error)
    return replacement
  }

  /** What an error becomes that a limit has led to. */
  #limitError(head: Sent, code: string): Buffer | undefined {
    if (this.saidFatal) return undefined
    if (head.aborts || this.#muted !== undefined) return NOTHING
    if (head.cut || (head.limit === 'time' && code === CANCELED_CODE)) {
      this.#tell(head)
      return limitResponse(head, false)
    }
    const { blame } = this.#cancels
    return code === CANCELED_CODE && blame !== undefined ? lateCancelResponse(blame) : undefined
  }

  /** The client cannot be told in its place what has happened on the server, so the session ends. */
  #giveUp(head: Sent): never {
    this.saidFatal = true
    this.#lastWords = limitFatal(head)
    throw broken('client', 'a reply passed its limit when later statements of its transaction had been sent')
  }
}

/**
 * Counts the rows of the statement that has just ended: those that came, or those that its tag says it touched
 * (`INSERT 0 5`).
 */
function countRows(head: Sent, tag: Buffer): void {
  if (head.cut) {
    head.rows += head.rowsOfCurrent
    head.rowsOfCurrent = 0
    return
  }
  let touched = 0
  // From the end, before the NUL, to the space: a tag without a number at its end touched nothing.
  for (let at = tag.length - 2, unit = 1; at > 0; at -= 1, unit *= 10) {
    const digit = (tag[at] as number) - 0x30
    if (digit < 0 || digit > 9) break
    touched += digit * unit
  }
  head.rows += Math.max(head.rowsOfCurrent, touched)
  head.rowsOfCurrent = 0
}

const NO_TAG = Buffer.alloc(0)

/** In place of a message that the client must not see. */
const NOTHING = Buffer.alloc(0)

const READY = {
  I: frame(SERVER.readyForQuery, 'I'),
  T: frame(SERVER.readyForQuery, 'T'),
  E: frame(SERVER.readyForQuery, 'E'),
} as const

/** What may have been done behind a statement that the client is told has failed: it changes nothing that outlasts the batch. */
const WITHOUT_EFFECT: ReadonlySet<Sent['kind']> = new Set([
  'bind',
  'describe_statement',
  'describe_portal',
  'close_statement',
  'close_portal',
])

/** Statements run: the others are answered by one message each. */
function runs({ kind }: Sent): boolean {
  return kind === 'query' || kind === 'execute'
}

function unasked(type: number): Error {
  return broken('server', `a message \`${typeName(type)}\` that answers nothing`)
}
