/** Types of parameters, which a Parse gives by number: what reading a value of one needs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyOf } from '../../../protocols/postgres/catalog.ts'
import { int32 } from '../../../protocols/postgres/frames.ts'
import { analyseParameterTypes, type TypeCatalog } from '../../../protocols/postgres/parameters.ts'

const MOOD = 16_400
const CATALOG: TypeCatalog = {
  types: new Map([
    [
      keyOf('public', 'mood'),
      {
        ...{ oid: MOOD, schema: 'public', name: 'mood', kind: 'enum', builtin: false, free: true },
        rowOf: undefined,
      },
    ],
  ]),
  casts: new Map([[keyOf('public', 'mood'), [{ schema: 'public', name: 'worth' }]]]),
}

test('a parameter of a type with casts that users made needs their functions, which run on it unasked', () => {
  assert.deepEqual(analyseParameterTypes(int32(MOOD), CATALOG), {
    outcome: 'accesses',
    action: 'prepare',
    accesses: [{ kind: 'routine', action: 'execute', schema: 'public', name: 'worth' }],
  })
  assert.deepEqual(analyseParameterTypes(int32(MOOD), { ...CATALOG, casts: new Map() }), {
    outcome: 'accesses',
    action: 'prepare',
    accesses: [],
  })
})
