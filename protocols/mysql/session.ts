/**
 * A session after login: commands of the client in, replies of the backend out.
 *
 * MySQL answers one command at a time, so one command at a time goes to the backend; a client that sends more waits
 * in its inbox. Nothing is in flight when a statement is judged, so a refusal is an ERR packet made here, in its
 * place by itself.
 *
 *     client inbox ─▶ command ─▶ Statement ─▶ relay() │ reject() ─▶ transfer of its packets ─▶ reply ─▶ next command
 *
 * Statements to be analysed are bounded and held whole; parameters of any size are judged by their first bytes and
 * then flow through.
 */
import { ProtocolError } from '../errors.ts'
import type { Inbox } from '../inbox.ts'
import type { Live } from '../login.ts'
import { Outbox } from '../outbox.ts'
import type {
  Completion,
  Denial,
  EndCause,
  KillRequest,
  ReplyLimits,
  Session,
  Statement,
} from '../session.ts'
import type { MysqlAnalyser } from './analyser.ts'
import type { Cancels } from './cancels.ts'
import { type Capabilities, CLIENT, MARIADB_CLIENT } from './capabilities.ts'
import { isSameServer } from './catalog.ts'
import {
  type CommandContext,
  headOf,
  isAnswered,
  type JudgedCommand,
  readCommand,
  replyOf,
} from './client-command.ts'
import { analyseCommand, type CommandReading, ofOtherServer } from './command-analysis.ts'
import { COM } from './commands.ts'
import { denialError, endError, errorPacket, type MysqlError } from './errors.ts'
import { packet } from './frames.ts'
import { Kills } from './kill.ts'
import { OwnStatements } from './own-statements.ts'
import { PinnedState } from './pinned-state.ts'
import { ReplyReader } from './replies.ts'
import { StatementLimits } from './statement-limits.ts'
import { Brought, KnownText, PreparedStatements } from './statements.ts'
import { Transfer } from './transfer.ts'
import { takeUnsolicited } from './unsolicited.ts'

/** Commands of a client that wait behind a running one are read up to this size. */
const AHEAD_BYTES_MAX = 64 << 10
/** A server may refuse a command before it has read all of it; an error is short. */
const EARLY_BYTES_MAX = 64 << 10

export type MysqlSessionParts = {
  readonly analyser: MysqlAnalyser
  readonly knowledge: Live<MysqlAnalyser | undefined>
  readonly client: Capabilities
  readonly user: string
  /** Status flags of the login. */
  readonly status: number
  /** The statement that pins the session anew. */
  readonly pin: string
  readonly clientInbox: Inbox
  readonly serverInbox: Inbox
  readonly cancels: Cancels
  /** The packet that tells the client that its login is done. */
  readonly welcome: Buffer
}

/** A statement that waits to be judged. */
type Pending = {
  readonly command: JudgedCommand
  readonly statement: Statement
  readonly reading: CommandReading
  readonly analyser: MysqlAnalyser
}

export class MysqlSession implements Session {
  readonly #parts: MysqlSessionParts
  readonly #client = new Outbox()
  readonly #server = new Outbox()
  /** Replies to our own statements, which no one reads. */
  readonly #unread = new Outbox()
  readonly #reply: ReplyReader
  readonly #state: PinnedState
  readonly #prepared = new PreparedStatements()
  readonly #completions: Completion[] = []
  readonly #ignoreSpace: boolean
  readonly #context: CommandContext
  readonly #own: OwnStatements
  readonly #limits: StatementLimits
  readonly #kills = new Kills()
  /** At most one of these two is set: a command waits to be judged, or a judged one runs. */
  #pending: Pending | undefined
  #running: Pending | undefined
  /** The packets of a judged command that have not all moved yet. */
  #transfer: Transfer | undefined
  #refusal: MysqlError | undefined
  /** The statement for which a cancel was asked last. */
  #cancelled = 0
  #statements = 0
  #serverSaidGoodbye = false
  #ended = false
  finished: 'client' | 'limit' | undefined

  constructor(parts: MysqlSessionParts) {
    this.#parts = parts
    this.#state = new PinnedState(parts.status, parts.analyser)
    const { flags, extended } = parts.client
    this.#ignoreSpace = (flags & CLIENT.IGNORE_SPACE) !== 0
    const mariadb = parts.analyser.catalog.flavour === 'mariadb'
    const bulk = (extended & MARIADB_CLIENT.STMT_BULK) !== 0
    this.#context = { prepared: this.#prepared, mariadb, bulk }
    this.#own = new OwnStatements(parts.cancels)
    const limits = new StatementLimits(parts.user, mariadb)
    this.#limits = limits
    this.#reply = new ReplyReader(
      {
        deprecateEof: (flags & CLIENT.DEPRECATE_EOF) !== 0,
        clientTracksSession: (flags & CLIENT.SESSION_TRACK) !== 0,
      },
      {
        status: (status, changes) => this.#state.report(status, changes),
        ended: () => this.#own.owe(...this.#state.judge(this.#reply, this.#own.running, this.#running)),
        insteadOf: (error) => (this.#own.running ? undefined : limits.insteadOf(error)),
        wordsOf: (cut) => limits.wordsOf(cut),
      },
    )
    this.#client.push(parts.welcome)
  }

