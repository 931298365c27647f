import type { KeyUse } from '../access.ts'
import type { Args } from './args.ts'
import type { CommandRow, KeySpec, Use } from './commands/row.ts'

/** Who is told of the keys of a command. */
export interface KeyReader {
  /** Argument `i` is a key. */
  key(args: Args, i: number, use: Use): void
  /** Argument `i` is, or says, a pattern of keys whose names are answered. */
  pattern(i: number, pattern: string): void
}

/** Collects what a command uses. */
export class KeyUses implements KeyReader {
  uses: KeyUse[] = []

  key(args: Args, i: number, use: Use): void {
    this.uses.push({ key: args.latin1(i), read: use !== 'W', write: use !== 'R' })
  }

  pattern(_i: number, pattern: string): void {
    this.uses.push({ key: pattern, read: true, write: false, pattern: true })
  }
}

/**
 * The keys at the places that a specification names; false where they are not there. The server then takes the
 * command for one without keys and lets it past its ACL, so that here it must be a denial.
 */
export function readKeys(spec: KeySpec, args: Args, reader: KeyReader): boolean {
  return spec.at === 'range' ? readRange(spec, args, reader) : readCounted(spec, args, reader)
}

function readRange(spec: Extract<KeySpec, { at: 'range' }>, args: Args, reader: KeyReader): boolean {
  const last = spec.last < 0 ? args.count + spec.last : spec.first + spec.last
  if (last >= args.count) return false
  if (last < spec.first) return spec.mayBeEmpty
  // MSET k v k: the pairs must be whole, else the server answers with an error and we must not guess.
  if (spec.last < 0 && (args.count - spec.first) % spec.step !== 0) return false
  for (let i = spec.first; i <= last; i += spec.step) reader.key(args, i, spec.use)
  return true
}

function readCounted(spec: Extract<KeySpec, { at: 'numkeys' }>, args: Args, reader: KeyReader): boolean {
  if (spec.index >= args.count) return false
  const count = args.integer(spec.index)
  if (count === undefined || count < 0) return false
  if (count === 0) return spec.mayBeEmpty
  const first = spec.index + 1
  if (first + count * spec.step > args.count) return false
  for (let n = 0; n < count; n++) reader.key(args, first + n * spec.step, spec.use)
  return true
}

/** The arguments that are channels: from the first to before the second. Not asked of a command that has none. */
export function channelPlaces(command: CommandRow, args: Args): readonly [from: number, to: number] {
  const from = command.name.startsWith('pubsub|') ? 2 : 1
  return [from, command.channels === 'first' ? from + 1 : args.count]
}
