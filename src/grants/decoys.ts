/**
 * Decoys on a real system: tables and keys that nobody has a reason to touch. They are written as in a grant: names of
 * relations (`salaries_2019`, `hr.*`), and for Redis key patterns (`~admin:*`).
 */
import type { Access, CommandAccess, RelationAccess } from '../../protocols/access.ts'
import type { Naming } from '../../protocols/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import { AllowLineError } from './allow-line-error.ts'
import { compileGlob, globCovers } from './glob.ts'
import { compileLines, parseLines } from './grant.ts'

/** The decoy that an access touches, for the record; `undefined`: none. */
export type DecoyFinder = (access: Access) => string | undefined

/** A privilege that any touch can be turned into: to a decoy it does not matter what was tried. */
const TOUCH = 'select on '

/** Reads one decoy in the words of its protocol. @throws AllowLineError */
export function checkDecoy(decoy: string, protocol: ProtocolName): void {
  if (protocol === 'redis') {
    readPattern(decoy)
    return
  }
  try {
    parseLines([TOUCH + decoy], protocol)
  } catch (error) {
    if (!(error instanceof AllowLineError)) throw error
    throw new AllowLineError(error.message, { at: Math.max(0, error.at - TOUCH.length), mend: error.mend })
  }
}

/** @throws AllowLineError at the first decoy that is wrong */
export function compileDecoys(
  decoys: readonly string[],
  protocol: ProtocolName,
  naming: Naming,
): DecoyFinder | undefined {
  if (decoys.length === 0) return undefined
  return protocol === 'redis' ? keyDecoys(decoys) : relationDecoys(decoys, protocol, naming)
}

function relationDecoys(decoys: readonly string[], protocol: ProtocolName, naming: Naming): DecoyFinder {
  const matcher = compileLines(
    parseLines(
      decoys.map((decoy) => TOUCH + decoy),
      protocol,
    ),
    naming,
  )
  return (access) => {
    if (access.kind !== 'relation') return undefined
    const touch: RelationAccess = { ...access, action: 'select', columns: undefined }
    return matcher.covering(touch) === undefined ? undefined : `${access.schema}.${access.name}`
  }
}

function keyDecoys(decoys: readonly string[]): DecoyFinder {
  const patterns = decoys.map((decoy) => {
    const pattern = readPattern(decoy)
    return { pattern, matches: compileGlob(pattern) }
  })
  return (access) => (access.kind === 'command' ? touchedKey(access, patterns) : undefined)
}

function touchedKey(
  access: CommandAccess,
  decoys: readonly { readonly pattern: string; readonly matches: (key: string) => boolean }[],
): string | undefined {
  for (const { key, pattern: isPattern } of access.keys) {
    for (const decoy of decoys) {
      if (isPattern ? globCovers(decoy.pattern, key) : decoy.matches(key)) return `~${key}`
    }
  }
  return undefined
}

function readPattern(decoy: string): string {
  if (!/^~[\x21-\x7e]{1,512}$/.test(decoy)) {
    throw new AllowLineError(`\`${decoy}\` is not a key pattern`, {
      at: 0,
      mend: 'write `~` and a pattern of 1 to 512 printable ASCII characters, such as `~admin:*`',
    })
  }
  return decoy.slice(1)
}
