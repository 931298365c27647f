/**
 * Server programs out of Debian packages, without root and without changing the system: apt computes which packages
 * are missing, `apt-get download` fetches them, `dpkg -x` unpacks them into the cache. Package lists are the system's
 * where it has them and private ones otherwise. Programs are called through small scripts in `bin/` which set the
 * library path, so that a person can run them as well.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { runAs } from './account.ts'

export type DebianPackages = {
  /** Name of the folder in the cache. */
  readonly name: string
  readonly packages: readonly string[]
  /** The programs to make callable, of those packages. */
  readonly programs: readonly string[]
  /** Environment variables that those programs need: folders of the packages, by the end of their path. */
  readonly folders?: Readonly<Record<string, string>>
  /**
   * A suite of Debian other than the machine's, such as `sid`. Nothing of the machine's is then used: everything that
   * the packages need is fetched, down to the C library.
   */
  readonly suite?: string
}

/** Goes up when what is unpacked here changes shape, so that an older cache is not taken for a newer one. */
const SHAPE = 2

/** The folder that holds `bin/` and `usr/`, unpacked now or by an earlier run. Throws when it cannot be had. */
export async function unpackPackages(
  cache: string,
  wanted: DebianPackages,
  progress: (line: string) => void,
): Promise<string> {
  const folder = join(cache, `debian-${wanted.name}-${SHAPE}`)
  if (existsSync(folder)) return folder
  if (!existsSync('/usr/bin/apt-get')) throw new Error('this is not a Debian or Ubuntu system')
  progress(`fetching ${wanted.packages.join(', ')} from Debian`)
  // Unpacked beside its final place and renamed whole, so that an interrupted or concurrent run leaves no half.
  const workshop = mkdtempSync(join(cache, `fetching-${wanted.name}-`))
  try {
    const tree = join(workshop, 'tree')
    mkdirSync(tree)
    for (const archive of await downloadPackages(workshop, wanted)) {
      await runAs(undefined, 'dpkg', ['-x', archive, tree], ENVIRONMENT)
    }
    writeScripts(tree, wanted)
    await runAs(undefined, 'chmod', ['755', tree], ENVIRONMENT)
    try {
      renameSync(tree, folder)
    } catch (error) {
      if (!existsSync(folder)) throw error
    }
    return folder
  } finally {
    rmSync(workshop, { recursive: true, force: true })
  }
}

const ENVIRONMENT = {
  PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  ...Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      /^(https?|no)_proxy$/i.test(name) && value !== undefined ? [[name, value]] : [],
    ),
  ),
}

/** Downloads the packages and what they need that the system does not have; gives the archives. */
async function downloadPackages(
  workshop: string,
  { packages, suite }: DebianPackages,
): Promise<readonly string[]> {
  const downloads = join(workshop, 'packages')
  mkdirSync(downloads)
  if (suite !== undefined) {
    await downloadWithNewLists(otherSuite(workshop, suite), workshop, downloads, packages)
  } else {
    try {
      await download([], workshop, downloads, packages)
    } catch {
      // No package lists on this machine, or lists so old that the mirror dropped their packages.
      await downloadWithNewLists([], workshop, downloads, packages)
    }
  }
  const archives = readdirSync(downloads).filter((name) => name.endsWith('.deb'))
  if (archives.length === 0) throw new Error('apt downloaded nothing')
  return archives.map((name) => join(downloads, name))
}

async function downloadWithNewLists(
  options: readonly string[],
  workshop: string,
  downloads: string,
  packages: readonly string[],
): Promise<void> {
  const lists = join(workshop, 'lists')
  mkdirSync(join(lists, 'partial'), { recursive: true })
  const privately = [...options, '-o', `Dir::State::lists=${lists}`]
  // It fails when any one source of the machine does; whether the lists suffice, the download tells.
  await apt(workshop, ['update', ...privately], workshop).catch(() => {})
  await download(privately, workshop, downloads, packages)
}

