/**
 * Who a private server runs as. PostgreSQL and MariaDB refuse to run as root, so a root process starts its
 * servers under an account without rights, in a folder which that account can enter.
 */

import { execFile } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export type Account = { readonly uid: number; readonly gid: number }

/** The account to drop to, or `undefined` to stay who we are. Prefers the account that the server's package makes. */
export function serverAccount(preferred: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const accounts = new Map<string, Account>()
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name && uid && gid) accounts.set(name, { uid: Number(uid), gid: Number(gid) })
  }
  return accounts.get(preferred) ?? accounts.get('nobody') ?? { uid: 65534, gid: 65534 }
}

/** True when the account may enter the folder and all folders above it. */
export function mayEnter(account: Account | undefined, folder: string): boolean {
  if (account === undefined) return true
  for (let at = resolve(folder); ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at)
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001
    if ((mode & bit) === 0) return false
    if (at === dirname(at)) return true
  }
}

/** A data folder that the account owns. `remove()` leaves nothing behind. */
export type DataFolder = { readonly path: string; remove(): void }

/** Makes `wanted`, or a folder under a temporary folder where the account cannot enter `wanted`. */
export function makeDataFolder(wanted: string, account: Account | undefined): DataFolder {
  const asked = resolve(wanted)
  mkdirSync(asked, { recursive: true })
  const path = mayEnter(account, dirname(asked))
    ? asked
    : mkdtempSync(join(temporaryFolder(account), 'bulkhead-data-'))
  if (account !== undefined) chownSync(path, account.uid, account.gid)
  return {
    path,
    remove() {
      for (const folder of [path, asked]) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** The usual one, or the machine's where root has a private one. */
function temporaryFolder(account: Account | undefined): string {
  const found = [tmpdir(), '/tmp', '/var/tmp'].find((folder) => mayEnter(account, folder))
  if (found === undefined) throw new Error(`no temporary folder that user ${account?.uid} can enter`)
  return found
}

/** Runs a program to its end under the account. Throws with the program's last words when it fails. */
export async function runAs(
  account: Account | undefined,
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  folder = '/',
): Promise<string> {
  try {
    const { stdout } = await execute(file, [...args], {
      ...account,
      cwd: folder,
      env: { ...environment },
      maxBuffer: 64 << 20,
    })
    return stdout
  } catch (error) {
    const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    throw new Error(`${file} failed: ${words || String(error)}`)
  }
}
