/**
 * ERR packets: how a denial, the end of a session and a refused login are said in the words of MySQL.
 *
 * MySQL has no field for a hint, so what is missing and what would be allowed share one text, the server's own
 * sentence first: ORMs and agents recognise it.
 *
 * https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
 */
import type { Access, RelationAccess } from '../access.ts'
import type { Analysis, NativeError } from '../analysis.ts'
import type { LoginRefusal } from '../login.ts'
import type { Denial, EndCause } from '../session.ts'
import { packet } from './frames.ts'

/** MYSQL_ERRMSG_SIZE: the C client keeps no more of a message than this, with its final NUL. */
const MESSAGE_BYTES_MAX = 511

/** One error of the server: number, SQLSTATE and text. */
export type MysqlError = { readonly number: number; readonly sqlState: string; readonly message: string }

/** An ERR packet for a client that speaks protocol 4.1. */
export function errorPacket(sequence: number, error: MysqlError): Buffer {
  const head = Buffer.from(`\xff\0\0#${error.sqlState}`, 'latin1')
  head.writeUInt16LE(error.number, 1)
  return packet(sequence, head, oneLine(error.message))
}

/** Control characters would let a name from a statement forge lines in a client's log. */
function oneLine(message: string): Buffer {
  const bytes = Buffer.from(message.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' '))
  if (bytes.length <= MESSAGE_BYTES_MAX) return bytes
  let end = MESSAGE_BYTES_MAX - 3
  // Not inside a character: continuation bytes of UTF-8 are 10xxxxxx.
  while ((bytes.readUInt8(end) & 0xc0) === 0x80) end -= 1
  return Buffer.concat([bytes.subarray(0, end), Buffer.from('...')])
}

export const UNKNOWN_COMMAND: MysqlError = { number: 1047, sqlState: '08S01', message: 'Unknown command' }
export const UNKNOWN_STATEMENT: MysqlError = {
  number: 1243,
  sqlState: 'HY000',
  message: 'Unknown prepared statement handler',
}
export const PACKET_TOO_LARGE: MysqlError = {
  number: 1153,
  sqlState: '08S01',
  message: "Got a packet bigger than 'max_allowed_packet' bytes",
}
export const MALFORMED_PACKET: MysqlError = {
  number: 1835,
  sqlState: 'HY000',
  message: 'Malformed communication packet',
}
export const TOO_MANY_STATEMENTS: MysqlError = {
  number: 1461,
  sqlState: '42000',
  message: "Can't create more than max_prepared_stmt_count statements",
}

/** The error number that goes with an SQLSTATE where an analysis gives only the latter. */
const NUMBER_OF_SQLSTATE: Readonly<Record<string, number>> = {
  '21S01': 1136, // ER_WRONG_VALUE_COUNT_ON_ROW
  '28000': 1045, // ER_ACCESS_DENIED_ERROR
  '3D000': 1046, // ER_NO_DB_ERROR
  '42000': 1064, // ER_PARSE_ERROR
  '42S01': 1050, // ER_TABLE_EXISTS_ERROR
  '42S02': 1146, // ER_NO_SUCH_TABLE
  '42S22': 1054, // ER_BAD_FIELD_ERROR
  HY000: 1105, // ER_UNKNOWN_ERROR
}
const UNKNOWN_ERROR = 1105

function ofNative(error: NativeError): MysqlError {
  const number = NUMBER_OF_SQLSTATE[error.code] ?? UNKNOWN_ERROR
  const sqlState = /^[0-9A-Z]{5}$/.test(error.code) ? error.code : 'HY000'
  const message = error.hint === undefined ? error.message : `${error.message}; ${error.hint}`
  return { number, sqlState, message }
}

/**
 * The error for a refused statement.
 *
 * @param own the server's error for what was refused, where the wire alone decides it (an unknown command)
 */
export function denialError(
  denial: Denial,
  analysis: Analysis,
  user: string,
  own: MysqlError | undefined,
): MysqlError {
  if (denial.nativeError !== undefined) return ofNative(denial.nativeError)
  const account = `'${user}'@'bulkhead'`
  const native = own !== undefined && isAboutStatement(denial) ? own : nativeDenial(denial, analysis, account)
  const hint = denial.hint === undefined ? '' : `; ${denial.hint}`
  return { ...native, message: `${native.message}: ${denial.message}${hint}` }
}

/** Whether the statement itself is at fault, and not the token or the log. */
function isAboutStatement(denial: Denial): boolean {
  return denial.reason === 'not_understood' || denial.reason === 'forbidden' || denial.reason === 'hop'
}

function nativeDenial(denial: Denial, analysis: Analysis, account: string): MysqlError {
  switch (denial.reason) {
    case 'not_granted':
      return missingPrivilege(denial.missing, account)
    case 'not_understood':
    case 'readers_disagree':
      return {
        number: 1064,
        sqlState: '42000',
        message: 'You have an error in your SQL syntax, or this proxy does not know it',
      }
    case 'unknown_object':
      return { number: 1146, sqlState: '42S02', message: "Table or object doesn't exist" }
    case 'forbidden':
      return { number: 1227, sqlState: '42000', message: 'Access denied' }
    case 'hop':
      return hopDenial(analysis, account)
    case 'token_expired':
    case 'grant_removed':
      return { number: 1045, sqlState: '28000', message: `Access denied for user ${account}` }
    case 'limit':
      return { number: 1226, sqlState: '42000', message: `User ${account} has exceeded a resource limit` }
    case 'audit_unavailable':
      return { number: UNKNOWN_ERROR, sqlState: 'HY000', message: 'The statement could not be recorded' }
  }
}

