/**
 * The test runner behind `npm test`: starts one server of each kind, runs the compiled test files under node:test and
 * ends with its exit code, or with 1 where they have left a temporary folder behind. Arguments select files by a part of their path (`npm test -- redis`); those that begin with
 * `--` go to node (`npm test -- redis --test-name-pattern=pipeline`).
 */
import { spawn } from 'node:child_process'
import { chmodSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type DatabaseServer, ServerUnavailable } from '../../src/demo/servers/server.ts'
import { FOLDER_VARIABLE, temporaryFolder } from './folders.ts'
import { SERVER_VARIABLES, STARTERS } from './servers.ts'

/** The compiled `test/` folder. */
const TESTS = dirname(dirname(fileURLToPath(import.meta.url)))

/** Five minutes for one test file; the slowest takes seconds. A hanging test must not hang a build for ever. */
const FILE_MS_MAX = 300_000

/** A server that a test was the last to use may take ten seconds to end, and removes its data then. */
const REMOVAL_MS_MAX = 20_000

/** Where the tests make their folders. */
const folder = temporaryFolder()
const running: DatabaseServer[] = []
let interrupted = false

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const words = args.filter((arg) => !arg.startsWith('--'))
  const files = testFiles().filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  if (files.length === 0) {
    console.error(`no test file has ${words.map((word) => `\`${word}\``).join(' or ')} in its path`)
    return 2
  }
  // As the machine's own one: servers run as other users, which must be able to enter it and to remove what is theirs.
  chmodSync(folder, 0o1777)
  try {
    const environment = { ...(await startServers()), [FOLDER_VARIABLE]: folder }
    if (interrupted) return 130
    const code = await runTests(
      files,
      args.filter((arg) => arg.startsWith('--')),
      environment,
    )
    return code === 0 ? await complainOfFolders() : code
  } finally {
    await Promise.all(running.map((server) => server.stop()))
  }
}

/** Node 20's runner knows no globs, so the files are listed here. Relative to `dist/`. */
function testFiles(): readonly string[] {
  return readdirSync(TESTS, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.js'))
    .map((entry) => relative(dirname(TESTS), join(entry.parentPath ?? entry.path, entry.name)))
    .sort()
}

async function startServers(): Promise<Record<string, string>> {
  const progress = (line: string): void => console.error(line)
  const environment: Record<string, string> = {}
  const start = async (kind: keyof typeof SERVER_VARIABLES): Promise<void> => {
    try {
      const server = await STARTERS[kind]({ folder: temporaryFolder(), progress })
      running.push(server)
      environment[SERVER_VARIABLES[kind]] = JSON.stringify(server)
    } catch (error) {
      if (!(error instanceof ServerUnavailable)) throw error
      // The live tests of this kind will ask again and fail with the same sentence; the others can still tell.
      console.error(error.message)
    }
  }
  await Promise.all([start('postgres'), start('mariadb'), start('redis')])
  return environment
}

function runTests(
  files: readonly string[],
  options: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const args = [
    ...['--enable-source-maps', '--test', '--test-concurrency=2', `--test-timeout=${FILE_MS_MAX}`],
    ...['--test-reporter=spec', ...options, ...files],
  ]
  const child = spawn(process.execPath, args, {
    cwd: dirname(TESTS),
    env: { ...process.env, ...environment },
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      interrupted = true
      child.kill(signal)
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 130))
  })
}

/** Names the folders that tests have left behind; the exit code. */
async function complainOfFolders(): Promise<number> {
  const giveUpAt = Date.now() + REMOVAL_MS_MAX
  let left = readdirSync(folder)
  while (left.length > 0 && Date.now() < giveUpAt) {
    await sleep(100)
    left = readdirSync(folder)
  }
  for (const name of left) {
    console.error(`a test has left a folder behind, with ${readdirSync(join(folder, name)).join(', ')}`)
  }
  return left.length === 0 ? 0 : 1
}
