/**
 * Texts of one shape are read as one. That is sound when two things hold: the server cuts them into the same tokens, and the
 * literals that differ bear on nothing. Both are tried here, with the scanners and analysers of both protocols.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { scan } from 'libpg-query-18'
import { MysqlAnalyser } from '../../protocols/mysql/analyser.ts'
import { lex } from '../../protocols/mysql/lexer/lexer.ts'
import { PostgresAnalyser } from '../../protocols/postgres/analyser.ts'
import { MYSQL_SHAPES, POSTGRES_SHAPES, ShapeScanner } from '../../protocols/shape.ts'
import { loadGrammar } from '../../src/backends/postgres-grammar.ts'
import { catalogOf } from '../evasion/mysql/database.ts'
import { HIDES as MYSQL_HIDES } from '../evasion/mysql/hides.ts'
import { INNOCENT as MYSQL_INNOCENT } from '../evasion/mysql/innocent.ts'
import { HIDES as POSTGRES_HIDES } from '../evasion/postgres/hides.ts'
import { INNOCENT_INTROSPECTION, INNOCENT as POSTGRES_INNOCENT } from '../evasion/postgres/innocent.ts'
import { smallCatalog } from './postgres/analysis/small-catalog.ts'

const numRuns = Number(process.env['BULKHEAD_FUZZ_RUNS'] ?? 1_000)

const scanners = { postgres: new ShapeScanner(POSTGRES_SHAPES), mysql: new ShapeScanner(MYSQL_SHAPES) }
type Dialect = keyof typeof scanners

/** `#` stands for an integer, `.` for a decimal, `'` for a string. */
function written(shape: string | undefined): string | undefined {
  return shape?.replaceAll('\u0001', '«#»').replaceAll('\u0002', '«.»').replaceAll('\u0003', "«'»")
}

describe('what a shape leaves out', () => {
  for (const [text, shape] of [
    ['select a from t where id = 42', 'select a from t where id = «#»'],
    ["select 'it''s', '' from t", "select «'», «'» from t"],
    [
      'select a1, t2.b from t2 where x=-5 and y in (1,2.50)',
      'select a1, t2.b from t2 where x=-«#» and y in («#»,«.»)',
    ],
    ['select 1.5e3, 1e5, 0x1F, 1_000, .5, 1., 7', 'select 1.5e3, 1e5, 0x1F, 1_000, .5, 1., «#»'],
    ['select 999999999, 1000000000', 'select «#», 1000000000'],
    ['select \'{"a": "#1 -- /* $x"}\', 1', "select «'», «#»"],
    ['select 2nd, a$1 from t', undefined],
    ['select a from t', undefined],
  ] as const)
    for (const dialect of ['postgres', 'mysql'] as const)
      test(`${dialect}: ${text}`, () => assert.equal(written(scanners[dialect].shapeOf(text)), shape))

  test('postgres: names in quotes and parameters stay', () => {
    const shape = scanners.postgres.shapeOf('select "a""1"."b 2" from "t" where c = $1 and d = 3')
    assert.equal(written(shape), 'select "a""1"."b 2" from "t" where c = $1 and d = «#»')
  })

  test('mysql: names in quotes stay', () => {
    const shape = scanners.mysql.shapeOf("select `a``1`.`b '2'` from t where d = 3")
    assert.equal(written(shape), "select `a``1`.`b '2'` from t where d = «#»")
  })
})

describe('a text has no shape where its literals could be told otherwise', () => {
  for (const text of [
    "select 'a\\'b', 1",
    "select E'a', 1",
    "select U&'a' , 1",
    'select U&"a" UESCAPE \'!\', 1',
    "select N'a', x'1F', _utf8'a', 1",
    "select date'2026-01-01', 1",
    "select 1'a'",
    'select 1 -- 2',
    'select 1 /* 2 */',
    'select $$a$$, 1',
    'select $1$a$, 1',
    'select "a", 1'.replaceAll('"', '`"`'),
    "select 'no end, 1",
    'select "no end, 1',
    "select 'é', 1",
    'select é, 1',
    "select 'a\0b', 1",
    'select \u0001, 1',
    'select 1 \u007f',
  ])
    test(JSON.stringify(text), () => {
      assert.equal(scanners.postgres.shapeOf(Buffer.from(text).toString('latin1')), undefined)
    })

  for (const text of ['select "a", 1', 'select 1 # 2', 'select `no end, 1', "select @'a', 1"])
    test(`mysql: ${JSON.stringify(text)}`, () => assert.equal(scanners.mysql.shapeOf(text), undefined))
})

