/** `HELLO [2|3 [AUTH user password] [SETNAME name]]` and the greeting that answers it. */
import type { NativeError } from '../analysis.ts'
import type { Args } from './args.ts'

export type Hello = {
  /** `undefined`: the version stays as it is. */
  readonly version: 2 | 3 | undefined
  readonly auth: { readonly user: string; readonly password: string } | undefined
  readonly name: string | undefined
}

/** Reads it as the server does; a string of the error otherwise. */
export function parseHello(args: Args): Hello | NativeError {
  if (args.count === 1) return { version: undefined, auth: undefined, name: undefined }
  const version = args.integer(1)
  if (version === undefined) return error('ERR', 'Protocol version is not an integer or out of range')
  if (version !== 2 && version !== 3) return error('NOPROTO', 'unsupported protocol version')
  let auth: Hello['auth']
  let name: string | undefined
  for (let i = 2; i < args.count; ) {
    const word = args.word(i)
    if (word === 'auth' && i + 2 < args.count) {
      auth = { user: args.latin1(i + 1), password: args.latin1(i + 2) }
      i += 3
    } else if (word === 'setname' && i + 1 < args.count) {
      if (!args.isPlain(i + 1) || args.size(i + 1) > CLIENT_NAME_BYTES_MAX) return error('ERR', CLIENT_NAME)
      name = args.latin1(i + 1)
      i += 2
    } else {
      return error('ERR', `Syntax error in HELLO option '${word?.slice(0, 128) ?? ''}'`)
    }
  }
  return { version, auth, name }
}

/** Longest client name, library name or version that is kept: each is answered as often as it is asked for. */
export const CLIENT_NAME_BYTES_MAX = 256

/** What the server says of a name that could break its lists. */
export const CLIENT_NAME = 'Client names cannot contain spaces, newlines or special characters.'

function error(code: string, message: string): NativeError {
  return { code, message }
}

/**
 * The greeting. Made here and not relayed: the server's names its modules, and may say `cluster`, which would send a
 * driver looking for other addresses.
 */
export function greeting(facts: {
  readonly server: string
  readonly version: string
  readonly proto: 2 | 3
  readonly id: number
}): Buffer {
  const { server, version, proto, id } = facts
  const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
  const head = proto === 3 ? '%7' : '*14'
  return Buffer.from(
    `${head}\r\n${bulk('server')}${bulk(server)}${bulk('version')}${bulk(version)}${bulk('proto')}:${proto}\r\n` +
      `${bulk('id')}:${id}\r\n${bulk('mode')}${bulk('standalone')}${bulk('role')}${bulk('master')}${bulk('modules')}*0\r\n`,
  )
}
