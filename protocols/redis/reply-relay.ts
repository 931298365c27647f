/**
 * The way of the replies: what the server owes, in order, and what becomes of it. A reply passes in the pieces that it
 * arrives in; pushes and messages pass beside the count; denials and answers of ours take their turn.
 */
import { ProtocolError } from '../errors.ts'
import { Inbox } from '../inbox.ts'
import type { Completion, LimitKind, ReplyLimits } from '../session.ts'
import type { ClientEntry } from './answers.ts'
import { limitReply, REDIRECTION } from './errors.ts'
import { InFlight, type Owed, type Reply } from './in-flight.ts'
import { REPLY, ReplyScanner } from './replies.ts'
import { ReplyGate } from './reply-gate.ts'
import { Subscriptions } from './subscriptions.ts'

/** Marks that the reply under way is not an EXEC's, whose elements are replies. */
const NO_BATCH = -1

export class ReplyRelay {
  readonly #entry: ClientEntry
  readonly #inbox = new Inbox()
  readonly #replies = new ReplyScanner(this.#inbox)
  readonly #gate = new ReplyGate(this.#inbox, this.#replies)
  readonly #inFlight = new InFlight()
  readonly #subscriptions = new Subscriptions()
  readonly #completions: Completion[] = []
  #completionAt = 0

  #limits: ReplyLimits | undefined

  /** The reply under way: what it is. */
  #reply: 'none' | 'owed' | 'push' | 'confirmation' = 'none'
  #replyWord = ''
  #replyRows = 0
  #replyError: string | undefined
  #replyBytes = 0
  /** The bound that cut it, or one of its elements. */
  #replyLimit: LimitKind | undefined
  /** Elements still to come of the reply to an EXEC. */
  #batchLeft = NO_BATCH

  /** The value under way: the reply, or one element of an EXEC's. */
  #inValue = false
  /** True once a reply was cut where no error can stand: nothing more reaches the client. */
  over = false

  /** @param welcome the first bytes that the client gets */
  constructor(entry: ClientEntry, welcome: Buffer) {
    this.#entry = entry
    this.#gate.put(welcome)
  }

  /** How many answers are owed to the client. */
  get owed(): number {
    return this.#inFlight.length
  }

  /** True where so much is owed that the client's next commands should wait. */
  get isFull(): boolean {
    return this.#inFlight.isFull
  }

  /** Bounds messages, which no command of their own brings; a reply is bounded by what it is owed with. */
  limit(limits: ReplyLimits): void {
    this.#limits = limits
  }

  /**
   * Lets `bytes` stand where the reply to a statement was to stand, whatever it is. Not where it has begun to come, and not
   * for what is queued in a transaction: it would be carried out by EXEC all the same.
   */
  replace(statementId: number, bytes: Buffer): void {
    const owed = this.#inFlight.replyOf(statementId)
    const hasBegun = owed === this.#inFlight.first && this.#reply === 'owed'
    if (owed !== undefined && owed.to !== 'queued' && !hasBegun) owed.late = bytes
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
      this.#gate.put(first.bytes)
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
    if (this.over) return
    this.#inbox.push(chunk)
    for (;;) {
      if (!this.#inValue && (this.#inbox.length === this.#replies.at || !this.#beginValue())) break
      const before = this.#replies.at
      const walked = this.#replies.walk()
      const size = this.#replies.at - before
      this.#replyBytes += size
      const passed = this.#gate.walked(size, this.#reply === 'owed')
      if (passed !== undefined && !this.#cut(passed)) return
      if (walked === 'redirection') this.#replaceRedirection()
      else if (walked === 'more') break
      else this.#endValue()
    }
    this.#gate.settleWalked()
  }

  #beginValue(): boolean {
    this.#inValue = this.#batchLeft > 0 ? this.#beginElement() : this.#beginReply()
    return this.#inValue
  }

  /** The value under way has passed a bound; false: the session is over. */
  #cut(passed: 'rows' | 'bytes'): boolean {
    const first = this.#inFlight.first
    const limits = first?.kind === 'reply' ? first.limits : undefined
    this.#replyLimit = passed
    if (this.#reply === 'owed' && limits !== undefined) {
      const error = limitReply(passed, limits)
      if (this.#gate.cut(error)) {
        this.#standsIn(error)
        return true
      }
    }
    this.over = true
    if (this.#reply === 'owed' && first?.kind === 'reply') {
      this.#complete(first.statementId, this.#replyRows, this.#replyBytes, undefined)
    }
    return false
  }

