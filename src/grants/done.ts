/** What runs did, as the input of whoever proposes or questions a grant. */
import type { Access } from '../../protocols/access.ts'
import type { Naming } from '../../protocols/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import { compileLines, type Matcher, type ParsedLines, parseLines } from './grant.ts'

/** The allow lines that a statement was judged by, ready to be asked again. */
export type Granted = {
  readonly lines: ParsedLines
  readonly naming: Naming
  readonly matcher: Matcher
}

/** One thing that a statement needed, and the grant that it was judged by, which need not cover it. */
export type Done = { readonly access: Access; readonly granted: Granted | undefined }

/** @throws AllowLineError */
export function grantedBy(allow: readonly string[], protocol: ProtocolName, naming: Naming): Granted {
  const lines = parseLines(allow, protocol)
  return { lines, naming, matcher: compileLines(lines, naming) }
}

/** Allow lines that cover what was done, and what of it they could not put as narrowly as it was. */
export type Suggestion = { readonly allow: readonly string[]; readonly notes: readonly string[] }
