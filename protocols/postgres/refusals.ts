import type { Analysis } from '../analysis.ts'
import { STATEMENT_BYTES_MAX } from './frames.ts'

/** Messages that are refused for what they are, whatever the grant: the analysis that says so. */

/** Fast-path calls name a function by number, past every analysis of texts and without a trace in the server's audit. */
export const FUNCTION_CALL: Analysis = {
  outcome: 'forbidden',
  action: 'call',
  why: 'functions are called by SQL statements only',
}

/** A text without its NUL, or with one inside, or with other bytes than its counts announce. */
export const MALFORMED = notRead('08P01', 'invalid message format') // protocol_violation

export const TOO_LONG = notRead('54000', `the statement is longer than ${STATEMENT_BYTES_MAX} bytes`) // program_limit_exceeded

export const TOO_MANY_PREPARED = notRead('54000', 'too many prepared statements in this session')

function notRead(code: string, why: string): Analysis {
  return { outcome: 'not_understood', action: 'unknown', why, nativeError: { code, message: why } }
}
