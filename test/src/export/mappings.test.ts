/** Records in the words of OpenTelemetry and of OCSF, and the table that documents them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { projectFolder } from '../../../src/demo/servers/cache.ts'
import { ocsfEvent } from '../../../src/export/ocsf.ts'
import { attributesOf, endpoint } from '../../../src/export/semantic-conventions.ts'
import { severityOf } from '../../../src/export/severity.ts'
import { shortened } from '../../../src/export/syslog.ts'
import { ALLOWED, DENIED, HOP, RESULT, record } from './records.ts'

test('a statement of one table is a db.* operation on one collection', () => {
  const attributes = attributesOf(ALLOWED)
  assert.equal(attributes['db.system.name'], 'postgresql')
  assert.equal(attributes['db.operation.name'], 'select')
  assert.equal(attributes['db.query.text'], 'select id from orders')
  assert.equal(attributes['db.collection.name'], 'public.orders(id)')
  assert.equal(attributes['client.address'], '127.0.0.1')
  assert.equal(attributes['client.port'], 50_412)
  assert.equal(attributes['bulkhead.run'], 'r-42')
  assert.equal(attributes['bulkhead.verdict'], 'allow')
  assert.deepEqual(attributes['bulkhead.rules'], ['select on orders'])
  assert.equal(attributes['error.type'], undefined)
})

test('a denied statement of two tables names no collection, and its error is the reason', () => {
  const attributes = attributesOf(DENIED)
  assert.equal(attributes['db.collection.name'], undefined)
  assert.deepEqual(attributes['bulkhead.accesses'], ['select public.a', 'select public.b'])
  assert.deepEqual(attributes['bulkhead.missing'], ['select public.b'])
  assert.equal(attributes['error.type'], 'not_granted')
})

test("a result has the backend's code and the rows", () => {
  const attributes = attributesOf(RESULT)
  assert.equal(attributes['db.response.status_code'], '57014')
  assert.equal(attributes['error.type'], '57014')
  assert.equal(attributes['db.response.returned_rows'], 12)
  assert.equal(attributes['bulkhead.duration_us'], 2_600)
})

test('no field of a record is lost on the way to OpenTelemetry', () => {
  for (const one of [ALLOWED, DENIED, RESULT, HOP]) {
    const text = JSON.stringify(attributesOf(one))
    for (const [field, value] of Object.entries(one)) {
      if (['time', 'event', 'protocol', 'client', 'accesses', 'missing'].includes(field)) continue
      assert.ok(text.includes(JSON.stringify(value)), `${one.event}: ${field}`)
    }
  }
})

test('addresses of both families and none are told from their port', () => {
  assert.deepEqual(endpoint('127.0.0.1:6432'), { address: '127.0.0.1', port: 6432 })
  assert.deepEqual(endpoint('::ffff:10.0.0.7:6432'), { address: '::ffff:10.0.0.7', port: 6432 })
  assert.deepEqual(endpoint('unknown'), { address: 'unknown', port: undefined })
})

test('an OCSF event of each kind has its class, its activity and their product', () => {
  const cases: readonly (readonly [ReturnType<typeof record>, number, number])[] = [
    [ALLOWED, 6005, 4],
    [RESULT, 6005, 99],
    [HOP, 2004, 1],
    [record('session.start', 1), 3002, 1],
    [record('session.end', 1), 3002, 2],
    [record('auth.failure', 1, { run: undefined, user: 'root', reason: 'malformed' }), 3002, 1],
    [record('quarantine', 1), 3001, 9],
    [record('revoked', 1), 3001, 5],
    [record('released', 1), 3001, 2],
    [record('proxy.start', 1), 6002, 3],
    [record('audit.recovered', 1), 6002, 99],
    [record('backend.error', 1), 6005, 99],
  ]
  for (const [one, classUid, activity] of cases) {
    const event = ocsfEvent(one)
    assert.equal(event['class_uid'], classUid, one.event)
    assert.equal(event['activity_id'], activity, one.event)
    assert.equal(event['type_uid'], classUid * 100 + activity)
    assert.equal(event['category_uid'], Math.floor(classUid / 1_000))
    assert.equal(event['time'], Date.parse(one.time))
    assert.ok([1, 3, 4, 5].includes(Number(event['severity_id'])))
    if (activity === 99) assert.ok(typeof event['activity_name'] === 'string', one.event)
  }
})

test('a denied statement was blocked, and one that is only observed was logged', () => {
  assert.deepEqual([ocsfEvent(DENIED)['action_id'], ocsfEvent(DENIED)['disposition_id']], [2, 2])
  assert.deepEqual([ocsfEvent(ALLOWED)['action_id'], ocsfEvent(ALLOWED)['disposition_id']], [1, 1])
  const observed = ocsfEvent({ ...DENIED, verdict: 'would_deny' })
  assert.deepEqual([observed['action_id'], observed['disposition_id']], [1, 17])
})

test('a hop is a finding of the highest severity that says what was tried', () => {
  const event = ocsfEvent(HOP)
  assert.equal(event['severity_id'], 5)
  assert.equal(event['is_alert'], true)
  const { title } = event['finding_info'] as { readonly title: string }
  assert.equal(title, 'A run tried to leave its system: wrong_system')
  assert.deepEqual((event['unmapped'] as { readonly to: string }).to, 'shop')
})

test('a login that failed is urgent, an allowed statement is not', () => {
  assert.equal(severityOf(record('auth.failure', 1)), 'warning')
  assert.equal(severityOf(ALLOWED), 'info')
  assert.equal(severityOf(DENIED), 'warning')
  assert.equal(severityOf(HOP), 'alert')
})

test('a syslog message stays below 8 KiB however long the statement and its accesses are', () => {
  const characters = fc.string({ unit: 'binary', minLength: 0, maxLength: 20_000 })
  const accesses = fc.array(fc.record({ action: fc.constant('select'), resource: characters }), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(characters, accesses, (statement, many) => {
      const long = shortened({ ...ALLOWED, statement, accesses: many, missing: many, why: statement })
      // The bound is on characters; the receivers' own is on bytes, of which plain text has as many.
      assert.ok(JSON.stringify(long).length < 64 << 10)
      assert.ok((long.statement?.length ?? 0) <= 2_049)
      assert.ok((long.accesses?.length ?? 0) <= 17)
    }),
    { numRuns: 30 },
  )
  const plain = shortened({ ...ALLOWED, statement: 'x'.repeat(100_000) })
  assert.ok(JSON.stringify(ocsfEvent(plain)).length < 8 << 10)
})

test('the table of the documentation names every field that has a word of its own', () => {
  const table = readFileSync(join(projectFolder(), 'docs', 'audit-fields.md'), 'utf8')
  const names = new Set([ALLOWED, DENIED, RESULT, HOP].flatMap((one) => Object.keys(attributesOf(one))))
  for (const name of names) {
    if (!name.startsWith('bulkhead.')) assert.ok(table.includes(`\`${name}\``), `${name} is not documented`)
  }
  for (const one of [ALLOWED, DENIED, RESULT, HOP]) {
    for (const field of Object.keys(one))
      assert.ok(table.includes(`\`${field}\``), `${field} is not documented`)
  }
})
