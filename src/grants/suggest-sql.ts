/** The narrowest privileges, in the words of `GRANT`, that cover what was done on an SQL system. */
import type { Access, RelationAccess } from '../../protocols/access.ts'
import type { Done, Granted, Suggestion } from './done.ts'
import { type SqlWords, writtenName, writtenObject } from './sql-writing.ts'

/** Well below what a line may have, so that it stays one that people read. */
const LINE_CHARACTERS_MAX = 1_000

/** Actions that may be limited to columns. */
const WITH_COLUMNS: ReadonlySet<string> = new Set(['select', 'insert', 'update', 'references'])

/** What was needed of one object for one action. */
type Need = { whole: boolean; readonly columns: Set<string> }

/** An object, its kind as it stands behind `on`, and its needs by action. */
type Needed = { readonly kind: string; readonly name: string; readonly needs: Map<string, Need> }

type SqlAccess = Exclude<Access, { kind: 'metadata' | 'command' }>

/** Metadata is not a matter of privileges, and is left out. */
export function suggestSql(done: readonly Done[], words: SqlWords): Suggestion {
  const objects = new Map<string, Needed>()
  for (const { access, granted } of done) {
    if (access.kind !== 'metadata' && access.kind !== 'command') add(objects, access, granted, words)
  }
  const notes: string[] = []
  for (const { name, needs } of objects.values()) {
    for (const [action, need] of needs) {
      if (need.whole || need.columns.size > 0) continue
      need.whole = true
      notes.push(`\`${action}\` on ${name} read no column: naming any one of its columns is enough`)
    }
  }
  return { allow: linesOf([...objects.values()], words), notes }
}

function add(
  objects: Map<string, Needed>,
  access: SqlAccess,
  granted: Granted | undefined,
  words: SqlWords,
): void {
  const kind = kindWord(access)
  const name =
    access.kind === 'schema' || access.kind === 'channel'
      ? writtenName(access.name, words.quote)
      : writtenObject(access, words)
  const needed = objects.get(kind + name) ?? { kind, name, needs: new Map<string, Need>() }
  objects.set(kind + name, needed)
  const need = needed.needs.get(access.action) ?? { whole: false, columns: new Set<string>() }
  needed.needs.set(access.action, need)
  if (access.kind !== 'relation' || access.columns === undefined || !WITH_COLUMNS.has(access.action)) {
    need.whole = true
  } else if (access.columns.length > 0) {
    for (const column of access.columns) need.columns.add(column)
  } else if (need.columns.size === 0) {
    const column = granted && grantedColumn(access, granted)
    if (column !== undefined) need.columns.add(column)
  }
}

function kindWord(access: SqlAccess): string {
  if (access.kind === 'relation') return ''
  if (access.kind === 'routine') return access.action === 'call' ? 'procedure ' : 'function '
  return `${access.kind} `
}

/** A column that the grant has of the table, so that the suggestion is no wider; none where it has the whole table. */
function grantedColumn(access: RelationAccess, { lines, naming, matcher }: Granted): string | undefined {
  if (lines.kind !== 'sql' || matcher.covering({ ...access, columns: undefined }) !== undefined)
    return undefined
  return lines.lines
    .flatMap(({ privileges }) => privileges.flatMap(({ columns }) => columns ?? []))
    .map(({ text, quoted }) => naming.column(text, quoted))
    .find((column) => matcher.covering({ ...access, columns: [column] }) !== undefined)
}

/** Objects of which the same was needed share a line. */
function linesOf(objects: readonly Needed[], { quote }: SqlWords): string[] {
  const names = new Map<string, string[]>()
  for (const { kind, name, needs } of objects) {
    for (const privileges of privilegeLists(needs, quote)) {
      const head = `${privileges} on ${kind}`
      names.set(head, [...(names.get(head) ?? []), name])
    }
  }
  return [...names].flatMap(([head, list]) => chunks(list).map((part) => head + part))
}

/** One list, or several where the columns would make a line too long: columns add up over lines. */
function privilegeLists(needs: ReadonlyMap<string, Need>, quote: SqlWords['quote']): readonly string[] {
  const privileges = [...needs].flatMap(([action, { whole, columns }]) => {
    if (whole) return [action]
    const names = [...columns].sort().map((column) => writtenName(column, quote))
    return chunks(names).map((list) => `${action} (${list})`)
  })
  return chunks(privileges)
}

/** Joins as many as fit a line. */
function chunks(parts: readonly string[]): string[] {
  const lines: string[] = []
  for (const part of parts) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + part.length < LINE_CHARACTERS_MAX) {
      lines[lines.length - 1] = `${last}, ${part}`
    } else {
      lines.push(part)
    }
  }
  return lines
}
