/** `promtool` and `prometheus`: the machine's, or those of Debian's package in the project's cache. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, projectFolder } from '../../src/demo/servers/cache.ts'
import { unpackPackages } from '../../src/demo/servers/debian.ts'
import { findProgram } from '../../src/demo/servers/programs.ts'

type Programs = { readonly promtool: string; readonly prometheus: string }

let found: Promise<Programs> | undefined

/** Rejects where they can neither be found nor fetched. */
export function prometheusPrograms(): Promise<Programs> {
  found ??= find()
  return found
}

async function find(): Promise<Programs> {
  const promtool = findProgram('promtool')
  const prometheus = findProgram('prometheus')
  if (promtool !== undefined && prometheus !== undefined) return { promtool, prometheus }
  const wanted = { name: 'prometheus', packages: ['prometheus'], programs: ['promtool', 'prometheus'] }
  const folder = await unpackPackages(cacheFolder(undefined), wanted, (line) => console.error(line))
  return { promtool: join(folder, 'bin', 'promtool'), prometheus: join(folder, 'bin', 'prometheus') }
}

/** Runs `promtool` in the project's folder. Rejects with what it printed when it fails. */
export async function promtool(...args: readonly string[]): Promise<string> {
  const { promtool: program } = await prometheusPrograms()
  try {
    const { stdout, stderr } = await promisify(execFile)(program, [...args], { cwd: projectFolder() })
    return stdout + stderr
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`promtool ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? String(error)}`)
  }
}
