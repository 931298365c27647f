/**
 * Reads the catalog of one PostgreSQL database. Only names and shapes, never rows of user tables.
 *
 * https://www.postgresql.org/docs/current/catalogs.html
 */
import type { Client } from 'pg'
import {
  type HiddenCall,
  keyOf,
  type PostgresCatalog,
  type Relation,
  type RelationKind,
  type Routine,
  type TypeKind,
  type UserType,
} from '../../protocols/postgres/catalog.ts'

/** Objects below this oid came with the server: FirstNormalObjectId in src/include/access/transam.h. */
const FIRST_NORMAL_OID = 16384

/**
 * Extensions whose immutable C functions compute from their arguments alone. Their operators, casts and overloads
 * of built-in names are then as harmless as the built-in ones.
 */
const VETTED_EXTENSIONS = [
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'earthdistance',
  'fuzzystrmatch',
  'hstore',
  'intarray',
  'isn',
  'ltree',
  'pg_trgm',
  'pgcrypto',
  'postgis',
  'seg',
  'uuid-ossp',
  'vector',
]

/** The oids of all members of vetted extensions, by catalog: `pg_proc` and `pg_type`. */
const VETTED_MEMBERS = `
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
    AND e.extname = ANY ($1)`

const VETTED_ROUTINE = `(
  p.provolatile = 'i' AND NOT p.prosecdef AND p.prolang IN (12, 13)
  AND EXISTS (SELECT FROM vetted v WHERE v.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND v.objid = p.oid))`

const RELATIONS = `
  SELECT c.oid::int8 AS oid, n.nspname, c.relname, c.relkind,
    (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    tn.nspname AS table_schema, t.relname AS table_name
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
  WHERE n.nspname !~ '^pg_(toast|temp_)'`

const ROUTINES = `
  WITH vetted AS (${VETTED_MEMBERS})
  SELECT n.nspname, p.proname, pg_catalog.bool_and(p.oid < ${FIRST_NORMAL_OID}) AS builtin,
    pg_catalog.string_agg(DISTINCT p.prokind::text, '') AS kinds,
    pg_catalog.max(p.probin) AS library,
    pg_catalog.min(p.pronargs - p.pronargdefaults - (CASE WHEN p.provariadic <> 0 THEN 1 ELSE 0 END)) AS arguments_min,
    -- The arguments of a procedure include its OUT arguments.
    pg_catalog.max(CASE WHEN p.provariadic <> 0 THEN 32767
      ELSE GREATEST(p.pronargs, pg_catalog.cardinality(p.proallargtypes)) END) AS arguments_max,
    pg_catalog.bool_and(${VETTED_ROUTINE}) AS vetted
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  GROUP BY n.nspname, p.proname`

const TYPES = `
  WITH vetted AS (${VETTED_MEMBERS}),
  element AS (
    SELECT t.oid AS array_oid, COALESCE(e.oid, t.oid) AS oid
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid)
  SELECT t.oid::int8 AS oid, n.nspname, t.typname, e.typtype, t.oid < ${FIRST_NORMAL_OID} AS builtin,
    CASE WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f') THEN c.relname END AS row_of,
    CASE e.typtype
      WHEN 'e' THEN true
      WHEN 'd' THEN e.typbasetype < ${FIRST_NORMAL_OID} AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = e.oid AND k.contype = 'c')
      WHEN 'c' THEN NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = e.typrelid AND a.attnum > 0 AND a.atttypid >= ${FIRST_NORMAL_OID})
      WHEN 'b' THEN e.oid < ${FIRST_NORMAL_OID} OR EXISTS (
        SELECT FROM vetted v WHERE v.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND v.objid = e.oid)
      ELSE e.oid < ${FIRST_NORMAL_OID}
    END AS free
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  JOIN element x ON x.array_oid = t.oid
  JOIN pg_catalog.pg_type e ON e.oid = x.oid
  LEFT JOIN pg_catalog.pg_class c ON c.oid = e.typrelid
  WHERE n.nspname !~ '^pg_(toast|temp_)'`

const OPERATORS = `
  WITH vetted AS (${VETTED_MEMBERS})
  SELECT n.nspname, o.oprname, fn.nspname AS function_schema, p.proname,
    (p.oid < ${FIRST_NORMAL_OID} OR ${VETTED_ROUTINE}) AS vetted
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
  JOIN pg_catalog.pg_namespace fn ON fn.oid = p.pronamespace
  WHERE o.oid >= ${FIRST_NORMAL_OID}`

/** Casts whose functions are neither built in nor vetted. */
const HIDDEN_CASTS = `
  SELECT k.castsource, k.casttarget, k.castcontext, p.oid AS function, fn.nspname AS function_schema, p.proname
  FROM pg_catalog.pg_cast k
  JOIN pg_catalog.pg_proc p ON p.oid = k.castfunc
  JOIN pg_catalog.pg_namespace fn ON fn.oid = p.pronamespace
  WHERE p.oid >= ${FIRST_NORMAL_OID} AND NOT ${VETTED_ROUTINE}`

