/**
 * Every node type that is modelled, and what becomes of every field of it. A node type or a field that is not
 * here is not understood: a newer grammar may have given it a meaning.
 *
 * The node types are those of src/include/nodes/parsenodes.h and primnodes.h, as far as the raw parser makes
 * them; the fields that only later stages of the server fill in are left out, and refused where they occur.
 */
import type { Findings } from './findings.ts'
import type { Node } from './grammar.ts'

/** What becomes of the fields of one node type, as lists of field names. */
type Model = {
  /** Cannot name or run anything: flags, positions, labels. */
  readonly skip?: string
  /** Read by code written for this node type. */
  readonly own?: string
  /** Expressions, or lists of them, in the scope of the node. */
  readonly walk?: string
  /** A node without its wrapper: `field:Type`. */
  readonly typed?: string
}

/** Node types that may stand where an expression stands. */
const EXPRESSION_MODELS = {
  A_ArrayExpr: { skip: 'location list_start list_end', walk: 'elements' },
  A_Const: { skip: 'ival fval boolval sval bsval isnull location' },
  A_Expr: {
    skip: 'kind location rexpr_list_start rexpr_list_end',
    own: 'name',
    walk: 'lexpr rexpr',
  },
  A_Indices: { skip: 'is_slice', walk: 'lidx uidx' },
  A_Indirection: { own: 'indirection', walk: 'arg' },
  BoolExpr: { skip: 'boolop location', walk: 'args' },
  BooleanTest: { skip: 'booltesttype location', walk: 'arg' },
  CaseExpr: { skip: 'location', own: 'arg', walk: 'args defresult' },
  CaseWhen: { skip: 'location', walk: 'expr result' },
  CoalesceExpr: { skip: 'location', walk: 'args' },
  CollateClause: { skip: 'location', own: 'collname', walk: 'arg' },
  ColumnRef: { skip: 'location', own: 'fields' },
  CurrentOfExpr: { skip: 'cvarno cursor_name cursor_param' },
  FuncCall: {
    skip: 'agg_within_group agg_star agg_distinct func_variadic funcformat location',
    own: 'funcname args',
    walk: 'agg_order agg_filter',
    typed: 'over:WindowDef',
  },
  GroupingFunc: { skip: 'location', walk: 'args' },
  GroupingSet: { skip: 'kind location', walk: 'content' },
  JsonAggConstructor: {
    skip: 'location',
    walk: 'agg_filter agg_order',
    typed: 'output:JsonOutput over:WindowDef',
  },
  JsonArgument: { skip: 'name', typed: 'val:JsonValueExpr' },
  JsonArrayAgg: { skip: 'absent_on_null', typed: 'constructor:JsonAggConstructor arg:JsonValueExpr' },
  JsonArrayConstructor: { skip: 'absent_on_null location', walk: 'exprs', typed: 'output:JsonOutput' },
  JsonArrayQueryConstructor: {
    skip: 'absent_on_null location',
    own: 'query',
    typed: 'output:JsonOutput format:JsonFormat',
  },
  JsonBehavior: { skip: 'btype coerce location', walk: 'expr' },
  JsonFormat: { skip: 'format_type encoding location' },
  JsonFuncExpr: {
    skip: 'op column_name wrapper quotes location',
    walk: 'pathspec passing',
    typed: 'context_item:JsonValueExpr output:JsonOutput on_empty:JsonBehavior on_error:JsonBehavior',
  },
  JsonIsPredicate: { skip: 'item_type unique_keys location', walk: 'expr', typed: 'format:JsonFormat' },
  JsonKeyValue: { walk: 'key', typed: 'value:JsonValueExpr' },
  JsonObjectAgg: { skip: 'absent_on_null unique', typed: 'constructor:JsonAggConstructor arg:JsonKeyValue' },
  JsonObjectConstructor: {
    skip: 'absent_on_null unique location',
    walk: 'exprs',
    typed: 'output:JsonOutput',
  },
  JsonOutput: { typed: 'typeName:TypeName returning:JsonReturning' },
  JsonParseExpr: { skip: 'unique_keys location', typed: 'expr:JsonValueExpr output:JsonOutput' },
  JsonReturning: { skip: 'typid typmod', typed: 'format:JsonFormat' },
  JsonScalarExpr: { skip: 'location', walk: 'expr', typed: 'output:JsonOutput' },
  JsonSerializeExpr: { skip: 'location', typed: 'expr:JsonValueExpr output:JsonOutput' },
  JsonTablePathSpec: { skip: 'name name_location location', walk: 'string' },
  JsonValueExpr: { walk: 'raw_expr', typed: 'format:JsonFormat' },
  List: { walk: 'items' },
  MergeSupportFunc: { skip: 'msftype msfcollid location' },
  MinMaxExpr: { skip: 'op location', walk: 'args' },
  MultiAssignRef: { skip: 'colno ncolumns', walk: 'source' },
  NamedArgExpr: { skip: 'name argnumber location', walk: 'arg' },
  NullTest: { skip: 'nulltesttype argisrow location', walk: 'arg' },
  ParamRef: { skip: 'number location' },
  ResTarget: { skip: 'name location', own: 'indirection', walk: 'val' },
  RowExpr: { skip: 'row_format colnames location', walk: 'args' },
  SQLValueFunction: { skip: 'op type typmod location' },
  SetToDefault: { skip: 'typeId typeMod collation location' },
  SortBy: { skip: 'sortby_dir sortby_nulls location', own: 'useOp', walk: 'node' },
  SubLink: { skip: 'subLinkType subLinkId location', own: 'operName subselect', walk: 'testexpr' },
  TypeCast: { skip: 'location', own: 'arg', typed: 'typeName:TypeName' },
  WindowDef: {
    skip: 'name refname frameOptions location',
    walk: 'partitionClause orderClause startOffset endOffset',
  },
  XmlExpr: { skip: 'op name arg_names xmloption type typmod location indent', walk: 'named_args args' },
  XmlSerialize: { skip: 'xmloption location indent', walk: 'expr', typed: 'typeName:TypeName' },
} as const satisfies Readonly<Record<string, Model>>

