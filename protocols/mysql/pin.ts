/**
 * The pinned session: what must hold on a backend connection so that the server reads a statement as the analysis
 * does, how it is set, and how a change that happened all the same is seen.
 *
 * Set after login and again after each COM_RESET_CONNECTION, because a reset takes the server's global values. The
 * server reports later changes in its OK packets (`session_track_system_variables`); one that is not expected ends
 * the session.
 */
import { SQL_MODES_REFUSED } from './catalog.ts'
import type { StateChange } from './status.ts'
import { STATUS } from './status.ts'

/** What the server must report on change. Drivers read some of the others, which are its defaults. */
const TRACKED = [
  'sql_mode',
  'character_set_client',
  'character_set_connection',
  'session_track_system_variables',
  'session_track_schema',
  'autocommit',
  'character_set_results',
  'time_zone',
] as const

/** Those of {@link TRACKED} that guard the session; the rest is for drivers. */
const GUARDS = TRACKED.slice(0, 5)

/** Character sets in which every byte below 0x80 is ASCII and in which the lexer and the server agree on text. */
const CLIENT_CHARACTER_SETS: ReadonlySet<string> = new Set(['utf8mb4', 'utf8mb3', 'utf8'])
const CONNECTION_CHARACTER_SETS: ReadonlySet<string> = new Set([
  ...CLIENT_CHARACTER_SETS,
  'latin1',
  'ascii',
  'binary',
])

/**
 * What a client's handshake says about characters. The text of statements is always read as utf8mb4; a client of an
 * older single-byte set gets its results in that set.
 */
export type ClientCharacters = {
  readonly collation: string | undefined
  readonly results: 'utf8mb4' | 'latin1' | 'ascii' | 'binary'
}

/** Collations by the id that a handshake carries: `SELECT ID, COLLATION_NAME FROM information_schema.COLLATIONS`. */
const UTF8MB4_COLLATIONS: ReadonlyMap<number, string> = new Map([
  [45, 'utf8mb4_general_ci'],
  [46, 'utf8mb4_bin'],
  [224, 'utf8mb4_unicode_ci'],
])
/** latin1 collations. */
const LATIN1: ReadonlySet<number> = new Set([5, 8, 15, 31, 47, 48, 49, 94])
const ASCII: ReadonlySet<number> = new Set([11, 65])
const BINARY = 63
const UTF8MB3: ReadonlySet<number> = new Set([33, 76, 83, 223])

/** @returns `undefined` for a character set in which a statement could be read in two ways */
export function clientCharacters(collationId: number): ClientCharacters | undefined {
  const isUtf8 =
    // MariaDB's uca1400 ids have a low byte that says nothing; its clients send 0 for them.
    collationId === 0 ||
    UTF8MB3.has(collationId) ||
    (collationId >= 192 && collationId <= 215) ||
    UTF8MB4_COLLATIONS.has(collationId) ||
    (collationId >= 224 && collationId <= 247) ||
    collationId === 255
  if (isUtf8) return { collation: UTF8MB4_COLLATIONS.get(collationId), results: 'utf8mb4' }
  if (LATIN1.has(collationId)) return { collation: undefined, results: 'latin1' }
  if (ASCII.has(collationId)) return { collation: undefined, results: 'ascii' }
  if (collationId === BINARY) return { collation: undefined, results: 'binary' }
  return undefined
}

/**
 * The statement that pins a session.
 *
 * @param sqlMode comma-separated mode names, none of which changes how text is read
 */
export function pinStatement(sqlMode: string, characters: ClientCharacters): string {
  if (!/^[A-Z0-9_,]*$/.test(sqlMode)) throw new RangeError('an sql_mode that is not a list of names')
  const collate = characters.collation === undefined ? '' : ` COLLATE ${characters.collation}`
  const settings = [`NAMES utf8mb4${collate}`]
  if (characters.results !== 'utf8mb4') settings.push(`character_set_results = ${characters.results}`)
  settings.push(`sql_mode = '${sqlMode}'`)
  settings.push(`session_track_schema = ON`)
  settings.push(`session_track_system_variables = '${TRACKED.join(',')}'`)
  return `SET ${settings.join(', ')}`
}

/** Asked after the pin, so that what holds is known and not assumed. */
export const VERIFY_STATEMENT =
  'SELECT @@session.sql_mode, @@session.character_set_client, @@session.character_set_connection, ' +
  '@@lower_case_table_names, DATABASE(), VERSION()'

/**
 * Makes the server report what guards the session, by setting each to what it is.
 *
 * MariaDB (10.11) reports nothing for a variable that is set without a scope word (`SET @@sql_mode = …`), and leaves
 * the status flag of a mode standing that a stored procedure had for itself. This statement mends both.
 */
export const REPORT_STATEMENT = `SET ${GUARDS.map((name) => `SESSION ${name} = @@SESSION.${name}`).join(', ')}`

/** Why a value reported or read for a guarded variable must not stand; `undefined` where it may. */
export function objection(name: string, value: string): string | undefined {
  switch (name) {
    case 'sql_mode': {
      const refused = value.split(',').find((mode) => SQL_MODES_REFUSED.has(mode.trim().toUpperCase()))
      return refused === undefined ? undefined : `sql_mode became ${refused}`
    }
    case 'character_set_client':
      return CLIENT_CHARACTER_SETS.has(value) ? undefined : `${name} became ${value}`
    case 'character_set_connection':
      return CONNECTION_CHARACTER_SETS.has(value) ? undefined : `${name} became ${value}`
    case 'session_track_schema':
      return value === 'ON' || value === '1' ? undefined : `${name} became ${value}`
    default:
      return undefined
  }
}

/**
 * Why this change of state must end the session; `undefined` where it may stand.
 *
 * @param isPinnedDatabase whether a name, as the server writes it, is that of the pinned database
 */
export function objectionToChange(
  change: StateChange,
  isPinnedDatabase: (name: string) => boolean,
): string | undefined {
  if (change.kind === 'variable') return objection(change.name, change.value)
  return isPinnedDatabase(change.name) ? undefined : 'the default database changed'
}

/** Why these status flags must end the session; `undefined` where they may stand. */
export function objectionToStatus(status: number): string | undefined {
  if (status & STATUS.NO_BACKSLASH_ESCAPES) return 'NO_BACKSLASH_ESCAPES is on'
  if (status & STATUS.ANSI_QUOTES) return 'ANSI_QUOTES is on'
  return undefined
}

/**
 * A client may choose what the server reports to it, but not switch off what guards the session.
 *
 * @param value the new value of `session_track_system_variables`
 * @returns the statement that adds the missing names, or `undefined` where none is missing
 */
export function widenTracking(value: string): string | undefined {
  if (value.trim() === '*') return undefined
  const names = new Set(value.split(',').map((name) => name.trim().toLowerCase()))
  if (GUARDS.every((guard) => names.has(guard))) return undefined
  // Names that are not plain words are dropped: the value goes into a statement.
  const kept = [...names].filter((name) => /^[a-z0-9_.]+$/.test(name))
  return `SET session_track_system_variables = '${[...new Set([...GUARDS, ...kept])].join(',')}'`
}
