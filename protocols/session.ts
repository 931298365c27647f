import type { Access } from './access.ts'
import type { Analysis, NativeError } from './analysis.ts'

/** One unit that a client asks a backend to do: an SQL statement, a Redis command, a protocol command. */
export type Statement = {
  /** Counts from 1 within the session; a {@link Completion} names it. */
  readonly id: number
  /** As the client sent it, for the record. Redis: quoted words. Never sent anywhere. */
  readonly text: string
  readonly analysis: Analysis
  /** True where the client only has it prepared: what runs it later is a statement of its own, judged again. */
  readonly prepares?: boolean
}

/** Why a statement is refused; a closed list, because it is a metric label and an audit field. */
export const DENY_REASONS = [
  'not_granted',
  'not_understood',
  'unknown_object',
  'readers_disagree',
  'forbidden',
  'hop',
  'token_expired',
  'grant_removed',
  'limit',
  'audit_unavailable',
] as const
export type DenyReason = (typeof DENY_REASONS)[number]

/** What a line of a Redis grant is about: the server words its denials by it. */
export type CommandPart = 'command' | 'key' | 'channel'

/** What the client is told of a refused statement. The session words it in its database's own error. */
export type Denial = {
  readonly reason: DenyReason
  /** One sentence, lower case, without a final stop: what was asked and is missing. */
  readonly message: string
  /** One sentence: what the grant does allow nearby, or how to ask for more. */
  readonly hint?: string
  /** The first access that no allow line covers, so that the error can be the database's own. */
  readonly missing?: Access
  /** Of a {@link missing} Redis command: what of it some line would have to cover besides. */
  readonly lacks?: CommandPart
  /** Where the database's own error says it better (a syntax error), send this instead. */
  readonly nativeError?: NativeError
}

/** Why a session is ended by the proxy. Each protocol has its own fatal error for it. */
export type EndCause = {
  readonly kind:
    | 'token_expired'
    | 'revoked'
    | 'limit'
    | 'hop'
    | 'backend_lost'
    | 'shutdown'
    | 'protocol_error'
    | 'audit_unavailable'
  /** One sentence for the client; never a backend address or credential. */
  readonly message: string
}

/** How a relayed statement ended, counted from the backend's replies without decoding rows. */
export type Completion = {
  readonly statementId: number
  readonly rows: number
  /** Bytes of the reply. */
  readonly bytes: number
  /** The backend's error code (SQLSTATE, MySQL error number, Redis prefix) or `undefined`. */
  readonly error: string | undefined
  /** The bound that cut it short; the client was told so in the database's own error. */
  readonly limit?: LimitKind
}

/** Another session of the same run, or this one, that a statement ends, or whose running statement it cancels. */
export type KillRequest = {
  /** The `cancelKey` of that session's login. */
  readonly key: string
  readonly what: 'statement' | 'session'
}

/** A bound on one statement. */
export type LimitKind = 'rows' | 'bytes' | 'time'

/** Bounds on what one statement may bring back; an absent one does not bound. */
export type ReplyLimits = {
  /** Rows; Redis: elements of the reply. From 1. */
  readonly rows: number | undefined
  /** Bytes of the reply, frame headers counted. From 1. */
  readonly bytes: number | undefined
}

/**
 * One proxied connection after login, without its sockets.
 *
 * Bytes go in at two doors and come out at two. Between them, every statement stops at `next()` until it is
 * answered with exactly one of `relay()` or `reject()`.
 *
 * INVARIANT: only `relay()` and `reject()` put bytes of the client into the server's outbox. Nothing that is not
 * judged can leak upstream.
 *
 * Any method may throw a `ProtocolError`; then the caller calls `end()` and closes both sides.
 */
export interface Session {
  /** Bytes from the agent. Only buffers; nothing is judged before `next()`. */
  fromClient(chunk: Buffer): void
  /** Bytes from the backend. */
  fromServer(chunk: Buffer): void
  /**
   * The next statement to judge. `undefined`: more bytes are needed from one of the sides. Until it is answered
   * the same statement is given again, analysed anew if the catalog has changed since.
   */
  next(): Statement | undefined
  /** Lets the statement of `next()` through. */
  relay(): void
  /** Refuses the statement of `next()`, in its place and in the database's own words. */
  reject(denial: Denial): void
  /**
   * Bounds the replies of what is relayed from now on. A reply that passes a bound is cut short: no further row
   * reaches the client, {@link takeCancel} asks to cancel the statement, and where its end was to stand the client
   * gets the database's own error, which names the limit. Where the protocol cannot put an error there, the session ends.
   */
  limitReplies(limits: ReplyLimits): void
  /** True once for each statement that must be cancelled on the backend because its reply has passed a bound. */
  takeCancel(): boolean
  /**
   * A relayed statement has run out of its time and is being cancelled on the backend: the error that ends it reaches
   * the client as this denial (reason `limit`). Nothing happens where it has ended meanwhile.
   */
  timeOut(statementId: number, denial: Denial): void
  /**
   * No conversation that cancels on the backend is under way any more: each that {@link takeCancel} or {@link timeOut}
   * has led to was closed by the backend, or has failed. Until then nothing new is let through, because a cancel that
   * comes late would hit it; call `next()` afterwards.
   */
  cancelsOver(): void
  /**
   * Tells how to know the cancel keys of the open sessions of this session's own run on this system. A statement that
   * kills one of those is understood and reaches nothing; one that kills any other, or all while this is not called, is
   * a hop (`cross_run`).
   */
  ownSessions?(isOwn: (key: string) => boolean): void
  /** What a statement that was relayed kills: to be done once its record is written, by the caller and not the backend. */
  takeKill?(): KillRequest | undefined
  /** The next finished statement, in order; `undefined` when there is none. */
  completion(): Completion | undefined
  takeForServer(): readonly Buffer[]
  takeForClient(): readonly Buffer[]
  /**
   * True while so much from the client waits inside (a pipeline behind a running statement) that no more
   * should be read from it.
   */
  readonly clientIsAhead: boolean
  /** True while no statement is running and no transaction is open: a drain may end the session here. */
  readonly idle: boolean
  /**
   * Set once the session is over: flush and close both sides. By the `client`'s wish (Terminate, COM_QUIT, QUIT), or because a
   * reply went past its `limit` in the middle, where nothing can say so.
   */
  readonly finished: 'client' | 'limit' | undefined
  /**
   * Ends the session from our side: leaves the database's own fatal error for the client where the stream is at
   * a message boundary, and nothing more for the server than a clean goodbye.
   */
  end(cause: EndCause): void
}
