import type { Access } from '../access.ts'
import type { Analysis } from '../analysis.ts'
import { keyOf, type PostgresCatalog, type UserType } from './catalog.ts'

/**
 * Parameter types of a Parse, given by number. Each value that Bind brings is read by its type's input function,
 * which is a cast that no text shows: a domain runs its checks, a `reg*` type looks a name up in the catalog.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-PARSE
 */

/** FirstNormalObjectId of src/include/access/transam.h: types with lower numbers came with the server. */
const FIRST_NORMAL_OBJECT_ID = 16_384

/** Built-in types that look names up, with their arrays: src/include/catalog/pg_type.dat. */
const CATALOG_TYPES: ReadonlyMap<number, readonly ['driver' | 'introspect', string]> = new Map([
  [24, ['introspect', 'regproc']],
  [1008, ['introspect', 'regproc']],
  [2202, ['introspect', 'regprocedure']],
  [2207, ['introspect', 'regprocedure']],
  [2203, ['introspect', 'regoper']],
  [2208, ['introspect', 'regoper']],
  [2204, ['introspect', 'regoperator']],
  [2209, ['introspect', 'regoperator']],
  [2205, ['introspect', 'regclass']],
  [2210, ['introspect', 'regclass']],
  [4191, ['introspect', 'regcollation']],
  [4192, ['introspect', 'regcollation']],
  [2206, ['driver', 'regtype']],
  [2211, ['driver', 'regtype']],
  [4096, ['introspect', 'regrole']],
  [4097, ['introspect', 'regrole']],
  [4089, ['introspect', 'regnamespace']],
  [4090, ['introspect', 'regnamespace']],
  [3734, ['driver', 'regconfig']],
  [3735, ['driver', 'regconfig']],
  [3769, ['driver', 'regdictionary']],
  [3770, ['driver', 'regdictionary']],
  [8326, ['introspect', 'regdatabase']],
  [8327, ['introspect', 'regdatabase']],
  [1033, ['introspect', 'aclitem']],
  [1034, ['introspect', 'aclitem']],
])

/** What of a catalog is needed to know a type by its number. */
export type TypeCatalog = Pick<PostgresCatalog, 'types' | 'casts'>

/** @param oids int32s as in the message; 0 leaves a type to the server's inference, which the text decides */
export function analyseParameterTypes(oids: Buffer, catalog: TypeCatalog): Analysis {
  const accesses: Access[] = []
  for (let at = 0; at + 4 <= oids.length; at += 4) {
    const oid = oids.readUInt32BE(at)
    if (oid < FIRST_NORMAL_OBJECT_ID) {
      const lookup = CATALOG_TYPES.get(oid)
      if (lookup !== undefined)
        accesses.push({ kind: 'metadata', level: lookup[0], name: `pg_catalog.${lookup[1]}` })
      continue
    }
    const type = typesByOid(catalog).get(oid)
    if (type === undefined)
      return {
        outcome: 'unknown_object',
        action: 'prepare',
        why: `the parameter type ${oid} is not in the catalog`,
        accesses: [],
      }
    const access = accessOf(type)
    if (access !== undefined) accesses.push(access)
    for (const { schema, name } of catalog.casts.get(keyOf(type.schema, type.name)) ?? [])
      accesses.push({ kind: 'routine', action: 'execute', schema, name })
  }
  return accesses.length === 0 ? NOTHING : { outcome: 'accesses', action: 'prepare', accesses }
}

const NOTHING: Analysis = { outcome: 'accesses', action: 'prepare', accesses: [] }

/** The same that a cast to the type would need. */
function accessOf(type: UserType): Access | undefined {
  const { schema, name, rowOf, free } = type
  if (rowOf !== undefined)
    return { kind: 'relation', action: 'select', schema, name: rowOf, columns: undefined }
  return free ? undefined : { kind: 'type', action: 'usage', schema, name }
}

const indexes = new WeakMap<TypeCatalog, ReadonlyMap<number, UserType>>()

function typesByOid(catalog: TypeCatalog): ReadonlyMap<number, UserType> {
  const known = indexes.get(catalog)
  if (known !== undefined) return known
  const index = new Map<number, UserType>()
  for (const type of catalog.types.values()) if (type.oid !== undefined) index.set(type.oid, type)
  indexes.set(catalog, index)
  return index
}
