/**
 * Compiles the TypeScript sources to `dist/`, and copies beside them the data that the compiler leaves behind.
 * `npm run build`, or through `bootstrap.mjs`.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)))
const DIST = join(PROJECT, 'dist')
const STAMP = join(DIST, '.built-from')

/** As `include` in tsconfig.json. */
const SOURCES = ['src', 'protocols', 'test', 'bench']

/** Documentation stays with the sources; everything else that is not TypeScript is data that a module reads. */
const NOT_DATA = ['.ts', '.md']

/** True when `dist/` was built from exactly these sources. */
export function isBuilt() {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === fingerprint()
}

/** Builds, from nothing; false when the compiler found errors, which it has printed. */
export function build() {
  const stamp = fingerprint()
  rmSync(DIST, { recursive: true, force: true })
  const compiler = join(PROJECT, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [compiler, '--project', PROJECT], { stdio: 'inherit' })
  if (status !== 0) return false
  for (const path of sourceFiles().filter((path) => !NOT_DATA.includes(extname(path)))) {
    mkdirSync(dirname(join(DIST, path)), { recursive: true })
    copyFileSync(join(PROJECT, path), join(DIST, path))
  }
  writeFileSync(STAMP, stamp)
  return true
}

/** Changes whenever a file comes, goes or is written, or a compiler option or package changes. */
function fingerprint() {
  const hash = createHash('sha256')
  for (const path of [...sourceFiles(), 'tsconfig.json', 'package-lock.json']) {
    const { size, mtimeMs } = statSync(join(PROJECT, path))
    hash.update(`${path}\0${size}\0${mtimeMs}\n`)
  }
  return hash.digest('hex')
}

function sourceFiles() {
  const files = []
  const walk = (folder) => {
    for (const entry of readdirSync(join(PROJECT, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile()) files.push(path)
    }
  }
  for (const folder of SOURCES) if (existsSync(join(PROJECT, folder))) walk(folder)
  return files.sort()
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = build() ? 0 : 1
}
