/**
 * The control connection to one backend, whatever its protocol: connects, comes back after a loss, reads what is to be
 * known of the server and looks whether it has changed.
 *
 *     start ─▶ connecting ──▶ connected ─▶ poll, refresh ─┐
 *                 ▲  │ failed     │  ▲────────────────────┘
 *                 └──┴── backoff ─┘ lost
 */
import type { Live } from '../../protocols/login.ts'
import type { Analyser } from '../../protocols/protocol.ts'
import type { Backend, BackendAddress, BackendNotice } from './backend.ts'
import { certificateTrouble } from './tls.ts'

/** From the first packet to a connection that answers. */
const CONNECT_MS = 10_000
/** A reading that takes longer has lost its connection. */
const READ_MS = 30_000
/** Between looks for a change, at least. */
const POLL_MS_MIN = 5_000
/** A large catalog is read less often: reading takes at most this share of the time. */
const POLL_SHARE = 1 / 20
/** At most one reading a second is begun, however many unknown names agents come up with. */
const READ_MS_MIN = 1_000
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 10_000
/** How long a server may take to see that we leave. */
const END_MS = 1_000

/** What was read of a server. */
export type Learned<Knowledge> = {
  readonly knowledge: Knowledge
  /** Changes when the knowledge does. Never empty. */
  readonly fingerprint: string
  /** Its name and version, for operators. */
  readonly server: string
  /** What operators should know of it. */
  readonly warnings: readonly string[]
}

/** One connection of one protocol, from the moment when it is wanted to its end. */
export interface ControlLink<Knowledge> {
  /** Connects and logs in. Rejects with what operators should read. */
  connect(): Promise<void>
  /**
   * Reads the server; `undefined`: it is as `fingerprint` says.
   * Rejects with {@link UnusableServer} where it must not be used, and with any other error where it did not answer.
   * @param fingerprint of what is known; empty where all is to be read
   */
  read(fingerprint: string): Promise<Learned<Knowledge> | undefined>
  /** Takes leave. Resolves when the connection is closed. */
  end(): Promise<void>
  /** Closes at once, whatever is under way, which then rejects. */
  destroy(): void
}

/**
 * Makes a connection without connecting it.
 * @param lost called when it ends by itself, once or more, never before this returns
 */
export type OpenLink<Knowledge> = (lost: (why: string) => void) => ControlLink<Knowledge>

/** It answers, and what it says means that no statement can be judged for it: what was known of it is forgotten. */
export class UnusableServer extends Error {
  readonly code = 'UNUSABLE_SERVER'

  constructor(message: string) {
    super(message)
    this.name = 'UnusableServer'
  }
}

/** Time, as the process has it or as a test does. */
export type Timing = {
  /** Milliseconds that never go back. */
  readonly now: () => number
  /** Calls `then` after a while; what it gives takes that back. */
  readonly after: (delayMs: number, then: () => void) => () => void
  /** From 0 to 1, without 1. */
  readonly random: () => number
}

const PROCESS_TIMING: Timing = {
  now: () => performance.now(),
  after: (delayMs, then) => {
    const timer = setTimeout(then, delayMs).unref()
    return () => clearTimeout(timer)
  },
  random: Math.random,
}

export class ControlConnection<Knowledge extends Analyser> implements Backend<Knowledge> {
  readonly #open: OpenLink<Knowledge>
  readonly #notice: (notice: BackendNotice) => void
  readonly #onClosed: (() => void) | undefined
  readonly #timing: Timing
  readonly #knowledge: { current: Knowledge | undefined } = { current: undefined }
  readonly locate?: () => Promise<BackendAddress>
  /** The connection that works; one that is being made is not yet here. */
  #link: ControlLink<Knowledge> | undefined
  #connecting: { readonly link: ControlLink<Knowledge>; readonly done: Promise<void> } | undefined
  #refreshing: Promise<void> | undefined
  /** When the last reading or the last try to connect was begun. */
  #begunAtMs = Number.NEGATIVE_INFINITY
  /** Somebody wished for a reading while one was under way, which may have been too early for them. */
  #isReadingStale = false
  #takeTimerBack: () => void = () => undefined
  #retryMs = RETRY_MS_MIN
  #closed = false
  #fingerprint = ''
  #server = ''
  /** What operators were told last, so that a failure that repeats is one line; empty while all is well. */
  #trouble = ''

  constructor(parts: {
    readonly open: OpenLink<Knowledge>
    readonly notice: (notice: BackendNotice) => void
    readonly locate?: () => Promise<BackendAddress>
    /** Called when this is closed. */
    readonly closed?: () => void
    readonly timing?: Timing
  }) {
    this.#open = parts.open
    this.#notice = parts.notice
    this.#onClosed = parts.closed
    this.#timing = parts.timing ?? PROCESS_TIMING
    if (parts.locate !== undefined) this.locate = parts.locate
  }

  get knowledge(): Live<Knowledge | undefined> {
    return this.#knowledge
  }

  get reachable(): boolean {
    return this.#link !== undefined
  }

  start(): Promise<void> {
    return this.#connect()
  }

