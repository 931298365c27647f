import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { init } from '../../../src/commands/init.ts'
import { temporaryFolder } from '../../support/folders.ts'

test('init ends with the folder that it cannot make, also where the file system takes none', {
  skip: existsSync('/proc/self') ? false : 'there is no /proc',
}, async () => {
  await assert.rejects(
    init({ folder: '/proc/bulkhead/deep' }),
    /^CommandError: cannot make the folder \/proc\/bulkhead: ENOENT$/,
  )
})

test('init says which part of its folder is a file', async () => {
  const file = join(temporaryFolder(), 'taken')
  writeFileSync(file, '')
  await assert.rejects(init({ folder: join(file, 'below') }), {
    message: `${file} is not a folder`,
  })
})

test('beside a configuration whose keys are missing init makes them, and leaves the configuration as it is', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'bulkhead.yaml')
  writeFileSync(file, 'systems: {}')
  await assert.rejects(init({ folder }), /bulkhead\.yaml exists already, and init overwrites nothing/)
  assert.ok(existsSync(join(folder, 'keys', 'issuer.jwk')))
  assert.equal(readFileSync(file, 'utf8'), 'systems: {}')
})
