/**
 * The packets of the handshake, both directions.
 *
 *     S  HandshakeV10         protocol, version, connection id, scramble, capabilities, plugin
 *     C  SSLRequest           the first 32 bytes of the response, then TLS
 *     C  HandshakeResponse41  capabilities, character set, user, answer to the scramble, database, plugin, attributes
 *     S  AuthSwitchRequest    0xFE, plugin, new scramble
 *     S  AuthMoreData         0x01, data of the plugin
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets.html
 * https://mariadb.com/kb/en/connection/
 */
import { FieldReader } from '../fields.ts'
import { SCRAMBLE_BYTES } from './authentication.ts'
import { type Capabilities, CLIENT } from './capabilities.ts'
import {
  lengthEncodedString,
  nulTerminated,
  readLengthEncodedInteger,
  readLengthEncodedString,
} from './frames.ts'

const PROTOCOL_VERSION = 10
/** Capabilities, largest packet, character set, filler: what an SSLRequest consists of. */
export const SSL_REQUEST_BYTES = 32
/** utf8mb4_general_ci, known to every server since MySQL 5.5.3. */
export const UTF8MB4_GENERAL_CI = 45
/** What a client may send in one packet, told to the backend. It enforces its own max_allowed_packet. */
const PACKET_BYTES_MAX = 0x40000000
const AUTH_SWITCH = 0xfe
const AUTH_MORE_DATA = 0x01

/** What a server says of itself. */
export type Greeting = {
  readonly serverVersion: string
  readonly connectionId: number
  readonly capabilities: Capabilities
  readonly collationId: number
  readonly status: number
  readonly scramble: Buffer
  readonly plugin: string
}

export function greetingBody(greeting: Greeting): Buffer {
  const { flags, extended } = greeting.capabilities
  const fixed = Buffer.alloc(18)
  fixed.writeUInt16LE(flags & 0xffff, 0)
  fixed.writeUInt8(greeting.collationId, 2)
  fixed.writeUInt16LE(greeting.status, 3)
  fixed.writeUInt16LE(flags >>> 16, 5)
  fixed.writeUInt8(SCRAMBLE_BYTES + 1, 7)
  fixed.writeUInt32LE(extended, 14)
  const connectionId = Buffer.alloc(4)
  connectionId.writeUInt32LE(greeting.connectionId)
  return Buffer.concat([
    Buffer.of(PROTOCOL_VERSION),
    nulTerminated(greeting.serverVersion),
    connectionId,
    greeting.scramble.subarray(0, 8),
    Buffer.of(0),
    fixed,
    greeting.scramble.subarray(8),
    Buffer.of(0),
    nulTerminated(greeting.plugin),
  ])
}

/** @returns `undefined` where the server speaks another protocol version or none of the family we know */
export function readGreeting(body: Buffer): Greeting | undefined {
  const fields = new FieldReader(body, { start: 0, end: body.length }, { protocol: 'mysql', side: 'server' })
  if (fields.uint8() !== PROTOCOL_VERSION) return undefined
  const serverVersion = fields.untilNul().toString('utf8')
  const connectionId = fields.uint32LE()
  const scrambleHead = fields.bytes(8)
  fields.bytes(1)
  const low = fields.uint16LE()
  if (fields.remaining === 0) return undefined
  const collationId = fields.uint8()
  const status = fields.uint16LE()
  const flags = ((fields.uint16LE() << 16) | low) >>> 0
  const scrambleBytes = fields.uint8()
  fields.bytes(6)
  const extended = fields.uint32LE()
  if ((flags & CLIENT.PLUGIN_AUTH) === 0 || (flags & CLIENT.SECURE_CONNECTION) === 0) return undefined
  const scrambleTail = fields.bytes(Math.max(13, scrambleBytes - 8))
  const scramble = Buffer.concat([scrambleHead, scrambleTail]).subarray(0, SCRAMBLE_BYTES)
  const plugin = untilNulOrEnd(fields)
  const capabilities = { flags, extended: flags & CLIENT.MYSQL ? 0 : extended }
  return { serverVersion, connectionId, capabilities, collationId, status, scramble, plugin }
}

/** Some servers and drivers leave out the NUL of the last string. */
function untilNulOrEnd(fields: FieldReader): string {
  const rest = fields.rest()
  const nul = rest.indexOf(0)
  return rest.toString('utf8', 0, nul === -1 ? rest.length : nul)
}

/** What a client says of itself. */
export type HandshakeResponse = {
  readonly capabilities: Capabilities
  readonly collationId: number
  readonly user: string
  readonly answer: Buffer
  readonly database: string | undefined
  readonly plugin: string | undefined
  readonly programName: string | undefined
}

/** The capabilities in the first bytes of a HandshakeResponse41 or of an SSLRequest. */
export function readCapabilities(body: Buffer): Capabilities {
  const fields = new FieldReader(body, { start: 0, end: body.length }, { protocol: 'mysql', side: 'client' })
  const flags = fields.uint32LE()
  if ((flags & CLIENT.PROTOCOL_41) === 0) return { flags, extended: 0 }
  fields.bytes(24)
  return { flags, extended: fields.uint32LE() }
}