/** They convert arrays of their types, too. */
const CASTS = `
  WITH vetted AS (${VETTED_MEMBERS}), hidden AS (${HIDDEN_CASTS})
  SELECT n.nspname, t.typname, h.function_schema, h.proname
  FROM hidden h
  JOIN pg_catalog.pg_type e ON e.oid IN (h.castsource, h.casttarget)
  JOIN pg_catalog.pg_type t ON t.oid IN (e.oid, e.typarray)
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace`

/**
 * Casts that the server makes unasked of a column's values, or of what is written to it: those from and to its type, and to the
 * types that it holds or is a domain over. Those between a built-in type and another count for the other. Those in C came with
 * an extension, and convert values.
 */
const COLUMN_CASTS = `
  WITH RECURSIVE vetted AS (${VETTED_MEMBERS}), hidden AS (${HIDDEN_CASTS}),
  unasked AS (
    SELECT e.oid AS type, h.function_schema, h.proname
    FROM hidden h
    JOIN pg_catalog.pg_proc p ON p.oid = h.function
    CROSS JOIN LATERAL (VALUES (h.castsource), (h.casttarget)) AS e (oid)
    WHERE h.castcontext <> 'e' AND (p.prosecdef OR p.prolang NOT IN (12, 13))
      AND (e.oid >= ${FIRST_NORMAL_OID} OR GREATEST(h.castsource, h.casttarget) < ${FIRST_NORMAL_OID})),
  part AS (
    SELECT typbasetype AS type, oid AS whole FROM pg_catalog.pg_type WHERE typbasetype <> 0
    UNION ALL SELECT typelem, oid FROM pg_catalog.pg_type WHERE typelem <> 0
    UNION ALL SELECT f.atttypid, c.reltype FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_attribute f ON f.attrelid = c.oid WHERE c.relkind = 'c'),
  reached AS (
    SELECT * FROM unasked
    UNION SELECT p.whole, r.function_schema, r.proname FROM reached r JOIN part p ON p.type = r.type)
  SELECT a.attrelid::int8 AS oid, a.attname, r.function_schema, r.proname
  FROM pg_catalog.pg_attribute a
  JOIN reached r ON r.type = a.atttypid
  WHERE a.atttypid = ANY (ARRAY(SELECT type FROM reached)) AND a.attnum > 0 AND NOT a.attisdropped`

/** Options of foreign servers tell where other systems are; where there are none, asking for them tells nothing. */
const BLANK = ['pg_foreign_server.srvoptions', 'pg_foreign_data_wrapper.fdwoptions']
  .map((name) => {
    const [catalog, column] = name.split('.')
    return `SELECT 'pg_catalog.${name}' AS name WHERE NOT EXISTS (
    SELECT FROM pg_catalog.${catalog} WHERE ${column} IS NOT NULL)`
  })
  .join(' UNION ALL ')

/** Changes whenever an object that is read above does: each change makes new row versions, with new `xmin`. */
const FINGERPRINT = `SELECT ${[
  'pg_class',
  'pg_attribute',
  'pg_proc',
  'pg_type',
  'pg_namespace',
  'pg_operator',
  'pg_cast',
  'pg_constraint',
  'pg_extension',
  'pg_depend',
  'pg_foreign_server',
  'pg_foreign_data_wrapper',
]
  .map(
    (catalog) =>
      `(SELECT pg_catalog.count(*) || '.' || COALESCE(pg_catalog.sum(xmin::text::bigint), 0) FROM pg_catalog.${catalog})`,
  )
  .join(` || ' ' || `)} AS fingerprint`

const SERVER = `
  SELECT pg_catalog.current_setting('server_version_num')::int AS version,
    pg_catalog.current_database() AS database,
    pg_catalog.current_setting('server_encoding') AS encoding,
    current_user <> session_user AS role_is_switched`

type Row = Readonly<Record<string, unknown>>

export async function readFingerprint(client: Client): Promise<string> {
  const [row = {}] = await rowsOf(client, FINGERPRINT)
  return String(row['fingerprint'])
}

/** What the server is, before its catalog is read. */
export async function readServer(
  client: Client,
): Promise<{ readonly versionNum: number; readonly encoding: string }> {
  const [row = {}] = await rowsOf(client, SERVER)
  return { versionNum: Number(row['version']), encoding: String(row['encoding']) }
}

