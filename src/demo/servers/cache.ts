/** Where fetched programs are kept between runs: `.cache/` of the project, or a private temporary folder. */
import { accessSync, chmodSync, constants, existsSync, lstatSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Account, mayEnter } from './account.ts'

/** The folder of this checkout, from the sources as well as from `dist/`. */
export function projectFolder(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return at
  }
  throw new Error('no package.json above the demo')
}

/**
 * The cache folder. It is not the project's own where that cannot be written (another user's checkout) or cannot
 * be entered by the account that the servers run as (a checkout under /root).
 */
export function cacheFolder(account: Account | undefined): string {
  const project = projectFolder()
  const own = join(project, '.cache', 'servers')
  try {
    accessSync(existsSync(own) ? own : project, constants.W_OK)
    mkdirSync(own, { recursive: true })
    if (mayEnter(account, own)) return own
  } catch {
    // Not ours to write: the temporary folder serves.
  }
  const shared = join(tmpdir(), `bulkhead-servers-${process.getuid?.() ?? 'user'}`)
  mkdirSync(shared, { recursive: true })
  const { uid } = lstatSync(shared)
  // Programs are run from here: a folder that somebody else made first is not to be trusted.
  if (process.getuid !== undefined && uid !== process.getuid())
    throw new Error(`${shared} belongs to another user`)
  chmodSync(shared, 0o755)
  return shared
}
