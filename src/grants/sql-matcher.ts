/** Answers for one grant of an SQL system: which of its allow lines cover an access. */
import type { Access, RelationAccess } from '../../protocols/access.ts'
import type { Naming } from '../../protocols/naming.ts'
import type { Matcher } from './grant.ts'
import type { ObjectKind, PrivilegeLine, WrittenName, WrittenObject } from './sql-privileges.ts'

/** One privilege on one object, from one line. */
type Entry = { readonly line: number; readonly columns: ReadonlySet<string> | undefined }

/** Joins the parts of a key; no name holds it. */
const SEPARATOR = '\u0000'

/** The name under which a wildcard `schema.*` is kept; no object has an empty name. */
const ANY = ''

export function compileSqlGrant(lines: readonly PrivilegeLine[], naming: Naming): Matcher {
  const entries = new Map<string, Entry[]>()
  for (const [line, parsed] of lines.entries()) {
    for (const { action, columns } of parsed.privileges) {
      const folded = columns && new Set(columns.map((column) => naming.column(column.text, column.quoted)))
      for (const object of parsed.objects) {
        const key = objectKey(parsed.kind, action, object, naming)
        const sameKey = entries.get(key)
        if (sameKey === undefined) entries.set(key, [{ line, columns: folded }])
        else sameKey.push({ line, columns: folded })
      }
    }
  }
  return { covering: (access) => covering(entries, access) }
}

function objectKey(kind: ObjectKind, action: string, object: WrittenObject, naming: Naming): string {
  if (kind === 'schema' || kind === 'channel') {
    const name = object.name as WrittenName
    return key(kind, action, '', naming.relation(name.text, name.quoted))
  }
  const schema =
    object.schema === undefined
      ? naming.defaultSchema
      : naming.relation(object.schema.text, object.schema.quoted)
  const name = object.name === undefined ? ANY : folded(kind, object.name, naming)
  // The two words for running a routine are one privilege: DBAs write either.
  return key(kind, kind === 'routine' ? 'execute' : action, schema, name)
}

function folded(kind: ObjectKind, { text, quoted }: WrittenName, naming: Naming): string {
  return kind === 'routine' ? naming.routine(text, quoted) : naming.relation(text, quoted)
}

function key(kind: ObjectKind, action: string, schema: string, name: string): string {
  return `${kind}${SEPARATOR}${action}${SEPARATOR}${schema}${SEPARATOR}${name}`
}

const NONE: readonly Entry[] = []

function covering(
  entries: ReadonlyMap<string, readonly Entry[]>,
  access: Access,
): readonly number[] | undefined {
  switch (access.kind) {
    case 'relation': {
      const { action, schema, name } = access
      const named = entries.get(key('table', action, schema, name)) ?? NONE
      const wild = entries.get(key('table', action, schema, ANY)) ?? NONE
      return coveringColumns(named, wild, access)
    }
    case 'routine':
      return whole(
        entries,
        key('routine', 'execute', access.schema, access.name),
        access.schema,
        'routine',
        'execute',
      )
    case 'sequence':
      return whole(
        entries,
        key('sequence', access.action, access.schema, access.name),
        access.schema,
        'sequence',
        access.action,
      )
    case 'type':
      return whole(
        entries,
        key('type', access.action, access.schema, access.name),
        access.schema,
        'type',
        access.action,
      )
    case 'schema':
      return lineOf(entries.get(key('schema', access.action, '', access.name)))
    case 'channel':
      return lineOf(entries.get(key('channel', access.action, '', access.name)))
    case 'metadata':
    case 'command':
      // Metadata is judged by the grant's `metadata`, commands by Redis selectors; no privilege covers them.
      return undefined
  }
}

function whole(
  entries: ReadonlyMap<string, readonly Entry[]>,
  exact: string,
  schema: string,
  kind: ObjectKind,
  action: string,
): readonly number[] | undefined {
  return lineOf(entries.get(exact)) ?? lineOf(entries.get(key(kind, action, schema, ANY)))
}

function lineOf(entries: readonly Entry[] | undefined): readonly number[] | undefined {
  const first = entries?.[0]
  return first === undefined ? undefined : [first.line]
}

/**
 * As `GRANT` counts: a privilege on the table covers every column; column privileges of several lines add up. A
 * statement that reads no column (`count(*)`) needs the privilege on at least one.
 */
function coveringColumns(
  named: readonly Entry[],
  wild: readonly Entry[],
  access: RelationAccess,
): readonly number[] | undefined {
  const lines = new Set<number>()
  const missing = access.columns === undefined ? undefined : new Set(access.columns)
  for (const entry of [...named, ...wild]) {
    if (entry.columns === undefined) return [entry.line]
    if (missing === undefined) continue
    if (access.columns?.length === 0) return [entry.line]
    for (const column of entry.columns) if (missing.delete(column)) lines.add(entry.line)
    if (missing.size === 0) return [...lines]
  }
  return undefined
}
