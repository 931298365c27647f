import type { KeyUse } from '../access.ts'
import type { Args } from './args.ts'
import type { KeySpec, Use } from './commands/row.ts'

/** Adds a key to what a command uses. */
export function useKey(uses: KeyUse[], args: Args, i: number, use: Use): void {
  uses.push({ key: args.latin1(i), read: use !== 'W', write: use !== 'R' })
}

/**
 * The keys at the places that a specification names; false where they are not there. The server then takes the
 * command for one without keys and lets it past its ACL, so that here it must be a denial.
 */
export function readKeys(spec: KeySpec, args: Args, uses: KeyUse[]): boolean {
  return spec.at === 'range' ? readRange(spec, args, uses) : readCounted(spec, args, uses)
}

function readRange(spec: Extract<KeySpec, { at: 'range' }>, args: Args, uses: KeyUse[]): boolean {
  const last = spec.last < 0 ? args.count + spec.last : spec.first + spec.last
  if (last >= args.count) return false
  if (last < spec.first) return spec.mayBeEmpty
  // MSET k v k: the pairs must be whole, else the server answers with an error and we must not guess.
  if (spec.last < 0 && (args.count - spec.first) % spec.step !== 0) return false
  for (let i = spec.first; i <= last; i += spec.step) useKey(uses, args, i, spec.use)
  return true
}

function readCounted(spec: Extract<KeySpec, { at: 'numkeys' }>, args: Args, uses: KeyUse[]): boolean {
  if (spec.index >= args.count) return false
  const count = args.integer(spec.index)
  if (count === undefined || count < 0) return false
  if (count === 0) return spec.mayBeEmpty
  const first = spec.index + 1
  if (first + count * spec.step > args.count) return false
  for (let n = 0; n < count; n++) useKey(uses, args, first + n * spec.step, spec.use)
  return true
}
