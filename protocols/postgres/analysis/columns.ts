/**
 * Column references, resolved as `transformColumnRef` in src/backend/parser/parse_expr.c does: level by level
 * outward, a column before a whole row, and `x.f` as the call `f(x)` where x has no column f.
 */
import { useCastByName, useNamedFunction } from './functions.ts'
import type { Node } from './grammar.ts'
import { charge, chargeAll, isThisDatabase } from './relations.ts'
import { type Column, type Item, passedOn, type Scope, SYSTEM_COLUMNS } from './scope.ts'
import { errorAt, listOf, nodeOf, type Walk, wordOf } from './walk.ts'

/** A reference in words; `star` where it ends in `*`. */
type Reference = { readonly words: readonly string[]; readonly star: boolean }

export function referenceOf(node: Node): Reference | undefined {
  const words: string[] = []
  let star = false
  for (const field of listOf(node['fields'])) {
    if (star) return undefined
    const word = wordOf(field)
    if (word !== undefined) words.push(word)
    else if (nodeOf(field, 'A_Star') !== undefined) star = true
    else return undefined
  }
  return { words, star }
}

/** Notes what a column reference in an expression needs. */
export function useColumn(walk: Walk, node: Node, scope: Scope): void {
  const reference = referenceOf(node)
  if (reference === undefined || reference.words.length > 4) {
    walk.findings.misunderstand('a column reference of an unknown shape')
    return
  }
  const { words, star } = reference
  if (star) {
    useWholeRow(walk, node, words, scope)
    return
  }
  const name = words[words.length - 1] ?? ''
  if (words.length === 1) useBareColumn(walk, node, name, scope)
  else useQualifiedColumn(walk, node, { qualifier: words.slice(0, -1), name }, scope)
}

function useBareColumn(walk: Walk, node: Node, name: string, scope: Scope): void {
  let open = false
  let found = false
  for (let level: Scope | undefined = scope; level !== undefined; level = level.parent) {
    const here = useColumnAtLevel(walk, level, name)
    if (here === 'surely') return
    // Where the table loses the column before the server reads this, the name is that of a column further out.
    found ||= here === 'now'
    // An item whose columns are not all known may have it; or it is one of a level further out.
    if (level.items.some((item) => item.bare && item.open)) open = true
  }
  // Without a column of that name, a FROM item's name stands for its whole row.
  const item = findItem(walk, scope, name, undefined)
  if (item !== undefined) {
    chargeWholeRow(walk, item)
    return
  }
  if (open || found) return
  walk.findings.unknown(`there is no column \`${name}\``, () =>
    errorAt(walk, node, '42703', `column "${name}" does not exist`),
  )
}

/** @returns whether this level has the column: by the text alone, as the tables are now, or not as far as is known */
function useColumnAtLevel(walk: Walk, level: Scope, name: string): 'surely' | 'now' | 'unknown' {
  let found = false
  let sure = false
  for (const item of level.items) {
    walk.work.spend(1)
    if (!item.bare) continue
    walk.work.spend(item.columns.length)
    for (const column of item.columns) {
      if (column.name !== name) continue
      chargeAll(walk, column.charges)
      found = true
      sure ||= column.ofTable !== true
    }
    if (!found && item.origin !== undefined && SYSTEM_COLUMNS.has(name)) {
      charge(walk, item.origin, name)
      found = true
      sure = true
    }
  }
  if (found) return sure ? 'surely' : 'now'
  const open = level.items.filter((item) => item.bare && item.open && item.origin !== undefined)
  for (const item of open) {
    // With one unknown table it can only be its column; with several it may be a column of any.
    if (item.origin !== undefined) charge(walk, item.origin, open.length === 1 ? name : undefined)
  }
  return 'unknown'
}

