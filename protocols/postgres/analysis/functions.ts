/**
 * Functions, operators and what they run. Built-in ones are allowed by list, others need `execute`.
 *
 * A function of the pinned schema can be chosen over a built-in one of the same name, although `pg_catalog` comes
 * first, where its arguments match better; so an unqualified name counts for both.
 * https://www.postgresql.org/docs/current/typeconv-func.html
 */
import { keyOf, type Routine } from '../catalog.ts'
import { BUILTIN_FUNCTIONS, type FunctionClass } from './builtin-functions.ts'
import { INFORMATION_SCHEMA_FUNCTIONS } from './catalog-relations.ts'
import type { Node } from './grammar.ts'
import { isThisDatabase } from './relations.ts'
import { useSequence } from './sequences.ts'
import { isReadableSetting, setByFunction } from './settings.ts'
import { isBuiltinTypeName, isTypeName, useNamedType, userTypeOf } from './types.ts'
import { constantOf, errorAt, isNode, listOf, nodeOf, stringOf, type Walk, wordsOf } from './walk.ts'

/** Libraries whose functions reach out of the database, or run SQL that is given as text; no grant covers them. */
const LIBRARIES: readonly {
  readonly name: RegExp
  readonly reach: 'outbound_reach' | 'file_reach' | 'sql_text'
}[] = [
  { name: /dblink|_fdw$|pg_net|http|aws_|pglogical/, reach: 'outbound_reach' },
  { name: /adminpack|file_fdw|pageinspect|pg_walinspect/, reach: 'file_reach' },
  { name: /tablefunc|pgxml|pgstattuple|pg_cron/, reach: 'sql_text' },
]

/** True where a call names a sequence by a literal: `nextval('s')`, `nextval('s'::regclass)`. */
export function namesSequence(walk: Walk, call: Node): boolean {
  const parts = wordsOf(call['funcname'])
  const name = parts?.at(-1)
  if (parts === undefined || name === undefined) return false
  if (parts.length > 2 || (parts.length === 2 && parts[0] !== 'pg_catalog')) return false
  return BUILTIN_FUNCTIONS.get(name) === 'sequence' && literalOf(walk, listOf(call['args'])[0]) !== undefined
}

/** Notes what a call needs. The arguments are walked by the caller. */
export function useFunction(walk: Walk, call: Node, action: 'execute' | 'call' = 'execute'): void {
  const parts = wordsOf(call['funcname'])
  if (parts === undefined || parts.length === 0 || parts.length > 3) {
    walk.findings.misunderstand('a function without a name')
    return
  }
  if (parts.length === 3 && !isThisDatabase(walk, parts[0])) return
  const name = parts[parts.length - 1] ?? ''
  const schema = parts.length > 1 ? parts[parts.length - 2] : undefined
  const args = listOf(call['args'])
  // The sorted arguments of an ordered-set aggregate are not among its arguments here.
  const anyCount = call['agg_within_group'] === true
  const found = useNamedFunction(walk, { schema, name, args, action, anyCount })
  // The functions that are called as built-in types convert as a cast to them would.
  const isCast = args.length === 1 && !(found && isBuiltinTypeName(schema, name))
  if ((isCast && useCastByName(walk, { schema, name, isElse: found })) || found) return
  const shown = schema === undefined ? name : `${schema}.${name}`
  if ((schema === undefined || schema === 'pg_catalog') && REFUSED_CLASSES.has(BUILTIN_FUNCTIONS.get(name))) {
    // This server does not have it, but it is what it is: an attempt is told as such.
    useClass(walk, BUILTIN_FUNCTIONS.get(name) ?? 'internal', { schema, name, args, action })
    return
  }
  if (/^dblink(_|$)/.test(name)) {
    walk.findings.hop('outbound_reach', `calls \`${shown}\``, shown)
    return
  }
  if (!walk.catalog.complete) {
    walk.findings.add({ kind: 'routine', action, schema: schema ?? walk.catalog.schema, name })
    return
  }
  const kind = action === 'call' ? 'procedure' : 'function'
  walk.findings.unknown(`there is no ${kind} \`${shown}\``, () =>
    errorAt(walk, call, '42883', `${kind} ${shown}${args.length === 0 ? '()' : ''} does not exist`),
  )
}

/**
 * Notes what a call of one argument by the name of a type needs: it is a cast, even where there are functions of that name,
 * unless one of them takes an argument of just this type (`func_get_detail` in parse_func.c).
 *
 * @param call.isElse the name is also that of a function, or may be that of a field
 * @returns false where it is none
 */