/** Pieces of texts that scanners stumble over; most are such as leave a text its shape. */
const nasty = fc.constantFrom(
  ...[
    "'",
    "''",
    '"',
    '`',
    '$',
    '$1',
    '$a$',
    '--',
    '-',
    '/*',
    '*/',
    '/',
    '*',
    '#',
    '\\',
    '&',
    'U&',
    'E',
    'N',
    'x',
    '_',
  ],
  ...[
    '@',
    '@@',
    '.',
    '..',
    ':',
    '::',
    ',',
    '(',
    ')',
    ' ',
    '\n',
    '\t',
    ';',
    '=',
    '>',
    '<',
    '|',
    '?',
    '[',
    ']',
    '+',
  ],
  ...[
    '1',
    '42',
    '0',
    '007',
    '1.5',
    '1e5',
    '0x1f',
    '1_0',
    '9999999999',
    "'a'",
    "'it''s'",
    "'--'",
    "'/*'",
    "'1'",
  ],
  ...['select', 'a', 'b1', 'from', 'uescape', 'null', '"a b"', '`a b`', 'é', '\u0001', '\u0002', '\u0003'],
)

const tame = fc.constantFrom(
  ...[
    'a',
    'b1',
    ' ',
    '\n',
    ',',
    '(',
    ')',
    ';',
    '=',
    '>',
    '<',
    '|',
    '+',
    '-',
    '.',
    '::',
    '@',
    '[',
    ']',
    'select',
  ],
  ...['1', '42', '007', '1.5', "'a'", "''", '1e', "'it''s'", "'--'", '$1', '&', '*', '/', '?'],
)
const piece = fc.oneof({ weight: 12, arbitrary: tame }, { weight: 1, arbitrary: nasty })

/** Literals of each kind that a shape leaves out, among them what would be more than a value elsewhere. */
const OTHERS: Readonly<Record<string, readonly string[]>> = {
  '\u0001': ['0', '1', '7', '007', '999999999', '53', '24'],
  '\u0002': ['0.0', '1.5', '00.10', '123456789.123456789'],
  '\u0003': [
    ...[
      "''",
      "'x'",
      "'it''s'",
      "''''",
      "'--'",
      "'/*'",
      "'*/'",
      "'$$'",
      "'$1'",
      "'\"'",
      "'`'",
      "'#'",
      "';'",
      "'\n'",
    ],
    ...[
      "'secret'",
      "'public.secret'",
      "'secret_no'",
      "'search_path'",
      "'role'",
      "'orders'",
      "'id'",
      "'on'",
      "'1'",
    ],
    ...[
      "'/etc/passwd'",
      "'{1,2}'",
      "'pg_catalog'",
      "'utf8mb4'",
      "'SELECT v FROM secret'",
      "'2026-01-01'",
      "'v'",
    ],
  ],
}

/** A text of the same shape with other literals. */
function sibling(shape: string, pick: (count: number) => number): string {
  let text = ''
  for (const character of shape) {
    const others = OTHERS[character]
    text += others === undefined ? character : (others[pick(others.length)] ?? '')
  }
  return text
}

function picker(seed: number): (count: number) => number {
  let state = seed | 1
  return (count) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % count
  }
}

/** Numbers of the tokens as PostgreSQL's own scanner cuts them; `undefined`: it refuses the text. */
async function postgresTokens(text: string): Promise<readonly number[] | undefined> {
  try {
    return (await scan(text)).tokens.map(({ tokenType }) => tokenType)
  } catch {
    return undefined
  }
}