  refresh(): Promise<void> {
    const underWay = this.#refreshing ?? this.#connecting?.done
    if (underWay !== undefined) {
      this.#isReadingStale = true
      return underWay
    }
    this.#refreshing = this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#takeTimerBack()
    this.#connecting?.link.destroy()
    const link = this.#link
    this.#link = undefined
    if (link !== undefined) {
      await this.#within(END_MS, link.end(), 'end').catch(() => undefined)
      link.destroy()
    }
    this.#onClosed?.()
  }

  async #refresh(): Promise<void> {
    const waitMs = this.#begunAtMs + READ_MS_MIN - this.#timing.now()
    if (waitMs > 0) await new Promise<void>((resolve) => this.#timing.after(waitMs, resolve))
    if (this.#closed) return
    if (this.#link === undefined) await this.#connect()
    else await this.#look(this.#link)
  }

  /** Tries made together are one. Never rejects. */
  #connect(): Promise<void> {
    if (this.#connecting !== undefined) return this.#connecting.done
    if (this.#closed) return Promise.resolve()
    this.#takeTimerBack()
    this.#begunAtMs = this.#timing.now()
    let why: string | undefined
    const link = this.#open((reason) => {
      why ??= reason
      this.#lost(link, reason)
    })
    const done = this.#try(link, () => why)
    this.#connecting = { link, done }
    return done
  }

  async #try(link: ControlLink<Knowledge>, lostBecause: () => string | undefined): Promise<void> {
    try {
      await this.#within(CONNECT_MS, link.connect(), 'login')
      // Whoever answers now may be another server than before.
      const tookMs = await this.#learn(link, '')
      const why = lostBecause()
      if (why !== undefined || this.#closed) throw new Error(why ?? 'closed')
      this.#link = link
      this.#retryMs = RETRY_MS_MIN
      this.#recovered()
      this.#poll(tookMs)
    } catch (error) {
      link.destroy()
      if (this.#closed) return
      this.#failed('error', `the catalog cannot be read: ${messageOf(error)}`)
      this.#retry()
    } finally {
      this.#connecting = undefined
    }
  }

  async #look(link: ControlLink<Knowledge>): Promise<void> {
    try {
      this.#poll(await this.#learn(link, this.#fingerprint))
    } catch (error) {
      this.#lost(link, messageOf(error))
    }
  }

  /** Reads the server and makes known what was read; gives how long that took, in milliseconds. */
  async #learn(link: ControlLink<Knowledge>, fingerprint: string): Promise<number> {
    const startedAtMs = this.#timing.now()
    this.#begunAtMs = startedAtMs
    this.#isReadingStale = false
    let learned: Learned<Knowledge> | undefined
    try {
      learned = await this.#within(READ_MS, link.read(fingerprint), 'answer')
    } catch (error) {
      if (error instanceof UnusableServer) this.#knowledge.current = undefined
      throw error
    }
    if (learned !== undefined && !this.#closed) {
      const { knowledge, server, warnings } = learned
      this.#knowledge.current = knowledge
      this.#fingerprint = learned.fingerprint
      if (server !== this.#server) this.#notice({ level: 'info', message: `reached ${server}` })
      this.#server = server
      for (const message of warnings) this.#notice({ level: 'warning', message })
    }
    return this.#timing.now() - startedAtMs
  }

  #lost(link: ControlLink<Knowledge>, why: string): void {
    if (this.#link !== link || this.#closed) return
    this.#link = undefined
    link.destroy()
    this.#failed('warning', `the control connection is lost: ${why}`)
    this.#retry()
  }

  #poll(tookMs: number): void {
    if (this.#link === undefined) return
    const delayMs = this.#isReadingStale ? READ_MS_MIN : Math.max(POLL_MS_MIN, tookMs / POLL_SHARE)
    this.#schedule(delayMs, () => this.refresh())
  }

  /** With a little disorder, so that many proxies do not come back at the same moment. */
  #retry(): void {
    const delayMs = this.#retryMs * (0.5 + this.#timing.random() / 2)
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX)
    this.#schedule(delayMs, () => this.#connect())
  }

  #schedule(delayMs: number, then: () => Promise<void>): void {
    this.#takeTimerBack()
    if (this.#closed) return
    this.#takeTimerBack = this.#timing.after(delayMs, () => {
      then().catch((error: unknown) => this.#failed('error', messageOf(error)))
    })
  }

  #failed(level: 'warning' | 'error', message: string): void {
    if (message === this.#trouble) return
    this.#trouble = message
    this.#notice({ level, message })
  }

  #recovered(): void {
    if (this.#trouble !== '') this.#notice({ level: 'info', message: 'the control connection is back' })
    this.#trouble = ''
  }

  /** Rejects when it takes too long; whoever waits then ends the connection. */
  #within<Result>(ms: number, work: Promise<Result>, what: string): Promise<Result> {
    let takeBack: (() => void) | undefined
    const late = new Promise<never>((_, reject) => {
      takeBack = this.#timing.after(ms, () => reject(new Error(`no ${what} within ${ms / 1_000} s`)))
    })
    return Promise.race([work, late]).finally(() => takeBack?.())
  }
}

/** What was thrown, in a sentence. */
export function messageOf(error: unknown): string {
  return certificateTrouble(error) ?? (error instanceof Error ? error.message : String(error))
}
