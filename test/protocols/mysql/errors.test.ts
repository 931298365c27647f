import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Access } from '../../../protocols/access.ts'
import type { Analysis } from '../../../protocols/analysis.ts'
import { denialError, endError, errorPacket } from '../../../protocols/mysql/errors.ts'
import { DENY_REASONS, type Denial, type EndCause } from '../../../protocols/session.ts'
import { split } from './packets.ts'

const NOTHING: Analysis = { outcome: 'accesses', action: 'select', accesses: [] }

function worded(denial: Partial<Denial>, analysis: Analysis = NOTHING): string {
  const { number, sqlState, message } = denialError(
    { reason: 'not_granted', message: 'the grant does not allow this', ...denial },
    analysis,
    'r-42',
    undefined,
  )
  return `${number} ${sqlState} ${message}`
}

const table = (columns: readonly string[] | undefined): Access => ({
  kind: 'relation',
  action: 'select',
  schema: 'crm',
  name: 'customers',
  columns,
})

describe('a denial', () => {
  const missing: readonly { readonly access: Access; readonly says: RegExp }[] = [
    {
      access: table(undefined),
      says: /^1142 42000 SELECT command denied to user 'r-42'@'bulkhead' for table 'customers': /,
    },
    {
      access: table(['card']),
      says: /^1143 42000 SELECT command denied .* for column 'card' in table 'customers': /,
    },
    {
      access: table(['card', 'city']),
      says: /^1143 42000 SELECT command denied .* for column 'card' in table 'customers': /,
    },
    {
      access: { kind: 'sequence', action: 'usage', schema: 'crm', name: 's' },
      says: /^1142 42000 USAGE command denied .* for table 's': /,
    },
    {
      access: { kind: 'metadata', level: 'introspect', name: 'information_schema.tables' },
      says: /^1142 42000 SELECT command denied .* for table 'information_schema\.tables': /,
    },
    {
      access: { kind: 'schema', action: 'create', name: 'crm' },
      says: /^1044 42000 Access denied for user 'r-42'@'bulkhead' to database 'crm': /,
    },
  ]
  for (const { access, says } of missing) {
    test(`of a missing ${access.kind} is the server's own error: ${says.source.slice(1, 5)}`, () => {
      assert.match(worded({ missing: access }), says)
    })
  }

  test('says what is missing and what would be allowed, after the words of the server', () => {
    assert.equal(
      worded({ missing: table(undefined), message: 'it is not granted', hint: 'this grant allows: nothing' }),
      "1142 42000 SELECT command denied to user 'r-42'@'bulkhead' for table 'customers': it is not granted; this grant allows: nothing",
    )
  })

  test('of every reason has a number and an SQLSTATE', () => {
    for (const reason of DENY_REASONS) assert.match(worded({ reason }), /^\d{4} [0-9A-Z]{5} ./, reason)
  })

  test('of a hop says what it aimed at, as the server would', () => {
    const hop = (kind: 'wrong_database' | 'cross_run' | 'file_reach'): Analysis => ({
      outcome: 'hop',
      action: 'select',
      hop: kind,
      why: 'why',
      target: 'payroll',
    })
    assert.match(worded({ reason: 'hop' }, hop('wrong_database')), /^1044 42000 .* to database 'payroll'/)
    assert.match(worded({ reason: 'hop' }, hop('cross_run')), /^1095 HY000 You are not owner of thread/)
    assert.match(worded({ reason: 'hop' }, hop('file_reach')), /^1227 42000 Access denied/)
  })

  test("gives way to the analysis's own error", () => {
    const nativeError = { code: '42S02', message: "Table 'crm.x' doesn't exist" }
    assert.equal(worded({ reason: 'unknown_object', nativeError }), "1146 42S02 Table 'crm.x' doesn't exist")
  })
})

describe('an error packet', () => {
  const textOf = (message: string): string =>
    split(errorPacket(1, { number: 1142, sqlState: '42000', message }))[0]?.body.toString('utf8', 9) ?? ''

  test('is cut where the C client would cut it, but not inside a character', () => {
    for (const character of ['x', 'é', '€', '😀']) {
      const cut = textOf(`a${character.repeat(600)}`)
      assert.ok(Buffer.byteLength(cut) <= 511)
      assert.ok(Buffer.byteLength(cut) > 500)
      assert.match(cut, /\.\.\.$/)
      assert.doesNotMatch(cut, /\ufffd/)
    }
  })

  test('is one line, so that a name in a statement forges none in a log', () => {
    assert.equal(textOf('a\nb\r\n\tc\u2028d\u0000e'), 'a b c d e')
  })
})

test('every end of a session has an error of its own class', () => {
  const kinds: readonly EndCause['kind'][] = [
    'token_expired',
    'revoked',
    'limit',
    'hop',
    'backend_lost',
    'shutdown',
    'protocol_error',
    'audit_unavailable',
  ]
  for (const kind of kinds) {
    const { number, sqlState, message } = endError({ kind, message: 'because' })
    assert.ok(number >= 1000 && number < 2000, kind)
    assert.match(sqlState, /^[0-9A-Z]{5}$/)
    assert.match(message, /: because$/)
  }
})
