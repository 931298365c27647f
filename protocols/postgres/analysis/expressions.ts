/** Expressions: every node type by its model, and what a few of them need beyond their parts. */
import { useColumn, useFieldOrFunction, wholeRowOf } from './columns.ts'
import { EXPRESSION_TYPES, MODELS } from './fields.ts'
import { namesSequence, useFunction, useNamedFunction, useOperator, useUserOperator } from './functions.ts'
import type { Node } from './grammar.ts'
import { type Scope, scopeOf } from './scope.ts'
import { useType } from './types.ts'
import { isNode, listOf, nodeOf, unwrap, type Walk, wordOf } from './walk.ts'

/** Walks a wrapped expression, or a list of them. */
export function walkExpression(walk: Walk, value: unknown, scope: Scope): void {
  if (value === undefined) return
  if (Array.isArray(value)) {
    for (const element of value) walkExpression(walk, element, scope)
    return
  }
  // An empty object stands for an absent element of a list.
  if (isNode(value) && Object.keys(value).length === 0) return
  const wrapped = unwrap(value)
  if (wrapped === undefined || !EXPRESSION_TYPES.has(wrapped.type)) {
    walk.findings.misunderstand(`${wrapped?.type ?? 'something'} in an expression`)
    return
  }
  walkNode(walk, wrapped.type, wrapped.node, scope)
}

/** Walks a node of a known type by its model. */
export function walkNode(walk: Walk, type: string, node: Node, scope: Scope): void {
  useNode(walk, type, node, scope)
  const rules = MODELS.get(type)
  if (rules === undefined) {
    walk.findings.misunderstand(`${type} is not modelled`)
    return
  }
  for (const field of Object.keys(node)) {
    const rule = rules.get(field)
    if (rule === undefined) {
      walk.findings.misunderstand(`${type}.${field} is not modelled`)
      continue
    }
    if (rule.kind === 'walk') walkExpression(walk, node[field], scope)
    else if (rule.kind === 'typed') walkTyped(walk, rule.type, node[field], scope)
  }
}

function walkTyped(walk: Walk, type: string, value: unknown, scope: Scope): void {
  if (!isNode(value)) walk.findings.misunderstand(`${type} expected`)
  else if (type === 'TypeName') useType(walk, value)
  else walkNode(walk, type, value, scope)
}

/** What a node needs beyond its parts. */
function useNode(walk: Walk, type: string, node: Node, scope: Scope): void {
  switch (type) {
    case 'ColumnRef':
      useColumn(walk, node, scope)
      return
    case 'FuncCall':
      useCall(walk, node, scope)
      return
    case 'A_Const':
      walk.findings.passConstant(literalStart(walk.text, node['location']))
      return
    case 'A_Expr':
      useOperator(walk, node['name'])
      return
    case 'SortBy':
      if (node['useOp'] !== undefined) useOperator(walk, node['useOp'])
      return
    case 'TypeCast':
      walkExpression(walk, node['arg'], scope)
      return
    case 'CaseExpr':
      // `CASE x WHEN y` compares with `=`.
      if (node['arg'] === undefined) return
      useUserOperator(walk, walk.catalog.schema, '=')
      walkExpression(walk, node['arg'], scope)
      return
    case 'SubLink':
      if (node['operName'] !== undefined) useOperator(walk, node['operName'])
      else if (node['testexpr'] !== undefined) useUserOperator(walk, walk.catalog.schema, '=')
      walk.query(node['subselect'], scopeOf([], scope))
      return
    case 'JsonArrayQueryConstructor':
      walk.query(node['query'], scopeOf([], scope))
      return
    case 'A_Indirection':
      useIndirection(walk, node['indirection'], scope)
      return
    case 'ResTarget':
      useIndirection(walk, node['indirection'], scope)
      return
  }
}

/** Where the literal of a constant begins: behind its sign, which the grammar counts in (`doNegate` in gram.y). */
function literalStart(text: Buffer, location: unknown): number {
  let at = typeof location === 'number' ? location : 0
  if (text[at] !== MINUS) return at
  do at += 1
  while (WHITE_SPACE.has(text[at] ?? 0))
  return at
}

const MINUS = '-'.charCodeAt(0)
const WHITE_SPACE: ReadonlySet<number> = new Set(Buffer.from(' \t\n\r\f\v'))

function useCall(walk: Walk, node: Node, scope: Scope): void {
  const args = listOf(node['args'])
  // A sequence named by a literal is judged as a sequence, not as a look into the catalog.
  walkExpression(walk, namesSequence(walk, node) ? args.slice(1) : args, scope)
  // `f(t)` is the column f of t where there is no function f; the whole row is already noted.
  const name = wordOf(listOf(node['funcname'])[0])
  const item =
    args.length === 1 && listOf(node['funcname']).length === 1 ? wholeRowOf(walk, args[0], scope) : undefined
  if (name !== undefined && item?.columns.some((column) => column.name === name)) {
    useNamedFunction(walk, { schema: undefined, name, args, action: 'execute' })
    return
  }
  useFunction(walk, node)
}

/** `[i]`, `[i:j]`, `.field` and `.*` behind an expression or an assigned column. */
export function useIndirection(walk: Walk, value: unknown, scope: Scope): void {
  for (const part of listOf(value)) {
    const field = wordOf(part)
    if (field !== undefined) useFieldOrFunction(walk, field)
    else if (nodeOf(part, 'A_Star') === undefined) walkExpression(walk, part, scope)
  }
}

const LITERAL_NAMES: Readonly<Record<string, string>> = {
  A_ArrayExpr: 'array',
  CoalesceExpr: 'coalesce',
  GroupingFunc: 'grouping',
  MergeSupportFunc: 'merge_action',
  RowExpr: 'row',
  XmlSerialize: 'xmlserialize',
}

/**
 * The name of a result column without alias, as `FigureColname` in parse_target.c gives it; `undefined` where
 * that is not worked out here: then the column may have any name.
 */
export function outputNameOf(value: unknown): string | undefined {
  const wrapped = unwrap(value)
  if (wrapped === undefined) return undefined
  const { type, node } = wrapped
  const literal = Object.hasOwn(LITERAL_NAMES, type) ? LITERAL_NAMES[type] : undefined
  if (literal !== undefined) return literal
  switch (type) {
    case 'ColumnRef':
      return wordOf(listOf(node['fields']).at(-1))
    case 'FuncCall':
      return wordOf(listOf(node['funcname']).at(-1))
    case 'CollateClause':
      return outputNameOf(node['arg'])
    case 'TypeCast': {
      const inner = unwrap(node['arg'])?.type
      if (inner === 'ColumnRef' || inner === 'FuncCall') return outputNameOf(node['arg'])
      const typeName = node['typeName']
      if (inner === 'A_Const' || inner === 'ParamRef') {
        return isNode(typeName) ? wordOf(listOf(typeName['names']).at(-1)) : undefined
      }
      return undefined
    }
    case 'A_Const':
    case 'ParamRef':
    case 'BoolExpr':
    case 'NullTest':
      return '?column?'
    default:
      return undefined
  }
}
