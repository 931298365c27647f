/**
 * Does all set-up that a fresh clone needs, then runs one of the product's three entry points in this process:
 * `node scripts/bootstrap.mjs start|test|bench|prepare [arguments]`. Plain Node without packages, because it is
 * what installs them. Says one line for each thing it does and nothing when there is nothing to do.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)))
const NODE_MAJOR_MIN = 20

const ENTRIES = {
  start: { module: 'dist/src/cli.js', args: ['demo'] },
  test: { module: 'dist/test/support/run.js', args: [] },
  bench: { module: 'dist/bench/run.js', args: [] },
}

const [task, ...rest] = process.argv.slice(2)
const entry = ENTRIES[task]
if (entry === undefined && task !== 'prepare')
  fail('usage: node scripts/bootstrap.mjs start|test|bench|prepare [arguments]')

const nodeMajor = Number(process.versions.node.split('.')[0])
if (nodeMajor < NODE_MAJOR_MIN)
  fail(`this needs Node ${NODE_MAJOR_MIN} or newer, and this is ${process.versions.node}`)

if (!isInstalled()) install()
const { build, isBuilt } = await import('./build.mjs')
if (!isBuilt()) {
  say('building')
  if (!build()) fail('the build failed')
}

if (entry !== undefined) {
  // In this process and not in a child, so that signals and the exit code need no passing on.
  const module = join(PROJECT, entry.module)
  process.argv = [process.execPath, module, ...entry.args, ...rest]
  process.setSourceMapsEnabled(true)
  await import(pathToFileURL(module).href)
}

/** True when `node_modules` holds what package-lock.json says, whoever installed it. */
function isInstalled() {
  const lock = readFileSync(join(PROJECT, 'package-lock.json'), 'utf8')
  const hash = createHash('sha256').update(lock).digest('hex')
  const stamp = join(PROJECT, 'node_modules', '.bulkhead-lock')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return true
  // npm's own record of what it put there.
  const record = join(PROJECT, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return false
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  for (const [path, { version, optional, peer }] of Object.entries(JSON.parse(lock).packages)) {
    if (path === '' || (installed[path] === undefined && (optional || peer))) continue
    if (installed[path]?.version !== version) return false
  }
  try {
    writeFileSync(stamp, hash)
  } catch {
    // Another user's checkout: the comparison is made again next time.
  }
  return true
}

function install() {
  say('installing packages (once, about half a minute)')
  const options = ['ci', '--include=dev', '--include=optional', '--loglevel=error', '--no-update-notifier']
  const { npm_execpath: npm } = process.env
  const [file, args] = npm === undefined ? ['npm', options] : [process.execPath, [npm, ...options]]
  const environment = { ...process.env, npm_config_cache: packageCache() }
  const { status, error } = spawnSync(file, args, {
    cwd: PROJECT,
    env: environment,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (error !== undefined) fail(`npm could not be run: ${error.message}`)
  if (status !== 0) fail('`npm ci` failed')
  if (!isInstalled()) fail('`npm ci` did not install what package-lock.json says')
}

/** npm's cache folder, or one of ours for a user who has no home to keep it in. */
function packageCache() {
  const usual = process.env['npm_config_cache'] ?? join(process.env['HOME'] ?? homedir(), '.npm')
  try {
    mkdirSync(usual, { recursive: true })
    accessSync(usual, constants.W_OK)
    return usual
  } catch {
    return join(PROJECT, '.cache', 'npm')
  }
}

function say(line) {
  console.error(`bulkhead: ${line}`)
}

function fail(line) {
  say(line)
  process.exit(1)
}
