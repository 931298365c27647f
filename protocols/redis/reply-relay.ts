/**
 * The way of the replies: what the server owes, in order, and what becomes of it. A reply passes in the pieces that it
 * arrives in; pushes and messages pass beside the count; denials and answers of ours take their turn.
 */
import { ProtocolError } from '../errors.ts'
import { Inbox } from '../inbox.ts'
import { Outbox } from '../outbox.ts'
import type { Completion } from '../session.ts'
import type { ClientEntry } from './answers.ts'
import { REDIRECTION } from './errors.ts'
import { InFlight, type Owed } from './in-flight.ts'
import { REPLY, ReplyScanner } from './replies.ts'
import { Subscriptions } from './subscriptions.ts'

export class ReplyRelay {
  readonly #entry: ClientEntry
  readonly #inbox = new Inbox()
  readonly #replies = new ReplyScanner(this.#inbox)
  readonly #outbox = new Outbox()
  readonly #inFlight = new InFlight()
  readonly #subscriptions = new Subscriptions()
  readonly #completions: Completion[] = []
  #completionAt = 0

  /** The reply under way: what it is, and whether its bytes are kept from the client. */
  #reply: 'none' | 'owed' | 'push' | 'confirmation' = 'none'
  #dropped = false
  #replyWord = ''
  #replyRows = 0
  #replyError: string | undefined
  #replyBytes = 0

  /** @param welcome the first bytes that the client gets */
  constructor(entry: ClientEntry, welcome: Buffer) {
    this.#entry = entry
    this.#outbox.push(welcome)
  }

  /** How many answers are owed to the client. */
  get owed(): number {
    return this.#inFlight.length
  }

  /** Puts what the server will answer, or what we will, behind what is owed already. */
  owe(owed: Owed): void {
    this.#inFlight.push(owed)
  }

  /** Gives an answer of ours its place behind what is owed before it. */
  answer(statementId: number | undefined, bytes: Buffer): void {
    this.#inFlight.push({ kind: 'answer', statementId, bytes })
    this.#giveAnswers()
  }

  /** Gives the answers whose turn it is. Never into the middle of a value that is passing. */
  #giveAnswers(): void {
    if (this.#reply !== 'none') return
    for (let first = this.#inFlight.first; first?.kind === 'answer'; first = this.#inFlight.first) {
      this.#passReplies()
      this.#outbox.push(first.bytes)
      if (first.statementId !== undefined) {
        const error =
          first.bytes[0] === REPLY.error ? errorPrefix(first.bytes.toString('latin1', 1)) : undefined
        this.#complete(first.statementId, 0, first.bytes.length, error)
      }
      this.#inFlight.shift()
    }
  }

  /** Bytes from the server. @throws ProtocolError where they cannot be what is owed */
  fromServer(chunk: Buffer): void {
    this.#inbox.push(chunk)
    for (;;) {
      if (this.#reply === 'none' && (this.#inbox.length === this.#replies.at || !this.#beginReply())) break
      const before = this.#replies.at
      const walked = this.#replies.walk()
      this.#replyBytes += this.#replies.at - before
      if (walked === 'redirection') this.#replaceRedirection()
      else if (walked === 'more') break
      else this.#endReply()
    }
    if (this.#dropped) this.#dropReplies()
    else this.#passReplies()
  }

  /** Moves what was walked over to the client. */
  #passReplies(): void {
    const size = this.#replies.at
    if (size === 0) return
    this.#replies.at = 0
    this.#outbox.push(this.#inbox.take(size))
  }

  #dropReplies(): void {
    this.#inbox.skip(this.#replies.at)
    this.#replies.at = 0
  }

  /** Decides what the next reply is; false: not enough of it has arrived to tell. */
  #beginReply(): boolean {
    const replies = this.#replies
    if (!replies.begin()) return false
    const { type } = replies
    const first = this.#inFlight.first
    this.#replyBytes = 0
    this.#replyError = undefined
    this.#replyRows = rowsOf(type, replies.count)
    if (type === REPLY.push || (type === REPLY.array && this.#mayBeMessage(first))) {
      const word = replies.firstWord()
      if (word === undefined) return false
      if (this.#beginPush(word, type === REPLY.push)) return true
    }
    if (type === REPLY.error) this.#replyError = errorPrefix(replies.line())
    this.#beginOwed(first)
    return true
  }

  /** In RESP2 messages are arrays, told from replies only by the state of the connection. */
  #mayBeMessage(first: Owed | undefined): boolean {
    return this.#entry.version === 2 && (first?.kind === 'confirmations' || this.#subscriptions.any)
  }

