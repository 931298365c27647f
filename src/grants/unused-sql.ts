/** Privileges of an allow line that nothing needed: every one as a line of its own is asked what it covers. */
import type { Access } from '../../protocols/access.ts'
import type { Naming } from '../../protocols/naming.ts'
import { compileSqlGrant } from './sql-matcher.ts'
import {
  type PrivilegeLine,
  parsePrivilegeLine,
  type WrittenName,
  type WrittenObject,
} from './sql-privileges.ts'
import { writtenName } from './sql-writing.ts'
import type { UnusedPart } from './unused.ts'

type Quote = Naming['identifierQuote']

/** @throws AllowLineError */
export function unusedOfPrivileges(
  text: string,
  accesses: readonly Access[],
  { protocol, naming }: { readonly protocol: 'postgres' | 'mysql'; readonly naming: Naming },
): UnusedPart {
  const quote = naming.identifierQuote
  const needed = accesses.flatMap(columnByColumn)
  const unused: string[] = []
  const wider: string[] = []
  const rights = rightsOf(parsePrivilegeLine(text, quote, protocol))
  for (const right of rights) {
    const matcher = compileSqlGrant([right], naming)
    const used = needed.filter((access) => matcher.covering(access) !== undefined)
    const words = rightText(right, quote)
    const less = used.length > 0 ? lessThan(right, used, quote) : undefined
    if (used.length === 0) unused.push(words)
    else if (less !== undefined) wider.push(`${words}: ${less}`)
  }
  return { unused, wider, rights: rights.length }
}

/** Each column by itself, because several privileges add up to what one statement needs. */
function columnByColumn(access: Access): readonly Access[] {
  if (access.kind !== 'relation' || access.columns === undefined || access.columns.length === 0)
    return [access]
  return access.columns.map((column) => ({ ...access, columns: [column] }))
}

/** One action on one object, of one column where there are columns. */
function rightsOf(line: PrivilegeLine): readonly PrivilegeLine[] {
  return line.privileges.flatMap(({ action, columns }) =>
    line.objects.flatMap((object) =>
      (columns ?? [undefined]).map((column) => ({
        ...line,
        privileges: [{ action, columns: column && [column] }],
        objects: [object],
      })),
    ),
  )
}

/** What of a right on a whole schema or on every column was used; `undefined`: the right is no wider than its use. */
function lessThan(
  { privileges, objects }: PrivilegeLine,
  used: readonly Access[],
  quote: Quote,
): string | undefined {
  const listed = (names: readonly string[]): string =>
    [...new Set(names)]
      .sort()
      .map((name) => writtenName(name, quote))
      .join(', ')
  if (objects[0]?.name === undefined)
    return listed(used.flatMap((access) => ('name' in access ? [access.name] : [])))
  if (privileges[0]?.columns !== undefined) return undefined
  const columns = used.map((access) => (access.kind === 'relation' ? access.columns : undefined))
  if (columns.some((list) => list === undefined)) return undefined
  return listed(columns.flatMap((list) => list ?? [])) || 'rows, and no column'
}

/** A line of one right as it would be written. */
function rightText({ privileges, kind, objects }: PrivilegeLine, quote: Quote): string {
  const [privilege] = privileges
  const [object] = objects
  const column = privilege?.columns?.[0]
  const limit = column === undefined ? '' : ` (${asWritten(column, quote)})`
  const kindWord = kind === 'table' ? '' : `${kind} `
  return `${privilege?.action}${limit} on ${kindWord}${object === undefined ? '' : objectText(object, quote)}`
}

function objectText({ schema, name }: WrittenObject, quote: Quote): string {
  const own = name === undefined ? '*' : asWritten(name, quote)
  return schema === undefined ? own : `${asWritten(schema, quote)}.${own}`
}

function asWritten({ text, quoted }: WrittenName, quote: Quote): string {
  return quoted ? quote + text.replaceAll(quote, quote + quote) + quote : text
}
