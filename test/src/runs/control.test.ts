/** What operators do to runs, where the audit log takes no record of it. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { AuditLog } from '../../../src/audit/log.ts'
import type { Config } from '../../../src/config/config.ts'
import { NO_LIMITS } from '../../../src/grants/grant.ts'
import { RunControl } from '../../../src/runs/control.ts'
import { RunLedger } from '../../../src/runs/ledger.ts'
import { Runs } from '../../../src/runs/live.ts'
import { RunState } from '../../../src/runs/state.ts'
import { temporaryFolder } from '../../support/folders.ts'

const ORDER = { target: { kind: 'run', run: 'r-1' }, why: 'because', by: 'tester' } as const
const SECRET = { grant: 'read', run: 'r-2', agent: 'a', ttlMs: 60_000, by: 'tester' } as const

function controlOver(auditFile: string): { control: RunControl; runs: Runs; audit: AuditLog } {
  const now = (): number => 1_800_000_000_000
  const runs = new Runs(new RunState(join(temporaryFolder(), 'state.json'), now), new RunLedger())
  const audit = new AuditLog(auditFile, { now })
  const read = {
    name: 'read',
    system: 'shop',
    allow: [],
    metadata: 'none',
    limits: NO_LIMITS,
    observe: false,
    narrowed: [],
  } as const
  const config = { grants: new Map([['read', read]]), clockSkewMs: 0 } as unknown as Config
  return { control: new RunControl({ runs, audit, now, config: () => config }), runs, audit }
}

test('what takes rights is done although it cannot be recorded, and what gives them is not', () => {
  // It takes the open and refuses every write.
  const { control, runs, audit } = controlOver('/dev/full')
  control.revoke(ORDER)
  assert.equal(runs.state.revocations().length, 1)
  const released = control.release(ORDER)
  assert.ok(!released.done)
  assert.match(released.problem, /audit log cannot be written/)
  assert.equal(runs.state.revocations().length, 1)
  const made = control.registerSecret(SECRET)
  assert.ok(!made.made)
  assert.match(made.problem, /audit log cannot be written/)
  assert.equal(runs.state.secretOf('shop', 'r-2'), undefined)
  audit.close()
})

test('what gives rights is done once it is recorded', () => {
  const { control, runs, audit } = controlOver(join(temporaryFolder(), 'audit.jsonl'))
  control.revoke(ORDER)
  const released = control.release(ORDER)
  assert.ok(released.done && released.saved)
  assert.equal(released.released.length, 1)
  assert.ok(control.registerSecret(SECRET).made)
  assert.ok(runs.state.secretOf('shop', 'r-2') !== undefined)
  assert.equal(audit.records, 3)
  audit.close()
})