/** Node types read only by code that expects them at their place. */
const PLACED_MODELS = {
  A_Star: {},
  Alias: { own: 'aliasname colnames' },
  Boolean: { skip: 'boolval' },
  BitString: { skip: 'bsval' },
  Float: { skip: 'fval' },
  Integer: { skip: 'ival' },
  String: { skip: 'sval' },
  CTECycleClause: {
    skip: 'cycle_col_list cycle_mark_column cycle_path_column location',
    walk: 'cycle_mark_value cycle_mark_default',
  },
  CTESearchClause: { skip: 'search_col_list search_breadth_first search_seq_column location' },
  CallStmt: { own: 'funccall' },
  ClosePortalStmt: { own: 'portalname' },
  ColumnDef: {
    skip: 'colname compression is_local is_not_null storage storage_name identity generated inhcount location',
    own: 'constraints fdwoptions',
    walk: 'raw_default',
    typed: 'typeName:TypeName collClause:CollateClause',
  },
  CommonTableExpr: {
    skip: 'ctematerialized location cterecursive',
    own: 'ctename aliascolnames ctequery search_clause cycle_clause',
  },
  ConstraintsSetStmt: { skip: 'deferred', own: 'constraints' },
  CopyStmt: { own: 'relation query attlist is_from is_program filename options whereClause' },
  CreateTableAsStmt: { skip: 'if_not_exists is_select_into', own: 'query into objtype' },
  DeallocateStmt: { skip: 'location isall', own: 'name' },
  DeclareCursorStmt: { skip: 'options', own: 'portalname query' },
  DefElem: { skip: 'location', own: 'defnamespace defname arg defaction' },
  DeleteStmt: {
    own: 'relation usingClause whereClause returningList returningClause withClause',
  },
  DiscardStmt: { own: 'target' },
  ExecuteStmt: { own: 'name', walk: 'params' },
  ExplainStmt: { own: 'query options' },
  FetchStmt: { skip: 'direction howMany ismove', own: 'portalname' },
  IndexElem: {
    skip: 'name indexcolname ordering nulls_ordering collation',
    own: 'opclass opclassopts',
    walk: 'expr',
  },
  InferClause: { skip: 'location', own: 'indexElems conname', walk: 'whereClause' },
  InsertStmt: {
    skip: 'override',
    own: 'relation cols selectStmt onConflictClause returningList returningClause withClause',
  },
  IntoClause: {
    skip: 'colNames onCommit skipData',
    own: 'rel accessMethod options tableSpaceName viewQuery',
  },
  JoinExpr: {
    skip: 'jointype',
    own: 'isNatural larg rarg usingClause join_using_alias quals alias rtindex',
  },
  JsonTable: {
    skip: 'location lateral',
    own: 'columns alias',
    walk: 'passing',
    typed: 'context_item:JsonValueExpr pathspec:JsonTablePathSpec on_error:JsonBehavior',
  },
  JsonTableColumn: {
    skip: 'coltype name wrapper quotes location',
    own: 'columns',
    typed:
      'typeName:TypeName pathspec:JsonTablePathSpec format:JsonFormat on_empty:JsonBehavior on_error:JsonBehavior',
  },
  AlterEnumStmt: { skip: 'oldVal newVal newValNeighbor newValIsAfter skipIfNewValExists', own: 'typeName' },
  AlterPolicyStmt: { skip: 'policy_name roles', own: 'table qual with_check' },
  AlterSeqStmt: { skip: 'missing_ok for_identity', own: 'sequence options' },
  AlterTableCmd: { skip: 'name num missing_ok recurse', own: 'subtype def behavior newowner' },
  AlterTableStmt: { skip: 'missing_ok', own: 'relation cmds objtype' },
  CommentStmt: { skip: 'comment', own: 'objtype object' },
  CompositeTypeStmt: { own: 'typevar coldeflist' },
  Constraint: {
    skip: 'contype conname deferrable initdeferred location is_no_inherit generated_when generated_kind nulls_not_distinct keys including indexname reset_default_tblspc fk_attrs fk_matchtype fk_upd_action fk_del_action fk_del_set_cols skip_validation initially_valid is_enforced without_overlaps fk_with_period pk_with_period inhcount',
    own: 'options indexspace access_method exclusions pktable pk_attrs',
    walk: 'raw_expr where_clause',
  },
  CreateDomainStmt: { own: 'domainname constraints', typed: 'typeName:TypeName collClause:CollateClause' },
  CreateEnumStmt: { skip: 'vals', own: 'typeName' },
  CreatePolicyStmt: { skip: 'policy_name cmd_name permissive roles', own: 'table qual with_check' },
  CreateSchemaStmt: { skip: 'if_not_exists', own: 'schemaname authrole schemaElts' },
  CreateSeqStmt: { skip: 'if_not_exists for_identity', own: 'sequence options' },
  CreateStmt: {
    skip: 'oncommit if_not_exists',
    own: 'relation tableElts inhRelations partbound partspec ofTypename constraints nnconstraints options tablespacename accessMethod',
  },
  CreateTrigStmt: {
    skip: 'replace isconstraint trigname args row timing events columns transitionRels deferrable initdeferred',
    own: 'relation funcname whenClause constrrel',
  },
  DropStmt: { skip: 'concurrent', own: 'objects removeType behavior missing_ok' },
  IndexStmt: {
    skip: 'idxname accessMethod indexIncludingParams options unique nulls_not_distinct concurrent if_not_exists reset_default_tblspc',
    own: 'relation indexParams whereClause tableSpace',
  },
  PartitionBoundSpec: {
    skip: 'strategy is_default modulus remainder location',
    walk: 'listdatums lowerdatums upperdatums',
  },
  PartitionCmd: { skip: 'concurrent', own: 'name', typed: 'bound:PartitionBoundSpec' },
  PartitionElem: { skip: 'name collation opclass location', walk: 'expr' },
  PartitionSpec: { skip: 'strategy location', own: 'partParams' },
  RefreshMatViewStmt: { skip: 'concurrent skipData', own: 'relation' },
  RenameStmt: { skip: 'subname missing_ok', own: 'renameType relationType relation newname object behavior' },
  TableLikeClause: { skip: 'options', own: 'relation' },
  ViewStmt: { skip: 'aliases withCheckOption', own: 'view query replace options' },
  ListenStmt: { own: 'conditionname' },
  LockStmt: { skip: 'nowait', own: 'relations mode' },
  LockingClause: { skip: 'strength waitPolicy', own: 'lockedRels' },
  MergeStmt: {
    own: 'relation sourceRelation joinCondition mergeWhenClauses returningList returningClause withClause',
  },
  MergeWhenClause: {
    skip: 'matched matchKind override',
    own: 'commandType targetList values condition',
  },
  NotifyStmt: { skip: 'payload', own: 'conditionname' },
  OnConflictClause: { skip: 'action location', own: 'infer targetList whereClause' },
  PrepareStmt: { own: 'name argtypes query' },
  RangeFunction: {
    skip: 'lateral is_rowsfrom',
    own: 'functions coldeflist alias ordinality',
  },
  RangeSubselect: { own: 'lateral subquery alias' },
  RangeTableFunc: { skip: 'lateral location', own: 'columns alias', walk: 'docexpr rowexpr namespaces' },
  RangeTableFuncCol: {
    skip: 'colname for_ordinality is_not_null location',
    walk: 'colexpr coldefexpr',
    typed: 'typeName:TypeName',
  },
  RangeTableSample: { skip: 'location', own: 'relation method', walk: 'args repeatable' },
  RangeVar: { skip: 'inh location', own: 'catalogname schemaname relname relpersistence alias' },
  RawStmt: { skip: 'stmt_location stmt_len', own: 'stmt' },
  ReturningClause: { own: 'options exprs' },
  ReturningOption: { skip: 'location', own: 'option value' },
  SelectStmt: {
    skip: 'groupDistinct limitOption',
    own: 'distinctClause intoClause targetList fromClause whereClause groupClause havingClause windowClause valuesLists sortClause limitOffset limitCount lockingClause withClause op all larg rarg',
  },
  TransactionStmt: { skip: 'savepoint_name chain location', own: 'kind options gid' },
  TruncateStmt: { skip: 'restart_seqs', own: 'relations behavior' },
  TypeName: { skip: 'setof arrayBounds typemod location', own: 'names pct_type typmods' },
  UnlistenStmt: { skip: 'conditionname' },
  UpdateStmt: {
    own: 'relation targetList whereClause fromClause returningList returningClause withClause',
  },
  VariableSetStmt: { skip: 'is_local location jumble_args', own: 'kind name args' },
  VariableShowStmt: { own: 'name' },
  WithClause: { skip: 'location', own: 'ctes recursive' },
} as const satisfies Readonly<Record<string, Model>>

