/** From what runs did to the narrowest grant that covers it. */
import type { Naming } from '../../protocols/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import type { Done, Suggestion } from './done.ts'
import { METADATA_LEVELS, type MetadataLevel } from './grant.ts'
import { suggestRedis } from './suggest-redis.ts'
import { suggestSql } from './suggest-sql.ts'

export type SuggestOptions = {
  readonly protocol: ProtocolName
  /** How the system folds names; `undefined`: not known, and every name is written with its schema. */
  readonly naming: Naming | undefined
  /** Redis: see `suggestRedis`. */
  readonly generalise: boolean
}

/** A grant without its name, its system and its limits. */
export type SuggestedGrant = Suggestion & { readonly metadata: MetadataLevel }

export function suggestGrant(
  done: readonly Done[],
  { protocol, naming, generalise }: SuggestOptions,
): SuggestedGrant {
  const suggestion =
    protocol === 'redis'
      ? suggestRedis(done, generalise)
      : suggestSql(done, { quote: protocol === 'mysql' ? '`' : '"', defaultSchema: naming?.defaultSchema })
  return { ...suggestion, metadata: metadataOf(done) }
}

function metadataOf(done: readonly Done[]): MetadataLevel {
  let highest = 0
  for (const { access } of done) {
    if (access.kind === 'metadata') highest = Math.max(highest, METADATA_LEVELS.indexOf(access.level))
  }
  return METADATA_LEVELS[highest] ?? 'none'
}
