import { type Analysis, touching } from '../analysis.ts'
import type { NameUse, Reading } from './analyser.ts'
import { analyseParameterTypes, type TypeCatalog } from './parameters.ts'

/** Reads texts; an analyser, of which more is not needed here. */
export type Reader = { read(text: Buffer): Reading; readonly catalog: TypeCatalog }

/** A prepared statement, or the statement behind a portal or cursor. */
export class Prepared {
  /** As it goes to the server. */
  readonly text: Buffer
  /** It goes to the server otherwise than it came (comments blanked). */
  readonly isRewritten: boolean
  /** The parameter types that the client has set, as in the message. */
  readonly #parameterTypes: Buffer
  /** What the client wrote, for the record. */
  readonly record: string
  /** The statement is the one that this use in its text makes (SQL PREPARE, DECLARE), not the text itself. */
  readonly #use: number | undefined
  #reading: Reading
  #reader: Reader

  /** @param options.text as the client sent it */
  constructor(options: {
    readonly text: Buffer
    readonly record: string
    readonly reading: Reading
    readonly reader: Reader
    readonly parameterTypes?: Buffer
    readonly use?: number
  }) {
    const { forward } = options.reading
    this.text = forward ?? options.text
    this.isRewritten = forward !== undefined
    this.record = options.record
    this.#reader = options.reader
    this.#parameterTypes = options.parameterTypes ?? NO_BYTES
    this.#use = options.use
    this.#reading = this.#pick(options.reading)
  }

  /** Read again where the catalog has changed since: the server plans anew then, too. */
  reading(reader: Reader): Reading {
    if (this.#reader !== reader) {
      const whole = reader.read(this.text)
      this.#reader = reader
      // The server has the text already, so that it must be readable as it is.
      this.#reading = whole.forward === undefined ? this.#pick(whole) : NOT_READ
    }
    return this.#reading
  }

  #pick(whole: Reading): Reading {
    if (this.#parameterTypes.length > 0) return withParameters(whole, this.#parameterTypes, this.#reader)
    if (this.#use === undefined) return whole
    const use = whole.uses[this.#use]
    const analysis = use?.kind === 'prepare' || use?.kind === 'declare' ? use.analysis : LOST
    return { analysis, forward: undefined, statementCount: 1, uses: NO_USES }
  }

  /** What the use at `index` of this text makes. */
  made(index: number): Prepared {
    const { text, record } = this
    const reader = this.#reader
    return new Prepared({ text, record, reader, reading: this.#reading, use: index })
  }
}

const NO_USES: readonly NameUse[] = []
const NO_BYTES = Buffer.alloc(0)

function withParameters(reading: Reading, types: Buffer, reader: Reader): Reading {
  const needed = analyseParameterTypes(types, reader.catalog)
  const analysis = joined(reading.analysis, needed)
  return analysis === reading.analysis ? reading : { ...reading, analysis }
}

const LOST: Analysis = {
  outcome: 'not_understood',
  action: 'execute',
  why: 'the prepared statement means something else since the schema changed',
}

const NOT_READ: Reading = { analysis: LOST, forward: undefined, statementCount: 1, uses: NO_USES }

/**
 * How names are compared: the server's tables of statements and of portals have keys of 64 bytes with the NUL, so
 * that longer names that begin alike are one name to it (`HASH_STRINGS` in src/backend/utils/hash/dynahash.c).
 */
const NAME_KEY_BYTES = 63

/** The key of a name: one character a byte, so that it is exact for bytes that are not UTF-8. */
export function nameKey(name: Buffer | string): string {
  const bytes = typeof name === 'string' ? Buffer.from(name) : name
  return bytes.toString('latin1', 0, Math.min(bytes.length, NAME_KEY_BYTES))
}

/** A key for people. */
export function nameOfKey(key: string): string {
  return Buffer.from(key, 'latin1').toString()
}

/** What a statement needs together with what it runs by name. */
export function joined(statement: Analysis, named: Analysis): Analysis {
  if (statement.outcome !== 'accesses') return statement
  if (named.outcome !== 'accesses') return touching(named, statement.accesses)
  if (named.accesses.length === 0) return statement
  return {
    outcome: 'accesses',
    action: statement.action,
    accesses: [...statement.accesses, ...named.accesses],
  }
}
