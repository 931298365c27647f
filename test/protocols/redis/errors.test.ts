import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommandAccess } from '../../../protocols/access.ts'
import { denialReply } from '../../../protocols/redis/errors.ts'
import type { CommandPart } from '../../../protocols/session.ts'

function said(lacks: CommandPart | undefined, access: Partial<CommandAccess> = {}): string {
  const missing: CommandAccess = {
    ...{
      kind: 'command',
      command: 'get',
      subcommand: undefined,
      categories: new Set(),
      keys: [],
      channels: [],
    },
    ...{ allKeys: false, ...access },
  }
  const denial = {
    reason: 'not_granted',
    message: 'the grant does not allow: x',
    hint: 'ask',
    missing,
  } as const
  return denialReply(lacks === undefined ? denial : { ...denial, lacks }, 'r-42').toString()
}

test('a denial begins as the server’s own', () => {
  const rest = ': the grant does not allow: x; ask\r\n'
  assert.equal(said('command'), `-NOPERM User r-42 has no permissions to run the 'get' command${rest}`)
  assert.equal(
    said('command', { command: 'client', subcommand: 'no-touch' }),
    `-NOPERM User r-42 has no permissions to run the 'client|no-touch' command${rest}`,
  )
  assert.equal(said('key'), `-NOPERM No permissions to access a key${rest}`)
  assert.equal(said('channel'), `-NOPERM No permissions to access a channel${rest}`)
})

test('SCAN without a pattern is told what would be allowed, unless SCAN is not granted at all', () => {
  const scan = { command: 'scan', allKeys: true }
  assert.match(said('key', scan), /x; with a granted pattern behind MATCH it is; ask/)
  assert.doesNotMatch(said('command', scan), /MATCH/)
})
