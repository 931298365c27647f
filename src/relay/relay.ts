/**
 * A session between its two sockets: the loop from bytes to verdicts to bytes. Long because what happens in one turn of it
 * is read in one place.
 */
import type { Socket } from 'node:net'
import { ProtocolError } from '../../protocols/errors.ts'
import type { EndCause, Session, Statement } from '../../protocols/session.ts'
import type { Waiter } from '../audit/log.ts'
import type { Grant } from '../grants/grant.ts'
import type { RunToken } from '../grants/token.ts'
import { countRelayed } from '../heap.ts'
import type { Judge, Judgement } from '../policy/judge.ts'
import type { RunEntry } from '../runs/ledger.ts'
import type { LiveSession } from '../runs/live.ts'
import { sayGoodbye } from './goodbye.ts'
import { followHops } from './hop.ts'
import { Running } from './running.ts'
import { EXPIRED, SessionLimits } from './session-limits.ts'
import { SessionRecord } from './session-record.ts'
import type { System } from './system.ts'
import { writeAll } from './write-all.ts'

/** Bytes of our own answers that may wait for a client. Far above those to any pipeline: some clients read only behind it. */
const WAITING_BYTES_MAX = 16 << 20

/** After this long over statements that wait in one session, the other sessions get their turn. */
const TURN_MS = 20

/** What is on no record does not happen. */
export const UNRECORDED: EndCause = {
  kind: 'audit_unavailable',
  message: 'the audit log cannot be written, so that nothing may pass',
}

export type RelayParts = {
  readonly system: System
  readonly session: Session
  readonly client: Socket
  readonly upstream: Socket
  readonly token: RunToken
  readonly grant: Grant
  readonly clientAddress: string
  readonly cancelKey: string | undefined
  /** Cancels what runs on the backend; resolves when that can hit nothing that is sent afterwards. Never rejects. */
  readonly cancel: () => Promise<void>
}

export class Relay implements LiveSession, Waiter {
  readonly token: RunToken
  readonly system: string
  readonly entry: RunEntry
  readonly client: string
  readonly startedAtMs: number
  readonly cancelKey: string | undefined
  readonly #cancelUpstream: () => Promise<void>
  readonly #system: System
  readonly #session: Session
  readonly #client: Socket
  readonly #upstream: Socket
  readonly #record: SessionRecord
  readonly #running = new Running()
  readonly #limits: SessionLimits
  #grant: Grant
  #judge: Judge
  /** Relayed statements that may have changed the schema, by statement id. */
  readonly #changing = new Set<number>()
  /** The statement for which the catalog was read anew; it is not read a second time for it. */
  #refreshedFor = 0
  #refreshing = false
  /** True while nothing leaves, because the records of what was judged wait for a write that all sessions share. */
  #held = false
  heldSince = 0
  /** True while statements wait for the next turn of this session. */
  #deferred = false
  /** Set while the session is to end at its next idle moment. */
  #drainCause: EndCause | undefined
  /** How many conversations that cancel are under way. */
  #cancels = 0
  #over = false

