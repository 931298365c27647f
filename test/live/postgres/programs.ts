/** PostgreSQL's own client programs, where the machine has them. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../../../src/demo/servers/cache.ts'
import { unpackPackages } from '../../../src/demo/servers/debian.ts'

/** A program with the words that go before its own. */
export type Program = { readonly version: number; readonly file: string; readonly before: readonly string[] }

/** Where Debian puts the programs of each version. */
const VERSIONS = 'usr/lib/postgresql'

/** Debian's newest, with a C library of its own, so that it runs on an older machine. */
const NEWEST = {
  name: 'postgresql-client-sid',
  suite: 'sid',
  packages: ['postgresql-client-18'],
  programs: [],
}

/** Makes the newest clients be found from now on: some 60 MB, so for long runs only. */
export async function fetchNewestPrograms(): Promise<void> {
  await unpackPackages(cacheFolder(undefined), NEWEST, () => undefined)
}

const LIBRARIES = 'usr/lib/x86_64-linux-gnu'

/** The newest program of each version on this machine, the newest version first. */
export function postgresPrograms(name: string): readonly Program[] {
  const found: Program[] = []
  for (const version of versionsIn('/')) {
    const file = join('/', VERSIONS, String(version), 'bin', name)
    if (existsSync(file)) found.push({ version, file, before: [] })
  }
  const fetched = join(cacheFolder(undefined), `debian-${NEWEST.name}-2`)
  for (const version of versionsIn(fetched)) {
    const program = join(fetched, VERSIONS, String(version), 'bin', name)
    const libraries = join(fetched, LIBRARIES)
    const loader = join(libraries, 'ld-linux-x86-64.so.2')
    if (!existsSync(program) || !existsSync(loader)) continue
    found.push({ version, file: loader, before: ['--library-path', libraries, program] })
  }
  return found.sort((left, right) => right.version - left.version)
}

function versionsIn(root: string): readonly number[] {
  const folder = join(root, VERSIONS)
  return existsSync(folder) ? readdirSync(folder).map(Number).filter(Number.isInteger) : []
}
