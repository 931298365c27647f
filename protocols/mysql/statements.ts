/**
 * What a session has prepared: by number over the binary protocol (COM_STMT_PREPARE) and by name in SQL (`PREPARE`).
 * Both keep the text, so that it is read anew when the catalog has changed: each execution is judged by what the
 * statement touches at that moment.
 */
import type { Analysis } from '../analysis.ts'
import type { MysqlAnalyser, NameUse, Reading } from './analyser.ts'

/** MySQL's and MariaDB's default for max_prepared_stmt_count, which there counts for the whole server. */
const STATEMENTS_MAX = 16_382
/** Texts of one session are kept up to this many bytes together. */
const TEXT_BYTES_MAX = 16 << 20

/** MariaDB's clients name the statement prepared last by this number, so as not to wait for the real one. */
export const LAST_PREPARED = 0xffffffff

/** A text with its reading, which is refreshed when the analyser is another one. */
export class KnownText {
  readonly text: Buffer
  /** The same, for the record. */
  readonly recorded: string
  readonly #ignoreSpace: boolean
  #analyser: MysqlAnalyser
  #reading: Reading

  /** @param bytes are copied: they are a view into a read of the socket, which may be much larger */
  constructor(bytes: Buffer, ignoreSpace: boolean, analyser: MysqlAnalyser) {
    const text = Buffer.from(bytes)
    this.text = text
    this.recorded = text.toString('utf8')
    this.#ignoreSpace = ignoreSpace
    this.#analyser = analyser
    this.#reading = analyser.read(text, { ignoreSpace })
  }

  /** Whether the server may open a cursor on it, instead of sending its rows at once. */
  get mayOpenCursor(): boolean {
    return this.#reading.analysis.action === 'select'
  }

  reading(analyser: MysqlAnalyser): Reading {
    if (analyser !== this.#analyser) {
      this.#analyser = analyser
      this.#reading = analyser.read(this.text, { ignoreSpace: this.#ignoreSpace })
    }
    return this.#reading
  }
}

/** What a statement has brought since it was executed last: a cursor brings it fetch by fetch. */
export class Brought {
  rows = 0
  bytes = 0

  add(reply: { readonly rows: number; readonly bytes: number }): void {
    this.rows += reply.rows
    this.bytes += reply.bytes
  }

  clear(): void {
    this.rows = 0
    this.bytes = 0
  }
}

/** A statement that the server has prepared under a number. */
export type PreparedStatement = {
  readonly id: number
  readonly known: KnownText
  /** What the server was given. */
  readonly sent: Buffer
  readonly brought: Brought
}

/** The prepared statements of one session. */
export class PreparedStatements {
  readonly #byId = new Map<number, PreparedStatement>()
  readonly #byName = new Map<string, KnownText>()
  #textBytes = 0
  #last: number | undefined

  /** True where one more statement of this size may be kept. */
  hasRoomFor(textBytes: number): boolean {
    return (
      this.#byId.size + this.#byName.size < STATEMENTS_MAX && this.#textBytes + textBytes <= TEXT_BYTES_MAX
    )
  }

  add(statement: PreparedStatement): void {
    this.remove(statement.id)
    this.#byId.set(statement.id, statement)
    this.#textBytes += statement.known.text.length
    this.#last = statement.id
  }

  /** COM_STMT_PREPARE failed: nothing is the statement prepared last. */
  forgetLast(): void {
    this.#last = undefined
  }

  /** @param id as the client sends it; {@link LAST_PREPARED} is understood */
  find(id: number): PreparedStatement | undefined {
    const number = id === LAST_PREPARED ? this.#last : id
    return number === undefined ? undefined : this.#byId.get(number)
  }

  remove(id: number): void {
    const statement = this.#byId.get(id)
    if (statement === undefined) return
    this.#byId.delete(id)
    this.#textBytes -= statement.known.text.length
    if (this.#last === id) this.#last = undefined
  }

  setName(name: string, known: KnownText): void {
    this.removeName(name)
    this.#byName.set(name, known)
    this.#textBytes += known.text.length
  }

  removeName(name: string): void {
    const known = this.#byName.get(name)
    if (known === undefined) return
    this.#byName.delete(name)
    this.#textBytes -= known.text.length
  }

  /** Forgets the names that a statement on its way to the server may give another meaning. */
  forgetNames(uses: readonly NameUse[], analysis: Analysis): void {
    for (const use of uses) {
      if (use.kind !== 'execute') this.removeName(use.name)
    }
    const callsRoutine =
      analysis.outcome === 'accesses' && analysis.accesses.some((access) => access.kind === 'routine')
    if (callsRoutine) this.#clearNames()
  }

  /** A stored procedure may have given any name another text. */
  #clearNames(): void {
    for (const name of [...this.#byName.keys()]) this.removeName(name)
  }

  /** COM_RESET_CONNECTION: the server has forgotten all of them. */
  clear(): void {
    this.#byId.clear()
    this.#byName.clear()
    this.#textBytes = 0
    this.#last = undefined
  }

  /** What the statement of this name touches; `undefined` where the name is not known to be prepared. */
  analysisOfName(name: string, analyser: MysqlAnalyser): Analysis | undefined {
    const known = this.#byName.get(name)
    if (known === undefined) return undefined
    for (const use of known.reading(analyser).uses) {
      if (use.kind === 'prepare' && use.name === name) return use.analysis
    }
    return undefined
  }
}
