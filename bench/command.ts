import { spawn } from 'node:child_process'

/** Runs a program and gives what it printed. Rejects with its last words when it fails. */
export function output(
  file: string,
  args: readonly string[],
  environment: Record<string, string>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let printed = ''
    let complained = ''
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      complained += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(printed)
      else reject(new Error(`${file} ended with ${code}: ${complained.trim().split('\n').at(-1)}`))
    })
  })
}
