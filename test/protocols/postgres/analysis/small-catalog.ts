/** A catalog of a few objects, written by hand, so that the analysis is tested without a server. */
import { BUILTIN_FUNCTIONS } from '../../../../protocols/postgres/analysis/builtin-functions.ts'
import {
  keyOf,
  type PostgresCatalog,
  type Relation,
  type Routine,
} from '../../../../protocols/postgres/catalog.ts'

const TABLES: Readonly<Record<string, string>> = {
  'public.customers': 'id name city ssn',
  'public.orders': 'id customer_id total status',
  'public.items': 'order_id line qty',
  'public.tickets': 'id title status',
  'hr.salaries': 'id amount',
  'pg_catalog.pg_type': 'oid typname',
  'pg_catalog.pg_class': 'oid relname',
  'pg_catalog.pg_proc': 'oid proname prosrc',
  'pg_catalog.pg_stat_activity': 'pid query',
}

const FUNCTIONS: Readonly<Record<string, number>> = {
  'public.leak': 0,
  'public.ssn_of': 1,
  'public.lower': 1,
}

/** Functions of extensions, by their library. */
const LIBRARY_FUNCTIONS: Readonly<Record<string, string>> = {
  dblink: '$libdir/dblink',
  crosstab: '$libdir/tablefunc',
  pg_file_write: '$libdir/adminpack',
}

export function smallCatalog(serverVersionNum: number): PostgresCatalog {
  const relations = Object.entries(TABLES).map(([name, columns]): Relation => {
    const [schema = '', table = ''] = name.split('.')
    return { schema, name: table, kind: 'r', columns: columns.split(' ') }
  })
  relations.push({ schema: 'public', name: 'ticket_no', kind: 'S', columns: [] })
  relations.push({ schema: 'public', name: 'order_view', kind: 'v', columns: ['id', 'total'] })
  const builtin = [...BUILTIN_FUNCTIONS.keys()].map((name) => routine('pg_catalog', name, undefined))
  const own = Object.entries(FUNCTIONS).map(([name, count]) => {
    const [schema = '', routineName = ''] = name.split('.')
    return routine(schema, routineName, count)
  })
  const libraries = Object.entries(LIBRARY_FUNCTIONS).map(([name, library]) => ({
    ...routine('public', name, undefined),
    library,
  }))
  return {
    serverVersionNum,
    database: 'shop',
    schema: 'public',
    complete: true,
    roleIsSwitched: false,
    relations: new Map(relations.map((relation) => [keyOf(relation.schema, relation.name), relation])),
    routines: new Map(
      [...builtin, ...own, ...libraries].map((known) => [keyOf(known.schema, known.name), known]),
    ),
    types: new Map(),
    schemas: new Set(['public', 'hr', 'pg_catalog', 'information_schema']),
    operators: new Map([[keyOf('public', '+#'), [{ schema: 'public', name: 'plus' }]]]),
    blank: new Set(),
    casts: new Map(),
  }
}

function routine(schema: string, name: string, count: number | undefined): Routine {
  return {
    schema,
    name,
    builtin: schema === 'pg_catalog',
    kinds: 'f',
    library: undefined,
    argumentsMin: count ?? 0,
    argumentsMax: count ?? 32_767,
    vetted: false,
  }
}