/** Options that make apt see an empty machine whose only source is that suite. */
function otherSuite(workshop: string, suite: string): readonly string[] {
  const sources = join(workshop, 'sources.list')
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg'
  writeFileSync(sources, `deb [signed-by=${key}] http://deb.debian.org/debian ${suite} main\n`)
  const status = join(workshop, 'status')
  writeFileSync(status, '')
  return [
    ['Dir::Etc::sourcelist', sources],
    ['Dir::Etc::sourceparts', '-'],
    ['Dir::Etc::preferencesparts', '-'],
    ['Dir::State::status', status],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`])
}

async function download(
  options: readonly string[],
  workshop: string,
  downloads: string,
  packages: readonly string[],
): Promise<void> {
  const plan = await apt(
    workshop,
    ['install', '--simulate', '--no-install-recommends', ...options, ...packages],
    workshop,
  )
  // `Inst libaio1 (0.3.113-4 Debian:12.15/oldstable [amd64])`, with `[installed version]` before it at an upgrade.
  const missing = [...plan.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+)/gm)].map(
    ([, name, version]) => `${name}=${version}`,
  )
  if (missing.length === 0) throw new Error('the packages are installed, but their programs were not found')
  await apt(workshop, ['download', ...options, ...missing], downloads)
}

/** apt-get with a private cache and without locks, hence without root. */
function apt(workshop: string, args: readonly string[], folder: string): Promise<string> {
  const cache = join(workshop, 'apt')
  mkdirSync(join(cache, 'archives', 'partial'), { recursive: true })
  const settings = [
    ['Debug::NoLocking', '1'],
    ['Dir::Cache', cache],
    // As root apt would download as the user `_apt`, who may be unable to enter the checkout.
    ['APT::Sandbox::User', 'root'],
    ['Acquire::Retries', '2'],
    ['Acquire::http::Timeout', '30'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`])
  return runAs(undefined, 'apt-get', ['-qq', ...args, ...settings], ENVIRONMENT, folder)
}

/**
 * `bin/<program>` for each program found. Where the packages brought their own C library, the program is started by
 * that library's loader, because the two must be of one version.
 */
function writeScripts(tree: string, { programs, folders = {} }: DebianPackages): void {
  const libraryFolders = ['usr/lib', 'lib'].flatMap((parent) =>
    list(join(tree, parent))
      .filter((name) => name.includes('-linux-'))
      .map((name) => `$root/${parent}/${name}`),
  )
  const libraries = libraryFolders.join(':')
  const loader = libraryFolders
    .flatMap((folder) => list(folder.replace('$root', tree)).map((name) => `${folder}/${name}`))
    .find((path) => /^ld-linux.*\.so\.\d$/.test(basename(path)))
  const postgres = list(join(tree, 'usr/lib/postgresql')).map((major) => `usr/lib/postgresql/${major}/bin`)
  const places = ['usr/bin', 'usr/sbin', ...postgres]
  const variables = Object.entries(folders).flatMap(([name, end]) =>
    libraryFolders
      .filter((folder) => existsSync(join(folder.replace('$root', tree), end)))
      .map((folder) => `${name}="${folder}/${end}"\nexport ${name}\n`),
  )
  mkdirSync(join(tree, 'bin'), { recursive: true })
  for (const program of programs) {
    const place = places.find((folder) => list(join(tree, folder)).includes(program))
    if (place === undefined) continue
    const path = `"$root/${place}/${program}"`
    const start =
      loader === undefined
        ? `LD_LIBRARY_PATH="${libraries}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec ${path} "$@"`
        : `exec "${loader}" --library-path "${libraries}" --argv0 ${program} ${path} "$@"`
    const script = `#!/bin/sh\nroot=$(cd "$(dirname "$0")/.." && pwd)\n${variables.join('')}${start}\n`
    writeFileSync(join(tree, 'bin', program), script, { mode: 0o755 })
  }
}

function list(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}
