/**
 * Finds the programs of each server: first those of the machine, then PostgreSQL from npm and the others from
 * Debian packages in the project's cache. Nothing of the system is changed.
 */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Account, runAs } from './account.ts'
import { cacheFolder } from './cache.ts'
import { type DebianPackages, unpackPackages } from './debian.ts'
import { embeddedPostgres } from './embedded-postgres.ts'
import { type ServerKind, ServerUnavailable } from './server.ts'

export type Programs = {
  /** Folder above `share/`, `usr/share/`: where the package's own files lie. `/` for the machine's. */
  readonly root: string
  /** Full path of a server program. */
  readonly server: string
  /** Folder with client programs. */
  readonly clients: string | undefined
}

type Progress = (line: string) => void

/** What the servers' processes see of our environment: a path, a locale, no `PG…` or `MYSQL…` variable. */
export const SERVER_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
}

/** Major versions of PostgreSQL whose grammar the product has. */
const POSTGRES_MAJORS = [18, 17, 16, 15] as const

/** Where Debian, Fedora and Homebrew put server programs that are not on an ordinary user's path. */
const SERVER_FOLDERS = ['/usr/sbin', '/usr/libexec', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/bin']

/**
 * `server` is `postgres`, with `initdb` beside it.
 *
 * @param major asks for this major version only.
 */
export async function findPostgres(
  account: Account | undefined,
  major: number | undefined,
  progress: Progress,
): Promise<Programs> {
  for (const candidate of major === undefined ? POSTGRES_MAJORS : [major]) {
    const folder = `/usr/lib/postgresql/${candidate}/bin`
    if (isProgram(join(folder, 'postgres')) && isProgram(join(folder, 'initdb'))) {
      return {
        root: '/',
        server: join(folder, 'postgres'),
        clients: folderOf('psql') ?? folder,
      }
    }
  }
  const onPath = findProgram('postgres')
  if (onPath !== undefined && isProgram(join(onPath, '..', 'initdb'))) {
    const version = Number(/ (\d+)/.exec(await versionOf(onPath))?.[1])
    if (POSTGRES_MAJORS.some((known) => known === version && (major ?? version) === version)) {
      return { root: '/', server: onPath, clients: folderOf('psql') }
    }
  }
  return unlessUnavailable('postgres', async () => {
    const server = await embeddedPostgres(account, progress)
    const version = Number(/ (\d+)/.exec(await versionOf(server))?.[1])
    if (major !== undefined && major !== version)
      throw new Error(`embedded-postgres has ${version}, not ${major}`)
    return { root: '/', server, clients: folderOf('psql') }
  })
}

/** `server` is `mariadbd`. */
export async function findMariadb(account: Account | undefined, progress: Progress): Promise<Programs> {
  for (const name of ['mariadbd', 'mysqld']) {
    const server = findProgram(name)
    if (server !== undefined && (await versionOf(server)).includes('MariaDB')) {
      return {
        root: '/',
        server,
        clients: folderOf('mariadb') ?? folderOf('mysql'),
      }
    }
  }
  const wanted = {
    name: 'mariadb',
    packages: ['mariadb-server-core', 'mariadb-client-core'],
    programs: ['mariadbd', 'mariadb', 'mysql', 'mariadb-dump'],
    // Its client looks for the login methods of MySQL 8 where the package would have been installed.
    folders: { MARIADB_PLUGIN_DIR: 'libmariadb3/plugin' },
  }
  return unlessUnavailable('mariadb', () => fromDebian(account, wanted, progress))
}

/** `server` is `redis-server` or, where only that is on the machine, `valkey-server`. */
export async function findRedis(account: Account | undefined, progress: Progress): Promise<Programs> {
  for (const [name, client] of [
    ['redis-server', 'redis-cli'],
    ['valkey-server', 'valkey-cli'],
  ] as const) {
    const server = findProgram(name)
    if (server !== undefined) return { root: '/', server, clients: folderOf(client) }
  }
  const wanted = {
    name: 'redis',
    packages: ['redis-server'],
    programs: ['redis-server', 'redis-cli', 'redis-benchmark'],
  }
  return unlessUnavailable('redis', () => fromDebian(account, wanted, progress))
}

/** `server` is `mysqld` of MySQL itself: the machine's, or the one of Debian's unstable suite, the only one that has it. */
export async function findMysql(account: Account | undefined, progress: Progress): Promise<Programs> {
  const server = findProgram('mysqld')
  if (server !== undefined && !(await versionOf(server)).includes('MariaDB')) {
    return { root: '/', server, clients: folderOf('mysql') }
  }
  const wanted = {
    name: 'mysql',
    suite: 'sid',
    packages: ['mysql-server-core', 'mysql-client-core'],
    programs: ['mysqld', 'mysql', 'mysqldump'],
  }
  return unlessUnavailable('mysql', () => fromDebian(account, wanted, progress))
}

/** `server` is `valkey-server`: the machine's, or the newest that Debian has. */
export async function findValkey(account: Account | undefined, progress: Progress): Promise<Programs> {
  const server = findProgram('valkey-server')
  if (server !== undefined) return { root: '/', server, clients: folderOf('valkey-cli') }
  const programs = ['valkey-server', 'valkey-cli', 'valkey-benchmark']
  const wanted = { name: 'valkey', suite: 'sid', packages: ['valkey-server'], programs }
  return unlessUnavailable('valkey', () => fromDebian(account, wanted, progress))
}

/** `server` is the newest `redis-server` that Debian has, whatever the machine has. */
export async function findNewestRedis(account: Account | undefined, progress: Progress): Promise<Programs> {
  const programs = ['redis-server', 'redis-cli', 'redis-benchmark']
  const wanted = { name: 'redis-sid', suite: 'sid', packages: ['redis-server'], programs }
  return unlessUnavailable('redis', () => fromDebian(account, wanted, progress))
}

/** Folder with `psql`, which npm's PostgreSQL lacks; `undefined` where it can neither be found nor fetched. */
export async function findPsql(
  account: Account | undefined,
  progress: Progress,
): Promise<string | undefined> {
  const found = folderOf('psql')
  if (found !== undefined) return found
  try {
    const wanted = { name: 'psql', packages: ['postgresql-client'], programs: ['psql'] }
    const folder = join(await unpackPackages(cacheFolder(account), wanted, progress), 'bin')
    await versionOf(join(folder, 'psql'))
    return folder
  } catch {
    return undefined
  }
}

async function fromDebian(
  account: Account | undefined,
  wanted: DebianPackages,
  progress: Progress,
): Promise<Programs> {
  const root = await unpackPackages(cacheFolder(account), wanted, progress)
  const server = join(root, 'bin', wanted.programs[0] ?? '')
  // Proves that the libraries fit this machine as well.
  await versionOf(server)
  return { root, server, clients: join(root, 'bin') }
}

async function unlessUnavailable(kind: ServerKind, find: () => Promise<Programs>): Promise<Programs> {
  try {
    return await find()
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n')
    throw new ServerUnavailable(kind, line ?? 'unknown reason')
  }
}

function versionOf(program: string): Promise<string> {
  return runAs(undefined, program, ['--version'], SERVER_ENVIRONMENT)
}

function folderOf(program: string): string | undefined {
  const path = findProgram(program)
  return path === undefined ? undefined : path.slice(0, -program.length - 1)
}

/** The full path of a program of this machine. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), ...SERVER_FOLDERS]
  return folders.map((folder) => join(folder, name)).find(isProgram)
}

/** Whether there is a file that may be run. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
