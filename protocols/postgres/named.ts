import type { Analysis, NativeError } from '../analysis.ts'
import type { NameUse, Reading } from './analyser.ts'
import { joined, nameKey, type Reader } from './prepared.ts'
import type { Statements } from './statements.ts'

/**
 * What a statement needs together with the statements that it runs by name (`EXECUTE`, `FETCH`): nothing that was
 * prepared earlier runs without being judged now.
 *
 * `wait`: a name is still being defined, and what it stands for depends on the server's answer.
 */
export function withNamed(reading: Reading, statements: Statements, reader: Reader): Analysis | 'wait' {
  const { uses } = reading
  let analysis = reading.analysis
  for (let at = 0; at < uses.length; at += 1) {
    const use = uses[at] as NameUse
    if (use.kind !== 'execute' && use.kind !== 'fetch') continue
    const made = madeBefore(uses, at, use)
    if (made !== undefined) {
      analysis = joined(analysis, made)
      continue
    }
    const isStatement = use.kind === 'execute'
    const key = nameKey(use.name)
    const found = isStatement ? statements.resolveStatement(key) : statements.resolvePortal(key)
    if (found === 'wait') return 'wait'
    const named =
      found === 'unknown'
        ? unknownName(isStatement ? 'statement' : 'cursor', use.name)
        : runByName(found.reading(reader))
    analysis = joined(analysis, named)
  }
  return analysis
}

/** What an earlier statement of the same text makes under the name that this use runs. */
function madeBefore(uses: readonly NameUse[], before: number, use: NameUse): Analysis | undefined {
  const kind = use.kind === 'execute' ? 'prepare' : 'declare'
  for (let at = before - 1; at >= 0; at -= 1) {
    const earlier = uses[at] as NameUse
    if (earlier.kind === kind && earlier.name === ('name' in use ? use.name : undefined))
      return earlier.analysis
  }
  return undefined
}

/**
 * A statement that acts on names, or copies, may be prepared by a Parse and then run by EXECUTE; its command tag and its
 * copy messages would then answer another text than the one in flight. No driver does that.
 */
function runByName(reading: Reading): Analysis {
  const { uses, analysis } = reading
  return uses.length > 0 || mayBeCopy(analysis) ? NOT_BY_NAME : analysis
}

const NOT_BY_NAME: Analysis = {
  outcome: 'not_understood',
  action: 'execute',
  why: 'EXECUTE of a statement that itself copies, or prepares, runs or closes others',
}

/** How the next messages are read depends on whether a COPY begins. */
export function mayBeCopy(analysis: Analysis): boolean {
  return analysis.outcome === 'accesses' && analysis.action === 'copy'
}

/** A name that nobody has made here, in the server's own words. */
export function unknownName(kind: 'statement' | 'portal' | 'cursor', name: string): Analysis {
  const nativeError: NativeError =
    kind === 'statement'
      ? {
          code: '26000',
          message: name === '' ? UNNAMED_STATEMENT : `prepared statement "${name}" does not exist`,
        }
      : { code: '34000', message: `${kind} "${name}" does not exist` }
  return { outcome: 'not_understood', action: 'execute', why: nativeError.message, nativeError }
}

const UNNAMED_STATEMENT = 'unnamed prepared statement does not exist'
