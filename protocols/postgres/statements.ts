import type { Completion } from '../session.ts'
import type { NameUse } from './analyser.ts'
import { nameKey, type Prepared } from './prepared.ts'
import type { Sent } from './sent.ts'

/**
 * What is in flight and what is prepared.
 *
 * The server answers messages in the order in which they came, so a queue of what was sent says what an answer
 * belongs to. A failed message of the extended protocol makes the server skip all that follows up to the next
 * Sync: those entries are dropped, unanswered.
 *
 *     sent ─▶ [P s1][B][E][S] [P ""][B][E][S] ─▶ answered from the left
 *             \___ batch 1 __/ \__ batch 2 __/
 *
 * Names come to exist when the server says so (ParseComplete, BindComplete, CommandComplete), not before. A name
 * defined earlier in the same batch may be relied on, because either it exists or what relies on it is skipped.
 * One defined in an earlier batch that is still in flight may not: `resolve` then says `wait`.
 *
 * INVARIANT: a name that the server knows is known here with the same text, or not at all. (Names known here that
 * the server has forgotten do no harm: it says so itself.)
 */

/** What a name stands for once all that was sent is done. */
export type Resolved = Prepared | 'unknown' | 'wait'

/** How many messages may wait for an answer, and how much text they may keep meanwhile. */
const IN_FLIGHT_MAX = 4096
const IN_FLIGHT_TEXT_BYTES_MAX = 4 * 1_048_576

/** Which prepared statements one session may hold; each keeps its text. */
const PREPARED_MAX = 10_000
const PREPARED_BYTES_MAX = 16 * 1_048_576

/** Cursors and portals that one session may hold; beyond that the oldest are forgotten, and so refused. */
const PORTALS_MAX = 10_000
const PORTAL_BYTES_MAX = 16 * 1_048_576

type Portal = { readonly prepared: Prepared; readonly cursor: boolean }

export class Statements {
  /** Grows at the end, is read from `#first`; compacted now and then. */
  readonly #queue: Sent[] = []
  #first = 0
  readonly #prepared = new Map<string, Prepared>()
  #preparedBytes = 0
  readonly #portals = new Map<string, Portal>()
  #portalBytes = 0
  #textBytesInFlight = 0
  /** Entries in the queue that may define a statement other than the unnamed one of their batch. */
  #definitionsInFlight = 0
  readonly #completions: Completion[] = []
  /** Which way copy data flows now. */
  copy: 'none' | 'in' | 'out' = 'none'
  /** True while the server reads nothing but a Sync that was not sent yet. */
  skipping = false
  /** The SQLSTATE for which it does so, where that is known. */
  skippingFor: string | undefined
  /** Counts batches: a Sync or a simple Query ends one. */
  batch = 1

  /** True while so much waits for an answer that nothing more should be sent. */
  get isAhead(): boolean {
    return this.length >= IN_FLIGHT_MAX || this.#textBytesInFlight >= IN_FLIGHT_TEXT_BYTES_MAX
  }

  /** How many messages wait for an answer. */
  get length(): number {
    return this.#queue.length - this.#first
  }

  /** What the server is answering now. */
  get head(): Sent | undefined {
    return this.#queue[this.#first]
  }

