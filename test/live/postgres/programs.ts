/** PostgreSQL's own client programs, where the machine has them. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Where Debian puts a version's programs. */
const DEBIAN = '/usr/lib/postgresql'

/** Where a program such as `psql` is, of the newest version on this machine; `undefined`: nowhere. */
export function postgresProgram(name: string): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(DEBIAN, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}
