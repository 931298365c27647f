/** Runs the command line as its own process, from the sources or the compiled tree, whichever this test runs from. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const CLI = fileURLToPath(new URL(`../../src/cli.${EXTENSION}`, import.meta.url))

export type Ran = { readonly code: number | null; readonly out: string; readonly err: string }

export type CliOptions = { readonly cwd: string; readonly env?: Record<string, string> }

/** Starts a command; the caller ends it. */
export function startCli(
  args: readonly string[],
  { cwd, env = {} }: CliOptions,
): ChildProcessWithoutNullStreams {
  return spawn(
    process.execPath,
    [...process.execArgv.filter((arg) => !arg.startsWith('--test')), CLI, ...args],
    {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', ...env },
    },
  )
}

/** Runs a command to its end. */
export function runCli(args: readonly string[], options: CliOptions): Promise<Ran> {
  const child = startCli(args, options)
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
  })
}
