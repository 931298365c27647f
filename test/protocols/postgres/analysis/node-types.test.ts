/**
 * Every node type and field of each installed grammar is modelled, or refused on purpose. A newer grammar that
 * brings a node type, a statement or a field makes this fail, so that somebody decides what it can reach.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { MODELS } from '../../../../protocols/postgres/analysis/fields.ts'
import { REFUSED_STATEMENTS } from '../../../../protocols/postgres/analysis/refused-statements.ts'
import { GRAMMAR_MAJORS } from '../../../../src/backends/postgres-grammar.ts'

/** Node types that only later stages of the server make; the raw parser never does. */
const AFTER_PARSING = words(`
  Aggref AlternativeSubPlan ArrayCoerceExpr ArrayExpr CallContext CaseTestExpr CoerceToDomain CoerceToDomainValue
  CoerceViaIO CollateExpr ConvertRowtypeExpr DistinctExpr FieldSelect FieldStore FromExpr FuncExpr InferenceElem
  InlineCodeBlock IntList JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin
  MergeAction NextValueExpr NullIfExpr OidList OnConflictExpr OpExpr Param ParseResult PartitionRangeDatum Query
  RTEPermissionInfo RangeTblEntry RangeTblFunction RangeTblRef RelabelType ReturningExpr RowCompareExpr
  RowMarkClause ScalarArrayOpExpr ScanResult ScanToken SetOperationStmt SinglePartitionSpec SortGroupClause
  SubPlan SubscriptingRef TableFunc TableSampleClause TargetEntry Var WindowClause WindowFunc
  WindowFuncRunCondition WithCheckOption
`)

/** Results of other functions of the library than its parser. */
const NOT_OF_THE_PARSER = words('SummaryResult Table Function FilterColumn')

/** Node types that occur only inside statements that are refused whole. */
const INSIDE_REFUSED = words(`
  AccessPriv ATAlterConstraint CreateOpClassItem FunctionParameter ObjectWithArgs PLAssignStmt PublicationObjSpec
  PublicationTable ReplicaIdentityStmt ReturnStmt RoleSpec StatsElem TriggerTransition VacuumRelation
`)

/** Fields that only later stages fill in, or that belong to forms that are refused. */
const UNMODELLED_FIELDS: Readonly<Record<string, string>> = {
  ColumnDef: 'inhcount is_from_type cooked_default identitySequence collOid fdwoptions',
  CommonTableExpr: 'cterefcount ctecolnames ctecoltypes ctecoltypmods ctecolcollations',
  Constraint: 'cooked_expr old_conpfeqop old_pktable_oid',
  CreateSeqStmt: 'ownerId',
  CTECycleClause: 'cycle_mark_type cycle_mark_typmod cycle_mark_collation cycle_mark_neop',
  CallStmt: 'funcexpr outargs',
  CreateForeignTableStmt: 'base servername options',
  GroupingFunc: 'refs cols agglevelsup',
  IndexStmt:
    'idxcomment indexOid oldNode oldNumber oldCreateSubid oldFirstRelfilenodeSubid oldFirstRelfilelocatorSubid primary isconstraint deferrable initdeferred transformed iswithoutoverlaps excludeOpNames',
  JsonReturning: '',
  JsonValueExpr: 'formatted_expr',
  TableLikeClause: 'relationOid',
  TypeName: 'typeOid',
}

/** Filled in by the parse analysis for every expression: result types, collations, the node header. */
const ANALYSIS_FIELDS = words(`
  xpr arraytype array_typeid array_collid element_typeid multidims casetype casecollid coalescetype coalescecollid
  minmaxtype minmaxcollid inputcollid row_typeid typmod
`)

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/** The node types of a grammar and their fields, from its type declarations. */
function declaredNodes(major: number): ReadonlyMap<string, readonly string[]> {
  const inPackage = createRequire(createRequire(import.meta.url).resolve(`libpg-query-${major}/package.json`))
  const file = inPackage.resolve('@pgsql/types/package.json').replace('package.json', 'types.d.ts')
  const nodes = new Map<string, readonly string[]>()
  const declaration = /export interface (\w+) \{([^}]*)\}/g
  for (const [, name = '', body = ''] of readFileSync(file, 'utf8').matchAll(declaration)) {
    nodes.set(
      name,
      [...body.matchAll(/(\w+)\??:/g)].map(([, field = '']) => field),
    )
  }
  return nodes
}

for (const major of GRAMMAR_MAJORS) {
  const nodes = declaredNodes(major)

  test(`the declarations of grammar ${major} are found`, () => {
    assert.ok(nodes.size > 200)
    assert.deepEqual(nodes.get('A_Indirection'), ['arg', 'indirection'])
  })

  test(`every node type of grammar ${major} is modelled or refused`, () => {
    const unknown = [...nodes.keys()].filter(
      (type) =>
        !MODELS.has(type) &&
        !REFUSED_STATEMENTS.has(type) &&
        !AFTER_PARSING.has(type) &&
        !INSIDE_REFUSED.has(type) &&
        !NOT_OF_THE_PARSER.has(type),
    )
    assert.deepEqual(unknown, [])
  })

  test(`every field of every modelled node type of grammar ${major} is modelled or refused`, () => {
    const unknown: string[] = []
    for (const [type, rules] of MODELS) {
      const refused = words(UNMODELLED_FIELDS[type] ?? '')
      for (const field of nodes.get(type) ?? []) {
        if (!rules.has(field) && !refused.has(field) && !ANALYSIS_FIELDS.has(field))
          unknown.push(`${type}.${field}`)
      }
    }
    assert.deepEqual(unknown, [])
  })
}

test('no node type is both modelled and refused', () => {
  assert.deepEqual(
    [...MODELS.keys()].filter((type) => REFUSED_STATEMENTS.has(type) || INSIDE_REFUSED.has(type)),
    [],
  )
})