  constructor(parts: RelayParts) {
    const { system, token, grant } = parts
    const knowledge = system.backend?.knowledge.current
    if (knowledge === undefined) throw new Error('a session needs a known backend')
    this.token = token
    this.entry = system.shared.runs.ledger.entryOf(token, system.shared.now())
    this.client = parts.clientAddress
    this.startedAtMs = system.shared.now()
    this.system = system.config.name
    this.cancelKey = parts.cancelKey
    this.#cancelUpstream = parts.cancel
    this.#system = system
    this.#session = parts.session
    this.#client = parts.client
    this.#upstream = parts.upstream
    this.#grant = grant
    this.#judge = system.judge(grant, knowledge)
    this.#record = new SessionRecord(parts, this.#judge)
    this.#limits = new SessionLimits({
      session: parts.session,
      running: this.#running,
      now: system.shared.now,
      clock: () => performance.now(),
      expiresAtMs: token.expiresAtMs,
      denial: (why) => this.#judge.outside('limit', why),
      cancel: () => this.cancel(),
      end: (cause) => this.end(cause),
    })
  }

  begin(): void {
    const { shared, metrics } = this.#system
    shared.runs.add(this)
    metrics.session(1)
    this.#record.started(this.#judge)
    this.#limits.set(this.#grant.limits)
    this.#session.ownSessions?.((key) => shared.runs.isOwn(key, this))
    const client = this.#client
    const upstream = this.#upstream
    client.on('data', this.#fromClient)
    client.on('drain', this.#drained)
    client.on('error', this.#clientGone)
    client.on('close', this.#clientGone)
    upstream.on('data', this.#fromUpstream)
    upstream.on('drain', this.#drained)
    upstream.on('error', this.#upstreamGone)
    upstream.on('close', this.#upstreamGone)
    // What its verdicts follow from stands in its first record: without that nobody could judge them again.
    if (this.#isRecorded()) this.#pump()
    else this.end(UNRECORDED)
    if (this.#over) return
    client.resume()
    upstream.resume()
    this.#balance()
  }

  /** The configuration was read anew: another grant holds from the next statement on, or (`undefined`) none. */
  regrant(grant: Grant | undefined): void {
    const knowledge = this.#system.backend?.knowledge.current
    if (grant === undefined || knowledge === undefined) {
      this.end({ kind: 'revoked', message: 'the grant of this run was removed' })
      return
    }
    this.#grant = grant
    this.#judge = this.#system.judge(grant, knowledge)
    this.#record.regranted(this.#judge)
    this.#limits.set(grant.limits)
  }

  readonly #fromClient = (chunk: Buffer): void => {
    this.#limits.active()
    try {
      this.#session.fromClient(chunk)
    } catch (error) {
      this.#broken(error)
      return
    }
    this.#pump()
  }

  readonly #fromUpstream = (chunk: Buffer): void => {
    this.#limits.active()
    try {
      this.#session.fromServer(chunk)
    } catch (error) {
      this.#broken(error)
      return
    }
    this.#pump()
  }

  /** Cancels what runs on the backend. */
  cancel(): void {
    this.#cancels += 1
    const over = (): void => {
      this.#cancels -= 1
      if (this.#cancels > 0 || this.#over) return
      this.#session.cancelsOver()
      this.#pump()
    }
    this.#cancelUpstream().then(over, over)
  }

  /** Judges what has arrived, records it, and only then writes. */
  #pump(): void {
    if (this.#over) return
    const { shared } = this.#system
    const nowMs = shared.now()
    const { failures } = shared.audit
    let judged: number
    try {
      judged = this.#judgeAll(nowMs)
      this.#recordCompletions()
      if (this.#session.takeCancel()) this.cancel()
    } catch (error) {
      this.#broken(error)
      return
    }
    if (this.#over) return
    if (this.#held) return
    if (judged === 0) {
      // Only results wait to be recorded; they hold nothing back.
      shared.audit.flushSoon(shared.now)
      this.#pass()
    } else {
      this.#held = true
      this.heldSince = failures
      shared.audit.flushTogether(this)
    }
  }

  /** What was judged in this turn is recorded, or (false) is not, and does not leave then. */
  flushed(recorded: boolean): void {
    if (this.#over) return
    this.#held = false
    if (recorded) {
      this.#pass()
      return
    }
    this.#session.takeForServer()
    this.end(UNRECORDED)
  }

  /** Writes what may leave. */
  #pass(): void {
    const { shared, metrics } = this.#system
    const toBackend = writeAll(this.#upstream, this.#session.takeForServer())
    metrics.relayed('to_backend', toBackend)
    const toClient = writeAll(this.#client, this.#session.takeForClient())
    metrics.relayed('to_client', toClient)
    countRelayed(toBackend + toClient)
    const { finished } = this.#session
    if (finished !== undefined) this.#close(finished)
    else if (this.#drainCause !== undefined && this.#session.idle && !this.#deferred && !this.#refreshing)
      this.end(this.#drainCause)
    else this.#balance()
    const kill = this.#session.takeKill?.()
    if (kill !== undefined) shared.runs.kill(kill)
  }

  /** Gives how many statements it recorded. */
  #judgeAll(nowMs: number): number {
    const { metrics, shared } = this.#system
    if (!shared.audit.isWritable(nowMs)) {
      this.#rejectAll()
      return 0
    }
    const startedAt = performance.now()
    let judged = 0
    for (let statement = this.#session.next(); statement !== undefined; statement = this.#session.next()) {
      const judgement = this.#judgementOf(statement, nowMs)
      if (judgement === undefined) break
      judged += 1
      this.#settle(statement, judgement)
      if (this.#over) return judged
      if (performance.now() - startedAt > TURN_MS) {
        this.#defer()
        break
      }
    }
    if (judged > 0) metrics.decision((performance.now() - startedAt) / 1_000 / judged)
    return judged
  }

  #defer(): void {
    if (this.#deferred) return
    this.#deferred = true
    setImmediate(() => {
      this.#deferred = false
      this.#pump()
    })
  }

  /** While the log cannot be written nothing passes; there is no record of it either, only the count. */
  #rejectAll(): void {
    const { metrics } = this.#system
    for (let statement = this.#session.next(); statement !== undefined; statement = this.#session.next()) {
      const { denial } = this.#judge.refuse('audit_unavailable', undefined, statement.analysis)
      if (denial === undefined) throw new Error('a denial has words')
      metrics.statement('deny', statement.analysis.action)
      metrics.denied('audit_unavailable')
      this.#session.reject(denial)
    }
  }

  /** `undefined`: the catalog is being read anew first, and the statement comes again. */
  #judgementOf(statement: Statement, nowMs: number): Judgement | undefined {
    const { shared, backend, config } = this.#system
    const { analysis, id } = statement
    if (nowMs >= this.token.expiresAtMs) {
      return this.#judge.refuse('token_expired', undefined, analysis)
    }
    if (this.#refreshing) return undefined
    // What was read of the database holds only while somebody looks whether it has changed.
    const isBlind = backend?.reachable === false
    if (
      (isBlind || analysis.outcome === 'unknown_object') &&
      this.#refreshedFor !== id &&
      backend !== undefined
    ) {
      this.#refreshing = true
      this.#refreshedFor = id
      const resume = (): void => {
        this.#refreshing = false
        this.#pump()
      }
      backend.refresh().then(resume, resume)
      return undefined
    }
    if (isBlind && 'accesses' in analysis && analysis.accesses.length > 0) {
      const why = `what ${config.name} holds cannot be read at present`
      return this.#judge.refuse('not_understood', why, analysis)
    }
    const { statementsPerMinute } = this.#grant.limits
    // A statement that is prepared counts when it is executed.
    const counts = statementsPerMinute !== undefined && !statement.prepares
    if (counts && !shared.runs.countStatement(this.entry.key, this.#grant.name, statementsPerMinute, nowMs)) {
      const why = `the grant allows ${statementsPerMinute} statements a minute on ${config.name}`
      return this.#judge.refuse('limit', why, analysis)
    }
    return this.#judge.judge(analysis)
  }

  #settle(statement: Statement, judgement: Judgement): void {
    const { metrics } = this.#system
    const { verdict, word, denial } = judgement
    this.#record.statement(statement, judgement)
    metrics.statement(word, statement.analysis.action)
    if (denial === undefined || verdict.allowed || word === 'would_deny') {
      this.#running.left(statement.id, performance.now())
      if (statement.analysis.action === 'ddl') this.#changing.add(statement.id)
      if (word === 'would_deny') this.entry.wouldDeny += 1
      else this.entry.allowed += 1
      this.#session.relay()
      return
    }
    this.entry.denied += 1
    metrics.denied(verdict.reason)
    this.#session.reject(denial)
    if (verdict.hops.length > 0) {
      followHops(this.#system, verdict.hops, {
        record: this.#record,
        run: this,
        end: (cause) => this.end(cause),
      })
    }
    if (denial.reason === 'token_expired') this.end(EXPIRED)
  }

  #recordCompletions(): void {
    for (let done = this.#session.completion(); done !== undefined; done = this.#session.completion()) {
      // What this run has just made is known before it is named again.
      if (this.#changing.delete(done.statementId) && done.error === undefined) {
        this.#system.backend?.refresh().catch(() => undefined)
      }
      this.#record.result(done, this.#running.ended(done.statementId, performance.now()))
      if (done.limit !== undefined) this.#system.metrics.limit(done.limit)
    }
  }

  /** A side that reads slowly stops our reading on the other, so that nothing piles up here. */
  #balance(): void {
    const full = this.#upstream.writableNeedDrain || this.#client.writableLength > WAITING_BYTES_MAX
    const stopClient = full || this.#session.clientIsAhead || this.#refreshing || this.#deferred
    if (stopClient !== this.#client.isPaused()) {
      if (stopClient) this.#client.pause()
      else this.#client.resume()
    }
    const stopUpstream = this.#client.writableNeedDrain
    if (stopUpstream !== this.#upstream.isPaused()) {
      if (stopUpstream) this.#upstream.pause()
      else this.#upstream.resume()
    }
  }

  readonly #drained = (): void => this.#balance()
  readonly #clientGone = (): void => this.#close('client')

  readonly #upstreamGone = (): void => {
    if (this.#over) return
    this.#system.metrics.backendError('lost')
    this.end({ kind: 'backend_lost', message: 'the connection to the database was lost' })
  }

  #broken(error: unknown): void {
    if (this.#over) return
    const { shared } = this.#system
    const known = error instanceof ProtocolError
    if (!known)
      shared.notice(
        `bug in session of run ${this.token.run}: ${error instanceof Error ? error.stack : String(error)}`,
      )
    const message = known ? error.message : 'internal error'
    try {
      // What ended before the break has its result, also where a cut reply is the break.
      this.#recordCompletions()
    } catch {
      // The break was told already.
    }
    this.#record.event('protocol.error', { message, side: known ? error.side : undefined })
    if (known && error.side === 'server') this.#system.metrics.backendError('protocol')
    // Statements of this read that were judged before the break are recorded only if the log takes them now.
    if (!this.#isRecorded()) this.#session.takeForServer()
    this.end({ kind: 'protocol_error', message })
  }

  /** Ends the session at its next idle moment, which may be now. */
  drain(cause: EndCause): void {
    this.#drainCause = cause
    this.#pump()
  }

  /** Ends the session from our side, in the database's own words. */
  end(cause: EndCause): void {
    if (this.#over) return
    try {
      this.#session.end(cause)
    } catch {
      // A session that cannot even say goodbye is closed without words.
    }
    // A backend that is busy does not see that nobody waits for it any more, and what is revoked must not go on there.
    if (!this.#running.isEmpty && cause.kind !== 'backend_lost') this.cancel()
    this.#record.event('session.end', { cause: cause.kind })
    if (cause.kind === 'limit') this.#system.metrics.limit('session')
    if (this.#isRecorded()) writeAll(this.#upstream, this.#session.takeForServer())
    writeAll(this.#client, this.#session.takeForClient())
    this.#shutSockets()
  }

  /** The session is over without a word from us. */
  #close(cause: 'client' | 'limit'): void {
    if (this.#over) return
    this.#recordCompletions()
    this.#record.event('session.end', { cause })
    // A client may send its last statement and leave in one turn: it leaves as it would have without the wait.
    if (this.#isRecorded() && this.#held) writeAll(this.#upstream, this.#session.takeForServer())
    this.#shutSockets()
  }

  /** Hands over all records now. False: what this session has not yet let leave must not. */
  #isRecorded(): boolean {
    const { audit, now } = this.#system.shared
    return audit.flushSince(this.#held ? this.heldSince : audit.failures, now())
  }

  #shutSockets(): void {
    this.#over = true
    this.#system.shared.runs.remove(this)
    this.#system.metrics.session(-1)
    this.#limits.clear()
    for (const socket of [this.#client, this.#upstream]) {
      for (const event of ['data', 'drain', 'close', 'error']) socket.removeAllListeners(event)
      sayGoodbye(socket)
    }
  }
}
