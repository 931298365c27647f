import { READABLE_VARIABLES } from '../variables.ts'
import type { Reader } from './reader.ts'
import { forbidden } from './refusal.ts'

/** Without its scope, in lower case: `GLOBAL.SQL_MODE` → `sql_mode`. */
export function variableName(upper: string): string {
  return upper.slice(upper.indexOf('.') + 1).toLowerCase()
}

/** A system variable in an expression. @param upper what follows `@@`, in upper case */
export function readVariable(reader: Reader, upper: string): void {
  const name = variableName(upper)
  if (!READABLE_VARIABLES.has(name)) forbidden(`@@${name} is not open to runs`)
  reader.needs.metadata('driver', `@@${name}`)
}
