/** From a verified token to the grant that its holder has on a system. */
import type { SystemConfig } from '../config/config.ts'
import { AllowLineError } from './allow-line-error.ts'
import { type Grant, lowerMetadata, parseLines } from './grant.ts'
import { lowerLimits } from './limits.ts'
import type { RunToken } from './token.ts'

/**
 * @param token one that is for this system
 * @returns `undefined` where the token names no grant of this system, or an allow line in it cannot be read
 */
export function grantOfToken(
  token: RunToken,
  system: SystemConfig,
  grants: ReadonlyMap<string, Grant>,
): Grant | undefined {
  const grant = typeof token.grant === 'string' ? grants.get(token.grant) : inlineGrant(token.grant, system)
  if (grant?.system !== system.name) return undefined
  if (token.narrowed.length === 0) return grant
  if (!token.narrowed.every((lines) => areReadable(lines, system))) return undefined
  return {
    ...grant,
    narrowed: token.narrowed,
    metadata: lowerMetadata(token.metadataMax, grant.metadata),
    // Observing lets catalog reads pass whatever the level: it would give back what a narrowing took.
    observe: grant.observe && token.metadataMax === undefined,
  }
}

/** Nothing that a token says of limits or the catalog reaches past what the system's own configuration has. */
function inlineGrant(
  { allow, metadata, limits }: Exclude<RunToken['grant'], string>,
  system: SystemConfig,
): Grant | undefined {
  if (!areReadable(allow, system)) return undefined
  const metadataMax = system.ceilingMetadata ?? (system.ceiling === undefined ? undefined : 'driver')
  return {
    name: 'inline',
    system: system.name,
    allow,
    metadata: lowerMetadata(metadataMax, metadata),
    limits: lowerLimits(system.limits, limits),
    // Without a list of lines nothing else holds the catalog back while a system observes.
    observe: system.observe && (metadataMax === undefined || system.ceiling !== undefined),
    narrowed: [],
  }
}

function areReadable(lines: readonly string[], { protocol }: SystemConfig): boolean {
  try {
    parseLines(lines, protocol)
    return true
  } catch (error) {
    if (error instanceof AllowLineError) return false
    throw error
  }
}
