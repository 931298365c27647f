import { CLIENT, frame, HEADER_BYTES, int32, SERVER } from '../../../protocols/postgres/frames.ts'

/** Messages of a client, and the server's as text: `1 2 D C(SELECT 1) Z(I)`. */

export const query = (text: string): Buffer => frame(CLIENT.query, `${text}\0`)
export const parse = (text: string, name = ''): Buffer => frame(CLIENT.parse, `${name}\0${text}\0\0\0`)
export const bind = (statement = '', portal = ''): Buffer =>
  frame(CLIENT.bind, `${portal}\0${statement}\0\0\0\0\0\0\0`)
export const execute = (portal = '', rows = 0): Buffer => frame(CLIENT.execute, `${portal}\0`, int32(rows))
export const describe = (kind: 'S' | 'P', name = ''): Buffer => frame(CLIENT.describe, `${kind}${name}\0`)
export const close = (kind: 'S' | 'P', name = ''): Buffer => frame(CLIENT.close, `${kind}${name}\0`)
export const sync = frame(CLIENT.sync)
export const flush = frame(CLIENT.flush)
export const terminate = frame(CLIENT.terminate)
export const copyData = (text: string): Buffer => frame(CLIENT.copyData, text)
export const copyDone = frame(CLIENT.copyDone)
export const copyFail = (why: string): Buffer => frame(CLIENT.copyFail, `${why}\0`)
export const functionCall = (oid: number): Buffer => frame(CLIENT.functionCall, int32(oid), '\0\0\0\0\0\0')

/** Parse, Bind, Execute of the unnamed statement. */
export const extended = (text: string): Buffer => Buffer.concat([parse(text), bind(), execute()])

export const server = {
  parseComplete: frame(SERVER.parseComplete),
  bindComplete: frame(SERVER.bindComplete),
  closeComplete: frame(SERVER.closeComplete),
  noData: frame(SERVER.noData),
  row: (text: string): Buffer => frame(SERVER.dataRow, '\0\u0001', int32(Buffer.byteLength(text)), text),
  rowDescription: frame(SERVER.rowDescription, '\0\0'),
  parameterDescription: frame(SERVER.parameterDescription, '\0\0'),
  complete: (tag: string): Buffer => frame(SERVER.commandComplete, `${tag}\0`),
  suspended: frame(SERVER.portalSuspended),
  empty: frame(SERVER.emptyQueryResponse),
  ready: (status: 'I' | 'T' | 'E'): Buffer => frame(SERVER.readyForQuery, status),
  error: (code: string, message: string, severity = 'ERROR'): Buffer =>
    frame(SERVER.errorResponse, `S${severity}\0V${severity}\0C${code}\0M${message}\0\0`),
  notice: (message: string): Buffer =>
    frame(SERVER.noticeResponse, `SNOTICE\0VNOTICE\0C00000\0M${message}\0\0`),
  notification: frame(SERVER.notificationResponse, int32(1), 'channel\0payload\0'),
  setting: (name: string, value: string): Buffer => frame(SERVER.parameterStatus, `${name}\0${value}\0`),
  copyIn: frame(SERVER.copyInResponse, '\0\0\0'),
  copyOut: frame(SERVER.copyOutResponse, '\0\0\0'),
  copyData: (text: string): Buffer => frame(SERVER.copyData, text),
  copyDone: frame(SERVER.copyDone),
}

/** Whole frames of a stream; what is left over is an error of the test. */
export function frames(bytes: Buffer): { readonly type: string; readonly body: Buffer }[] {
  const found: { type: string; body: Buffer }[] = []
  let at = 0
  while (bytes.length - at >= HEADER_BYTES) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    if (end > bytes.length) break
    found.push({ type: String.fromCharCode(bytes[at] ?? 0), body: bytes.subarray(at + HEADER_BYTES, end) })
    at = end
  }
  if (at !== bytes.length)
    found.push({ type: `(${bytes.length - at} bytes of an unfinished frame)`, body: Buffer.alloc(0) })
  return found
}

/** The server's messages as text; rows that follow each other are counted. */
export function serverText(bytes: Buffer): string {
  const words: string[] = []
  for (const { type, body } of frames(bytes)) {
    if (type === 'E') words.push(`E(${errorField(body, 'C')})`)
    else if (type === 'C') words.push(`C(${body.toString('latin1', 0, body.length - 1)})`)
    else if (type === 'Z') words.push(`Z(${body.toString('latin1')})`)
    else words.push(type)
  }
  return words.join(' ')
}

/** The client's messages as text. */
export function clientText(bytes: Buffer): string {
  return frames(bytes)
    .map(({ type, body }) => {
      const text = body.toString('latin1').replace(/_[0-9a-f]{24}_/g, '_NONCE_')
      if (type === 'Q') return `Q(${text.slice(0, -1)})`
      if (type === 'P') return `P(${text.split('\0').slice(0, 2).join('=')})`
      return type
    })
    .join(' ')
}

/** One field of an ErrorResponse: `C` the SQLSTATE, `M` the message, `H` the hint. */
export function errorField(body: Buffer, field: string): string | undefined {
  const found = body
    .toString()
    .split('\0')
    .find((part) => part.startsWith(field))
  return found?.slice(1)
}
