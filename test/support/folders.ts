/**
 * Temporary folders of tests. Each is gone when the process that made it ends, whether its tests passed or not, so that
 * no test removes its own; `test/architecture.test.ts` sees to it that no test makes one in another way, and `npm test`
 * fails when one is left.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The environment variable in which `npm test` names the folder that all others are made in. */
export const FOLDER_VARIABLE = 'BULKHEAD_TEST_FOLDER'

const made: string[] = []

/** A new and empty folder, which only this user may enter. */
export function temporaryFolder(): string {
  if (made.length === 0) process.once('exit', removeAll)
  const folder = mkdtempSync(join(process.env[FOLDER_VARIABLE] ?? tmpdir(), 'bulkhead-test-'))
  made.push(folder)
  return folder
}

/** A server that ends with this process removes its own data at the same time: what it takes first is no error. */
function removeAll(): void {
  for (const folder of made) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
