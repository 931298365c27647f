/**
 * A connection after login.
 *
 * Every command stops at `next()`. One that is let through leaves as the bytes that came, and its replies pass as they
 * come; only their boundaries are read. One that is refused is answered in its place:
 *
 * - outside a transaction the denial waits in the queue of what is owed until the replies before it have passed;
 * - inside MULTI the server gets, instead of it, a command that cannot exist, so that the transaction is aborted as
 *   the server itself would abort it (`EXECABORT`); its complaint is replaced with the denial.
 *
 * Counting replies is sound because everything that makes their number unknowable is refused: CLIENT REPLY, MONITOR,
 * SYNC, RESET, and subscriptions inside MULTI.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Analysis } from '../analysis.ts'
import { ProtocolError } from '../errors.ts'
import { Inbox } from '../inbox.ts'
import type { Live } from '../login.ts'
import { Outbox } from '../outbox.ts'
import type { Completion, Denial, EndCause, Session, Statement } from '../session.ts'
import type { RedisAnalyser } from './analyser.ts'
import { answer, type ClientEntry } from './answers.ts'
import type { Args } from './args.ts'
import type { RedisCatalog } from './catalog.ts'
import { denialReply, endReply, REDIRECTION } from './errors.ts'
import { encodeCommand, LIMITS, RequestScanner } from './frames.ts'
import { greeting, type Hello, parseHello } from './hello.ts'
import { InFlight, type Owed, type SubscriptionVerb } from './in-flight.ts'
import { REPLY, ReplyScanner } from './replies.ts'
import { Span } from './span.ts'
import { statementText } from './statements.ts'
import { Subscriptions } from './subscriptions.ts'

/** What the login hands over. */
export type SessionStart = {
  readonly knowledge: Live<RedisAnalyser | undefined>
  /** 8 random bytes: no client can guess the name of the poison. */
  readonly nonce: Buffer
  readonly connectionId: number
  /** The user as the client named it, for errors and WHOAMI. */
  readonly user: string
  /** SHA-256 of the credentials that opened the session. */
  readonly credentials: Buffer
  readonly entry: ClientEntry
  /** Bytes of the client that the login did not need, and of the server. */
  readonly fromClient: Buffer
  readonly fromServer: Buffer
  /** The answer to the login, first of all that the client gets. */
  readonly welcome: Buffer
}

/** A pipeline deeper than this waits in the client's socket. */
const IN_FLIGHT_MAX = 100_000

const OK = Buffer.from('+OK\r\n')

/** How a command that is let through is carried out, where it is not simply relayed. */
type Flow = 'relay' | 'multi' | 'end_multi' | 'quit' | 'hello' | 'auth' | 'answer' | 'subscription'

const FLOWS: ReadonlyMap<string, Flow> = new Map([
  ['multi', 'multi'],
  ['exec', 'end_multi'],
  ['discard', 'end_multi'],
  ['quit', 'quit'],
  ['hello', 'hello'],
  ['auth', 'auth'],
  ['subscribe', 'subscription'],
  ['psubscribe', 'subscription'],
  ['ssubscribe', 'subscription'],
  ['unsubscribe', 'subscription'],
  ['punsubscribe', 'subscription'],
  ['sunsubscribe', 'subscription'],
])

/** The same credentials again: nothing changes. */
const SAME_LOGIN: Analysis = { outcome: 'accesses', action: 'session', accesses: [] }

/** These would break the count of replies, or answer at the wrong time, when they are queued. */
const NOT_IN_MULTI: Analysis = {
  outcome: 'forbidden',
  action: 'session',
  why: 'this command cannot be queued in a transaction here',
}

const NOT_KNOWN: Analysis = {
  outcome: 'not_understood',
  action: 'unknown',
  why: 'the backend is not known yet',
}

/** Digest of a user and a password, to know the same credentials again without keeping them. */
export function credentialsDigest(user: string | undefined, password: string): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([user === 'default' ? null : (user ?? null), password]))
    .digest()
}

export class RedisSession implements Session {
  readonly #start: SessionStart
  readonly #entry: ClientEntry
  readonly #clientInbox = new Inbox()
  readonly #serverInbox = new Inbox()
  readonly #requests = new RequestScanner(this.#clientInbox, LIMITS)
  readonly #replies = new ReplyScanner(this.#serverInbox)
  readonly #clientOutbox = new Outbox()
  readonly #serverOutbox = new Outbox()
  /** Commands let through, side by side in one buffer, not yet in the outbox. */
  readonly #relayed = new Span()
  readonly #inFlight = new InFlight()
  readonly #subscriptions = new Subscriptions()
  readonly #completions: Completion[] = []
  #completionAt = 0

  #statement: Statement | undefined
  #statementKnowledge: RedisAnalyser | undefined
  #flow: Flow = 'relay'
  #command = ''
  #statements = 0
  #poisons = 0
  #inMulti = false
  #quitting = false
  #ended = false

