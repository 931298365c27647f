import type { Inbox } from '../inbox.ts'
import { Outbox } from '../outbox.ts'
import { broken, denialCode, denialResponse, readServerError } from './errors.ts'
import { HEADER_BYTES, lengthAt, SERVER, serverLengths, typeName, WHOLE_LENGTH_MAX } from './frames.ts'
import type { Sent, Statements } from './statements.ts'

/**
 * What the server says, on its way to the client. Frames are walked by their headers: rows, copy data, notices and
 * descriptions are never collected, and a run of untouched frames leaves as one span. Only the messages that
 * end something are read, and only the error that our own marker provoked is replaced.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html
 */

/** Settings whose change would mean that we and the server read texts differently, or under other rights. */
const WATCHED: ReadonlySet<string> = new Set([
  'client_encoding',
  'is_superuser',
  'search_path',
  'server_encoding',
  'session_authorization',
  'standard_conforming_strings',
])

export class Replies {
  readonly outbox = new Outbox()
  readonly #inbox: Inbox
  readonly #statements: Statements
  readonly #parameters: ReadonlyMap<string, string>
  /** How much of a frame, whose beginning went to the client, is still to come. */
  #streaming = 0
  /** The status of the last ReadyForQuery: idle, in a transaction, in a failed one. */
  status = 'I'
  /** The server has ended the session itself, and said why. */
  saidFatal = false

  /** @param parameters what the server reported at login */
  constructor(inbox: Inbox, statements: Statements, parameters: ReadonlyMap<string, string>) {
    this.#inbox = inbox
    this.#statements = statements
    this.#parameters = parameters
  }

  /** True where a message of our own would not land inside another. */
  get atBoundary(): boolean {
    return this.#streaming === 0
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
      }
      while (end - at >= HEADER_BYTES) {
        const type = buffer[at] as number
        const length = lengthAt(buffer, at + 1)
        const bounds = serverLengths(type)
        if (bounds === undefined || length < bounds.min || length > bounds.max)
          throw broken('server', `an unexpected message \`${typeName(type)}\` of length ${length}`)
        const size = 1 + length
        const here = Math.min(size, end - at)
        if (this.#isStreamed(type, size)) {
          this.#streaming = size - here
          at += here
          continue
        }
        // An error may be longer than what is read of it: then it streams on.
        if (here < size && here <= WHOLE_LENGTH_MAX) break
        const replacement = this.#read(type, buffer.subarray(at + HEADER_BYTES, at + here), size)
        if (replacement !== undefined) {
          this.outbox.push(buffer.subarray(spanStart, at))
          this.outbox.push(replacement)
          spanStart = at + size
        }
        this.#streaming = size - here
        at += here
      }
    } finally {
      if (at > spanStart) this.outbox.push(buffer.subarray(spanStart, at))
      this.#inbox.skip(at - start)
    }
  }

  /** Messages that may be long and whose bodies nobody reads. */
  #isStreamed(type: number, size: number): boolean {
    const head = this.#statements.head
    switch (type) {
      case SERVER.dataRow:
        if (head === undefined || (head.kind !== 'query' && head.kind !== 'execute')) throw unasked(type)
        head.rowsOfCurrent += 1
        head.bytes += size
        return true
      case SERVER.copyData:
        if (head === undefined || this.#statements.copy !== 'out') throw unasked(type)
        head.bytes += size
        return true
      case SERVER.rowDescription:
        if (head === undefined) throw unasked(type)
        head.bytes += size
        if (head.kind === 'describe_statement' || head.kind === 'describe_portal') this.#statements.shift()
        else if (head.kind !== 'query') throw unasked(type)
        return true
      case SERVER.parameterDescription:
        if (head?.kind !== 'describe_statement') throw unasked(type)
        return true
      case SERVER.noticeResponse:
      case SERVER.notificationResponse:
        return true
      default:
        return false
    }
  }

  /** Acts on a message; gives what the client gets in its place, where that is something else. */
  #read(type: number, body: Buffer, size: number): Buffer | undefined {
    if (type === SERVER.parameterStatus) {
      this.#watch(body)
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
        return undefined
      case SERVER.bindComplete:
        if (kind !== 'bind') throw unasked(type)
        this.#statements.bound(head)
        this.#statements.shift()
        return undefined
      case SERVER.closeComplete:
        if (kind === 'close_statement') this.#statements.closedStatement(head.name)
        else if (kind === 'close_portal') this.#statements.closedPortal(head.name)
        else throw unasked(type)
        this.#statements.shift()
        return undefined
      case SERVER.noData:
        if (kind !== 'describe_statement' && kind !== 'describe_portal') throw unasked(type)
        this.#statements.shift()
        return undefined
      case SERVER.readyForQuery:
        this.#ready(head, body)
        return undefined
    }
    if ((kind !== 'query' && kind !== 'execute') || head.denial !== undefined) throw unasked(type)
    this.#readResult(type, head, body)
    return undefined
  }

  /** Messages that belong to the run of a statement. */
  #readResult(type: number, head: Sent, body: Buffer): void {
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

  #ready(head: Sent, body: Buffer): void {
    if (head.kind !== 'query' && head.kind !== 'sync') throw unasked(SERVER.readyForQuery)
    this.status = body.toString('latin1')
    if (this.status === 'I') this.#statements.transactionEnded()
    else if (this.status !== 'T' && this.status !== 'E')
      throw broken('server', 'an unknown transaction status')
    this.#statements.copy = 'none'
    this.#statements.shift()
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
    // After a failed simple Query, and after a failed Sync, ReadyForQuery follows at once; after any other message
    // the server waits for a Sync.
    if (head.kind !== 'query' && head.kind !== 'sync') this.#statements.failed(head.error)
    return isOurs ? denialResponse(denial) : undefined
  }

  #watch(body: Buffer): void {
    const nameEnd = body.indexOf(0)
    const valueEnd = nameEnd === -1 ? -1 : body.indexOf(0, nameEnd + 1)
    if (valueEnd === -1) throw broken('server', 'a setting without an end')
    const name = body.toString('utf8', 0, nameEnd)
    if (!WATCHED.has(name)) return
    if (body.toString('utf8', nameEnd + 1, valueEnd) !== this.#parameters.get(name))
      throw broken('server', `the setting ${name}, to which this session is pinned, has changed`)
  }
}

/**
 * Counts the rows of the statement that has just ended: those that came, or those that its tag says it touched
 * (`INSERT 0 5`).
 */
function countRows(head: Sent, tag: Buffer): void {
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

function unasked(type: number): Error {
  return broken('server', `a message \`${typeName(type)}\` that answers nothing`)
}
