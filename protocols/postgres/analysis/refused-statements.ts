/** The kinds of statement that no grant allows, and why. */
import type { HopKind, StatementAction } from '../../analysis.ts'
import type { Walk } from './walk.ts'

/** Statement kinds that reach out of the database, or into its role and files. */
const HOP_STATEMENTS: Readonly<Record<string, { readonly hop: HopKind; readonly why: string }>> = {
  AlterForeignServerStmt: { hop: 'outbound_reach', why: 'alters a foreign server' },
  AlterSubscriptionStmt: { hop: 'outbound_reach', why: 'alters a subscription' },
  AlterSystemStmt: { hop: 'file_reach', why: "changes the server's configuration file" },
  AlterUserMappingStmt: { hop: 'outbound_reach', why: 'alters a user mapping' },
  CreateExtensionStmt: { hop: 'file_reach', why: "runs a script of the server's files" },
  CreateFdwStmt: { hop: 'outbound_reach', why: 'creates a foreign data wrapper' },
  CreateForeignServerStmt: { hop: 'outbound_reach', why: 'creates a foreign server' },
  CreateForeignTableStmt: { hop: 'outbound_reach', why: 'creates a foreign table' },
  CreateSubscriptionStmt: { hop: 'outbound_reach', why: 'creates a subscription' },
  CreateTableSpaceStmt: { hop: 'file_reach', why: 'creates a tablespace' },
  CreateUserMappingStmt: { hop: 'outbound_reach', why: 'creates a user mapping' },
  CreatedbStmt: { hop: 'wrong_database', why: 'creates a database' },
  DropdbStmt: { hop: 'wrong_database', why: 'drops a database' },
  AlterDatabaseStmt: { hop: 'wrong_database', why: 'alters a database' },
  ImportForeignSchemaStmt: { hop: 'outbound_reach', why: 'imports a foreign schema' },
  LoadStmt: { hop: 'file_reach', why: 'loads a library' },
}

/** Statement kinds that no grant allows, and why. */
const FORBIDDEN_STATEMENTS: Readonly<Record<string, string>> = {
  AlterCollationStmt: 'changes a collation',
  AlterDatabaseRefreshCollStmt: 'administers the database',
  AlterDatabaseSetStmt: 'changes settings of other sessions',
  AlterDefaultPrivilegesStmt: 'changes privileges',
  AlterEventTrigStmt: 'changes an event trigger',
  AlterExtensionContentsStmt: 'changes an extension',
  AlterExtensionStmt: 'changes an extension',
  AlterFdwStmt: 'changes a foreign data wrapper',
  AlterFunctionStmt: 'changes a function',
  AlterObjectDependsStmt: 'changes what an object depends on',
  AlterObjectSchemaStmt: 'moves an object to another schema',
  AlterOpFamilyStmt: 'changes an operator family',
  AlterOperatorStmt: 'changes an operator',
  AlterOwnerStmt: 'changes an owner',
  AlterPublicationStmt: 'changes what is replicated',
  AlterRoleSetStmt: 'changes settings of other sessions',
  AlterRoleStmt: 'changes a role',
  AlterStatsStmt: 'changes statistics',
  AlterTSConfigurationStmt: 'changes text search',
  AlterTSDictionaryStmt: 'changes text search',
  AlterTableMoveAllStmt: 'moves tables to another tablespace',
  AlterTableSpaceOptionsStmt: 'changes a tablespace',
  AlterTypeStmt: 'changes the functions of a type',
  CheckPointStmt: 'administers the server',
  ClusterStmt: 'administers storage',
  CreateAmStmt: 'creates an access method',
  CreateCastStmt: 'creates a cast, which runs unseen',
  CreateConversionStmt: 'creates an encoding conversion',
  CreateEventTrigStmt: 'creates an event trigger',
  CreateFunctionStmt: 'creates code that cannot be followed',
  CreateOpClassStmt: 'creates an operator class',
  CreateOpFamilyStmt: 'creates an operator family',
  CreatePLangStmt: 'creates a language',
  CreatePublicationStmt: 'publishes tables for replication',
  CreateRangeStmt: 'creates a range type, which runs functions',
  AlterDomainStmt: 'changes the checks of a domain',
  CreateRoleStmt: 'creates a role',
  CreateStatsStmt: 'creates statistics',
  CreateTransformStmt: 'creates a transform',
  DefineStmt: 'creates an aggregate, operator, type or text search object',
  DoStmt: 'runs code that cannot be followed',
  DropOwnedStmt: 'drops all that a role owns',
  DropRoleStmt: 'drops a role',
  DropSubscriptionStmt: 'drops a subscription',
  DropTableSpaceStmt: 'drops a tablespace',
  DropUserMappingStmt: 'drops a user mapping',
  GrantRoleStmt: 'changes memberships',
  GrantStmt: 'changes privileges',
  ReassignOwnedStmt: 'changes owners',
  ReindexStmt: 'administers storage',
  RuleStmt: 'creates a rule, which rewrites statements unseen',
  SecLabelStmt: 'changes a security label',
  VacuumStmt: 'administers storage',
}

/** Every statement kind that is refused whole. */
export const REFUSED_STATEMENTS: ReadonlySet<string> = new Set([
  ...Object.keys(HOP_STATEMENTS),
  ...Object.keys(FORBIDDEN_STATEMENTS),
])

/** Notes why a statement of this kind is refused. */
export function refuse(walk: Walk, type: string): StatementAction {
  const hop = Object.hasOwn(HOP_STATEMENTS, type) ? HOP_STATEMENTS[type] : undefined
  const why = Object.hasOwn(FORBIDDEN_STATEMENTS, type) ? FORBIDDEN_STATEMENTS[type] : undefined
  if (hop !== undefined) walk.findings.hop(hop.hop, hop.why)
  else if (why !== undefined) walk.findings.forbid(why)
  else walk.findings.misunderstand(`${type} is not modelled`)
  return type.startsWith('Do') ? 'call' : 'ddl'
}
