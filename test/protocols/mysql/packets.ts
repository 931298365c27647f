/** Builds packets of both sides by hand, and puts a stream of packets into words, for tests of the wire. */
import { packet } from '../../../protocols/mysql/frames.ts'

export function lenenc(value: number): Buffer {
  if (value < 0xfb) return Buffer.of(value)
  if (value <= 0xffff) return Buffer.from([0xfc, value & 0xff, value >> 8])
  return Buffer.from([0xfd, value & 0xff, (value >> 8) & 0xff, value >> 16])
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([lenenc(bytes.length), bytes])
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** A command of a client: sequence 0. */
export function command(code: number, ...parts: readonly (Buffer | string)[]): Buffer {
  return packet(
    0,
    Buffer.of(code),
    ...parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)),
  )
}

export const query = (sql: string): Buffer => command(3, sql)
export const prepare = (sql: string): Buffer => command(22, sql)
export const execute = (id: number, flags = 0, more: Buffer = Buffer.alloc(0)): Buffer =>
  command(23, uint32(id), Buffer.of(flags), uint32(1), more)

export type OkOptions = {
  readonly header?: number
  readonly status?: number
  readonly info?: string
  /** System variables that the server reports as changed. */
  readonly variables?: Readonly<Record<string, string>>
  readonly schema?: string
}

/** An OK body on a connection with CLIENT_SESSION_TRACK. */
export function ok({ header = 0, status = 2, info = '', variables, schema }: OkOptions = {}): Buffer {
  const entries: Buffer[] = []
  for (const [name, value] of Object.entries(variables ?? {})) {
    const entry = Buffer.concat([text(name), text(value)])
    entries.push(Buffer.of(0), lenenc(entry.length), entry)
  }
  if (schema !== undefined) entries.push(Buffer.of(1), lenenc(text(schema).length), text(schema))
  const flags = entries.length > 0 ? status | 0x4000 : status
  const block = Buffer.concat(entries)
  return Buffer.concat([
    Buffer.of(header, 0, 0, flags & 0xff, flags >> 8, 0, 0),
    ...(info !== '' || entries.length > 0 ? [text(info)] : []),
    ...(entries.length > 0 ? [lenenc(block.length), block] : []),
  ])
}

export const eof = (status = 2): Buffer => Buffer.of(0xfe, 0, 0, status & 0xff, status >> 8)
export const err = (number: number, message: string): Buffer =>
  Buffer.concat([Buffer.of(0xff, number & 0xff, number >> 8), Buffer.from(`#HY000${message}`)])

const DEFINITION = Buffer.concat([
  ...['def', 'crm', 't', 't', 'id', 'id'].map(text),
  Buffer.of(0x0c, 63, 0, 11, 0, 0, 0, 3, 0, 0, 0, 0, 0),
])

export type ResultOptions = {
  readonly columns?: number
  readonly rows?: readonly (readonly string[])[]
  readonly deprecateEof?: boolean
  readonly status?: number
  readonly from?: number
}

/** A whole text result, as packets from sequence `from`. */
export function result({
  columns = 1,
  rows = [['1']],
  deprecateEof = false,
  status = 2,
  from = 1,
}: ResultOptions = {}): Buffer {
  const bodies = [lenenc(columns), ...Array.from({ length: columns }, () => DEFINITION)]
  if (!deprecateEof) bodies.push(eof(status))
  for (const row of rows) bodies.push(Buffer.concat(row.map(text)))
  bodies.push(deprecateEof ? ok({ header: 0xfe, status }) : eof(status))
  return packets(from, ...bodies)
}

/** The answer to COM_STMT_PREPARE. */
export function prepared(id: number, { parameters = 0, columns = 0, deprecateEof = false } = {}): Buffer {
  const head = Buffer.concat([Buffer.of(0), uint32(id), Buffer.of(columns, 0, parameters, 0, 0, 0, 0)])
  const bodies: Buffer[] = [head]
  for (const count of [parameters, columns]) {
    for (let index = 0; index < count; index += 1) bodies.push(DEFINITION)
    if (count > 0 && !deprecateEof) bodies.push(eof())
  }
  return packets(1, ...bodies)
}

export function packets(from: number, ...bodies: readonly Buffer[]): Buffer {
  return Buffer.concat(bodies.map((body, index) => packet((from + index) & 0xff, body)))
}

/** Splits a stream into `[sequence, body]`; fails where it does not end with a whole packet. */
export function split(stream: Buffer): { sequence: number; body: Buffer }[] {
  const found = []
  for (let at = 0; at < stream.length; ) {
    const length = stream.readUIntLE(at, 3)
    if (at + 4 + length > stream.length) throw new Error('the stream ends inside a packet')
    found.push({ sequence: stream.readUInt8(at + 3), body: stream.subarray(at + 4, at + 4 + length) })
    at += 4 + length
  }
  return found
}

/** What a client sees, one word a packet: `1:OK`, `2:ERR 1142 42000 …`, `3:EOF`, and bytes in hex. */
export function inWords(stream: Buffer): string[] {
  return split(stream).map(({ sequence, body }) => `${sequence}:${word(body)}`)
}

function word(body: Buffer): string {
  switch (body[0]) {
    case 0x00:
      return body.length >= 7 ? `OK ${body.readUInt16LE(3).toString(16)}` : body.toString('hex')
    case 0xfe:
      return 'END'
    case 0xff:
      return `ERR ${body.readUInt16LE(1)} ${body.toString('utf8', 4)}`
    case 0x01:
      return body.length === 1 ? 'COLUMNS 1' : `DATA ${body.toString('hex', 1, 3)}`
    case 0x03:
      return body.length > 20 ? 'DEFINITION' : `ROW ${body.toString('utf8')}`
    default:
      return body.toString('hex')
  }
}

/** What a server is sent: commands by number with their text. */
export function commandsIn(stream: Buffer): string[] {
  return split(stream).map(({ body }) => `${body[0]} ${body.toString('utf8', 1)}`.trimEnd())
}
