/** Which rights of a grant nobody has used: line by line, down to an action on an object, a column, a command, a key pattern. */
import type { Access } from '../../protocols/access.ts'
import type { Naming } from '../../protocols/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import { METADATA_LEVELS, type MetadataLevel } from './grant.ts'
import { unusedOfSelector } from './unused-redis.ts'
import { unusedOfPrivileges } from './unused-sql.ts'

/** What of the rights of one allow line was not used. */
export type UnusedPart = {
  /** Rights that nothing needed, as allow lines have them. */
  readonly unused: readonly string[]
  /** Rights of which less was needed, with what was: `select on orders: id, total`. */
  readonly wider: readonly string[]
  /** How many rights the line has. */
  readonly rights: number
}

export type UnusedLine = Omit<UnusedPart, 'rights'> & {
  /** Index in the grant, from 0. */
  readonly line: number
  readonly text: string
  /** True where no right of it was used. */
  readonly whole: boolean
}

export type UnusedRights = {
  readonly lines: readonly UnusedLine[]
  /** Where less of the catalog was read than the grant shows. */
  readonly metadata: { readonly granted: MetadataLevel; readonly used: MetadataLevel } | undefined
}

/** @param accesses all that runs of the grant needed */
export function unusedRights(
  grant: { readonly allow: readonly string[]; readonly metadata: MetadataLevel },
  accesses: readonly Access[],
  { protocol, naming }: { readonly protocol: ProtocolName; readonly naming: Naming },
): UnusedRights {
  const lines = grant.allow.map((text, line) => {
    const { unused, wider, rights } =
      protocol === 'redis'
        ? unusedOfSelector(text, accesses)
        : unusedOfPrivileges(text, accesses, { protocol, naming })
    return { line, text, unused, wider, whole: unused.length === rights }
  })
  const levels = accesses.map((access) =>
    access.kind === 'metadata' ? METADATA_LEVELS.indexOf(access.level) : 0,
  )
  const used = METADATA_LEVELS[levels.reduce((highest, level) => Math.max(highest, level), 0)] ?? 'none'
  return {
    lines: lines.filter(({ unused, wider }) => unused.length + wider.length > 0),
    // A Redis system has no catalog, and no level of it to take back.
    metadata: protocol === 'redis' || used === grant.metadata ? undefined : { granted: grant.metadata, used },
  }
}