  /** An error of ours stands where the value under way was to stand. */
  #standsIn(error: Buffer): void {
    if (this.#batchLeft !== NO_BATCH) return
    this.#replyRows = 0
    this.#replyError = errorPrefix(error.toString('latin1', 1))
  }

  /** Decides what the next reply is; false: not enough of it has arrived to tell. */
  #beginReply(): boolean {
    const replies = this.#replies
    if (!replies.begin()) return false
    const { type } = replies
    const first = this.#inFlight.first
    this.#replyBytes = 0
    this.#replyError = undefined
    this.#replyLimit = undefined
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
        if (this.#limits?.bytes !== undefined) this.#gate.bound(this.#limits)
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
    this.#reply = reply
    if (dropped) this.#gate.drop()
  }

  #beginOwed(first: Owed | undefined): void {
    const isError = this.#replyError !== undefined
    switch (first?.kind) {
      case 'reply':
        this.#beginOrdinary(first, isError)
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

  #beginOrdinary(owed: Reply, isError: boolean): void {
    if (owed.late !== undefined) {
      this.#reply = 'owed'
      this.#replyLimit = 'time'
      this.#gate.drop(owed.late)
      this.#standsIn(owed.late)
      return
    }
    this.#open('owed', false)
    if (owed.limits === undefined || isError) return
    if (owed.to === 'batch' && this.#replies.type === REPLY.array && this.#replies.count > 0) {
      // Its header counts as one.
      this.#batchLeft = this.#replies.count + 1
      this.#replyBytes += this.#replies.enterList()
      return
    }
    this.#gate.bound(owed.limits)
  }

  /** An element of an EXEC's reply is the reply to a command of its own. */
  #beginElement(): boolean {
    const replies = this.#replies
    const first = this.#inFlight.first
    if (!replies.begin(true)) return false
    if (first?.kind === 'reply' && first.limits !== undefined && replies.type !== REPLY.error) {
      this.#gate.bound(first.limits)
    }
    return true
  }

  #endValue(): void {
    this.#inValue = false
    this.#gate.end()
    if (this.#batchLeft > 0) {
      this.#batchLeft -= 1
      if (this.#batchLeft > 0) return
      this.#batchLeft = NO_BATCH
    }
    this.#endReply()
  }

  #endReply(): void {
    const kind = this.#reply
    this.#reply = 'none'
    if (kind === 'owed') this.#settle()
    else if (kind === 'confirmation') this.#confirm()
    this.#giveAnswers()
  }

  #settle(): void {
    const first = this.#inFlight.first
    if (first === undefined) return
    this.#inFlight.shift()
    if (first.kind === 'denied') {
      this.#gate.put(first.bytes)
      return
    }
    if (first.kind === 'answer') return
    let bytes = this.#replyBytes
    // What was made in the other version meanwhile is answered in it; drivers read both.
    if (first.kind === 'hello' && this.#replyError !== undefined) this.#entry.asked = this.#entry.version
    if (first.kind === 'hello' && this.#replyError === undefined) {
      this.#entry.version = first.version
      this.#gate.put(first.bytes)
      bytes = first.bytes.length
    }
    this.#complete(first.statementId, this.#replyRows, bytes, this.#replyError)
    this.#replyLimit = undefined
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
    this.#gate.replaceLine(REDIRECTION)
  }

  #complete(statementId: number, rows: number, bytes: number, error: string | undefined): void {
    const limit = this.#replyLimit
    this.#completions.push(
      limit === undefined ? { statementId, rows, bytes, error } : { statementId, rows, bytes, error, limit },
    )
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
    return this.#gate.take()
  }

  /** The last words, where they can be told from the middle of a value. */
  sayLast(bytes: Buffer): void {
    const nothingPassed = this.#reply === 'none' || (this.#gate.keeps && this.#batchLeft === NO_BATCH)
    if (nothingPassed && !this.over) this.#gate.put(bytes)
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
