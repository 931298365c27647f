/**
 * System variables by allow-list. Names are ASCII and compared in lower case; the lexer refuses all others,
 * because MySQL resolves variable names without regard to accents (`@@sql_modé` is `@@sql_mode`).
 */

/** What a statement may read: what drivers ask at connect, and what tells nothing of the host or its files. */
export const READABLE_VARIABLES: ReadonlySet<string> = new Set(
  words(`
    aurora_version auto_increment_increment auto_increment_offset autocommit big_tables
    character_set_client character_set_connection character_set_database character_set_filesystem
    character_set_results character_set_server character_set_system
    collation_connection collation_database collation_server
    default_storage_engine default_week_format div_precision_increment error_count explicit_defaults_for_timestamp
    foreign_key_checks group_concat_max_len have_ssl identity in_transaction init_connect innodb_lock_wait_timeout
    innodb_version insert_id interactive_timeout last_insert_id lc_messages lc_time_names license
    lock_wait_timeout lower_case_file_system lower_case_table_names max_allowed_packet max_connections
    max_execution_time max_statement_time net_buffer_length net_read_timeout net_write_timeout
    performance_schema protocol_version pseudo_thread_id query_cache_size query_cache_type read_only rowcount
    session_track_gtids session_track_schema session_track_state_change session_track_system_variables
    session_track_transaction_info skip_name_resolve sql_auto_is_null sql_big_selects sql_mode sql_notes
    sql_quote_show_create sql_safe_updates sql_select_limit sql_warnings storage_engine super_read_only
    system_time_zone thread_stack time_format time_zone timestamp transaction_isolation transaction_read_only tx_isolation
    tx_read_only unique_checks version version_comment version_compile_machine version_compile_os wait_timeout
    warning_count wsrep_on
  `),
)

/** The modes of sql_mode that a session may set: none changes how a text is read. */
export const SQL_MODES_ALLOWED: ReadonlySet<string> = new Set(
  words(`
    ALLOW_INVALID_DATES EMPTY_STRING_IS_NULL ERROR_FOR_DIVISION_BY_ZERO HIGH_NOT_PRECEDENCE NO_AUTO_CREATE_USER
    NO_AUTO_VALUE_ON_ZERO NO_DIR_IN_CREATE NO_ENGINE_SUBSTITUTION NO_UNSIGNED_SUBTRACTION NO_ZERO_DATE NO_ZERO_IN_DATE
    ONLY_FULL_GROUP_BY PAD_CHAR_TO_FULL_LENGTH PIPES_AS_CONCAT REAL_AS_FLOAT SIMULTANEOUS_ASSIGNMENT
    STRICT_ALL_TABLES STRICT_TRANS_TABLES TIME_ROUND_FRACTIONAL TIME_TRUNCATE_FRACTIONAL TRADITIONAL
  `),
)

/** Whether a value of one assignment is allowed: the text of a word, string or number as written. */
export type ValueRule = (value: string) => boolean

const isSwitch: ValueRule = (value) => /^(?:0|1|on|off|true|false|default)$/i.test(value)
const isOn: ValueRule = (value) => /^(?:1|on|true|default)$/i.test(value)
/** Up to a year, as the servers' own limit of `wait_timeout`. */
const isSeconds: ValueRule = (value) => /^(?:\d{1,8}|default)$/i.test(value)
const isCount: ValueRule = (value) => /^(?:\d{1,20}|default)$/i.test(value)
const isIsolation: ValueRule = (value) =>
  /^(?:read-uncommitted|read-committed|repeatable-read|serializable|default)$/i.test(value)
/** utf8 is the only encoding that the lexer reads. `DEFAULT` is the server's, which may be any. */
export const isUtf8: ValueRule = (value) => /^utf8(?:mb[34])?$/i.test(value)
export const isUtf8Collation: ValueRule = (value) =>
  /^utf8(?:mb[34])?_[a-z0-9_]+$|^uca1400_[a-z0-9_]+$/i.test(value)
const isResultCharset: ValueRule = (value) => isUtf8(value) || /^(?:null|binary)$/i.test(value)
const isTimeZone: ValueRule = (value) =>
  /^(?:system|default|[+-]?\d{1,2}:\d{2}|[a-z_]+(?:\/[a-z0-9_+-]+){0,2})$/i.test(value)
const isLocale: ValueRule = (value) => /^[a-z]{2}_[a-z]{2}$/i.test(value)
const isInnodb: ValueRule = (value) => /^innodb$/i.test(value)
const isTransactionInfo: ValueRule = (value) => /^(?:off|state|characteristics|default)$/i.test(value)

/** What a statement may set for its own session, and to what. `sql_mode` and `session_track_*` have rules of their own. */
export const SETTABLE_VARIABLES: ReadonlyMap<string, ValueRule> = new Map<string, ValueRule>([
  ['autocommit', isSwitch],
  ['character_set_client', isUtf8],
  ['character_set_connection', isUtf8],
  ['character_set_results', isResultCharset],
  ['character_set_server', isUtf8],
  ['collation_connection', isUtf8Collation],
  ['collation_server', isUtf8Collation],
  ['default_storage_engine', isInnodb],
  ['foreign_key_checks', isSwitch],
  ['group_concat_max_len', isCount],
  ['innodb_lock_wait_timeout', isSeconds],
  ['interactive_timeout', isSeconds],
  ['lc_time_names', isLocale],
  ['lock_wait_timeout', isSeconds],
  ['net_read_timeout', isSeconds],
  ['net_write_timeout', isSeconds],
  ['session_track_schema', isOn],
  ['session_track_state_change', isSwitch],
  ['session_track_transaction_info', isTransactionInfo],
  ['sql_auto_is_null', isSwitch],
  ['sql_big_selects', isSwitch],
  ['sql_notes', isSwitch],
  ['sql_quote_show_create', isSwitch],
  ['sql_safe_updates', isSwitch],
  ['sql_select_limit', isCount],
  ['sql_warnings', isSwitch],
  ['storage_engine', isInnodb],
  ['time_zone', isTimeZone],
  ['transaction_isolation', isIsolation],
  ['transaction_read_only', isSwitch],
  ['tx_isolation', isIsolation],
  ['tx_read_only', isSwitch],
  ['unique_checks', isSwitch],
  ['wait_timeout', isSeconds],
])

/** True where every mode of the list may be set. Empty elements, as `CONCAT` makes them, are none. */
export function areSqlModesAllowed(list: string): boolean {
  return list
    .split(',')
    .map((mode) => mode.trim().toUpperCase())
    .every((mode) => mode === '' || SQL_MODES_ALLOWED.has(mode))
}

function words(list: string): string[] {
  return list.trim().split(/\s+/)
}
