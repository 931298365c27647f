/** Random statements over a small schema, and mutants of statements, from a seed. */

export const GENERATED_SCHEMA: readonly string[] = [
  'create table t1 (a int, b int, c int)',
  'create table t2 (a int, d int, e int)',
  'create table t3 (x int primary key, y int)',
  'create view v1 as select a, b from t1',
]

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  t1: ['a', 'b', 'c'],
  t2: ['a', 'd', 'e'],
  t3: ['x', 'y'],
  v1: ['a', 'b'],
}

/** A pseudo-random generator (mulberry32): the same seed gives the same statements. */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

type Visible = { readonly alias: string; readonly columns: readonly string[] }

export class Generator {
  readonly #random: () => number
  #aliases = 0

  constructor(seed: number) {
    this.#random = randomOf(seed)
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)] as Item
  }

  #chance(probability: number): boolean {
    return this.#random() < probability
  }

  statement(): string {
    this.#aliases = 0
    return this.#pick([
      () => this.#query(3),
      () => this.#query(3),
      () => this.#insert(),
      () => this.#update(),
      () => this.#delete(),
      () => `set @x = (${this.#query(2, 1)})`,
      () => `do ${this.#expression([], 2)}`,
      () => `create table copy as ${this.#query(2)}`,
    ])()
  }

  /** @param depth how many levels of subqueries may follow @param width columns of the result; 0: any */
  #query(depth: number, width = 0, outer: readonly Visible[] = []): string {
    const one = this.#select(depth, width, outer)
    if (!this.#chance(0.15)) return one
    const columns = width === 0 ? 1 : width
    const operator = this.#pick(['union', 'union all', 'except', 'intersect'])
    const tail = this.#chance(0.3) ? ' order by 1 limit 3' : ''
    return `${this.#select(depth, columns, outer)} ${operator} ${this.#select(depth, columns, outer)}${tail}`
  }

  #select(depth: number, width: number, outer: readonly Visible[]): string {
    if (this.#chance(0.1) && depth > 0) {
      const name = `q${this.#aliases++}`
      const inner = this.#select(depth - 1, 1, [])
      const columns = width === 0 ? '*' : Array(width).fill('k').join(', ')
      return `select ${columns} from (with ${name} (k) as (${inner}) select * from ${name}) ${name}d`
    }
    const tables: Visible[] = []
    const from = this.#from(depth, tables)
    const visible = [...tables, ...outer]
    const items =
      width === 0 && this.#chance(0.2)
        ? [this.#pick(['*', `${this.#pick(tables).alias}.*`, 'count(*)', '1'])]
        : Array.from({ length: width === 0 ? 1 + Math.floor(this.#random() * 3) : width }, () =>
            this.#expression(visible, depth),
          )
    const alias = width === 0 && this.#chance(0.3) ? ' as z' : ''
    const where = this.#chance(0.6) ? ` where ${this.#condition(visible, depth)}` : ''
    // Not where an outer column could be met: that has ended a server (MariaDB 10.11.19).
    const group =
      depth <= 1 && outer.length === 0 && this.#chance(0.4) ? ` group by ${this.#column(tables)}` : ''
    const order =
      width === 0 && this.#chance(0.3)
        ? ` order by ${this.#pick([this.#column(tables), alias === '' ? '1' : 'z'])}`
        : ''
    const limit = width > 0 && depth < 3 ? ' limit 1' : ''
    return `select ${this.#pick(['', '', 'distinct '])}${items.join(', ')}${alias} from ${from}${where}${group}${order}${limit}`
  }

  #from(depth: number, tables: Visible[]): string {
    let from = this.#factor(depth, tables)
    while (this.#chance(0.35) && tables.length < 4) {
      const kind = this.#pick(['join', 'left join', 'cross join', ',', 'natural join', 'straight_join'])
      const next = this.#factor(depth, tables)
      if (kind === 'left join' || (kind === 'join' && this.#chance(0.7))) {
        from = `${from} ${kind} ${next} on ${this.#condition(tables, depth - 1)}`
      } else from = kind === ',' ? `(${from}) join ${next}` : `${from} ${kind} ${next}`
    }
    return from
  }

  #factor(depth: number, tables: Visible[]): string {
    const alias = `s${this.#aliases++}`
    if (depth > 0 && this.#chance(0.2)) {
      const inner = this.#select(depth - 1, 1, []).replace(/^select (distinct )?/, 'select $1')
      tables.push({ alias, columns: ['k'] })
      return `(select k from (${inner.replace(' from ', ' as k from ')}) ${alias}i) ${alias}`
    }
    const name = this.#pick(Object.keys(COLUMNS))
    tables.push({ alias, columns: COLUMNS[name] ?? [] })
    const table = this.#pick([name, name, `\`${name}\``])
    return this.#chance(0.15) ? `(${table} as ${alias})` : `${table} ${this.#pick(['', 'as '])}${alias}`
  }

  #column(visible: readonly Visible[]): string {
    if (visible.length === 0) return '1'
    const { alias, columns } = this.#pick(visible)
    const column = this.#pick(columns)
    // A bare name may be ambiguous: the server then refuses it, which is fine.
    return this.#chance(0.6)
      ? `${alias}.${column}`
      : this.#pick([column, column.toUpperCase(), `\`${column}\``])
  }

  #expression(visible: readonly Visible[], depth: number): string {
    const column = (): string => this.#column(visible)
    return this.#pick([
      column,
      column,
      column,
      () => String(Math.floor(this.#random() * 9)),
      () => `${column()} + ${column()}`,
      () => `coalesce(${column()}, 1)`,
      () => `if(${column()} > 1, ${column()}, 2)`,
      () => `case when ${column()} then 1 else ${column()} end`,
      () => `cast(${column()} as char)`,
      () => (depth > 0 ? `(${this.#query(depth - 1, 1, visible)})` : column()),
      () => (depth > 0 ? `((${this.#select(depth - 1, 1, visible)}))` : column()),
    ])()
  }

  #condition(visible: readonly Visible[], depth: number): string {
    const left = this.#expression(visible, depth - 1)
    return this.#pick([
      () => `${left} = ${this.#expression(visible, 0)}`,
      () => `${left} between 1 and ${this.#column(visible)}`,
      () => `${left} is not null or not ${this.#column(visible)}`,
      () => `${left} like '1%'`,
      () =>
        depth > 0 ? `${left} in (${this.#select(depth - 1, 1, visible).replace(/ limit 1$/, '')})` : '1 = 1',
      () => (depth > 0 ? `exists (${this.#select(depth - 1, 1, visible)})` : '1 = 1'),
    ])()
  }

  #insert(): string {
    const name = this.#pick(['t1', 't2', 't3'])
    const columns = COLUMNS[name] ?? []
    const own: Visible[] = [{ alias: name, columns }]
    const verb = this.#pick(['insert into', 'insert ignore into', 'replace into'])
    const source = this.#pick([
      () => `(${columns.join(', ')}) values (${columns.map(() => this.#expression([], 1)).join(', ')})`,
      () => `values (${columns.map(() => this.#expression([], 1)).join(', ')})`,
      () => `(${columns[0]}) values (${this.#expression(own, 0)})`,
      () => `(${columns[0]}) ${this.#select(2, 1, [])}`,
      () => `set ${columns[1]} = ${this.#expression(own, 1)}`,
    ])()
    if (verb.startsWith('replace') || !this.#chance(0.3)) return `${verb} ${name} ${source}`
    return `${verb} ${name} ${source} on duplicate key update ${columns[1]} = ${this.#pick([
      `values(${columns[0]})`,
      `${name}.${columns[0]} + 1`,
      'default',
      this.#expression(own, 1),
    ])}`
  }

  #update(): string {
    const tables: Visible[] = []
    if (this.#chance(0.5)) {
      const name = this.#pick(['t1', 't2', 't3'])
      const columns = COLUMNS[name] ?? []
      const own: Visible[] = [{ alias: name, columns }]
      const where = this.#chance(0.7) ? ` where ${this.#condition(own, 2)}` : ''
      return `update ${name} set ${this.#pick(columns)} = ${this.#expression(own, 2)}${where}`
    }
    const from = this.#from(1, tables)
    const { alias, columns } = this.#pick(tables)
    return `update ${from} set ${alias}.${this.#pick(columns)} = ${this.#expression(tables, 1)} where ${this.#condition(tables, 1)}`
  }

  #delete(): string {
    const tables: Visible[] = []
    if (this.#chance(0.5)) {
      const name = this.#pick(['t1', 't2', 't3'])
      const own: Visible[] = [{ alias: name, columns: COLUMNS[name] ?? [] }]
      const where = this.#chance(0.7) ? ` where ${this.#condition(own, 2)}` : ''
      return `delete from ${name}${where}`
    }
    const from = this.#from(1, tables)
    const { alias } = this.#pick(tables)
    return this.#chance(0.5)
      ? `delete ${alias} from ${from} where ${this.#condition(tables, 1)}`
      : `delete from ${alias} using ${from}`
  }

  /** Changes a statement in one or two places: words left out, doubled, moved, or taken from another. */
  mutant(statement: string, other: string): string {
    const words = cut(statement)
    const foreign = cut(other)
    for (let times = this.#chance(0.5) ? 2 : 1; times > 0; times--) {
      const at = Math.floor(this.#random() * words.length)
      this.#pick([
        () => words.splice(at, 1),
        () => words.splice(at, 0, this.#pick(words)),
        () => words.splice(at, 0, this.#pick(foreign)),
        () => words.splice(at, 1, this.#pick(foreign)),
        () => words.splice(at, 0, ...words.splice(Math.floor(this.#random() * words.length), 1)),
        () => words.splice(at, 0, this.#pick(SPICE)),
        () => {
          const from = Math.floor(this.#random() * foreign.length)
          return words.splice(at, 0, ...foreign.slice(from, from + 1 + Math.floor(this.#random() * 8)))
        },
      ])()
    }
    return words.join(this.#chance(0.9) ? ' ' : '')
  }
}

const SPICE = [
  '/*',
  '*/',
  '/*!50000',
  '/*M!100000',
  '/* x */',
  '--',
  '-- x\n',
  '#\n',
  '(',
  ')',
  ',',
  '.',
  ';',
  '*',
  "'",
  '"',
  '`',
  '``',
  "''",
  '@x',
  '@@sql_mode',
  '@x:=',
  '0x41',
  '1e3',
  '.5',
  '\\',
  'from',
  'join',
  'select',
  'union',
  'table',
  't1',
  't2',
  'v1',
  'as',
  'on',
  'using',
  'where',
  'with',
  'lateral',
  'into',
  'values',
  'dual',
  'natural',
  'for update',
  'in',
  'exists',
  'default',
  'limit 1',
  'order by',
  'group by',
  'a',
  'd',
  'x',
  'window',
  'over ()',
  '{oj',
  '}',
  'use index ()',
  'partition (p)',
]

function cut(statement: string): string[] {
  return (
    statement
      .match(/'[^']*'|`[^`]*`|[A-Za-z0-9_@]+|\s+|[^\sA-Za-z0-9_@]/g)
      ?.filter((word) => word.trim() !== '') ?? []
  )
}