  /** The entry of a statement that has not ended. */
  running(statementId: number): Sent | undefined {
    for (let at = this.#first; at < this.#queue.length; at += 1)
      if (this.#queue[at]?.statementId === statementId) return this.#queue[at]
    return undefined
  }

  /** What was sent of a batch and not answered yet. */
  restOf(batch: number): readonly Sent[] {
    return this.#queue.slice(this.#first).filter((entry) => entry.batch === batch)
  }

  push(entry: Sent): void {
    this.#queue.push(entry)
    this.#textBytesInFlight += textBytes(entry)
    if (defines(entry)) this.#definitionsInFlight += 1
    if (entry.kind === 'sync' || entry.kind === 'query') this.batch += 1
  }

  /** The head is answered in full. */
  shift(): void {
    const entry = this.#queue[this.#first]
    if (entry === undefined) return
    this.#first += 1
    this.#textBytesInFlight -= textBytes(entry)
    if (defines(entry)) this.#definitionsInFlight -= 1
    this.#complete(entry)
    if (this.#first === this.#queue.length) {
      this.#queue.length = 0
      this.#first = 0
    } else if (this.#first >= 1024) {
      this.#queue.splice(0, this.#first)
      this.#first = 0
    }
  }

  /** True where the last message sent may begin a copy: how the next is read depends on the answer. */
  get awaitsCopy(): boolean {
    return this.length > 0 && this.#queue[this.#queue.length - 1]?.mayCopy === true
  }

  /** The head, a message of the extended protocol, failed: the server skips to the next Sync. */
  failed(code: string): void {
    for (let entry = this.head; entry !== undefined; entry = this.head) {
      if (entry.kind === 'sync') return
      entry.error = code
      this.shift()
    }
    this.skip(code)
  }

  /** Nothing that comes before the next Sync will be read by the server. */
  skip(code: string | undefined): void {
    this.skipping = true
    this.skippingFor = code
  }

  completion(): Completion | undefined {
    return this.#completions.shift()
  }

  complete(completion: Completion): void {
    this.#completions.push(completion)
  }

  #complete(entry: Sent): void {
    if (entry.statementId === 0 || entry.denial !== undefined) return
    const { statementId, rows, bytes, error, limit, told } = entry
    this.#completions.push(
      told && limit !== undefined
        ? { statementId, rows, bytes, error, limit }
        : { statementId, rows, bytes, error },
    )
  }

  /** What Bind, Describe and EXECUTE find under this name. */
  resolveStatement(name: string): Resolved {
    if (this.#definitionsInFlight > 0) {
      for (let at = this.#queue.length - 1; at >= this.#first; at -= 1) {
        const entry = this.#queue[at] as Sent
        const found =
          entry.kind === 'parse' && entry.name === name ? entry.prepared : madeBy(entry, 'prepare', name)
        if (found !== undefined) return entry.batch === this.batch ? found : 'wait'
      }
    }
    return this.#prepared.get(name) ?? 'unknown'
  }

  /** What Execute, Describe and FETCH find under this name. */
  resolvePortal(name: string): Resolved {
    if (this.#definitionsInFlight > 0) {
      for (let at = this.#queue.length - 1; at >= this.#first; at -= 1) {
        const entry = this.#queue[at] as Sent
        const found =
          entry.kind === 'bind' && entry.name === name ? entry.prepared : madeBy(entry, 'declare', name)
        if (found !== undefined) return entry.batch === this.batch ? found : 'wait'
      }
    }
    return this.#portals.get(name)?.prepared ?? 'unknown'
  }

  /** True where another prepared statement would be too many. Those in flight count as made. */
  get isFull(): boolean {
    return (
      this.#prepared.size + this.#definitionsInFlight >= PREPARED_MAX ||
      this.#preparedBytes >= PREPARED_BYTES_MAX
    )
  }

  /** ParseComplete: the head's statement exists. */
  parsed(entry: Sent): void {
    if (entry.prepared !== undefined) this.#keep(entry.name, entry.prepared)
  }

  /** BindComplete: the head's portal exists. */
  bound(entry: Sent): void {
    if (entry.prepared !== undefined) this.#open(entry.name, { prepared: entry.prepared, cursor: false })
  }

  closedStatement(name: string): void {
    this.#forget(name)
  }

  closedPortal(name: string): void {
    this.#close(name)
  }

