import type { Access, MetadataAccess, RelationAction, RoutineAccess, SequenceAccess } from '../../access.ts'
import { notUnderstood } from './refusal.ts'

type RelationNeed = {
  readonly action: RelationAction
  readonly name: string
  /** `undefined`: the whole table. */
  columns: Set<string> | undefined
}

/** The privileges that SQL grants by column; all others are of the whole table. */
const COLUMN_ACTIONS: ReadonlySet<RelationAction> = new Set(['select', 'insert', 'update', 'references'])

/**
 * Steps of looking names up that one statement may take: about a tenth of a second. Ordinary ones take thousands; the
 * product of columns, levels and tables that fit into one text is hundreds of millions.
 */
const STEPS_MAX = 2_000_000

/** Gathers what one statement needs. All relations are of the pinned database. */
export class Needs {
  readonly #schema: string
  readonly #relations = new Map<string, RelationNeed>()
  readonly #others = new Map<string, Access>()
  /** Every table of the statement, whatever is done to it. */
  readonly #mentioned = new Set<string>()
  /** Actions on a column that belongs to no table that we know: every table is then needed as a whole. */
  readonly #strays = new Set<'select' | 'update'>()
  #lost: string | undefined

  /** Aliases and common table expressions: names that are no tables. */
  readonly #localNames = new Set<string>()

  #steps = 0

  /** @param schema canonical name of the pinned database */
  constructor(schema: string) {
    this.#schema = schema
  }

  /** Counts work that grows faster than the text does; refuses the statement beyond the limit. */
  spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > STEPS_MAX) notUnderstood('too many columns in too many blocks')
  }

  /** A column that no table in sight has, as far as we know. */
  stray(action: 'select' | 'update'): void {
    this.#strays.add(action)
  }

  /** As {@link stray}, where nothing else in sight could have it either. */
  lose(action: 'select' | 'update', column: string): void {
    this.stray(action)
    this.#lost ??= column
  }

  /** A column that is looked up where there is no table at all, or one that was not seen; undefined: none. */
  get columnOfNothing(): string | undefined {
    return this.#mentioned.size === 0 ? this.#lost : undefined
  }

  #need(action: RelationAction, name: string): RelationNeed {
    this.#mentioned.add(name)
    const key = `${action} ${name}`
    let need = this.#relations.get(key)
    if (need === undefined) {
      need = { action, name, columns: COLUMN_ACTIONS.has(action) ? new Set() : undefined }
      this.#relations.set(key, need)
    }
    return need
  }

  /** The table is touched, but no column of it so far. */
  touch(action: RelationAction, name: string): void {
    this.#need(action, name)
  }

  column(action: RelationAction, name: string, column: string): void {
    this.#need(action, name).columns?.add(column)
  }

  whole(action: RelationAction, name: string): void {
    this.#need(action, name).columns = undefined
  }

  /** Needs of one action what is needed of another so far. */
  copyColumns(from: RelationAction, to: RelationAction, name: string): void {
    const { columns } = this.#need(from, name)
    if (columns === undefined) this.whole(to, name)
    else for (const column of columns) this.column(to, name, column)
  }

  /** Takes back a {@link touch} that came with no column. */
  forget(action: RelationAction, name: string): void {
    const need = this.#relations.get(`${action} ${name}`)
    if (need?.columns?.size === 0) this.#relations.delete(`${action} ${name}`)
  }

  addLocalName(name: string): void {
    this.#localNames.add(name)
  }

  isLocalName(name: string): boolean {
    return this.#localNames.has(name)
  }

  /** Whether the statement does anything with this table or sequence. */
  mentions(name: string): boolean {
    return this.#mentioned.has(name)
  }

  inserts(name: string): boolean {
    return this.#relations.has(`insert ${name}`)
  }

  get relationNames(): readonly string[] {
    return [...this.#mentioned]
  }

  /** The tables read so far. */
  get read(): readonly string[] {
    return [...this.#relations.values()].filter(({ action }) => action === 'select').map(({ name }) => name)
  }

  metadata(level: MetadataAccess['level'], name: string): void {
    this.#others.set(`metadata ${level} ${name}`, { kind: 'metadata', level, name })
  }

  get readsInformationSchema(): boolean {
    for (const key of this.#others.keys())
      if (key.startsWith('metadata introspect information_schema.')) return true
    return false
  }

  routine(action: RoutineAccess['action'], name: string): void {
    this.#others.set(`${action} ${name}`, { kind: 'routine', action, schema: this.#schema, name })
  }

  sequence(action: SequenceAccess['action'], name: string): void {
    this.#mentioned.add(name)
    this.#others.set(`sequence ${action} ${name}`, { kind: 'sequence', action, schema: this.#schema, name })
  }

  schema(action: 'create' | 'alter' | 'drop'): void {
    this.#others.set(`schema ${action}`, { kind: 'schema', action, name: this.#schema })
  }

  accesses(): readonly Access[] {
    for (const action of this.#strays) for (const name of [...this.#mentioned]) this.whole(action, name)
    const accesses: Access[] = []
    for (const { action, name, columns } of this.#relations.values()) {
      accesses.push({
        kind: 'relation',
        action,
        schema: this.#schema,
        name,
        columns: columns === undefined ? undefined : [...columns].sort(),
      })
    }
    accesses.push(...this.#others.values())
    return accesses
  }
}