/** @param body of a client with PROTOCOL_41 */
export function readHandshakeResponse(body: Buffer): HandshakeResponse {
  const capabilities = readCapabilities(body)
  const { flags } = capabilities
  const fields = new FieldReader(body, { start: 8, end: body.length }, { protocol: 'mysql', side: 'client' })
  const collationId = fields.uint8()
  fields.bytes(SSL_REQUEST_BYTES - 9)
  const user = fields.untilNul().toString('utf8')
  const answer = readAnswer(fields, flags)
  // PHP and others end the packet early where nothing more is to say.
  const database = flags & CLIENT.CONNECT_WITH_DB && fields.remaining > 0 ? readName(fields) : ''
  const plugin = flags & CLIENT.PLUGIN_AUTH && fields.remaining > 0 ? readName(fields) : undefined
  const programName =
    flags & CLIENT.CONNECT_ATTRS && fields.remaining > 0 ? readProgramName(fields) : undefined
  return {
    capabilities,
    collationId,
    user,
    answer,
    database: database === '' ? undefined : database,
    plugin,
    programName,
  }
}

function readAnswer(fields: FieldReader, flags: number): Buffer {
  if (flags & CLIENT.PLUGIN_AUTH_LENENC) return readLengthEncodedString(fields)
  if (flags & CLIENT.SECURE_CONNECTION) return fields.bytes(fields.uint8())
  return fields.untilNul()
}

function readName(fields: FieldReader): string {
  return fields.untilNul().toString('utf8')
}

/** `program_name` is what drivers and the command-line clients call the application. */
function readProgramName(fields: FieldReader): string | undefined {
  const bytes = readLengthEncodedInteger(fields)
  const block = fields.bytes(bytes)
  const inner = new FieldReader(block, { start: 0, end: block.length }, { protocol: 'mysql', side: 'client' })
  let programName: string | undefined
  while (inner.remaining > 0) {
    const key = readLengthEncodedString(inner).toString('utf8')
    const value = readLengthEncodedString(inner).toString('utf8')
    if (key === 'program_name') programName = value
  }
  return programName
}

function responseHead(capabilities: Capabilities, collationId: number): Buffer {
  const head = Buffer.alloc(SSL_REQUEST_BYTES)
  head.writeUInt32LE(capabilities.flags >>> 0, 0)
  head.writeUInt32LE(PACKET_BYTES_MAX, 4)
  head.writeUInt8(collationId, 8)
  head.writeUInt32LE(capabilities.extended, 28)
  return head
}

export function sslRequestBody(capabilities: Capabilities): Buffer {
  return responseHead(capabilities, UTF8MB4_GENERAL_CI)
}

/** Our own answer to a backend's greeting. */
export function handshakeResponseBody(response: {
  readonly capabilities: Capabilities
  readonly user: string
  readonly answer: Buffer
  readonly database: string
  readonly plugin: string
  readonly attributes: Readonly<Record<string, string>>
}): Buffer {
  const { flags } = response.capabilities
  const parts = [
    responseHead(response.capabilities, UTF8MB4_GENERAL_CI),
    nulTerminated(response.user),
    flags & CLIENT.PLUGIN_AUTH_LENENC
      ? lengthEncodedString(response.answer)
      : Buffer.concat([Buffer.of(response.answer.length), response.answer]),
    nulTerminated(response.database),
    nulTerminated(response.plugin),
  ]
  if (flags & CLIENT.CONNECT_ATTRS) {
    const pairs = Object.entries(response.attributes).flat()
    parts.push(
      lengthEncodedString(Buffer.concat(pairs.map((text) => lengthEncodedString(Buffer.from(text))))),
    )
  }
  return Buffer.concat(parts)
}

export function authSwitchBody(plugin: string, scramble: Buffer): Buffer {
  return Buffer.concat([Buffer.of(AUTH_SWITCH), nulTerminated(plugin), scramble, Buffer.of(0)])
}

export function authMoreDataBody(data: Buffer): Buffer {
  return Buffer.concat([Buffer.of(AUTH_MORE_DATA), data])
}

/**
 * @returns the scramble as sent, with the NUL that some plugins end it with; `undefined` for the request of pre-4.1
 * authentication, which names no plugin
 */
export function readAuthSwitch(
  body: Buffer,
): { readonly plugin: string; readonly scramble: Buffer } | undefined {
  if (body.length === 1) return undefined
  const fields = new FieldReader(body, { start: 1, end: body.length }, { protocol: 'mysql', side: 'server' })
  const plugin = fields.untilNul().toString('utf8')
  // Copied: the answer may be computed from it after more packets have come.
  return { plugin, scramble: Buffer.from(fields.rest()) }
}
