/** What a client's command touches: the analysis of its text, its name, or of the statement that it executes. */
import type { Access } from '../access.ts'
import { type Analysis, touching } from '../analysis.ts'
import type { KillRequest } from '../session.ts'
import type { MysqlAnalyser, NameUse, Reading } from './analyser.ts'
import type { JudgedCommand } from './client-command.ts'
import { cancelKeyOf, readKill } from './kill.ts'
import type { PreparedStatement, PreparedStatements } from './statements.ts'

/** A command as it is judged under one catalog. */
export type CommandReading = {
  /** For the record. */
  readonly text: string
  readonly analysis: Analysis
  /** The text to send in place of the client's; `undefined`: the client's own bytes. */
  readonly forward: Buffer | undefined
  readonly uses: readonly NameUse[]
  /** What it kills, which is a hop where that is not of the same run. */
  readonly kill?: KillRequest
}

const NO_USES: readonly NameUse[] = []
const NO_ACCESSES: readonly Access[] = []

/** Understood, and reaches nothing. */
const SESSION: Analysis = { outcome: 'accesses', action: 'session', accesses: NO_ACCESSES }

export function analyseCommand(
  command: JudgedCommand,
  analyser: MysqlAnalyser,
  session: { readonly prepared: PreparedStatements; readonly ignoreSpace: boolean },
): CommandReading {
  switch (command.kind) {
    case 'query':
      return withKill(ofText(command.text, analyser, session), analyser)
    case 'prepare': {
      const reading = ofText(command.text, analyser, session)
      if (reading.uses.length === 0 || reading.analysis.outcome !== 'accesses') return reading
      // A statement that changes names when executed would do so unseen.
      return { ...reading, analysis: touching(NAMES_IN_BINARY, reading.analysis.accesses) }
    }
    case 'execute':
      return ofStatement(command.statement, analyser, '')
    case 'fetch':
      return ofStatement(command.statement, analyser, 'COM_STMT_FETCH: ')
    case 'long_data':
      return plain('COM_STMT_SEND_LONG_DATA', SESSION)
    case 'reset':
      return plain('COM_STMT_RESET', SESSION)
    case 'close':
      return plain('COM_STMT_CLOSE', SESSION)
    case 'ping':
      return plain('COM_PING', SESSION)
    case 'reset_connection':
      return plain('COM_RESET_CONNECTION', SESSION)
    case 'process_kill': {
      const text = `COM_PROCESS_KILL ${command.connectionId}`
      return { ...plain(text, KILLS), kill: { key: cancelKeyOf(command.connectionId), what: 'session' } }
    }
    case 'init_db':
      return ofName(command.name, 'COM_INIT_DB', (name) => analyser.useDatabase(name))
    case 'field_list':
      // Shows each column and its default: the whole table.
      return ofName(command.table, 'COM_FIELD_LIST', (name) =>
        analyser.analyse(`SELECT * FROM \`${name.replaceAll('`', '``')}\``),
      )
    case 'refused':
      return plain(command.text, command.analysis)
  }
}

const KILLS: Analysis = {
  outcome: 'hop',
  action: 'command',
  hop: 'cross_run',
  why: 'ends another connection',
}

function withKill(reading: CommandReading, analyser: MysqlAnalyser): CommandReading {
  const { analysis } = reading
  if (analysis.outcome !== 'hop' || analysis.hop !== 'cross_run') return reading
  const kill = readKill(reading.text, analyser.catalog)
  return kill === undefined ? reading : { ...reading, kill }
}

/** Nothing is relayed that was read by the rules of another server than the one that the session talks to. */
export function ofOtherServer(reading: CommandReading): CommandReading {
  return { ...reading, analysis: OTHER_SERVER }
}

const OTHER_SERVER: Analysis = {
  outcome: 'forbidden',
  action: 'unknown',
  why: 'the backend has become another server since this session began: connect again',
}

const NAMES_IN_BINARY: Analysis = {
  outcome: 'forbidden',
  action: 'prepare',
  why: 'PREPARE, EXECUTE and DEALLOCATE cannot themselves be prepared',
}

function plain(text: string, analysis: Analysis): CommandReading {
  return { text, analysis, forward: undefined, uses: NO_USES }
}

function ofText(
  bytes: Buffer,
  analyser: MysqlAnalyser,
  session: { readonly prepared: PreparedStatements; readonly ignoreSpace: boolean },
): CommandReading {
  const reading = analyser.read(bytes, { ignoreSpace: session.ignoreSpace })
  const forward = reading.forward.equals(bytes) ? undefined : reading.forward
  const analysis =
    reading.uses.length === 0 ? reading.analysis : withNames(reading, analyser, session.prepared, bytes)
  return { text: bytes.toString('utf8'), analysis, forward, uses: reading.uses }
}

/** Puts what a named statement touches in the place of its `EXECUTE`. */
function withNames(
  reading: Reading,
  analyser: MysqlAnalyser,
  prepared: PreparedStatements,
  bytes: Buffer,
): Analysis {
  const [use, ...others] = reading.uses
  if (use === undefined || reading.analysis.outcome !== 'accesses') return reading.analysis
  if (others.length > 0) {
    return { outcome: 'not_understood', action: 'execute', why: 'more than one named statement at once' }
  }
  if (use.kind === 'prepare' && !prepared.hasRoomFor(bytes.length)) {
    return { outcome: 'forbidden', action: 'prepare', why: 'too many prepared statements in one session' }
  }
  if (use.kind !== 'execute') return reading.analysis
  const named = prepared.analysisOfName(use.name, analyser)
  if (named === undefined) {
    return {
      outcome: 'not_understood',
      action: 'execute',
      why: `no statement is known to be prepared as \`${use.name}\``,
      nativeError: {
        code: 'HY000',
        message: `Unknown prepared statement handler (${use.name}) given to EXECUTE`,
      },
    }
  }
  if (named.outcome !== 'accesses' || reading.analysis.accesses.length === 0) return named
  return { ...named, accesses: [...reading.analysis.accesses, ...named.accesses] }
}

function ofStatement(statement: PreparedStatement, analyser: MysqlAnalyser, prefix: string): CommandReading {
  const { known, sent } = statement
  const reading = known.reading(analyser)
  // The server keeps what it was given; only that may be judged.
  const analysis = reading.forward.equals(sent) ? reading.analysis : READS_DIFFERENTLY
  return { text: prefix + known.recorded, analysis, forward: undefined, uses: NO_USES }
}

const READS_DIFFERENTLY: Analysis = {
  outcome: 'not_understood',
  action: 'execute',
  why: 'the statement reads differently now than when it was prepared',
}

function ofName(bytes: Buffer, command: string, analyse: (name: string) => Analysis): CommandReading {
  const name = bytes.toString('utf8')
  const text = `${command} ${name}`
  // The server must see the name that is judged, byte for byte.
  if (name.includes('\0') || !Buffer.from(name).equals(bytes)) {
    const why = 'a name that is not UTF-8 text'
    return plain(text, { outcome: 'not_understood', action: 'command', why })
  }
  return plain(text, analyse(name))
}