  /** ReadyForQuery outside a transaction: portals are gone, cursors may have been declared WITH HOLD. */
  transactionEnded(): void {
    if (this.#portals.size === 0) return
    for (const [name, portal] of this.#portals) if (!portal.cursor) this.#close(name)
  }

  /** CommandComplete: one statement of the entry is done, and its tag says which kind it was. */
  done(entry: Sent, tag: string): void {
    for (let at = entry.usesDone; at < entry.uses.length; at += 1) {
      const use = entry.uses[at] as NameUse
      const expected = tagOf(use)
      if (expected === undefined) continue
      if (expected !== tag) return
      entry.usesDone = at + 1
      this.#apply(use, entry.prepared?.made(at))
      return
    }
  }

  #apply(use: NameUse, made: Prepared | undefined): void {
    switch (use.kind) {
      case 'prepare':
        if (made !== undefined) this.#keep(nameKey(use.name), made)
        return
      case 'declare':
        if (made !== undefined) this.#open(nameKey(use.name), { prepared: made, cursor: true })
        return
      case 'deallocate':
        if (use.name === undefined) this.#forgetAll()
        else this.#forget(nameKey(use.name))
        return
      case 'discard_all':
        this.#forgetAll()
        this.#closeAll()
        return
      case 'close_cursor':
        if (use.name === undefined) this.#closeAll()
        else this.#close(nameKey(use.name))
        return
      case 'execute':
      case 'fetch':
      case 'discard_plans':
        return
    }
  }

  #keep(name: string, prepared: Prepared): void {
    this.#forget(name)
    // SQL PREPARE comes here unasked; what is not kept is refused.
    if (this.#prepared.size >= PREPARED_MAX || this.#preparedBytes >= PREPARED_BYTES_MAX) return
    this.#prepared.set(name, prepared)
    this.#preparedBytes += prepared.text.length
  }

  #forget(name: string): void {
    const known = this.#prepared.get(name)
    if (known === undefined) return
    this.#preparedBytes -= known.text.length
    this.#prepared.delete(name)
  }

  #forgetAll(): void {
    // DEALLOCATE ALL and DISCARD ALL leave the unnamed statement: DropAllPreparedStatements() walks the named ones.
    const unnamed = this.#prepared.get('')
    this.#prepared.clear()
    this.#preparedBytes = 0
    if (unnamed !== undefined) this.#keep('', unnamed)
  }

  #open(name: string, portal: Portal): void {
    this.#close(name)
    this.#portals.set(name, portal)
    this.#portalBytes += portal.prepared.text.length
    for (const oldest of this.#portals.keys()) {
      if (this.#portals.size <= PORTALS_MAX && this.#portalBytes <= PORTAL_BYTES_MAX) return
      this.#close(oldest)
    }
  }

  #close(name: string): void {
    const known = this.#portals.get(name)
    if (known === undefined) return
    this.#portalBytes -= known.prepared.text.length
    this.#portals.delete(name)
  }

  #closeAll(): void {
    this.#portals.clear()
    this.#portalBytes = 0
  }
}

/** What an entry keeps alive until it is answered. Bind and Execute share what a Parse brought. */
function textBytes(entry: Sent): number {
  if (entry.kind !== 'parse' && entry.kind !== 'query') return 0
  return entry.prepared === undefined ? 0 : entry.prepared.text.length
}

function defines(entry: Sent): boolean {
  return (
    entry.kind === 'parse' ||
    entry.kind === 'bind' ||
    (entry.uses.length > 0 && entry.uses.some((use) => use.kind === 'prepare' || use.kind === 'declare'))
  )
}

/** What the SQL in an entry makes under this name; the last definition wins. */
function madeBy(entry: Sent, kind: 'prepare' | 'declare', name: string): Prepared | undefined {
  for (let at = entry.uses.length - 1; at >= 0; at -= 1) {
    const use = entry.uses[at] as NameUse
    if (use.kind === kind && nameKey(use.name) === name) return entry.prepared?.made(at)
  }
  return undefined
}

/** The command tag of a statement that changes names; `undefined`: it changes none. */
function tagOf(use: NameUse): string | undefined {
  switch (use.kind) {
    case 'prepare':
      return 'PREPARE'
    case 'deallocate':
      return use.name === undefined ? 'DEALLOCATE ALL' : 'DEALLOCATE'
    case 'discard_all':
      return 'DISCARD ALL'
    case 'discard_plans':
      return 'DISCARD PLANS'
    case 'declare':
      return 'DECLARE CURSOR'
    case 'close_cursor':
      return use.name === undefined ? 'CLOSE CURSOR ALL' : 'CLOSE CURSOR'
    case 'execute':
    case 'fetch':
      return undefined
  }
}