function useQualifiedColumn(
  walk: Walk,
  node: Node,
  reference: { readonly qualifier: readonly string[]; readonly name: string },
  scope: Scope,
): void {
  const { qualifier, name } = reference
  const item = itemOf(walk, node, qualifier, scope)
  if (item === undefined) return
  walk.work.spend(item.columns.length)
  const columns = item.columns.filter((column) => column.name === name)
  for (const column of columns) chargeAll(walk, column.charges)
  if (columns.length > 0) return
  if (item.origin !== undefined && SYSTEM_COLUMNS.has(name)) {
    charge(walk, item.origin, name)
    return
  }
  if (item.open) {
    if (item.origin !== undefined) charge(walk, item.origin, name)
    // It may also be the call `name(item)`.
    useFieldOrFunction(walk, name)
    if (item.origin !== undefined && item.origin.kind === 'table' && mayBeFunction(walk, name)) {
      charge(walk, item.origin, undefined)
    }
    return
  }
  chargeWholeRow(walk, item)
  if (useNamedFunction(walk, { schema: undefined, name, args: [node], action: 'execute' })) return
  const shown = `${qualifier[qualifier.length - 1]}.${name}`
  walk.findings.unknown(`there is no column \`${shown}\``, () =>
    errorAt(walk, node, '42703', `column ${shown} does not exist`),
  )
}

function mayBeFunction(walk: Walk, name: string): boolean {
  return walk.catalog.routines.has(`${walk.catalog.schema}\0${name}`)
}

/** `(x).f` is a field of x, the call `f(x)` or the cast of x to f; where it could be any, it needs what all need. */
export function useFieldOrFunction(walk: Walk, name: string): void {
  useNamedFunction(walk, { schema: undefined, name, args: [undefined], action: 'execute' })
  useCastByName(walk, { schema: undefined, name, isElse: true })
}

function useWholeRow(walk: Walk, node: Node, words: readonly string[], scope: Scope): void {
  if (words.length === 0) {
    walk.findings.misunderstand('`*` where one value is expected')
    return
  }
  const item = itemOf(walk, node, words, scope)
  if (item !== undefined) chargeWholeRow(walk, item)
}

/** The item whose whole row an expression is, as far as its shape tells: `t` or `t.*`. */
export function wholeRowOf(walk: Walk, value: unknown, scope: Scope): Item | undefined {
  const node = nodeOf(value, 'ColumnRef')
  const reference = node === undefined ? undefined : referenceOf(node)
  const name = reference?.words[0]
  if (name === undefined || reference?.words.length !== 1) return undefined
  return findItem(walk, scope, name, undefined)
}

function chargeWholeRow(walk: Walk, item: Item): void {
  if (item.origin !== undefined) charge(walk, item.origin, undefined)
  else {
    walk.work.spend(item.columns.length)
    for (const column of item.columns) chargeAll(walk, column.charges)
  }
}

/** The item that `t`, `schema.t` or `database.schema.t` means; where there is none, that is noted. */
function itemOf(walk: Walk, node: Node, qualifier: readonly string[], scope: Scope): Item | undefined {
  const name = qualifier[qualifier.length - 1] ?? ''
  const schema = qualifier.length > 1 ? qualifier[qualifier.length - 2] : undefined
  if (qualifier.length > 2 && !isThisDatabase(walk, qualifier[0])) return undefined
  const item = findItem(walk, scope, name, schema)
  if (item === undefined) {
    walk.findings.unknown(`\`${name}\` is not among the tables of the statement`, () =>
      errorAt(walk, node, '42P01', `missing FROM-clause entry for table "${name}"`),
    )
  }
  return item
}

function findItem(walk: Walk, scope: Scope, name: string, schema: string | undefined): Item | undefined {
  for (let level: Scope | undefined = scope; level !== undefined; level = level.parent) {
    walk.work.spend(level.items.length)
    for (const item of level.items) {
      if (!item.named || item.name !== name) continue
      if (schema === undefined || item.schema === schema) return item
    }
  }
  return undefined
}

/** The columns that `*` or `t.*` stands for in a target list, all noted as read. */
export function expandStar(
  walk: Walk,
  node: Node,
  words: readonly string[],
  scope: Scope,
): { readonly columns: readonly Column[]; readonly open: boolean } {
  const named = words.length === 0 ? undefined : itemOf(walk, node, words, scope)
  const items =
    words.length === 0 ? scope.items.filter((item) => item.bare) : named === undefined ? [] : [named]
  const columns: Column[] = []
  let open = items.length === 0
  for (const item of items) {
    walk.work.spend(item.columns.length)
    for (const column of item.columns) {
      chargeAll(walk, column.charges)
      columns.push(passedOn(column))
    }
    if (!item.open) continue
    open = true
    if (item.origin !== undefined) charge(walk, item.origin, undefined)
  }
  return { columns, open }
}