export type FieldRule =
  | { readonly kind: 'skip' }
  | { readonly kind: 'own' }
  | { readonly kind: 'walk' }
  | { readonly kind: 'typed'; readonly type: string }

/** The fields of each modelled node type. */
export const MODELS: ReadonlyMap<string, ReadonlyMap<string, FieldRule>> = new Map(
  Object.entries<Model>({ ...EXPRESSION_MODELS, ...PLACED_MODELS }).map(([type, model]) => [
    type,
    compile(model),
  ]),
)

/** Node types that may stand where an expression stands. */
export const EXPRESSION_TYPES: ReadonlySet<string> = new Set(Object.keys(EXPRESSION_MODELS))

function compile(model: Model): ReadonlyMap<string, FieldRule> {
  const rules = new Map<string, FieldRule>()
  for (const field of fieldsOf(model.skip)) rules.set(field, { kind: 'skip' })
  for (const field of fieldsOf(model.own)) rules.set(field, { kind: 'own' })
  for (const field of fieldsOf(model.walk)) rules.set(field, { kind: 'walk' })
  for (const field of fieldsOf(model.typed)) {
    const [name = '', type = ''] = field.split(':')
    rules.set(name, { kind: 'typed', type })
  }
  return rules
}

function fieldsOf(list: string | undefined): readonly string[] {
  return list === undefined ? [] : list.split(' ')
}

/** Notes every field of a node that is not modelled. */
export function checkFields(findings: Findings, type: string, node: Node): void {
  const rules = MODELS.get(type)
  if (rules === undefined) {
    findings.misunderstand(`${type} is not modelled`)
    return
  }
  for (const field of Object.keys(node)) {
    if (!rules.has(field)) findings.misunderstand(`${type}.${field} is not modelled`)
  }
}
