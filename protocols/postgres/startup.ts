import { tellsOfTheServer } from './analysis/settings.ts'
import { type ErrorFields, errorResponse } from './errors.ts'

/**
 * StartupMessage:
 *
 *     length | version | name NUL value NUL … NUL
 *
 * Settings among its parameters work before anyone is authenticated, so they are allowed by name, and the packet
 * for the backend is built anew from what was understood.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-STARTUPMESSAGE
 */
export type Startup = {
  readonly user: string
  readonly database: string | undefined
  readonly application: string | undefined
  /** Settings for the backend, by canonical name. */
  readonly settings: ReadonlyMap<string, string>
  /** The value of `search_path`, if the client asked for one: it may only say what is pinned anyway. */
  readonly searchPath: string | undefined
  /** Protocol extensions that we do not know (`_pq_.*`): the client is told so. */
  readonly extensions: readonly string[]
}

/** What a client is told in place of a login. */
export class StartupRefusal extends Error {
  readonly response: Buffer

  constructor(fields: Omit<ErrorFields, 'severity'>) {
    super(fields.message)
    this.response = errorResponse({ severity: 'FATAL', ...fields })
  }
}

/**
 * Settings that change neither how a text is read nor whose rights apply, as names are canonical: lower case.
 * They are those that drivers put into their startup packets or that make a session shorter.
 */
const FREE_SETTINGS: ReadonlySet<string> = new Set([
  'bytea_output',
  'client_min_messages',
  'datestyle',
  'default_transaction_isolation',
  'extra_float_digits',
  'geqo',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'intervalstyle',
  'jit',
  'lock_timeout',
  'statement_timeout',
  'timezone',
])

/** How long a name of the client is shown to operators at most. */
const APPLICATION_CHARACTERS_MAX = 64

/** @param body what follows the version; throws `StartupRefusal` */
export function readStartup(body: Buffer): Startup {
  const parameters = readParameters(body)
  const user = parameters.get('user')
  if (user === undefined || user === '')
    throw new StartupRefusal({
      code: '28000',
      message: 'no PostgreSQL user name specified in startup packet',
    })
  const extensions: string[] = []
  const requested = new Map<string, string>()
  // As process_startup_options() does: `options` first, then the parameters, so that these win.
  for (const [name, value] of parseOptions(parameters.get('options') ?? '')) requested.set(name, value)
  for (const [name, value] of parameters) {
    if (name === 'user' || name === 'database' || name === 'options') continue
    if (name.startsWith('_pq_.')) extensions.push(name)
    else if (name === 'replication') refuseReplication(value)
    else requested.set(lowerCase(name), value)
  }
  const database = parameters.get('database')
  return {
    user,
    database: database === '' ? undefined : database,
    application: requested.get('application_name')?.slice(0, APPLICATION_CHARACTERS_MAX),
    searchPath: requested.get('search_path'),
    settings: judgeSettings(requested),
    extensions,
  }
}

function readParameters(body: Buffer): Map<string, string> {
  const parameters = new Map<string, string>()
  let at = 0
  while (body[at] !== 0) {
    const nameEnd = body.indexOf(0, at)
    const valueEnd = nameEnd === -1 ? -1 : body.indexOf(0, nameEnd + 1)
    if (valueEnd === -1) throw badLayout()
    const name = body.toString('utf8', at, nameEnd)
    // The server takes the last one, other readers the first.
    if (parameters.has(name))
      throw new StartupRefusal({ code: '08P01', message: `startup parameter "${name}" is given twice` })
    parameters.set(name, body.toString('utf8', nameEnd + 1, valueEnd))
    at = valueEnd + 1
  }
  if (at !== body.length - 1) throw badLayout()
  return parameters
}

function badLayout(): StartupRefusal {
  return new StartupRefusal({
    code: '08P01',
    message: 'invalid startup packet layout: expected terminator as last byte',
  })
}