  fromClient(chunk: Buffer): void {
    this.#parts.clientInbox.push(chunk)
    this.#move()
  }

  fromServer(chunk: Buffer): void {
    this.#parts.serverInbox.push(chunk)
    this.#receive()
  }

  limitReplies(limits: ReplyLimits): void {
    this.#limits.set(limits)
  }

  takeCancel(): boolean {
    const id = this.#running?.statement.id
    if (id === undefined || id === this.#cancelled || !this.#reply.running || this.#reply.cut === undefined)
      return false
    this.#cancelled = id
    return true
  }

  timeOut(statementId: number, denial: Denial): void {
    if (this.#running?.statement.id === statementId) this.#limits.timeOut(denial)
  }

  cancelsOver(): void {
    this.#parts.cancels.over()
  }

  ownSessions(isOwn: (key: string) => boolean): void {
    this.#kills.own(isOwn)
  }

  takeKill(): KillRequest | undefined {
    return this.#kills.take()
  }

  takeForServer(): readonly Buffer[] {
    return this.#server.take()
  }

  takeForClient(): readonly Buffer[] {
    return this.#client.take()
  }

  completion(): Completion | undefined {
    return this.#completions.shift()
  }

  get clientIsAhead(): boolean {
    return (this.#busy || this.#pending !== undefined) && this.#parts.clientInbox.length > AHEAD_BYTES_MAX
  }

  get idle(): boolean {
    return !this.#busy && this.#pending === undefined && !this.#state.inTransaction
  }

  get #busy(): boolean {
    return this.#transfer !== undefined || this.#running !== undefined || this.#own.running
  }

  next(): Statement | undefined {
    if (this.#busy || this.finished !== undefined || this.#ended || this.#parts.cancels.pending)
      return undefined
    if (this.#own.isDue) {
      this.#runOwn()
      return undefined
    }
    const analyser = this.#analyser()
    const pending = this.#pending
    if (pending !== undefined) {
      if (pending.analyser === analyser) return pending.statement
      return this.#pend(pending.command, pending.statement.id, analyser)
    }
    const command = readCommand(this.#parts.clientInbox, this.#context)
    if (command === undefined) return undefined
    if (command.kind === 'quit') {
      this.#goodbye()
      this.finished = 'client'
      return undefined
    }
    this.#statements += 1
    return this.#pend(command, this.#statements, analyser)
  }

  #pend(command: JudgedCommand, id: number, analyser: MysqlAnalyser): Statement {
    const session = { prepared: this.#prepared, ignoreSpace: this.#ignoreSpace }
    const read = this.#kills.judge(analyseCommand(command, analyser, session))
    const isKnown = isSameServer(analyser.catalog, this.#parts.analyser.catalog)
    const reading = isKnown ? read : ofOtherServer(read)
    const { text, analysis } = reading
    const statement = { id, text, analysis, prepares: command.kind === 'prepare' }
    this.#pending = { command, statement, reading, analyser }
    return statement
  }

  /** What is known now; while the control connection has never known more, what was known at the login. */
  #analyser(): MysqlAnalyser {
    return this.#parts.knowledge.current ?? this.#parts.analyser
  }

  relay(): void {
    const pending = this.#takePending()
    const { command, statement, reading } = pending
    // INVARIANT: only what is understood leaves. The caller's verdict says the same; this is the second lock.
    if (statement.analysis.outcome !== 'accesses') throw new Error('relay() of what is not understood')
    this.#prepared.forgetNames(reading.uses, statement.analysis)
    this.#kills.relayed(reading)
    this.#running = pending
    this.#limits.begin(command)
    if (reading.forward === undefined) {
      this.#transfer = new Transfer('server', headOf(command))
    } else {
      const code = command.kind === 'prepare' ? COM.STMT_PREPARE : COM.QUERY
      this.#server.push(packet(0, Buffer.of(code), reading.forward))
      this.#transfer = new Transfer('nowhere', undefined)
    }
    this.#move()
  }

  reject(denial: Denial): void {
    const { command, statement } = this.#takePending()
    if (command.kind === 'prepare') this.#prepared.forgetLast()
    const own = command.kind === 'refused' ? command.error : undefined
    this.#refusal = isAnswered(command)
      ? denialError(denial, statement.analysis, this.#parts.user, own)
      : undefined
    this.#transfer = new Transfer('nowhere', undefined)
    this.#move()
  }

  #takePending(): Pending {
    const pending = this.#pending
    if (pending === undefined) throw new Error('no statement to answer')
    this.#pending = undefined
    return pending
  }

  /** Moves what has arrived of a judged command, and begins what follows it. */
  #move(): void {
    const transfer = this.#transfer
    if (transfer === undefined || !transfer.move(this.#parts.clientInbox, this.#server)) return
    this.#transfer = undefined
    if (this.#running === undefined) {
      if (this.#refusal !== undefined) this.#client.push(errorPacket(transfer.sequence, this.#refusal))
      this.#refusal = undefined
      return
    }
    const kind = replyOf(this.#running.command)
    if (kind === undefined) {
      this.#complete(this.#running, { rows: 0, bytes: 0, error: undefined })
      return
    }
    this.#reply.begin(kind, transfer.sequence, this.#limits.bound)
    this.#receive()
  }

  /** Reads the reply that is awaited. */
  #receive(): void {
    const { serverInbox } = this.#parts
    while (serverInbox.length > 0 && this.finished === undefined) {
      if (this.#reply.running) {
        if (!this.#reply.read(serverInbox, this.#own.running ? this.#unread : this.#client)) return
        this.#replied()
      } else if (this.#transfer === undefined) {
        this.#unsolicited()
        return
      } else {
        // A server that answers before it has read the whole command: the answer is read after the command.
        if (serverInbox.length > EARLY_BYTES_MAX)
          throw new ProtocolError('mysql', 'server', 'a reply to no command')
        return
      }
    }
  }

  #replied(): void {
    const { error, errorMessage } = this.#reply
    const running = this.#running
    if (this.#own.running) {
      this.#unread.take()
      this.#own.replied(error, errorMessage)
    } else if (running !== undefined) {
      if (error === undefined) this.#succeeded(running)
      else if (running.command.kind === 'prepare') this.#prepared.forgetLast()
      const { rows, bytes } = this.#reply
      const limit = this.#limits.end(running.command, this.#reply)
      const code = error === undefined ? undefined : String(error)
      this.#complete(running, { rows, bytes, error: code, ...(limit !== undefined && { limit }) })
    }
    if (this.#reply.isTorn) this.finished = 'limit'
    else this.#runOwn()
  }

  #complete(running: Pending, ended: Omit<Completion, 'statementId'>): void {
    const { command, statement } = running
    // COM_STMT_CLOSE has no reply: sent is done.
    if (command.kind === 'close') this.#prepared.remove(command.statement.id)
    this.#completions.push({ statementId: statement.id, ...ended })
    this.#running = undefined
  }

  /** What a command has changed on the server is now so here. */
  #succeeded(running: Pending): void {
    const { command, reading, analyser } = running
    const { prepared } = this.#reply
    if (command.kind === 'prepare' && prepared !== undefined) {
      const known = new KnownText(command.text, this.#ignoreSpace, analyser)
      const sent = reading.forward === undefined ? known.text : Buffer.from(reading.forward)
      this.#prepared.add({ id: prepared.id, known, sent, brought: new Brought() })
    } else if (command.kind === 'query') {
      for (const use of reading.uses) {
        if (use.kind === 'prepare')
          this.#prepared.setName(use.name, new KnownText(command.text, this.#ignoreSpace, analyser))
      }
    } else if (command.kind === 'reset_connection') {
      this.#prepared.clear()
      this.#own.owe(this.#parts.pin)
    }
  }

  /** Sends the next statement of our own, before any of the client's. */
  #runOwn(): void {
    const command = this.#own.begin()
    if (command === undefined) return
    this.#server.push(command)
    this.#reply.begin('ok', 1)
  }

  /** A server says something between commands only to say goodbye: shutdown, idle for too long, killed. */
  #unsolicited(): void {
    if (this.#serverSaidGoodbye) throw new ProtocolError('mysql', 'server', 'a reply to no command')
    const error = takeUnsolicited(this.#parts.serverInbox)
    if (error === undefined) return
    this.#client.push(packet(this.#clientWaits ? 1 : 0, error))
    this.#serverSaidGoodbye = true
  }

  /** Whether the client has sent something of a command and so awaits a reply. */
  get #clientWaits(): boolean {
    return this.#pending !== undefined || this.#parts.clientInbox.length > 0
  }

  end(cause: EndCause): void {
    if (this.#ended) return
    this.#ended = true
    const sequence = this.#sequenceOfEnd()
    if (sequence !== undefined && this.finished === undefined && !this.#serverSaidGoodbye) {
      this.#client.push(errorPacket(sequence, endError(cause)))
    }
    if (!this.#busy) this.#goodbye()
  }

  /** The sequence id of a last error to the client; `undefined` inside a packet, where nothing can be said. */
  #sequenceOfEnd(): number | undefined {
    if (this.#transfer !== undefined) return this.#transfer.sequence
    if (this.#running !== undefined) return this.#reply.atBoundary ? this.#reply.nextSequence : undefined
    return this.#clientWaits ? 1 : 0
  }

  #goodbye(): void {
    if (this.finished !== undefined) return
    this.#server.push(packet(0, Buffer.of(COM.QUIT)))
  }
}