export function useCastByName(
  walk: Walk,
  call: { readonly schema: string | undefined; readonly name: string; readonly isElse: boolean },
): boolean {
  const { schema, name, isElse } = call
  const type = userTypeOf(walk, schema, name)
  // A table may well be called `round` or `key`, and that a text becomes a row of it runs nothing.
  if (isElse && type?.rowOf !== undefined && type.free) return false
  return (type !== undefined || isTypeName(walk, schema, name)) && useNamedType(walk, schema, name)
}

/** Classes whose functions are refused, whatever their arguments. */
const REFUSED_CLASSES: ReadonlySet<FunctionClass | undefined> = new Set([
  'sql_text',
  'sleep',
  'lock',
  'large_object',
  'file',
  'outbound',
  'cross_run',
  'input_output',
  'internal',
  'administration',
])

/** A call as far as it matters which function it is. */
export type Call = {
  readonly schema: string | undefined
  readonly name: string
  /** Wrapped expressions. */
  readonly args: readonly unknown[]
  readonly action: 'execute' | 'call'
  /** True where the number of arguments is not that of `args`. */
  readonly anyCount?: boolean
}

/** @returns false where there is no such function */
export function useNamedFunction(walk: Walk, call: Call): boolean {
  const { catalog, findings } = walk
  const { schema, name, action } = call
  let found = false
  if (schema === undefined || schema === 'pg_catalog') found = useBuiltin(walk, call)
  if (schema === 'pg_catalog') return found
  if (schema === 'information_schema') {
    if (!INFORMATION_SCHEMA_FUNCTIONS.has(name)) return false
    findings.metadata('introspect', `information_schema.${name}`)
    return true
  }
  const routine = catalog.routines.get(keyOf(schema ?? catalog.schema, name))
  if (routine === undefined) return found
  if (call.anyCount !== true && !takes(routine, call.args.length)) return found
  useRoutine(walk, routine, action)
  return true
}

function takes(routine: Routine, count: number): boolean {
  return count >= routine.argumentsMin && count <= routine.argumentsMax
}

function useRoutine(walk: Walk, routine: Routine, action: 'execute' | 'call'): void {
  const { schema, name, library } = routine
  const shown = `${schema}.${name}`
  const reach = library === undefined ? undefined : LIBRARIES.find((known) => known.name.test(library))
  if (reach?.reach === 'sql_text') walk.findings.forbid(`\`${shown}\` reads what is named in text`)
  else if (reach !== undefined) walk.findings.hop(reach.reach, `calls \`${shown}\``, shown)
  else if (schema.startsWith('pg_')) walk.findings.forbid(`calls \`${shown}\`, which is the server's own`)
  else if (!routine.vetted) walk.findings.add({ kind: 'routine', action, schema, name })
}

function useBuiltin(walk: Walk, call: Call): boolean {
  const { catalog, findings } = walk
  const { name } = call
  const functionClass = BUILTIN_FUNCTIONS.get(name)
  const routine = catalog.routines.get(keyOf('pg_catalog', name))
  if (routine === undefined) {
    if (functionClass === undefined) return false
    // Listed, but this server does not have it: a name of another version, free for user functions.
    if (catalog.complete) return false
  } else if (!routine.builtin || functionClass === undefined) {
    findings.misunderstand(`\`pg_catalog.${name}\` is not in the list of known functions`)
    return true
  }
  if (functionClass !== undefined) useClass(walk, functionClass, call)
  return true
}

