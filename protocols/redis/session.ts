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
import { type Analysis, touching } from '../analysis.ts'
import { Inbox } from '../inbox.ts'
import type { Live } from '../login.ts'
import { Outbox } from '../outbox.ts'
import type { Completion, Denial, EndCause, ReplyLimits, Session, Statement } from '../session.ts'
import type { RedisAnalyser } from './analyser.ts'
import { answer, type ClientEntry } from './answers.ts'
import type { Args } from './args.ts'
import type { RedisCatalog } from './catalog.ts'
import { denialReply, endReply } from './errors.ts'
import { encodeCommand, LIMITS, RequestScanner } from './frames.ts'
import { greeting, type Hello, parseHello } from './hello.ts'
import type { Reply, SubscriptionVerb } from './in-flight.ts'
import { ReplyRelay } from './reply-relay.ts'
import { Span } from './span.ts'
import { statementText } from './statements.ts'
import { StreamedValue } from './streamed-value.ts'

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
  readonly #requests = new RequestScanner(this.#clientInbox, LIMITS, (args) => this.#mayStream(args))
  readonly #serverOutbox = new Outbox()
  readonly #value = new StreamedValue(this.#clientInbox, this.#serverOutbox)
  /** Commands let through, side by side in one buffer, not yet in the outbox. */
  readonly #relayed = new Span()
  readonly #replies: ReplyRelay

  #statement: Statement | undefined
  #statementKnowledge: RedisAnalyser | undefined
  #flow: Flow = 'relay'
  #command = ''
  #statements = 0
  #poisons = 0
  #inMulti = false
  #limits: ReplyLimits | undefined
  /** True while the wait of what runs is being ended: what is let through now could be hit in its stead. */
  #cancelling = false
  #quitting = false
  #ended = false

  constructor(start: SessionStart) {
    this.#start = start
    this.#entry = start.entry
    this.#replies = new ReplyRelay(start.entry, start.welcome)
    this.#clientInbox.push(start.fromClient)
    if (start.fromServer.length > 0) this.fromServer(start.fromServer)
  }

  fromClient(chunk: Buffer): void {
    if (!this.#quitting && !this.#ended) this.#clientInbox.push(chunk)
  }

  next(): Statement | undefined {
    if (this.#quitting || this.#ended || this.#replies.over) return undefined
    if (this.#value.isUnderWay && !this.#value.move()) return undefined
    if (this.#cancelling || this.#replies.isFull) return undefined
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

  /** Whether a command may be judged, and its beginning relayed, before its last argument has come. */
  #mayStream(args: Args): boolean {
    const knowledge = this.#start.knowledge.current
    const command = knowledge?.commandOf(args)
    return command !== undefined && !FLOWS.has(command.name) && knowledge?.ignoresNext(args) === true
  }

  /** What the command touches, and how it would be carried out here and now. */
  #analyse(knowledge: RedisAnalyser | undefined, args: Args): Analysis {
    this.#flow = 'relay'
    this.#command = ''
    if (knowledge === undefined) return NOT_KNOWN
    const command = knowledge.commandOf(args)
    const analysis = knowledge.read(args, command)
    if (command === undefined) return analysis
    this.#command = command.name
    this.#flow = command.decision.is === 'answered' ? 'answer' : 'relay'
    this.#flow = FLOWS.get(command.name) ?? this.#flow
    if (analysis.outcome === 'hop' && analysis.hop === 'identity_switch' && this.#isSameLogin(args)) {
      return this.#inMulti ? NOT_IN_MULTI : SAME_LOGIN
    }
    if (this.#inMulti && analysis.outcome === 'accesses' && !mayBeQueued(this.#flow)) {
      return touching(NOT_IN_MULTI, analysis.accesses)
    }
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
        this.#oweReply(statement.id, this.#inMulti ? 'queued' : 'command')
        break
      case 'multi':
      case 'end_multi':
        this.#inMulti = this.#flow === 'multi'
        this.#forward()
        this.#oweReply(statement.id, this.#command === 'exec' ? 'batch' : 'command')
        break
      case 'subscription': {
        const verb = this.#command as SubscriptionVerb
        this.#forward()
        this.#replies.owe({ kind: 'confirmations', statementId: statement.id, verb, left: args.count - 1 })
        break
      }
      case 'hello':
        this.#relayHello(statement.id, args)
        break
      case 'auth':
        this.#replies.answer(statement.id, OK)
        break
      case 'quit':
        this.#quitting = true
        this.#replies.answer(statement.id, OK)
        break
      case 'answer':
        this.#replies.answer(statement.id, answer(this.#command, args, this.#entry, this.#facts()))
        break
    }
    this.#requestDone(false)
  }

  #oweReply(statementId: number, to: Reply['to']): void {
    this.#replies.owe({ kind: 'reply', statementId, limits: this.#limits, to, late: undefined })
  }

  limitReplies(limits: ReplyLimits): void {
    this.#limits = limits.rows === undefined && limits.bytes === undefined ? undefined : limits
    this.#replies.limit(limits)
  }

  /** A server has made its reply before its first byte comes: there is nothing to cancel. */
  takeCancel(): boolean {
    return false
  }

  /** The server goes on with most commands; whatever it answers then, the client gets the denial. */
  timeOut(statementId: number, denial: Denial): void {
    this.#cancelling = true
    this.#replies.replace(statementId, denialReply(denial, this.#start.user))
  }

  cancelsOver(): void {
    this.#cancelling = false
  }

  reject(denial: Denial): void {
    this.#take()
    const bytes = denialReply(denial, this.#start.user)
    if (this.#inMulti) {
      this.#poisons += 1
      const poison = `bulkhead:${this.#start.nonce.toString('hex')}:${this.#poisons}`
      this.#flushRelayed()
      this.#serverOutbox.push(encodeCommand([poison]))
      this.#replies.owe({ kind: 'denied', poison, bytes })
    } else {
      this.#replies.answer(undefined, bytes)
    }
    this.#requestDone(true)
  }

  #take(): Statement {
    const statement = this.#statement
    if (statement === undefined) throw new Error('no statement waits for an answer')
    this.#statement = undefined
    return statement
  }

  /** Drops the bytes of the command; those let through are kept by the span. */
  #requestDone(isRefused: boolean): void {
    this.#clientInbox.skip(this.#requests.size)
    this.#value.begin(this.#requests.streamed, isRefused)
    if (this.#value.isUnderWay) this.#flushRelayed()
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
    const version = hello.version ?? this.#entry.asked
    this.#entry.asked = version
    if (hello.name !== undefined) this.#entry.name = hello.name
    const { server, serverVersion, connectionId } = this.#facts()
    const bytes = greeting({ server, version: serverVersion, proto: version, id: connectionId })
    this.#flushRelayed()
    // Neither the credentials nor the name: the backend's entry keeps the proxy's.
    this.#serverOutbox.push(encodeCommand(['HELLO', String(version)]))
    this.#replies.owe({ kind: 'hello', statementId, version, bytes })
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

  fromServer(chunk: Buffer): void {
    if (!this.#ended) this.#replies.fromServer(chunk)
  }

  completion(): Completion | undefined {
    return this.#replies.completion()
  }

  takeForServer(): readonly Buffer[] {
    this.#flushRelayed()
    return this.#serverOutbox.take()
  }

  takeForClient(): readonly Buffer[] {
    return this.#replies.take()
  }

  get clientIsAhead(): boolean {
    return this.#replies.isFull
  }

  get idle(): boolean {
    return this.#replies.owed === 0 && !this.#inMulti && !this.#value.isUnderWay
  }

  get finished(): 'client' | 'limit' | undefined {
    if (this.#replies.over) return 'limit'
    return this.#quitting && this.#replies.owed === 0 ? 'client' : undefined
  }

  end(cause: EndCause): void {
    if (this.#ended) return
    this.#ended = true
    // What is judged but not yet taken must not leave after the end.
    this.#relayed.take()
    this.#serverOutbox.take()
    // Only as the answer to something: an error that answers nothing makes drivers lose count, and some throw.
    const answersSomething = this.#replies.owed > 0 || cause.kind === 'protocol_error'
    if (answersSomething) this.#replies.sayLast(endReply(cause))
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
