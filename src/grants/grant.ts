/** A grant as data, and what can be asked of a compiled one. */
import type { Access } from '../../protocols/access.ts'
import type { Naming } from '../../protocols/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import { compileRedisGrant, parseSelectorLine, type SelectorLine } from './redis-selector.ts'
import { compileSqlGrant } from './sql-matcher.ts'
import { type PrivilegeLine, parsePrivilegeLine } from './sql-privileges.ts'

/** How much of the catalog a run sees; each level holds the ones before it. */
export const METADATA_LEVELS = ['none', 'driver', 'introspect'] as const
export type MetadataLevel = (typeof METADATA_LEVELS)[number]

/** The lower of two levels; an absent one does not bound. */
export function lowerMetadata<Level extends MetadataLevel | undefined>(
  bound: MetadataLevel | undefined,
  level: Level,
): MetadataLevel | Level {
  if (bound === undefined) return level
  if (level === undefined) return bound
  return METADATA_LEVELS.indexOf(bound) < METADATA_LEVELS.indexOf(level) ? bound : level
}

/** Bounds on a run under a grant; an absent one does not bound. */
export type Limits = {
  /** Rows that one statement may bring back (Redis: elements of the reply); from 1. */
  readonly rows: number | undefined
  /** Bytes that one statement may bring back; from 1. */
  readonly bytes: number | undefined
  /** Milliseconds that one statement may run on the backend. */
  readonly statementMs: number | undefined
  /** Statements that a run may send in any 60 s, over all its sessions; from 1. */
  readonly statementsPerMinute: number | undefined
  /** Milliseconds that a session may live. */
  readonly sessionMs: number | undefined
  /** Milliseconds that a session may stand idle: no statement running and none sent. */
  readonly idleMs: number | undefined
  /** Sessions that a run may have open at once; from 1. */
  readonly connections: number | undefined
}

export const NO_LIMITS: Limits = {
  rows: undefined,
  bytes: undefined,
  statementMs: undefined,
  statementsPerMinute: undefined,
  sessionMs: undefined,
  idleMs: undefined,
  connections: undefined,
}

/** The answer for one access: the indexes of the allow lines that cover it, or `undefined`. */
export interface Matcher {
  covering(access: Access): readonly number[] | undefined
}

/** What a run may do on one system, as written. */
export type Grant = {
  /** The name in the configuration; `inline` for one that came in a token. */
  readonly name: string
  readonly system: string
  readonly allow: readonly string[]
  readonly metadata: MetadataLevel
  readonly limits: Limits
  /** Denials that no hop is are only recorded: the statement is relayed. */
  readonly observe: boolean
  /**
   * What the holders of the token took away again, one list of allow lines for each time it was narrowed: a statement
   * must be allowed by the grant and by each of these.
   */
  readonly narrowed: readonly (readonly string[])[]
}

/** The allow lines, read but not yet folded to a system's names. */
export type ParsedLines =
  | { readonly kind: 'sql'; readonly lines: readonly PrivilegeLine[] }
  | { readonly kind: 'redis'; readonly lines: readonly SelectorLine[] }

/** Reads one allow line in the words of its protocol. @throws AllowLineError */
export function checkAllowLine(line: string, protocol: ProtocolName): void {
  parseLines([line], protocol)
}

/** @throws AllowLineError at the first line that is wrong */
export function parseLines(allow: readonly string[], protocol: ProtocolName): ParsedLines {
  if (protocol === 'redis') return { kind: 'redis', lines: allow.map((line) => parseSelectorLine(line)) }
  const quote = protocol === 'mysql' ? '`' : '"'
  return { kind: 'sql', lines: allow.map((line) => parsePrivilegeLine(line, quote, protocol)) }
}

/** Makes the matcher of a grant for a system that folds names as `naming` says. */
export function compileLines(parsed: ParsedLines, naming: Naming): Matcher {
  return parsed.kind === 'redis' ? compileRedisGrant(parsed.lines) : compileSqlGrant(parsed.lines, naming)
}