const lexerRules = catalogOf('mariadb')

function mysqlTokens(text: string): readonly string[] | undefined {
  const lexed = lex(text, lexerRules)
  if (!lexed.ok) return undefined
  return lexed.tokens.map(({ kind, value }) =>
    kind === 'string' || kind === 'literal' ? kind : `${kind} ${value}`,
  )
}

const pieces = fc.array(piece, { maxLength: 16 }).map((parts) => parts.join(''))

test('a text of the same shape has the same shape', () => {
  fc.assert(
    fc.property(fc.constantFrom<Dialect>('postgres', 'mysql'), pieces, fc.nat(), (dialect, text, seed) => {
      const shape = scanners[dialect].shapeOf(Buffer.from(text).toString('latin1'))
      if (shape === undefined) return
      const other = sibling(shape, picker(seed))
      assert.equal(scanners[dialect].shapeOf(other), shape, other)
    }),
    { numRuns: numRuns * 5 },
  )
})

test("PostgreSQL's scanner cuts texts of one shape into the same tokens", async () => {
  await fc.assert(
    fc.asyncProperty(pieces, fc.nat(), async (text, seed) => {
      const shape = scanners.postgres.shapeOf(Buffer.from(text).toString('latin1'))
      if (shape === undefined) return
      const other = sibling(shape, picker(seed))
      assert.deepEqual(await postgresTokens(other), await postgresTokens(text), `${text} ⏎ ${other}`)
    }),
    { numRuns },
  )
})

test("MySQL's lexer cuts texts of one shape into the same tokens", () => {
  fc.assert(
    fc.property(pieces, fc.nat(), (text, seed) => {
      const shape = scanners.mysql.shapeOf(Buffer.from(text).toString('latin1'))
      if (shape === undefined) return
      const other = sibling(shape, picker(seed))
      assert.deepEqual(mysqlTokens(other), mysqlTokens(text), `${text} ⏎ ${other}`)
    }),
    { numRuns: numRuns * 5 },
  )
})

/**
 * Every statement of a corpus, then its siblings: an analyser that has read the one must say of the others what one that has
 * read nothing says. Gives how many of them were answered by what was read before.
 */
function heldAgainstFresh(
  statements: readonly string[],
  dialect: Dialect,
  make: () => { read(text: Buffer): { readonly analysis: unknown } },
): number {
  let shared = 0
  const pick = picker(7)
  for (const statement of statements) {
    const bytes = Buffer.from(statement)
    const shape = scanners[dialect].shapeOf(bytes.toString('latin1'))
    if (shape === undefined) continue
    const analyser = make()
    const { analysis } = analyser.read(bytes)
    for (let round = 0; round < 4; round += 1) {
      const other: Buffer = Buffer.from(sibling(shape, pick))
      const found: unknown = analyser.read(other).analysis
      if (found === analysis) shared += 1
      assert.deepEqual(found, make().read(other).analysis, `${statement} ⏎ ${other}`)
    }
  }
  return shared
}