/** Reads the whole catalog in one snapshot. */
export async function readCatalog(client: Client, schema: string): Promise<PostgresCatalog> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  try {
    const [server = {}] = await rowsOf(client, SERVER)
    const schemas = await rowsOf(client, 'SELECT nspname FROM pg_catalog.pg_namespace')
    const vetted = [VETTED_EXTENSIONS]
    const casts = await rowsOf(client, CASTS, vetted)
    // Hardly any database has such casts, and looking for their columns takes a while.
    const columnCasts = columnCastsOf(casts.length > 0 ? await rowsOf(client, COLUMN_CASTS, vetted) : [])
    return {
      serverVersionNum: Number(server['version']),
      database: String(server['database']),
      schema,
      complete: true,
      roleIsSwitched: server['role_is_switched'] === true,
      relations: byName((await rowsOf(client, RELATIONS)).map((row) => relationOf(row, columnCasts))),
      routines: byName((await rowsOf(client, ROUTINES, vetted)).map(routineOf)),
      types: byName((await rowsOf(client, TYPES, vetted)).map(typeOf)),
      schemas: new Set(schemas.map((row) => String(row['nspname']))),
      operators: operatorsOf(await rowsOf(client, OPERATORS, vetted)),
      blank: new Set((await rowsOf(client, BLANK)).map((row) => String(row['name']))),
      casts: castsOf(casts),
    }
  } finally {
    await client.query('COMMIT')
  }
}

async function rowsOf(client: Client, sql: string, values?: readonly unknown[]): Promise<readonly Row[]> {
  const { rows } = await client.query<Row>(sql, values === undefined ? undefined : [...values])
  return rows
}

function byName<Named extends { readonly schema: string; readonly name: string }>(
  objects: readonly Named[],
): ReadonlyMap<string, Named> {
  return new Map(objects.map((object) => [keyOf(object.schema, object.name), object]))
}

const RELATION_KINDS: readonly RelationKind[] = ['r', 'p', 'v', 'm', 'f', 'S', 'c', 'i', 'I', 't']

function relationOf(row: Row, casts: ReadonlyMap<number, NonNullable<Relation['casts']>>): Relation {
  const { oid, nspname, relname, relkind, columns, table_schema: tableSchema, table_name: tableName } = row
  const columnCasts = casts.get(Number(oid))
  return {
    oid: Number(oid),
    schema: String(nspname),
    name: String(relname),
    // A kind of a newer server is taken as one that cannot be read.
    kind: RELATION_KINDS.find((kind) => kind === relkind) ?? 'c',
    columns: Array.isArray(columns) ? columns.map(String) : [],
    ...(tableName !== null && { indexOf: { schema: String(tableSchema), name: String(tableName) } }),
    ...(columnCasts !== undefined && { casts: columnCasts }),
  }
}

function routineOf(row: Row): Routine {
  return {
    schema: String(row['nspname']),
    name: String(row['proname']),
    builtin: row['builtin'] === true,
    kinds: String(row['kinds']),
    library: row['library'] === null ? undefined : String(row['library']),
    argumentsMin: Number(row['arguments_min']),
    argumentsMax: Number(row['arguments_max']),
    vetted: row['vetted'] === true,
  }
}

const TYPE_KINDS: Readonly<Record<string, TypeKind>> = {
  b: 'base',
  c: 'composite',
  d: 'domain',
  e: 'enum',
  m: 'multirange',
  p: 'pseudo',
  r: 'range',
}

function typeOf(row: Row): UserType {
  return {
    schema: String(row['nspname']),
    oid: Number(row['oid']),
    name: String(row['typname']),
    kind: TYPE_KINDS[String(row['typtype'])] ?? 'pseudo',
    builtin: row['builtin'] === true,
    free: row['free'] === true,
    rowOf: row['row_of'] === null ? undefined : String(row['row_of']),
  }
}

function operatorsOf(rows: readonly Row[]): ReadonlyMap<string, readonly HiddenCall[]> {
  const operators = new Map<string, HiddenCall[]>()
  for (const row of rows) {
    const calls = entryOf(operators, keyOf(String(row['nspname']), String(row['oprname'])))
    if (row['vetted'] !== true) calls.push(callOf(row))
  }
  return operators
}

function castsOf(rows: readonly Row[]): ReadonlyMap<string, readonly HiddenCall[]> {
  const casts = new Map<string, HiddenCall[]>()
  for (const row of rows)
    entryOf(casts, keyOf(String(row['nspname']), String(row['typname']))).push(callOf(row))
  return casts
}

/** By the oid of the relation, then by the name of the column. */
function columnCastsOf(rows: readonly Row[]): ReadonlyMap<number, NonNullable<Relation['casts']>> {
  const relations = new Map<number, Map<string, HiddenCall[]>>()
  for (const row of rows) {
    const oid = Number(row['oid'])
    const columns = relations.get(oid) ?? new Map<string, HiddenCall[]>()
    relations.set(oid, columns)
    entryOf(columns, String(row['attname'])).push(callOf(row))
  }
  return relations
}

function entryOf(map: Map<string, HiddenCall[]>, key: string): HiddenCall[] {
  const known = map.get(key)
  if (known !== undefined) return known
  const calls: HiddenCall[] = []
  map.set(key, calls)
  return calls
}

function callOf(row: Row): HiddenCall {
  return { schema: String(row['function_schema']), name: String(row['proname']) }
}
