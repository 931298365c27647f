import { CONNECTION } from './connection.ts'
import { GEO } from './geo.ts'
import { HASHES } from './hashes.ts'
import { KEYSPACE } from './keyspace.ts'
import { LISTS } from './lists.ts'
import { PUBSUB } from './pubsub.ts'
import { REPLICATION } from './replication.ts'
import { type CommandRow, row } from './row.ts'
import { SCRIPTING } from './scripting.ts'
import { SERVER } from './server.ts'
import { SETS } from './sets.ts'
import { SORTED_SETS } from './sorted-sets.ts'
import { STREAMS } from './streams.ts'
import { STRINGS } from './strings.ts'
import { VECTORS } from './vectors.ts'

/**
 * The vetted table: every command of Redis 7.0 to 8.0 and Valkey 8.1 to 9.1, with what the project has decided of it.
 * A command that is not here does not exist for an agent. The key positions began as the servers' own, but are
 * the project's: the servers' are wrong for SORT, GEORADIUS, XREADGROUP and PFMERGE in ways that let a key past
 * their own ACL.
 */
export const COMMANDS: ReadonlyMap<string, CommandRow> = new Map(
  [
    CONNECTION,
    GEO,
    HASHES,
    KEYSPACE,
    LISTS,
    PUBSUB,
    REPLICATION,
    SCRIPTING,
    SERVER,
    SETS,
    SORTED_SETS,
    STREAMS,
    STRINGS,
    VECTORS,
  ]
    .flat()
    .map((line) => [line[0], row(line)]),
)

/** What a name on the wire leads to: a command, or a container of subcommands. */
export type Named = {
  readonly name: string
  readonly row: CommandRow | undefined
  readonly subs: Subcommands
}
export type Subcommands = ReadonlyMap<string, CommandRow>

const NO_SUBCOMMANDS: Subcommands = new Map()

/** Every name that may stand first, with its subcommands. */
export const NAMES: ReadonlyMap<string, Named> = byFirstWord()

function byFirstWord(): Map<string, Named> {
  const subs = new Map<string, Map<string, CommandRow>>()
  for (const [name, command] of COMMANDS) {
    const bar = name.indexOf('|')
    if (bar === -1) continue
    const container = name.slice(0, bar)
    const known = subs.get(container) ?? new Map<string, CommandRow>()
    known.set(name.slice(bar + 1), command)
    subs.set(container, known)
  }
  const names = new Map<string, Named>()
  for (const [name, command] of COMMANDS) {
    if (!name.includes('|')) names.set(name, { name, row: command, subs: subs.get(name) ?? NO_SUBCOMMANDS })
  }
  for (const [name, known] of subs) {
    if (!names.has(name)) names.set(name, { name, row: undefined, subs: known })
  }
  return names
}

/** 1024 slots for about 300 names: few share one. */
const SLOTS = 1024

const slots: (readonly Named[] | undefined)[] = fillSlots()

function fillSlots(): (readonly Named[] | undefined)[] {
  const filled: (readonly Named[] | undefined)[] = new Array<undefined>(SLOTS).fill(undefined)
  for (const [name, named] of NAMES) {
    const bytes = Buffer.from(name, 'latin1')
    const slot = slotOf(bytes, 0, bytes.length)
    filled[slot] = [...(filled[slot] ?? []), named]
  }
  return filled
}

/** ASCII case folding of one byte, nothing more: no other byte of a name may equal a letter. */
function fold(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
}

/** FNV-1a over the folded bytes. */
function slotOf(buffer: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ fold(buffer[at] ?? 0), 0x01000193)
  return (hash ^ (hash >>> 16)) & (SLOTS - 1)
}

/** The longest name of the table is below this. */
const NAME_BYTES_MAX = 32

/** Finds a name without making a string of it. */
export function findName(buffer: Buffer, start: number, end: number): Named | undefined {
  if (end - start > NAME_BYTES_MAX) return undefined
  const candidates = slots[slotOf(buffer, start, end)]
  if (candidates === undefined) return undefined
  for (const candidate of candidates) {
    if (equals(candidate.name, buffer, start, end)) return candidate
  }
  return undefined
}

function equals(name: string, buffer: Buffer, start: number, end: number): boolean {
  if (name.length !== end - start) return false
  for (let i = 0; i < name.length; i++) {
    if (name.charCodeAt(i) !== fold(buffer[start + i] ?? 0)) return false
  }
  return true
}
