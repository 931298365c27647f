/**
 * Settings that a run may read and change. A setting that could change how a statement is read (search path,
 * encoding, quoting) is pinned by the proxy at login: naming its pinned value again is accepted, another is not.
 *
 * https://www.postgresql.org/docs/current/runtime-config-client.html
 */
import type { Walk } from './walk.ts'

/** May be set to anything: they change how values look or how long a statement may take, for this session only. */
const FREE_SETTINGS = words(`
  application_name array_nulls bytea_output client_min_messages datestyle default_transaction_deferrable
  default_transaction_isolation default_transaction_read_only enable_seqscan enable_indexscan enable_nestloop
  enable_hashjoin enable_mergejoin enable_bitmapscan enable_sort enable_hashagg extra_float_digits geqo
  idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit lock_timeout
  max_parallel_workers_per_gather plan_cache_mode quote_all_identifiers random_page_cost
  restrict_nonsystem_relation_kind row_security statement_timeout synchronize_seqscans timezone transaction_deferrable transaction_isolation transaction_read_only
  transaction_timeout xmlbinary xmloption
`)

/** May be read: what drivers ask for, and what the free settings are. */
const READABLE_SETTINGS = words(`
  client_encoding in_hot_standby integer_datetimes is_superuser lc_collate lc_ctype lc_messages lc_monetary
  lc_numeric lc_time max_identifier_length max_index_keys block_size role search_path server_encoding
  server_version server_version_num session_authorization standard_conforming_strings transaction_isolation
  default_text_search_config
`)

export function isReadableSetting(name: string): boolean {
  const setting = name.toLowerCase()
  return FREE_SETTINGS.has(setting) || READABLE_SETTINGS.has(setting)
}

/** Notes what setting a value needs. @param values the values as text; `undefined`: not all are constants */
export function useSetting(walk: Walk, name: string, values: readonly string[] | undefined): void {
  // Names of settings fold ASCII letters even where they are quoted: guc_name_compare in guc.c.
  const setting = name.toLowerCase()
  if (setting === 'role' || setting === 'session_authorization') {
    walk.findings.hop('identity_switch', `sets \`${setting}\``, values?.join(', '))
    return
  }
  if (setting === 'client_min_messages' && values?.some(tellsOfTheServer) !== false) {
    walk.findings.forbid("the server's own messages, for debugging and for its log, are not for runs")
    return
  }
  if (!FREE_SETTINGS.has(setting)) walk.findings.forbid(`the setting \`${setting}\` may not be changed`)
}

/**
 * True for the levels of `client_min_messages` under which the server also sends what it says about itself: at
 * `debug2` each text that is sent to it, at `log` what it logs. `config_enum_lookup_by_name` in guc.c takes names
 * without case, and `debug` and `debug2` are one.
 */
export function tellsOfTheServer(level: string): boolean {
  return !['error', 'info', 'notice', 'warning'].includes(level.toLowerCase())
}

/**
 * True where a setting that the proxy pins is set to what means its pinned value. The text is then not sent, but
 * one that returns to the startup message's value, to the letter: the server reports these settings, and the
 * reports are watched.
 */
export function isPinnedValue(walk: Walk, name: string, values: readonly string[]): boolean {
  const [value = ''] = values
  switch (name.toLowerCase()) {
    case 'client_encoding':
      return values.length === 1 && isUtf8Name(value)
    case 'standard_conforming_strings':
      return values.length === 1 && isTrue(value)
    case 'search_path':
      return isPinnedSearchPath(values, walk.catalog.schema)
    default:
      return false
  }
}

/** Its schema, with or without what is searched anyway. */
function isPinnedSearchPath(values: readonly string[], schema: string): boolean {
  const named = values.filter((name) => name !== 'pg_temp' && name !== '$user')
  return (
    named.length === 1 && named[0] === schema && (values.at(-1) === 'pg_temp' || !values.includes('pg_temp'))
  )
}

/** As `pg_char_to_encoding` does: letters and digits only, without case. */
function isUtf8Name(name: string): boolean {
  const clean = name.replace(/[^A-Za-z0-9]/g, '').toLowerCase()
  return clean === 'utf8' || clean === 'unicode'
}

/** As `parse_bool` does: any prefix of the words. */
function isTrue(value: string): boolean {
  const word = value.toLowerCase()
  if (word === '' || word === 'o') return false
  return 'true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on' || word === '1'
}

/** `set_config(name, value, is_local)`: judged as `SET` is, and only with literals. */
export function setByFunction(walk: Walk, name: string | undefined, value: string | undefined): void {
  if (name === undefined || value === undefined) {
    walk.findings.forbid('`set_config` with other arguments than literals')
    return
  }
  // An empty search path, as pg_dump sets it: every name that it leaves means what it means under the pinned one, and
  // the others are errors of the server.
  if (name.toLowerCase() === 'search_path' && value === '') return
  // A list is one string here, which the server splits; only plain values are compared.
  useSetting(walk, name, [value])
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}