function hopDenial(analysis: Analysis, account: string): MysqlError {
  const hop = analysis.outcome === 'hop' ? analysis : undefined
  switch (hop?.hop) {
    case 'wrong_database': {
      const name = hop.target === undefined ? '' : ` to database '${hop.target}'`
      return { number: 1044, sqlState: '42000', message: `Access denied for user ${account}${name}` }
    }
    case 'cross_run':
      return { number: 1095, sqlState: 'HY000', message: 'You are not owner of thread' }
    default:
      return { number: 1227, sqlState: '42000', message: 'Access denied' }
  }
}

function missingPrivilege(missing: Access | undefined, account: string): MysqlError {
  switch (missing?.kind) {
    case 'relation':
      return missingOnTable(missing, account)
    case 'sequence':
      return commandDenied(missing.action, account, `table '${missing.name}'`)
    case 'metadata':
      return commandDenied('select', account, `table '${missing.name}'`)
    case 'routine': {
      const object = `routine '${missing.schema}.${missing.name}'`
      return {
        number: 1370,
        sqlState: '42000',
        message: `execute command denied to user ${account} for ${object}`,
      }
    }
    case 'schema': {
      const message = `Access denied for user ${account} to database '${missing.name}'`
      return { number: 1044, sqlState: '42000', message }
    }
    default:
      return { number: 1227, sqlState: '42000', message: 'Access denied' }
  }
}

/** Columns are named only where the table is granted in part; the server names the first that is missing. */
function missingOnTable(missing: RelationAccess, account: string): MysqlError {
  const [column] = missing.columns ?? []
  if (column === undefined) {
    return commandDenied(missing.action, account, `table '${missing.name}'`)
  }
  const denied = commandDenied(missing.action, account, `column '${column}' in table '${missing.name}'`)
  return { ...denied, number: 1143 }
}

function commandDenied(action: string, account: string, object: string): MysqlError {
  const message = `${action.toUpperCase()} command denied to user ${account} for ${object}`
  return { number: 1142, sqlState: '42000', message }
}

/** For a reply that was cut: ER_USER_LIMIT_REACHED in its own words. */
export function limitError(cut: 'rows' | 'bytes', max: number, user: string): MysqlError {
  const unit = cut === 'rows' ? (max === 1 ? 'row' : 'rows') : max === 1 ? 'byte' : 'bytes'
  return {
    number: 1226,
    sqlState: '42000',
    message:
      `User '${user}'@'bulkhead' has exceeded the '${cut}' resource (current value: ${max}): ` +
      `the reply was cut at ${max} ${unit}, which is what the grant allows for one statement`,
  }
}

/** For a statement whose time was up: ER_QUERY_TIMEOUT or MariaDB's ER_STATEMENT_TIMEOUT. */
export function timeoutError(denial: Denial, mariadb: boolean): MysqlError {
  const native = mariadb
    ? {
        number: 1969,
        sqlState: '70100',
        message: 'Query execution was interrupted (max_statement_time exceeded)',
      }
    : {
        number: 3024,
        sqlState: 'HY000',
        message: 'Query execution was interrupted, maximum statement execution time exceeded',
      }
  const hint = denial.hint === undefined ? '' : `; ${denial.hint}`
  return { ...native, message: `${native.message}: ${denial.message}${hint}` }
}

/** The fatal error with which a session ends. */
export function endError(cause: EndCause): MysqlError {
  switch (cause.kind) {
    case 'token_expired':
      return { number: 1045, sqlState: '28000', message: `Access denied: ${cause.message}` }
    case 'revoked':
    case 'hop':
      return { number: 1927, sqlState: '70100', message: `Connection was killed: ${cause.message}` }
    case 'limit':
      return {
        number: 1226,
        sqlState: '42000',
        message: `User has exceeded a resource limit: ${cause.message}`,
      }
    case 'shutdown':
      return { number: 1053, sqlState: '08S01', message: `Server shutdown in progress: ${cause.message}` }
    case 'backend_lost':
    case 'audit_unavailable':
    case 'protocol_error':
      return { number: 1152, sqlState: '08S01', message: `Aborted connection: ${cause.message}` }
  }
}

/** The error with which a login is refused. */
export function refusalError(refusal: LoginRefusal, user: string, database: string | undefined): MysqlError {
  const native = nativeRefusal(refusal.kind, `'${user}'@'bulkhead'`, database)
  if (refusal.message === undefined) return native
  return { ...native, message: `${native.message}: ${refusal.message}` }
}

function nativeRefusal(
  kind: LoginRefusal['kind'],
  account: string,
  database: string | undefined,
): MysqlError {
  switch (kind) {
    case 'authentication':
      return { number: 1045, sqlState: '28000', message: `Access denied for user ${account}` }
    case 'database': {
      const message = `Access denied for user ${account} to database '${database ?? ''}'`
      return { number: 1044, sqlState: '42000', message }
    }
    case 'backend_unavailable':
      return { number: 1053, sqlState: '08S01', message: 'Server not available' }
    case 'too_many_connections':
      return { number: 1040, sqlState: '08004', message: 'Too many connections' }
  }
}