/** What their literals mean is all that these statements are about. */
const OF_LITERALS: readonly string[] = [
  "select nextval('ticket_no')",
  "select nextval('ticket_no'::regclass), 1",
  "select setval('ticket_no', 5)",
  "select currval('ticket_no') from orders where id = 3",
  "select set_config('application_name', 'x', false)",
  "select current_setting('server_version')",
  "select setting from pg_catalog.pg_settings where name = 'max_index_keys'",
  "select set_config(name, 'view', false) from pg_settings where name = 'restrict_nonsystem_relation_kind'",
  "set application_name = 'x'",
  'set statement_timeout = 5',
  "set search_path = 'public'",
  "select pg_notify('jobs', 'x')",
  "select pg_read_file('x', 1, 2)",
  'select 1::float(24), 1::varchar(10), 1::numeric(10, 2)',
  'select id, total from orders order by 1 limit 2 offset 3',
  'select id, count(*) from orders group by 1',
  "select * from orders where id = - 5 and status like 'a%' escape 'x'",
  'fetch 3 from c',
  "copy orders to stdout with (format 'csv', delimiter ',')",
  "explain (analyze 'off', costs 1) select 1",
  "comment on table orders is 'x'",
  "create table t (a varchar(10) default 'x', check (a <> 'y'))",
  'prepare p as select id from orders where id = 1',
  "execute p (1, 'x')",
  'declare c cursor for select id from orders where id = 1',
  "select xmlelement(name a, xmlattributes('x' as b), 'y')",
  "select * from xmltable(xmlnamespaces('u' as n), '/r' passing '<r/>' columns a text path '@a' default 'z')",
  "select 'a'\n'b', 1",
  "select extract('year' from timestamp '2026-01-01')",
  "select interval '1' day, '1 day'::interval(3)",
  "select ('{1,2}'::int[])[1:2], array[1, 2]",
  "insert into tickets (title, status) values ('a', 'b'), ('c', 'd') on conflict do nothing",
  "update tickets set status = 'x' where id in (1, 2, 3)",
]

const MYSQL_OF_LITERALS: readonly string[] = [
  "select 'a' 'b', 1",
  "select id as 'x' from (select id as 'id' from orders) t where id = 1",
  "select x from (select id 'x' from orders) t limit 1",
  "select * from (select 1, 'v') t",
  "set names 'utf8mb4'",
  "set @a = 'x', @b = 1",
  "set sql_mode = 'ANSI'",
  "set time_zone = '+00:00'",
  "prepare p from 'select id from orders where id = 1'",
  "execute immediate 'select 1'",
  "load data infile '/etc/passwd' into table orders",
  "select load_file('/etc/passwd')",
  "select 1 into outfile '/tmp/x'",
  "show tables like 'o%'",
  "show variables like 'version'",
  'kill 5',
  "select cast('1' as char(5) character set utf8mb4), cast(1 as decimal(10, 2))",
  "select group_concat(id separator ','), 1 from orders",
  "select _utf8mb4 'a', date '2026-01-01', 1",
  'select status from orders order by 1 limit 2, 3',
  "select get_lock('x', 1), sleep(1), benchmark(1, 1)",
  "select convert('a' using utf8mb4), 1",
  "create table t (a varchar(10) default 'x' comment 'y', b enum('p', 'q'))",
  'select id from orders partition (p0) where id = 1',
  "insert into tickets (title, status) values ('a', 'b') on duplicate key update status = 'c'",
  "select 1 where 'a' collate 'utf8mb4_bin' = 'b'",
  "call erase('x', 1)",
  "xa start 'x', 'y', 1",
]

test('PostgreSQL: what is said of a text is what is said of it without the texts before', async () => {
  const grammar = await loadGrammar(18)
  const catalog = smallCatalog(180_000)
  const corpus = [
    ...OF_LITERALS,
    ...POSTGRES_INNOCENT,
    ...INNOCENT_INTROSPECTION,
    ...POSTGRES_HIDES.flatMap(({ statements }) => statements),
  ]
  const shared = heldAgainstFresh(corpus, 'postgres', () => new PostgresAnalyser(catalog, grammar))
  assert.ok(shared > 100, `only ${shared} texts were answered by their shape`)
})

for (const flavour of ['mysql', 'mariadb'] as const)
  test(`${flavour}: what is said of a text is what is said of it without the texts before`, () => {
    const catalog = catalogOf(flavour)
    const corpus = [
      ...MYSQL_OF_LITERALS,
      ...MYSQL_INNOCENT,
      ...MYSQL_HIDES.flatMap(({ statements }) => statements),
    ]
    const shared = heldAgainstFresh(corpus, 'mysql', () => {
      const analyser = new MysqlAnalyser(catalog, { secondReader: false })
      return { read: (text) => analyser.read(text, { ignoreSpace: false }) }
    })
    assert.ok(shared > 100, `only ${shared} texts were answered by their shape`)
  })