  /** The reply under way: what to do with its bytes, and what it is. */
  #reply: 'none' | 'owed' | 'push' | 'confirmation' = 'none'
  #dropped = false
  #replyWord = ''
  #replyRows = 0
  #replyError: string | undefined
  #replyBytes = 0

  constructor(start: SessionStart) {
    this.#start = start
    this.#entry = start.entry
    this.#clientOutbox.push(start.welcome)
    this.#clientInbox.push(start.fromClient)
    if (start.fromServer.length > 0) this.fromServer(start.fromServer)
  }

  fromClient(chunk: Buffer): void {
    if (!this.#quitting && !this.#ended) this.#clientInbox.push(chunk)
  }

  next(): Statement | undefined {
    if (this.#quitting || this.#ended) return undefined
    const knowledge = this.#start.knowledge.current
    if (this.#statement !== undefined) {
      if (knowledge !== this.#statementKnowledge) {
        this.#statementKnowledge = knowledge
        this.#statement = { ...this.#statement, analysis: this.#analyse(knowledge, this.#requests.args) }
      }
      return this.#statement
    }
    if (!this.#requests.next()) return undefined
    const { args } = this.#requests
    this.#statements += 1
    this.#statementKnowledge = knowledge
    this.#statement = {
      id: this.#statements,
      text: statementText(args),
      analysis: this.#analyse(knowledge, args),
    }
    return this.#statement
  }

  /** What the command touches, and how it would be carried out here and now. */
  #analyse(knowledge: RedisAnalyser | undefined, args: Args): Analysis {
    this.#flow = 'relay'
    this.#command = ''
    if (knowledge === undefined) return NOT_KNOWN
    const analysis = knowledge.read(args)
    const command = knowledge.commandOf(args)
    if (command === undefined) return analysis
    this.#command = command.name
    this.#flow = command.decision.is === 'answered' ? 'answer' : 'relay'
    this.#flow = FLOWS.get(command.name) ?? this.#flow
    if (analysis.outcome === 'hop' && analysis.hop === 'identity_switch' && this.#isSameLogin(args)) {
      return this.#inMulti ? NOT_IN_MULTI : SAME_LOGIN
    }
    if (this.#inMulti && analysis.outcome === 'accesses' && !mayBeQueued(this.#flow)) return NOT_IN_MULTI
    return analysis
  }

  /** Some drivers send AUTH behind HELLO … AUTH: the same credentials again are no switch. */
  #isSameLogin(args: Args): boolean {
    let auth: Hello['auth']
    if (this.#command === 'auth') {
      if (args.count === 2) return this.#matches(undefined, args.latin1(1))
      if (args.count === 3) auth = { user: args.latin1(1), password: args.latin1(2) }
    } else if (this.#command === 'hello') {
      const hello = parseHello(args)
      if ('version' in hello) auth = hello.auth
    }
    return auth !== undefined && this.#matches(auth.user, auth.password)
  }

  #matches(user: string | undefined, password: string): boolean {
    return timingSafeEqual(credentialsDigest(user, password), this.#start.credentials)
  }

  relay(): void {
    const statement = this.#take()
    const { args } = this.#requests
    switch (this.#flow) {
      case 'relay':
        this.#forward()
        this.#inFlight.push({ kind: 'reply', statementId: statement.id })
        break
      case 'multi':
      case 'end_multi':
        this.#inMulti = this.#flow === 'multi'
        this.#forward()
        this.#inFlight.push({ kind: 'reply', statementId: statement.id })
        break
      case 'subscription': {
        const verb = this.#command as SubscriptionVerb
        this.#forward()
        this.#inFlight.push({ kind: 'confirmations', statementId: statement.id, verb, left: args.count - 1 })
        break
      }
      case 'hello':
        this.#relayHello(statement.id, args)
        break
      case 'auth':
        this.#answer(statement.id, OK)
        break
      case 'quit':
        this.#quitting = true
        this.#answer(statement.id, OK)
        break
      case 'answer':
        this.#answer(statement.id, answer(this.#command, args, this.#entry, this.#facts()))
        break
    }
    this.#requestDone()
  }

  reject(denial: Denial): void {
    this.#take()
    const bytes = denialReply(denial, this.#start.user)
    if (this.#inMulti) {
      this.#poisons += 1
      const poison = `bulkhead:${this.#start.nonce.toString('hex')}:${this.#poisons}`
      this.#flushRelayed()
      this.#serverOutbox.push(encodeCommand([poison]))
      this.#inFlight.push({ kind: 'denied', poison, bytes })
    } else {
      this.#answer(undefined, bytes)
    }
    this.#requestDone()
  }

  #take(): Statement {
    const statement = this.#statement
    if (statement === undefined) throw new Error('no statement waits for an answer')
    this.#statement = undefined
    return statement
  }

  /** Drops the bytes of the command; those let through are kept by the span. */
  #requestDone(): void {
    this.#clientInbox.skip(this.#requests.size)
    if (this.#quitting) this.#clientInbox.skip(this.#clientInbox.length)
  }

  #forward(): void {
    const { args, inline, size } = this.#requests
    if (inline) {
      const words: string[] = []
      for (let i = 0; i < args.count; i++) words.push(args.latin1(i))
      this.#flushRelayed()
      this.#serverOutbox.push(encodeCommand(words))
      return
    }
    const { buffer, start } = this.#clientInbox
    if (this.#relayed.extend(buffer, start, size)) return
    this.#flushRelayed()
    this.#relayed.begin(buffer, start, size)
  }

  #flushRelayed(): void {
    const bytes = this.#relayed.take()
    if (bytes !== undefined) this.#serverOutbox.push(bytes)
  }

