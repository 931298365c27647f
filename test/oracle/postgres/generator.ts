/**
 * Random statements over the tables of the evasion database, most of them valid: names at every depth, renamed,
 * joined, shadowed and written to, so that each column must be attributed through what is around it.
 */

/** A number from 0 to below 1. */
export type Randomness = () => number

/** mulberry32: a small generator whose seed makes a run repeatable. https://github.com/bryc/code/blob/master/jshash/PRNGs.md */
export function seeded(seed: number): Randomness {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const TABLES: Readonly<Record<string, readonly string[]>> = {
  customers: ['id', 'name', 'email', 'city', 'ssn'],
  orders: ['id', 'customer_id', 'total', 'status', 'note'],
  order_items: ['order_id', 'line', 'product', 'qty'],
  tickets: ['id', 'title', 'status', 'assignee'],
  secret: ['id', 'v'],
  secret_view: ['id', 'v'],
  'hr.salaries': ['id', 'amount'],
  parent: ['id', 'v'],
}

/** Tables that are written to. */
const TARGETS = ['customers', 'orders', 'order_items', 'tickets', 'secret', 'parent'] as const

/** A FROM item in view: how to name it, and the columns it has. */
type View = { readonly name: string; readonly columns: readonly string[]; readonly isRow: boolean }

export class StatementGenerator {
  readonly #random: Randomness
  #aliases = 0

  constructor(random: Randomness) {
    this.#random = random
  }

  statement(): string {
    this.#aliases = 0
    const kind = this.#random()
    if (kind < 0.55) return this.#with(this.#select(3, []).text)
    if (kind < 0.67) return this.#with(this.#insert())
    if (kind < 0.79) return this.#with(this.#update())
    if (kind < 0.88) return this.#with(this.#delete())
    if (kind < 0.93) return this.#merge()
    if (kind < 0.96) return `copy (${this.#select(2, []).text}) to stdout`
    return `explain ${this.#select(2, []).text}`
  }

  #pick<Element>(list: readonly Element[]): Element {
    const picked = list[Math.floor(this.#random() * list.length)]
    if (picked === undefined) throw new RangeError('nothing to pick from')
    return picked
  }

  #chance(probability: number): boolean {
    return this.#random() < probability
  }

  #alias(): string {
    this.#aliases += 1
    return `${this.#pick(['a', 'b', 'orders', 'secret', 'id', 'x'])}_${this.#aliases}`
  }

  #with(statement: string): string {
    if (!this.#chance(0.15)) return statement
    const name = this.#pick(['w', 'secret', 'orders', 'tickets'])
    return `with ${name} as (${this.#select(1, []).text}) ${statement}`
  }

  /** A query and the names of its columns. */
  #select(
    depth: number,
    outer: readonly View[],
  ): { readonly text: string; readonly columns: readonly string[] } {
    const { text: from, views } = this.#from(depth, outer)
    const inView = [...views, ...outer]
    const columns: string[] = []
    const targets: string[] = []
    for (let count = 1 + Math.floor(this.#random() * 3); count > 0; count -= 1) {
      if (depth < 3 || this.#chance(0.85)) {
        const name = `c${columns.length + 1}`
        columns.push(name)
        targets.push(`${this.#expression(depth - 1, inView)} as ${name}`)
      } else targets.push(this.#chance(0.5) ? '*' : `${this.#pick(views).name}.*`)
    }
    let text = `select ${targets.join(', ')} from ${from}`
    if (this.#chance(0.6)) text += ` where ${this.#condition(depth - 1, inView)}`
    if (this.#chance(0.2)) text += ` order by ${this.#expression(0, views)}`
    if (this.#chance(0.1)) text += ` limit ${this.#chance(0.8) ? '3' : `(${this.#scalar(depth - 1, [])})`}`
    if (depth === 3 && this.#chance(0.08)) text += this.#pick([' for update', ' for share', ' for key share'])
    return { text, columns }
  }

  #from(depth: number, outer: readonly View[]): { readonly text: string; readonly views: readonly View[] } {
    const first = this.#item(depth, outer)
    if (!this.#chance(0.45)) return { text: first.text, views: [first.view] }
    const second = this.#item(depth, outer, [first.view])
    const views = [first.view, second.view]
    if (this.#chance(0.3)) return { text: `${first.text}, ${second.text}`, views }
    const join = this.#pick(['join', 'left join', 'full join', 'right join'])
    const common = first.view.columns.filter((column) => second.view.columns.includes(column))
    if (common.length > 0 && this.#chance(0.4)) {
      return { text: `${first.text} join ${second.text} using (${this.#pick(common)})`, views }
    }
    if (this.#chance(0.1)) return { text: `${first.text} natural join ${second.text}`, views }
    const on = `${this.#column(views)}::text = ${this.#column(views)}::text`
    return { text: `${first.text} ${join} ${second.text} on ${on}`, views }
  }

  #item(
    depth: number,
    outer: readonly View[],
    left: readonly View[] = [],
  ): { readonly text: string; readonly view: View } {
    const alias = this.#alias()
    if (depth > 0 && this.#chance(0.3)) {
      const isLateral = left.length > 0 && this.#chance(0.4)
      const { text, columns } = this.#select(depth - 1, isLateral ? [...left, ...outer] : outer)
      return {
        text: `${isLateral ? 'lateral ' : ''}(${text}) as ${alias}`,
        view: { name: alias, columns: columns.length > 0 ? columns : ['c1'], isRow: false },
      }
    }
    if (this.#chance(0.1)) {
      const argument = left.length > 0 ? `length(${this.#column(left)}::text)` : '3'
      return {
        text: `generate_series(1, ${argument}) as ${alias}(n)`,
        view: { name: alias, columns: ['n'], isRow: false },
      }
    }
    const table = this.#pick(Object.keys(TABLES))
    const columns = TABLES[table] ?? []
    if (this.#chance(0.15)) {
      const renamed = columns.map((_, index) => `r${index + 1}`)
      return {
        text: `${table} as ${alias}(${renamed.join(', ')})`,
        view: { name: alias, columns: renamed, isRow: true },
      }
    }
    return {
      text: `${this.#chance(0.1) && table !== 'secret_view' ? 'only ' : ''}${table} ${alias}`,
      view: { name: alias, columns, isRow: true },
    }
  }

  #column(views: readonly View[]): string {
    const view = this.#pick(views)
    if (view.isRow && this.#chance(0.04)) return `to_json(${view.name})`
    if (view.isRow && this.#chance(0.03)) return `(${view.name}).${this.#pick(view.columns)}`
    if (view.isRow && this.#chance(0.03)) return `${view.name}::text`
    const column = this.#pick(view.columns)
    // Sometimes ambiguous, which the server refuses too.
    return this.#chance(0.3) ? column : `${view.name}.${column}`
  }

  /** A query of one row and column. */
  #scalar(depth: number, outer: readonly View[]): string {
    const { text: from, views } = this.#from(Math.max(depth, 0), outer)
    return `select count(${this.#column([...views, ...outer])}) from ${from}`
  }

  #expression(depth: number, views: readonly View[]): string {
    const kind = this.#random()
    if (depth > 0 && kind < 0.12) return `(${this.#scalar(depth - 1, views)})`
    if (depth > 0 && kind < 0.17)
      return `array(${this.#select(0, views).text.replace(/^select .*? from /, 'select 1 from ')})`
    if (kind < 0.27) return `coalesce(${this.#column(views)}::text, ${this.#column(views)}::text)`
    if (kind < 0.35)
      return `case when ${this.#condition(0, views)} then ${this.#column(views)}::text else 'x' end`
    if (kind < 0.4) return `length(${this.#column(views)}::text) +# 1`
    if (kind < 0.43) return `leak()`
    if (kind < 0.46) return `count(*) over (partition by ${this.#column(views)}::text)`
    return this.#column(views)
  }

  #condition(depth: number, views: readonly View[]): string {
    const kind = this.#random()
    if (depth > 0 && kind < 0.2) {
      const { text, views: inner } = this.#from(depth - 1, views)
      return `exists (select from ${text} where ${this.#column([...inner, ...views])} is not null)`
    }
    if (depth > 0 && kind < 0.35)
      return `${this.#column(views)}::text in (${this.#oneText(depth - 1, views)})`
    if (kind < 0.5) return `not (${this.#column(views)} is null)`
    return `${this.#column(views)}::text > ${this.#column(views)}::text`
  }

  #oneText(depth: number, outer: readonly View[]): string {
    const { text, views } = this.#from(depth, outer)
    return `select ${this.#column([...views, ...outer])}::text from ${text}`
  }

  #target(): { readonly table: string; readonly view: View } {
    const table = this.#pick(TARGETS)
    return { table, view: { name: this.#alias(), columns: TABLES[table] ?? [], isRow: true } }
  }

  #returning(views: readonly View[]): string {
    if (!this.#chance(0.4)) return ''
    return ` returning ${this.#chance(0.2) ? '*' : this.#expression(1, views)}`
  }

  #insert(): string {
    const { table, view } = this.#target()
    const columns = view.columns.filter(() => this.#chance(0.6))
    const head = `insert into ${table} as ${view.name}`
    if (columns.length === 0) return `${head} default values${this.#returning([view])}`
    const { text, views } = this.#from(1, [])
    const values = columns.map(() => (this.#chance(0.5) ? 'null' : `(${this.#scalar(0, views)})::text::int`))
    let statement = `${head} (${columns.join(', ')}) select ${values.join(', ')} from ${text}`
    if (table !== 'parent' && table !== 'order_items' && this.#chance(0.3)) {
      const set = this.#pick(view.columns)
      const source = this.#chance(0.5) ? `excluded.${set}` : `${view.name}.${set}`
      statement += ` on conflict (id) do update set ${set} = ${source} where ${this.#condition(1, [view])}`
    } else if (this.#chance(0.2)) statement += ' on conflict do nothing'
    return statement + this.#returning([view])
  }

  #update(): string {
    const { table, view } = this.#target()
    const other = this.#chance(0.4) ? this.#from(1, []) : undefined
    const views = [view, ...(other?.views ?? [])]
    const set = this.#pick(view.columns)
    const value = this.#chance(0.5) ? `${view.name}.${set}` : this.#chance(0.5) ? 'null' : 'default'
    const from = other === undefined ? '' : ` from ${other.text}`
    const where = this.#chance(0.7) ? ` where ${this.#condition(2, views)}` : ''
    return `update ${table} as ${view.name} set ${set} = ${value}${from}${where}${this.#returning(views)}`
  }

  #delete(): string {
    const { table, view } = this.#target()
    const other = this.#chance(0.4) ? this.#from(1, []) : undefined
    const views = [view, ...(other?.views ?? [])]
    const using = other === undefined ? '' : ` using ${other.text}`
    const where = this.#chance(0.7) ? ` where ${this.#condition(2, views)}` : ''
    return `delete from ${table} as ${view.name}${using}${where}${this.#returning(views)}`
  }

  #merge(): string {
    const { table, view } = this.#target()
    const source = this.#item(1, [])
    const views = [view, source.view]
    const set = this.#pick(view.columns)
    const action = this.#pick([
      `when matched then update set ${set} = ${view.name}.${set}`,
      'when matched then delete',
      `when matched and ${this.#condition(1, views)} then do nothing`,
      `when not matched then insert (${set}) values (null)`,
    ])
    return `merge into ${table} as ${view.name} using ${source.text} on ${this.#condition(1, views)} ${action}`
  }
}