  /** True where the value is not the reply that is owed next. */
  #beginPush(word: string, isPush: boolean): boolean {
    switch (word) {
      case 'message':
      case 'pmessage':
      case 'smessage':
      case 'invalidate':
        this.#open('push', false)
        return true
      case 'subscribe':
      case 'psubscribe':
      case 'ssubscribe':
      case 'unsubscribe':
      case 'punsubscribe':
      case 'sunsubscribe':
        this.#replyWord = word
        this.#open('confirmation', false)
        return true
      default:
        // A push that is not known may tell of other servers (maintenance notices do).
        if (isPush) this.#open('push', true)
        return isPush
    }
  }

  #open(reply: 'owed' | 'push' | 'confirmation', dropped: boolean): void {
    if (dropped) this.#passReplies()
    this.#reply = reply
    this.#dropped = dropped
  }

  #beginOwed(first: Owed | undefined): void {
    const isError = this.#replyError !== undefined
    switch (first?.kind) {
      case 'reply':
        this.#open('owed', false)
        return
      case 'hello':
        this.#open('owed', !isError)
        return
      case 'denied':
        if (!isError || !this.#replies.line().includes(first.poison))
          fail('a reply that is not the one expected')
        this.#open('owed', true)
        return
      case 'confirmations':
        if (!isError) fail('a reply where a confirmation is owed')
        this.#open('owed', false)
        return
      case 'answer':
      case undefined:
        fail('a reply to nothing')
    }
  }

  #endReply(): void {
    const kind = this.#reply
    this.#reply = 'none'
    if (this.#dropped) this.#dropReplies()
    this.#dropped = false
    if (kind === 'owed') this.#settle()
    else if (kind === 'confirmation') this.#confirm()
    this.#giveAnswers()
  }

  #settle(): void {
    const first = this.#inFlight.first
    if (first === undefined) return
    this.#inFlight.shift()
    if (first.kind === 'denied') {
      this.#outbox.push(first.bytes)
      return
    }
    if (first.kind === 'answer') return
    let bytes = this.#replyBytes
    // What was made in the other version meanwhile is answered in it; drivers read both.
    if (first.kind === 'hello' && this.#replyError !== undefined) this.#entry.asked = this.#entry.version
    if (first.kind === 'hello' && this.#replyError === undefined) {
      this.#entry.version = first.version
      this.#outbox.push(first.bytes)
      bytes = first.bytes.length
    }
    this.#complete(first.statementId, this.#replyRows, bytes, this.#replyError)
  }

  #confirm(): void {
    const first = this.#inFlight.first
    if (first?.kind !== 'confirmations' || first.verb !== this.#replyWord) fail('a confirmation of nothing')
    if (first.left === 0) first.left = Math.max(1, this.#subscriptions.count(first.verb))
    this.#subscriptions.confirm(first.verb, this.#replies.lastInteger)
    first.left -= 1
    if (first.left > 0) return
    this.#inFlight.shift()
    this.#complete(first.statementId, 0, this.#replyBytes, undefined)
  }

  /** An error that names another server never reaches the agent, wherever in a reply it stands. */
  #replaceRedirection(): void {
    if (!this.#dropped) this.#passReplies()
    else this.#dropReplies()
    this.#replies.skipLine()
    this.#dropReplies()
    if (!this.#dropped) this.#outbox.push(REDIRECTION)
  }

  #complete(statementId: number, rows: number, bytes: number, error: string | undefined): void {
    this.#completions.push({ statementId, rows, bytes, error })
  }

  completion(): Completion | undefined {
    const completion = this.#completions[this.#completionAt]
    if (completion === undefined) {
      this.#completions.length = 0
      this.#completionAt = 0
      return undefined
    }
    this.#completionAt += 1
    return completion
  }

  take(): readonly Buffer[] {
    return this.#outbox.take()
  }

  /** The last words, where they can be told from the middle of a value. */
  sayLast(bytes: Buffer): void {
    if (this.#reply === 'none') this.#outbox.push(bytes)
  }
}

/** The number of values of a reply: elements of an aggregate, 1 for a value, 0 for a null or a status. */
function rowsOf(type: number, count: number): number {
  switch (type) {
    case REPLY.array:
    case REPLY.set:
    case REPLY.map:
      return Math.max(0, count)
    case REPLY.bulk:
    case REPLY.verbatim:
      return count < 0 ? 0 : 1
    case REPLY.integer:
    case REPLY.double:
    case REPLY.boolean:
    case REPLY.bigNumber:
      return 1
    default:
      return 0
  }
}

/** `WRONGTYPE` of `WRONGTYPE Operation against …`. */
function errorPrefix(line: string): string {
  const space = line.search(/[ \r]/)
  const prefix = (space === -1 ? line : line.slice(0, space)).slice(0, 32)
  return /^[A-Z][A-Z_0-9]*$/.test(prefix) ? prefix : 'ERR'
}

function fail(message: string): never {
  throw new ProtocolError('redis', 'server', message)
}