  #relayHello(statementId: number, args: Args): void {
    const hello = parseHello(args)
    if ('code' in hello) throw new Error('a HELLO that was not understood is relayed')
    const version = hello.version ?? this.#entry.version
    if (hello.name !== undefined) this.#entry.name = hello.name
    const { server, serverVersion, connectionId } = this.#facts()
    const bytes = greeting({ server, version: serverVersion, proto: version, id: connectionId })
    this.#flushRelayed()
    // Neither the credentials nor the name: the backend's entry keeps the proxy's.
    this.#serverOutbox.push(encodeCommand(['HELLO', String(version)]))
    this.#inFlight.push({ kind: 'hello', statementId, version, bytes })
  }

  #facts() {
    const catalog: RedisCatalog | undefined = this.#statementKnowledge?.catalog
    return {
      server: catalog?.server ?? 'redis',
      serverVersion: catalog?.version ?? '',
      user: this.#start.user,
      connectionId: this.#start.connectionId,
      database: catalog?.database ?? 0,
    } as const
  }

  /** Gives an answer of ours its place behind what is owed before it. */
  #answer(statementId: number | undefined, bytes: Buffer): void {
    this.#inFlight.push({ kind: 'answer', statementId, bytes })
    this.#giveAnswers()
  }

  /** Gives the answers whose turn it is. Never into the middle of a value that is passing. */
  #giveAnswers(): void {
    if (this.#reply !== 'none') return
    for (let first = this.#inFlight.first; first?.kind === 'answer'; first = this.#inFlight.first) {
      this.#passReplies()
      this.#clientOutbox.push(first.bytes)
      if (first.statementId !== undefined) {
        const error =
          first.bytes[0] === REPLY.error ? errorPrefix(first.bytes.toString('latin1', 1)) : undefined
        this.#complete(first.statementId, 0, first.bytes.length, error)
      }
      this.#inFlight.shift()
    }
  }

  fromServer(chunk: Buffer): void {
    if (this.#ended) return
    this.#serverInbox.push(chunk)
    for (;;) {
      if (this.#reply === 'none' && (this.#serverInbox.length === this.#replies.at || !this.#beginReply()))
        break
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
    this.#clientOutbox.push(this.#serverInbox.take(size))
  }

  #dropReplies(): void {
    this.#serverInbox.skip(this.#replies.at)
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
      this.#clientOutbox.push(first.bytes)
      return
    }
    if (first.kind === 'answer') return
    let bytes = this.#replyBytes
    if (first.kind === 'hello' && this.#replyError === undefined) {
      this.#entry.version = first.version
      this.#clientOutbox.push(first.bytes)
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
    if (!this.#dropped) this.#clientOutbox.push(REDIRECTION)
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

  takeForServer(): readonly Buffer[] {
    this.#flushRelayed()
    return this.#serverOutbox.take()
  }

  takeForClient(): readonly Buffer[] {
    return this.#clientOutbox.take()
  }

  get clientIsAhead(): boolean {
    return this.#inFlight.length >= IN_FLIGHT_MAX
  }

  get idle(): boolean {
    return this.#inFlight.length === 0 && !this.#inMulti
  }

  get finished(): boolean {
    return this.#quitting && this.#inFlight.length === 0
  }

  end(cause: EndCause): void {
    if (this.#ended) return
    this.#ended = true
    // What is judged but not yet taken must not leave after the end.
    this.#relayed.take()
    this.#serverOutbox.take()
    // Only as the answer to something: an error that answers nothing makes drivers lose count, and some throw.
    const answersSomething = this.#inFlight.length > 0 || cause.kind === 'protocol_error'
    if (this.#reply === 'none' && answersSomething) this.#clientOutbox.push(endReply(cause))
  }
}

function mayBeQueued(flow: Flow): boolean {
  switch (flow) {
    case 'relay':
    case 'multi':
    case 'end_multi':
    case 'quit':
      return true
    case 'hello':
    case 'auth':
    case 'answer':
    case 'subscription':
      return false
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
