/**
 * Reads what a client asks next, from the first bytes of its inbox and without taking them: they are moved once
 * the command is judged.
 *
 * A command whose content is analysed (SQL, names) is held whole, up to a bound. One whose content is only data
 * (parameters) is known by its first bytes. Everything else is refused by name, however long it is.
 */
import type { Analysis } from '../analysis.ts'
import type { Inbox } from '../inbox.ts'
import { COM, commandName } from './commands.ts'
import {
  MALFORMED_PACKET,
  type MysqlError,
  PACKET_TOO_LARGE,
  TOO_MANY_STATEMENTS,
  UNKNOWN_COMMAND,
  UNKNOWN_STATEMENT,
} from './errors.ts'
import { HEADER_BYTES, outOfOrder } from './frames.ts'
import type { ReplyKind } from './reply-phases.ts'
import { LAST_PREPARED, type PreparedStatement, type PreparedStatements } from './statements.ts'

/** The longest statement text that is analysed. MySQL's own bound, max_allowed_packet, is 16 MB or more. */
export const STATEMENT_BYTES_MAX = 1 << 20
/** Commands that carry a name and nothing else; names have at most 64 characters of at most 4 bytes. */
const NAME_COMMAND_BYTES_MAX = 1024
/** How much of a text that is too long is kept for the record. */
const RECORDED_BYTES_MAX = 4096
/** Cursor type READ_ONLY; FOR_UPDATE and SCROLLABLE were never built, other bits change the layout. */
const CURSOR_READ_ONLY = 1
/** Flag of COM_STMT_BULK_EXECUTE: types stand before the rows. The other one, for a result per row, changes the reply. */
const BULK_SENDS_TYPES = 128

/** What a client asks. */
export type Command =
  | { readonly kind: 'quit' }
  | { readonly kind: 'query'; readonly text: Buffer }
  | { readonly kind: 'prepare'; readonly text: Buffer }
  | {
      readonly kind: 'execute'
      readonly statement: PreparedStatement
      readonly cursor: boolean
      readonly head: Buffer | undefined
    }
  | { readonly kind: 'fetch'; readonly statement: PreparedStatement; readonly head: Buffer | undefined }
  | { readonly kind: 'long_data'; readonly statement: PreparedStatement; readonly head: Buffer | undefined }
  | { readonly kind: 'reset'; readonly statement: PreparedStatement; readonly head: Buffer | undefined }
  | { readonly kind: 'close'; readonly statement: PreparedStatement; readonly head: Buffer | undefined }
  | { readonly kind: 'init_db'; readonly name: Buffer }
  | { readonly kind: 'field_list'; readonly table: Buffer }
  | { readonly kind: 'process_kill'; readonly connectionId: number }
  | { readonly kind: 'ping' }
  | { readonly kind: 'reset_connection' }
  | {
      readonly kind: 'refused'
      readonly text: string
      readonly analysis: Analysis
      readonly error: MysqlError
      /** False where the protocol has no reply to this command. */
      readonly answered: boolean
    }

/** Everything but `quit`, which asks for nothing. */
export type JudgedCommand = Exclude<Command, { readonly kind: 'quit' }>

/** What the session knows that decides how a command is read. */
export type CommandContext = {
  readonly prepared: PreparedStatements
  readonly mariadb: boolean
  /** Whether COM_STMT_BULK_EXECUTE was agreed on. */
  readonly bulk: boolean
}

