import { broken } from './errors.ts'

/** Settings whose change would mean that we and the server read texts differently, or under other rights. */
const WATCHED: ReadonlySet<string> = new Set([
  'client_encoding',
  'is_superuser',
  'search_path',
  'server_encoding',
  'session_authorization',
  'standard_conforming_strings',
])

/**
 * Reads a ParameterStatus.
 *
 * @param atLogin what the server reported then; throws `ProtocolError` where a watched setting differs
 */
export function checkSetting(body: Buffer, atLogin: ReadonlyMap<string, string>): void {
  const nameEnd = body.indexOf(0)
  const valueEnd = nameEnd === -1 ? -1 : body.indexOf(0, nameEnd + 1)
  if (valueEnd === -1) throw broken('server', 'a setting without an end')
  const name = body.toString('utf8', 0, nameEnd)
  if (!WATCHED.has(name)) return
  const value = body.toString('utf8', nameEnd + 1, valueEnd)
  // Names that the empty path leaves mean what they meant.
  if (name === 'search_path' && value === '') return
  if (value !== atLogin.get(name))
    throw broken('server', `the setting ${name}, to which this session is pinned, has changed`)
}
