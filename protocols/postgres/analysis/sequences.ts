/** Sequences, which statements name in strings: `nextval('orders_id_seq')`. */
import { keyOf } from '../catalog.ts'
import { truncateIdentifier } from '../naming.ts'
import type { Walk } from './walk.ts'

/** Options that reach nothing but the sequence itself: https://www.postgresql.org/docs/current/sql-createsequence.html */
export const SEQUENCE_OPTIONS: ReadonlySet<unknown> = new Set([
  'increment',
  'minvalue',
  'maxvalue',
  'start',
  'restart',
  'cache',
  'cycle',
])

/** @param literal what the text holds as a string constant; `undefined`: something else */
export function useSequence(walk: Walk, literal: string | undefined, action: 'usage' | 'update'): void {
  const { catalog, findings } = walk
  const parts = literal === undefined ? undefined : parseQualifiedName(literal)
  if (parts === undefined || parts.length === 0 || parts.length > 2) {
    findings.forbid('names a sequence in another way than by a literal, which cannot be checked')
    return
  }
  const name = parts[parts.length - 1] ?? ''
  const schema = parts.length === 2 ? (parts[0] ?? '') : catalog.schema
  const relation = catalog.relations.get(keyOf(schema, name))
  if (catalog.complete && relation?.kind !== 'S') {
    const shown = parts.join('.')
    findings.unknown(`there is no sequence \`${shown}\``, () => ({
      code: '42P01',
      message: `relation "${shown}" does not exist`,
    }))
    return
  }
  findings.add({ kind: 'sequence', action, schema, name })
}

/**
 * Reads a name as `stringToQualifiedNameList` in src/backend/utils/adt/regproc.c does: parts between dots, folded
 * unless quoted. `undefined`: not such a name, or an oid in digits.
 */
function parseQualifiedName(text: string): readonly string[] | undefined {
  const part =
    /[ \t\n\r\f\v]*(?:"((?:[^"]|"")*)"|([A-Za-z_\u0080-\u{10ffff}][\w$\u0080-\u{10ffff}]*))[ \t\n\r\f\v]*/uy
  const parts: string[] = []
  for (;;) {
    const match = part.exec(text)
    if (match === null) return undefined
    const [, quoted, plain = ''] = match
    const name =
      quoted === undefined
        ? plain.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
        : quoted.replaceAll('""', '"')
    if (name === '') return undefined
    parts.push(truncateIdentifier(name))
    if (part.lastIndex === text.length) return parts
    if (text[part.lastIndex] !== '.') return undefined
    part.lastIndex += 1
  }
}
