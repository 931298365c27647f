import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
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

test('beside a configuration init writes nothing, not even keys', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'bulkhead.yaml'), 'systems: {}')
  await assert.rejects(init({ folder }), /bulkhead\.yaml exists already, and init overwrites nothing/)
  assert.equal(existsSync(join(folder, 'keys')), false)
})