function useClass(walk: Walk, functionClass: FunctionClass, call: Call): void {
  const { findings } = walk
  const shown = `pg_catalog.${call.name}`
  switch (functionClass) {
    case 'pure':
    case 'time':
    case 'session':
      return
    case 'driver':
      findings.metadata('driver', shown)
      return
    case 'catalog':
      findings.metadata('introspect', shown)
      return
    case 'setting':
      useSetting(walk, call)
      return
    case 'sequence':
      useSequence(walk, literalOf(walk, call.args[0]), call.name === 'setval' ? 'update' : 'usage')
      return
    case 'all_sequences':
      walk.work.spend(walk.catalog.relations.size)
      for (const { kind, schema, name } of walk.catalog.relations.values())
        if (kind === 'S') findings.add({ kind: 'sequence', action: 'select', schema, name })
      if (!walk.catalog.complete) findings.forbid(`\`${call.name}\` shows all sequences`)
      return
    case 'notify': {
      const channel = literalOf(walk, call.args[0])
      if (channel === undefined) findings.forbid('notifies a channel that is not a literal')
      else findings.add({ kind: 'channel', action: 'notify', name: channel })
      return
    }
    case 'sql_text':
      findings.forbid(`\`${call.name}\` runs SQL that is not in the statement`)
      return
    case 'sleep':
      findings.forbid(`\`${call.name}\` holds a connection without working`)
      return
    case 'lock':
      findings.forbid(`\`${call.name}\` takes a lock that other sessions see`)
      return
    case 'large_object':
      findings.forbid(`\`${call.name}\` reaches large objects, which no grant covers`)
      return
    case 'file':
      findings.hop('file_reach', `calls \`${call.name}\``, literalOf(walk, call.args[0]) ?? call.name)
      return
    case 'outbound':
      findings.hop('outbound_reach', `calls \`${call.name}\``, call.name)
      return
    case 'cross_run':
      findings.hop('cross_run', `calls \`${call.name}\``, call.name)
      return
    case 'input_output':
    case 'internal':
    case 'administration':
      findings.forbid(`\`${call.name}\` is not for runs: administration, statistics or the server's own use`)
      return
  }
}

function useSetting(walk: Walk, call: Call): void {
  const name = literalOf(walk, call.args[0])
  if (call.name === 'current_setting') {
    if (name !== undefined && isReadableSetting(name)) return
    walk.findings.forbid('reads a setting that is not in the list of readable settings')
    return
  }
  setByFunction(walk, name, literalOf(walk, call.args[1]))
}

/** The text of a string constant, also under a cast that leaves it a string or makes it a relation's name. */
export function literalOf(walk: Walk, value: unknown): string | undefined {
  const constant = constantOf(walk, value)
  if (constant !== undefined) {
    const text = constant['sval']
    if (!isNode(text)) return undefined
    // The field is left out where the string is empty.
    return stringOf(text['sval']) ?? ''
  }
  const cast = nodeOf(value, 'TypeCast')
  if (cast === undefined || !isNode(cast['typeName'])) return undefined
  const [type, ...more] = withoutCatalog(wordsOf(cast['typeName']['names']) ?? [])
  // Another schema's type of that name may be anything.
  if (more.length > 0 || cast['typeName']['arrayBounds'] !== undefined) return undefined
  return type === 'regclass' || type === 'text' ? literalOf(walk, cast['arg']) : undefined
}

function withoutCatalog(words: readonly string[]): readonly string[] {
  return words[0] === 'pg_catalog' ? words.slice(1) : words
}

/**
 * Notes what an operator needs. User-defined operators run their functions; one of the pinned schema can be
 * chosen over a built-in one of the same name.
 */
export function useOperator(walk: Walk, name: unknown): void {
  const parts = wordsOf(name)
  if (parts === undefined || parts.length === 0 || parts.length > 3) {
    walk.findings.misunderstand('an operator without a name')
    return
  }
  if (parts.length === 3 && !isThisDatabase(walk, parts[0])) return
  const operator = parts[parts.length - 1] ?? ''
  const schema = parts.length > 1 ? parts[parts.length - 2] : undefined
  if (schema === undefined || schema === 'pg_catalog') {
    for (const spelled of BETWEEN[operator] ?? [operator]) {
      // A superuser can put operators into pg_catalog as well.
      useUserOperator(walk, 'pg_catalog', spelled)
      if (schema === undefined) useUserOperator(walk, walk.catalog.schema, spelled)
    }
    return
  }
  if (!useUserOperator(walk, schema, operator)) {
    walk.findings.unknown(`there is no operator \`${schema}.${operator}\``)
  }
}

/** The operators that the server puts for these words: transformAExprBetween in parse_expr.c. */
const BETWEEN: Readonly<Record<string, readonly string[]>> = {
  BETWEEN: ['>=', '<='],
  'NOT BETWEEN': ['<', '>'],
  'BETWEEN SYMMETRIC': ['>=', '<='],
  'NOT BETWEEN SYMMETRIC': ['<', '>'],
}

/** @returns false where no user-defined operator has this name */
export function useUserOperator(walk: Walk, schema: string, operator: string): boolean {
  const calls = walk.catalog.operators.get(keyOf(schema, operator))
  for (const call of calls ?? []) {
    walk.findings.add({ kind: 'routine', action: 'execute', schema: call.schema, name: call.name })
  }
  return calls !== undefined
}
