import type { Naming } from '../naming.ts'

/** Redis has no identifiers: keys are bytes, and commands are folded where they are read. */
export const redisNaming: Naming = {
  defaultSchema: '',
  identifierQuote: '"',
  relation: (name) => name,
  column: (name) => name,
  routine: (name) => name,
}
