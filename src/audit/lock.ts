/**
 * One audit file, one process. A lock file says who has it; one whose process is dead (`kill -9`, a crash, a reboot) is
 * taken over. A process is told from a later one with its number by the moment it started; one of another machine or
 * container, which cannot be looked at, counts as living while it keeps touching its lock.
 */
import { randomBytes } from 'node:crypto'
import {
  constants,
  copyFileSync,
  linkSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'

/** How often {@link AuditLock.keep} should be called; milliseconds. */
export const LOCK_KEEP_MS = 5_000

/** An unseen holder that has not touched its lock for this long is gone. */
const UNSEEN_MS = 6 * LOCK_KEEP_MS

/** Others may be taking over the same dead lock at the same moment. */
const TRIES = 5

type Holder = {
  readonly pid: number
  /** Clock ticks from boot to the start of the process; `null` where the system does not tell. */
  readonly started: string | null
  /** Where `pid` means something: machine, boot and process namespace. */
  readonly place: string
  /** Tells this lock from every other. */
  readonly nonce: string
}

/** Another process writes this log. */
export class AuditLocked extends Error {
  readonly code = 'AUDIT_LOCKED'

  constructor(file: string, lock: string, holder: Holder | undefined) {
    const who = holder === undefined ? 'another process' : `process ${holder.pid} (${holder.place})`
    super(`the audit file ${file} is in use by ${who}, as ${lock} says: give each proxy a file of its own`)
    this.name = 'AuditLocked'
  }
}

export class AuditLock {
  readonly #path: string
  readonly #text: string

  /** @throws AuditLocked, or the file system's error */
  constructor(file: string) {
    this.#path = `${file}.lock`
    this.#text = `${JSON.stringify(ourselves())}\n`
    this.#take(file)
  }

  #take(file: string): void {
    const own = `${this.#path}.${process.pid}.${randomBytes(4).toString('hex')}`
    writeFileSync(own, this.#text, { flag: 'wx', mode: 0o600 })
    try {
      for (let attempt = 0; attempt < TRIES; attempt += 1) {
        // A link appears with its whole content or not at all, and only where none is yet.
        if (linked(own, this.#path)) return
        const held = read(this.#path)
        if (held === undefined) continue
        if (isAlive(held)) throw new AuditLocked(file, this.#path, holderOf(held.text))
        this.#remove(held.text)
      }
    } finally {
      unlinkSync(own)
    }
    throw new AuditLocked(file, this.#path, undefined)
  }

  /** Removes a dead lock, but not one that another process has put in its place meanwhile. */
  #remove(dead: string): void {
    const aside = `${this.#path}.${process.pid}.${randomBytes(4).toString('hex')}`
    try {
      renameSync(this.#path, aside)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    // Where even this comes too late, its owner finds out when it keeps its lock.
    if (readFileSync(aside, 'utf8') !== dead) linked(aside, this.#path)
    unlinkSync(aside)
  }

  /** Says that we live. False: the lock is no longer ours, and the file not either. */
  keep(): boolean {
    try {
      if (readFileSync(this.#path, 'utf8') !== this.#text) return false
      const now = new Date()
      utimesSync(this.#path, now, now)
      return true
    } catch (error) {
      // A device that fails for the moment has not given our lock to another.
      return (error as NodeJS.ErrnoException).code !== 'ENOENT'
    }
  }

  release(): void {
    try {
      if (readFileSync(this.#path, 'utf8') === this.#text) unlinkSync(this.#path)
    } catch {
      // What cannot be removed is a dead lock to the next process.
    }
  }
}

/** False where the name is taken. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') return copied(from, to)
    throw error
  }
}

/** For file systems without links. */
function copied(from: string, to: string): boolean {
  try {
    copyFileSync(from, to, constants.COPYFILE_EXCL)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

type Held = { readonly text: string; readonly touchedMs: number }

function read(path: string): Held | undefined {
  try {
    return { text: readFileSync(path, 'utf8'), touchedMs: statSync(path).mtimeMs }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function holderOf(text: string): Holder | undefined {
  try {
    const value = JSON.parse(text) as Partial<Holder> | null
    return typeof value?.pid === 'number' && typeof value.place === 'string' ? (value as Holder) : undefined
  } catch {
    return undefined
  }
}

function isAlive({ text, touchedMs }: Held): boolean {
  const holder = holderOf(text)
  if (holder === undefined || holder.place !== place()) return Date.now() - touchedMs < UNSEEN_MS
  // Where the system tells when processes began, one of which it tells nothing is dead, or waits dead for its parent.
  if (holder.started !== null) return startOf(holder.pid) === holder.started
  try {
    process.kill(holder.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function ourselves(): Holder {
  return {
    pid: process.pid,
    started: startOf(process.pid),
    place: place(),
    nonce: randomBytes(8).toString('hex'),
  }
}

function place(): string {
  return [hostname(), text('/proc/sys/kernel/random/boot_id'), namespace()].join(' ').trim()
}

function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

/** `''` where there is no such file: not Linux, or no such process. */
function text(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/** When a process began: field 22 of proc(5) `stat`. `null`: there is none, or it waits dead for its parent. */
function startOf(pid: number): string | null {
  // The second field is the program's name in parentheses and may hold anything.
  const stat = text(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? null : (fields[19] ?? null)
}