/** @returns `undefined` while more bytes are needed */
export function readCommand(inbox: Inbox, context: CommandContext): Command | undefined {
  if (inbox.length < HEADER_BYTES) return undefined
  const { buffer, start } = inbox
  const length = buffer.readUIntLE(start, 3)
  const sequence = buffer.readUInt8(start + 3)
  if (sequence !== 0) throw outOfOrder('client', 0, sequence)
  if (length === 0) return refused('an empty command', 'not_understood', UNKNOWN_COMMAND)
  if (inbox.length < HEADER_BYTES + 1) return undefined
  const code = buffer.readUInt8(start + HEADER_BYTES)
  switch (code) {
    case COM.QUERY:
    case COM.STMT_PREPARE:
      return readText(inbox, code, length, context)
    case COM.STMT_BULK_EXECUTE:
      if (!context.bulk) return refused(commandName(code), 'not_understood', UNKNOWN_COMMAND)
      return readOfStatement(inbox, code, length, context)
    case COM.STMT_EXECUTE:
    case COM.STMT_FETCH:
    case COM.STMT_SEND_LONG_DATA:
    case COM.STMT_RESET:
    case COM.STMT_CLOSE:
      return readOfStatement(inbox, code, length, context)
    case COM.QUIT:
      return { kind: 'quit' }
    case COM.PING:
      return length === 1 ? { kind: 'ping' } : refused('COM_PING', 'not_understood', MALFORMED_PACKET)
    case COM.RESET_CONNECTION:
      return length === 1
        ? { kind: 'reset_connection' }
        : refused('COM_RESET_CONNECTION', 'not_understood', MALFORMED_PACKET)
    case COM.INIT_DB:
    case COM.FIELD_LIST:
    case COM.CHANGE_USER:
      return readNamed(inbox, code, length)
    case COM.PROCESS_KILL:
      if (length !== 5) return refused('COM_PROCESS_KILL', 'not_understood', MALFORMED_PACKET)
      if (inbox.length < HEADER_BYTES + length) return undefined
      return { kind: 'process_kill', connectionId: buffer.readUInt32LE(start + HEADER_BYTES + 1) }
    default:
      return refused(commandName(code), 'not_understood', UNKNOWN_COMMAND)
  }
}

/** @param error what the server would say of it; also why, where it is not the command itself that is refused */
function refused(
  text: string,
  outcome: 'not_understood' | 'forbidden',
  error: MysqlError,
  answered = true,
): Command {
  const analysis: Analysis = { outcome, action: 'command', why: whyOf(text, error) }
  return { kind: 'refused', text, analysis, error, answered }
}

function whyOf(text: string, error: MysqlError): string {
  switch (error) {
    case UNKNOWN_STATEMENT:
      return 'this session has no prepared statement of that number'
    case MALFORMED_PACKET:
      return `${text} has a layout that is not known`
    case TOO_MANY_STATEMENTS:
      return 'this session holds as many prepared statements as it may'
    default:
      return `${text} is not available through this proxy`
  }
}

const CHANGE_USER: Command = {
  kind: 'refused',
  text: 'COM_CHANGE_USER',
  analysis: {
    outcome: 'hop',
    action: 'command',
    hop: 'identity_switch',
    why: 'a connection keeps the run that it was opened for',
  },
  error: { number: 1227, sqlState: '42000', message: 'Access denied' },
  answered: true,
}

/** COM_QUERY and COM_STMT_PREPARE: the rest of the packet is the text. */
function readText(inbox: Inbox, code: number, length: number, context: CommandContext): Command | undefined {
  const textStart = inbox.start + HEADER_BYTES + 1
  const textBytes = length - 1
  if (textBytes > STATEMENT_BYTES_MAX) {
    if (inbox.length < HEADER_BYTES + 1 + RECORDED_BYTES_MAX) return undefined
    const text = inbox.buffer.toString('utf8', textStart, textStart + RECORDED_BYTES_MAX)
    const why = `a statement of more than ${STATEMENT_BYTES_MAX} bytes is not analysed`
    const analysis: Analysis = { outcome: 'not_understood', action: 'unknown', why }
    return { kind: 'refused', text, analysis, error: PACKET_TOO_LARGE, answered: true }
  }
  if (inbox.length < HEADER_BYTES + length) return undefined
  const text = inbox.buffer.subarray(textStart, textStart + textBytes)
  if (code === COM.QUERY) return { kind: 'query', text }
  if (context.prepared.hasRoomFor(textBytes)) return { kind: 'prepare', text }
  return refused(commandName(code), 'forbidden', TOO_MANY_STATEMENTS)
}

