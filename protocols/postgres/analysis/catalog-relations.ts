/**
 * Which relations of `pg_catalog` and `information_schema` a run may read, and in which metadata bundle. What is
 * not listed here is refused.
 *
 * https://www.postgresql.org/docs/current/catalogs.html
 * https://www.postgresql.org/docs/current/information-schema.html
 */
import type { HopKind } from '../../analysis.ts'

export type CatalogRelation = {
  readonly level: 'driver' | 'introspect'
  /** Columns that may not be read: code, credentials, settings, paths, sampled values. */
  readonly hidden: ReadonlySet<string>
}

/** Asked by drivers at connect, to learn the types. */
const DRIVER = words(`
  pg_type pg_range pg_enum pg_namespace
`)

/** Names, columns, types, keys, definitions: what psql's `\d`, ORMs and agents read to learn the schema. */
const INTROSPECT = words(`
  pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_available_extensions
  pg_available_extension_versions pg_cast pg_class pg_collation pg_constraint pg_conversion pg_cursors
  pg_database
  pg_default_acl pg_depend pg_description pg_event_trigger pg_extension pg_foreign_data_wrapper
  pg_foreign_server pg_foreign_table pg_group pg_index pg_indexes
  pg_inherits pg_init_privs pg_language pg_matviews pg_opclass pg_operator pg_opfamily pg_partitioned_table
  pg_policies pg_policy pg_prepared_statements pg_proc pg_publication pg_publication_namespace pg_publication_rel
  pg_publication_tables pg_rewrite pg_roles pg_rules pg_seclabel pg_seclabels pg_sequence pg_settings
  pg_shdepend
  pg_shdescription pg_shseclabel pg_sequences pg_statistic_ext pg_subscription pg_tables pg_tablespace
  pg_timezone_abbrevs
  pg_timezone_names pg_transform pg_trigger pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser
  pg_ts_template pg_user pg_views pg_statio_all_tables
`)

const INFORMATION_SCHEMA = words(`
  administrable_role_authorizations applicable_roles attributes character_sets
  check_constraint_routine_usage check_constraints collation_character_set_applicability collations
  column_column_usage column_domain_usage column_options column_privileges column_udt_usage columns
  constraint_column_usage constraint_table_usage data_type_privileges domain_constraints domain_udt_usage
  domains element_types enabled_roles information_schema_catalog_name key_column_usage parameters
  referential_constraints role_column_grants role_routine_grants role_table_grants role_udt_grants
  role_usage_grants routine_column_usage routine_privileges routine_routine_usage routine_sequence_usage
  routine_table_usage routines schemata sequences sql_features sql_implementation_info sql_parts sql_sizing
  table_constraints table_privileges tables transforms triggered_update_columns triggers udt_privileges
  usage_privileges user_defined_types view_column_usage view_routine_usage view_table_usage views
  _pg_foreign_table_columns
`)

/** Columns of readable relations that hold more than names and shapes. */
const HIDDEN: Readonly<Record<string, string>> = {
  pg_proc: 'prosrc probin prosqlbody proconfig',
  pg_roles: 'rolpassword rolconfig',
  pg_user: 'passwd useconfig',
  pg_tablespace: 'spcoptions',
  pg_attribute: 'attmissingval',
  // Where other systems are, and how to log in there.
  pg_foreign_data_wrapper: 'fdwoptions',
  pg_foreign_server: 'srvoptions',
  pg_foreign_table: 'ftoptions',
  pg_subscription: 'subconninfo subslotname',
  pg_sequences: 'last_value',
  pg_settings: 'setting boot_val reset_val source sourcefile sourceline pending_restart',
  // Their names are for tab completion.
  pg_prepared_statements: 'statement',
  pg_cursors: 'statement',
  routines: 'routine_definition external_name',
  // The view is known for its names; the figures are statistics.
  pg_statio_all_tables:
    'heap_blks_read heap_blks_hit idx_blks_read idx_blks_hit toast_blks_read toast_blks_hit tidx_blks_read tidx_blks_hit',
}

/** Refused relations whose reading is an attempt to leave the granted system. */
const HOPS: Readonly<Record<string, HopKind>> = {
  pg_stat_activity: 'cross_run',
  pg_stat_ssl: 'cross_run',
  pg_stat_gssapi: 'cross_run',
  pg_stat_replication: 'cross_run',
  pg_stat_wal_receiver: 'cross_run',
  pg_stat_subscription: 'cross_run',
  pg_locks: 'cross_run',
  pg_prepared_xacts: 'cross_run',
  pg_stat_statements: 'cross_run',
  pg_hba_file_rules: 'file_reach',
  pg_ident_file_mappings: 'file_reach',
  pg_file_settings: 'file_reach',
  pg_config: 'file_reach',
  pg_authid: 'identity_switch',
  pg_shadow: 'identity_switch',
  pg_user_mapping: 'outbound_reach',
  pg_user_mappings: 'outbound_reach',
}

/** Functions of `information_schema` that drivers call. */
export const INFORMATION_SCHEMA_FUNCTIONS: ReadonlySet<string> = words(`
  _pg_expandarray _pg_char_max_length _pg_char_octet_length _pg_numeric_precision _pg_numeric_precision_radix
  _pg_numeric_scale _pg_datetime_precision _pg_interval_type _pg_truetypid _pg_truetypmod _pg_index_position
  _pg_keysequal
`)

const NOTHING: ReadonlySet<string> = new Set()

/** `undefined`: refused. */
export function catalogRelation(schema: string, name: string): CatalogRelation | undefined {
  const hidden = Object.hasOwn(HIDDEN, name) ? words(HIDDEN[name] ?? '') : NOTHING
  if (schema === 'information_schema') {
    return INFORMATION_SCHEMA.has(name) ? { level: 'introspect', hidden } : undefined
  }
  if (DRIVER.has(name)) return { level: 'driver', hidden }
  return INTROSPECT.has(name) ? { level: 'introspect', hidden } : undefined
}

/** The kind of hop that reading a refused catalog relation is, if it is one. */
export function catalogHop(name: string): HopKind | undefined {
  return Object.hasOwn(HOPS, name) ? HOPS[name] : undefined
}

export function isCatalogSchema(schema: string): boolean {
  return schema === 'pg_catalog' || schema === 'information_schema'
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}
