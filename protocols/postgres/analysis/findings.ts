import type { Access, MetadataAccess, RelationAction } from '../../access.ts'
import type { Analysis, HopKind, NativeError, StatementAction } from '../../analysis.ts'
import type { NameUse } from '../analyser.ts'

/** Why a statement cannot be relayed whatever the grant says. */
type Trouble =
  | { readonly outcome: 'unknown_object'; readonly why: string; readonly nativeError?: NativeError }
  | { readonly outcome: 'not_understood'; readonly why: string }
  | { readonly outcome: 'forbidden'; readonly why: string }
  | { readonly outcome: 'hop'; readonly hop: HopKind; readonly why: string; readonly target?: string }

/** The gravest trouble of a statement is the one that is told and recorded. */
const GRAVITY = { unknown_object: 1, not_understood: 2, forbidden: 3, hop: 4 } as const

/** The privileges that can be granted on columns. */
const COLUMN_ACTIONS: ReadonlySet<RelationAction> = new Set(['select', 'insert', 'update', 'references'])

/** What was found of one relation and action: the columns touched, or `whole`. */
type Touched = {
  readonly action: RelationAction
  readonly schema: string
  readonly name: string
  whole: boolean
  readonly columns: Set<string>
}

/** Collects what a statement needs while it is walked. */
export class Findings {
  readonly #relations = new Map<string, Touched>()
  readonly #others = new Map<string, Access>()
  readonly uses: NameUse[] = []
  /** The text to send in place of the statement that is walked, where it means the same and is safer. */
  replacement: string | undefined
  #trouble: Trouble | undefined
  /** Where constants begin whose values nobody has looked at; bytes from the start of the text. */
  readonly #constants = new Set<number>()
  #isOfConstants = false

  /** A constant was passed whose value bears on nothing. */
  passConstant(start: number): void {
    this.#constants.add(start)
  }

  /** The value of a constant was looked at. */
  dependsOnConstants(): void {
    this.#isOfConstants = true
  }

  /** The constants that may have any other value and nothing else would be found; `undefined`: one was looked at. */
  get indifferent(): ReadonlySet<number> | undefined {
    return this.#isOfConstants ? undefined : this.#constants
  }

  /** Notes that a relation is touched, so far in no column. */
  touch(action: RelationAction, relation: { readonly schema: string; readonly name: string }): Touched {
    const key = `${action}\0${relation.schema}\0${relation.name}`
    let touched = this.#relations.get(key)
    if (touched === undefined) {
      touched = { action, schema: relation.schema, name: relation.name, whole: false, columns: new Set() }
      this.#relations.set(key, touched)
    }
    return touched
  }

  /** @param column `undefined`: the whole relation */
  column(
    action: RelationAction,
    relation: { readonly schema: string; readonly name: string },
    column: string | undefined,
  ): void {
    const touched = this.touch(action, relation)
    if (column === undefined) touched.whole = true
    else touched.columns.add(column)
  }

  add(access: Access): void {
    this.#others.set(JSON.stringify(access), access)
  }

  metadata(level: MetadataAccess['level'], name: string): void {
    this.add({ kind: 'metadata', level, name })
  }

  /** @param nativeError made only for the first trouble: finding a position costs the length of the text */
  unknown(why: string, nativeError?: () => NativeError): void {
    if (this.#trouble !== undefined) return
    this.#note({ outcome: 'unknown_object', why, ...(nativeError && { nativeError: nativeError() }) })
  }
  misunderstand(why: string): void {
    this.#note({ outcome: 'not_understood', why })
  }
  forbid(why: string): void {
    this.#note({ outcome: 'forbidden', why })
  }
  hop(hop: HopKind, why: string, target?: string): void {
    this.#note({ outcome: 'hop', hop, why, ...(target !== undefined && { target }) })
  }

  #note(trouble: Trouble): void {
    if (this.#trouble !== undefined && GRAVITY[this.#trouble.outcome] >= GRAVITY[trouble.outcome]) return
    this.#trouble = trouble
  }

  /** Joins what another walk found into this one. */
  merge(other: Findings): void {
    for (const touched of other.#relations.values()) {
      const mine = this.touch(touched.action, touched)
      if (touched.whole) mine.whole = true
      for (const column of touched.columns) mine.columns.add(column)
    }
    for (const [key, access] of other.#others) this.#others.set(key, access)
    this.uses.push(...other.uses)
    if (other.#trouble !== undefined) this.#note(other.#trouble)
  }

  result(action: StatementAction): Analysis {
    const trouble = this.#trouble
    if (trouble === undefined) return { outcome: 'accesses', action, accesses: this.accesses }
    if (trouble.outcome === 'unknown_object') return { ...trouble, action, accesses: this.accesses }
    return { ...trouble, action }
  }

  get accesses(): readonly Access[] {
    const accesses: Access[] = []
    for (const { action, schema, name, whole, columns } of this.#relations.values()) {
      accesses.push({
        kind: 'relation',
        action,
        schema,
        name,
        columns: whole || !COLUMN_ACTIONS.has(action) ? undefined : [...columns].sort(),
      })
    }
    accesses.push(...this.#others.values())
    return accesses
  }
}