/** Commands that begin with the number of a prepared statement. */
function readOfStatement(
  inbox: Inbox,
  code: number,
  length: number,
  context: CommandContext,
): Command | undefined {
  const answered = code !== COM.STMT_SEND_LONG_DATA && code !== COM.STMT_CLOSE
  const expected = lengthOfStatementCommand(code)
  const fits = expected.exact ? length === expected.bytes : length >= expected.bytes
  if (!fits) return refused(commandName(code), 'not_understood', MALFORMED_PACKET, answered)
  if (inbox.length < HEADER_BYTES + expected.bytes) return undefined
  const { buffer } = inbox
  const at = inbox.start + HEADER_BYTES + 1
  const id = buffer.readUInt32LE(at)
  const isLast = id === LAST_PREPARED && context.mariadb
  const statement = id === LAST_PREPARED && !isLast ? undefined : context.prepared.find(id)
  if (statement === undefined)
    return refused(commandName(code), 'not_understood', UNKNOWN_STATEMENT, answered)
  const head = isLast ? headWithNumber(buffer.subarray(inbox.start, at + 4), statement.id) : undefined
  switch (code) {
    case COM.STMT_EXECUTE: {
      const flags = buffer.readUInt8(at + 4)
      const iterations = buffer.readUInt32LE(at + 5)
      if (flags > CURSOR_READ_ONLY || iterations !== 1) {
        return refused('COM_STMT_EXECUTE with unknown flags', 'not_understood', MALFORMED_PACKET)
      }
      if (flags === 0 || statement.known.mayOpenCursor)
        return { kind: 'execute', statement, cursor: flags === CURSOR_READ_ONLY, head }
      // The servers send the rows at once, with a status that may say otherwise; DELETE … RETURNING ends MariaDB 10.11.
      const withoutCursor = headWithNumber(buffer.subarray(inbox.start, at + 5), statement.id)
      withoutCursor.writeUInt8(0, HEADER_BYTES + 5)
      return { kind: 'execute', statement, cursor: false, head: withoutCursor }
    }
    case COM.STMT_BULK_EXECUTE: {
      if ((buffer.readUInt16LE(at + 4) & ~BULK_SENDS_TYPES) !== 0) {
        return refused('COM_STMT_BULK_EXECUTE with unknown flags', 'not_understood', MALFORMED_PACKET)
      }
      return { kind: 'execute', statement, cursor: false, head }
    }
    case COM.STMT_FETCH:
      return { kind: 'fetch', statement, head }
    case COM.STMT_SEND_LONG_DATA:
      return { kind: 'long_data', statement, head }
    case COM.STMT_RESET:
      return { kind: 'reset', statement, head }
    default:
      return { kind: 'close', statement, head }
  }
}

/** Body bytes, the command byte included: what must be there to know the command, and whether that is all of it. */
function lengthOfStatementCommand(code: number): { readonly bytes: number; readonly exact: boolean } {
  switch (code) {
    case COM.STMT_EXECUTE:
      return { bytes: 10, exact: false } // number, flags (1), iterations (4)
    case COM.STMT_FETCH:
      return { bytes: 9, exact: true } // number, rows (4)
    case COM.STMT_SEND_LONG_DATA:
    case COM.STMT_BULK_EXECUTE:
      return { bytes: 7, exact: false } // number, parameter or flags (2)
    default:
      return { bytes: 5, exact: true }
  }
}

/** The packet's first bytes with the real number in place of {@link LAST_PREPARED}. */
function headWithNumber(head: Buffer, id: number): Buffer {
  const rewritten = Buffer.from(head)
  rewritten.writeUInt32LE(id, HEADER_BYTES + 1)
  return rewritten
}

/** Commands whose body is a name. */
function readNamed(inbox: Inbox, code: number, length: number): Command | undefined {
  if (code === COM.CHANGE_USER) {
    return CHANGE_USER
  }
  if (length > NAME_COMMAND_BYTES_MAX) return refused(commandName(code), 'not_understood', MALFORMED_PACKET)
  if (inbox.length < HEADER_BYTES + length) return undefined
  const start = inbox.start + HEADER_BYTES + 1
  const body = inbox.buffer.subarray(start, start + length - 1)
  if (code === COM.INIT_DB) return { kind: 'init_db', name: body }
  // The table's name, a NUL, and a pattern for its columns.
  const nul = body.indexOf(0)
  if (nul === -1) return refused('COM_FIELD_LIST', 'not_understood', MALFORMED_PACKET)
  return { kind: 'field_list', table: body.subarray(0, nul) }
}

/** COM_STMT_SEND_LONG_DATA and COM_STMT_CLOSE have no reply. */
export function isAnswered(command: JudgedCommand): boolean {
  if (command.kind === 'refused') return command.answered
  return replyOf(command) !== undefined
}

/** What kind of reply the server gives; `undefined` for none. */
export function replyOf(command: JudgedCommand): ReplyKind | undefined {
  switch (command.kind) {
    case 'query':
      return 'result'
    case 'prepare':
      return 'prepare'
    case 'execute':
      return command.cursor ? 'cursor' : 'result'
    case 'fetch':
      return 'rows'
    case 'field_list':
      return 'definitions'
    case 'long_data':
    case 'close':
      return undefined
    default:
      return 'ok'
  }
}

/** The first bytes of the packet where they are not to be sent as they came. */
export function headOf(command: JudgedCommand): Buffer | undefined {
  return 'head' in command ? command.head : undefined
}