function judgeSettings(requested: ReadonlyMap<string, string>): Map<string, string> {
  const settings = new Map<string, string>()
  for (const [name, value] of requested) {
    const isFree = FREE_SETTINGS.has(name) && !(name === 'client_min_messages' && tellsOfTheServer(value))
    if (isFree) settings.set(name, value)
    else if (!isPinnedAnyway(name, value))
      throw new StartupRefusal({ code: '42501', message: `permission denied to set parameter "${name}"` })
  }
  return settings
}

/** The client asks for what the session is pinned to, or for what is judged elsewhere. */
function isPinnedAnyway(name: string, value: string): boolean {
  switch (name) {
    case 'application_name':
    case 'search_path':
      return true
    case 'client_encoding':
      if (isUtf8(value)) return true
      throw new StartupRefusal({
        code: '22023', // invalid_parameter_value
        message: `invalid value for parameter "client_encoding": "${value}"`,
        hint: 'this connection takes UTF8 only',
      })
    case 'standard_conforming_strings':
      return ['on', 'true', 'yes', '1'].includes(lowerCase(value))
    default:
      return false
  }
}

/** `clean_encoding_name` of src/common/encnames.c drops all but letters and digits: asyncpg sends `'utf-8'`. */
function isUtf8(encoding: string): boolean {
  const name = lowerCase(encoding).replace(/[^a-z0-9]/g, '')
  return name === 'utf8' || name === 'unicode'
}

/** Names fold in ASCII only, as guc_name_compare() does. */
function lowerCase(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** Walsender mode has another grammar and other commands; the false values ask for an ordinary session. */
function refuseReplication(value: string): void {
  if (['false', 'off', 'no', '0', 'f', 'n'].includes(lowerCase(value))) return
  throw new StartupRefusal({ code: '28000', message: 'replication connections are refused' })
}

/**
 * Reads `options` as the server does: pg_split_opts() splits at white space that no backslash precedes, and of
 * its switches `-c name=value` and `--name=value` are understood here. All others are refused.
 */
export function parseOptions(options: string): Map<string, string> {
  const settings = new Map<string, string>()
  const words = splitOptions(options)
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? ''
    let setting: string
    if (word === '-c') {
      at += 1
      setting = words[at] ?? ''
    } else if (word.startsWith('-c')) setting = word.slice(2)
    else if (word.startsWith('--')) setting = word.slice(2)
    else throw badOption(word)
    const equals = setting.indexOf('=')
    if (equals < 1) throw badOption(word)
    // ParseLongOption() takes `-` for `_` in a name.
    settings.set(lowerCase(setting.slice(0, equals)).replaceAll('-', '_'), setting.slice(equals + 1))
  }
  return settings
}

function badOption(word: string): StartupRefusal {
  return new StartupRefusal({
    code: '42601',
    message: `invalid command-line argument for server process: ${word.slice(0, 100)}`,
    hint: 'options may only hold settings: -c name=value or --name=value',
  })
}

function splitOptions(options: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let escaped = false
  for (const character of options) {
    if (!escaped && /[ \t\n\v\f\r]/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (!escaped && character === '\\') {
      escaped = true
      word ??= ''
    } else {
      word = (word ?? '') + character
      escaped = false
    }
  }
  if (word !== undefined) words.push(word)
  return words
}

/**
 * True where a `search_path` asked for is the pinned one: the schema alone, with or without the schemas that are
 * searched anyway.
 */
export function isPinnedSearchPath(value: string, schema: string): boolean {
  const names = value.split(',').map((name) => {
    const trimmed = name.trim()
    const quoted = /^"([^"]+)"$/.exec(trimmed)
    return quoted?.[1] ?? lowerCase(trimmed)
  })
  return (
    names.filter((name) => name !== 'pg_temp' && name !== '$user').join('\0') === schema &&
    (names.at(-1) === 'pg_temp' || !names.includes('pg_temp'))
  )
}
