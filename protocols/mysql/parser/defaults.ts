import type { StatementAction } from '../../analysis.ts'
import type { Token } from '../lexer/token.ts'
import type { Reader } from './reader.ts'
import { notUnderstood } from './refusal.ts'

/**
 * Counts the sequences that the statement uses without naming them: MariaDB asks those in a table's defaults for
 * values when it inserts, when it makes or fills a table anew, and wherever `DEFAULT` is written.
 */
export function needDefaults(reader: Reader, action: StatementAction, tokens: readonly Token[]): void {
  const { needs, rules } = reader
  const { names } = rules
  const saysDefault = tokens.some(({ kind, upper }) => kind === 'word' && upper === 'DEFAULT')
  for (const table of needs.relationNames) {
    const { sequences = [] } = rules.relation(table) ?? {}
    if (!saysDefault && action !== 'ddl' && action !== 'truncate' && !needs.inserts(table)) continue
    for (const { database, name } of sequences) {
      if (names.database(database) !== names.defaultSchema)
        notUnderstood(`a default of \`${table}\` asks a sequence of another database`)
      needs.sequence('usage', names.relation(name, true))
    }
  }
}
