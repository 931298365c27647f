/** A token, as commands take it: itself, in the connection URL that an agent was given, or from standard input. */
import { readFileSync } from 'node:fs'
import type { ProtocolName } from '../../protocols/protocol.ts'
import { CommandError } from './exit.ts'

/** Which protocols an address may be of. */
const PROTOCOL_OF_SCHEME: Readonly<Record<string, ProtocolName>> = {
  'postgres:': 'postgres',
  'postgresql:': 'postgres',
  'mysql:': 'mysql',
  'mariadb:': 'mysql',
  'redis:': 'redis',
  'rediss:': 'redis',
  'valkey:': 'redis',
  'valkeys:': 'redis',
}

export const NO_TOKEN = '--token takes a token, or the connection URL that holds one as its password'

export type GivenToken = {
  readonly token: string
  /** Where it stood in one. */
  readonly url: URL | undefined
  /** Of the URL. */
  readonly protocol: ProtocolName | undefined
}

/** Whether the token is good is for the caller to find. @throws CommandError */
export function tokenOption(option: string): GivenToken {
  const text = (option === '-' ? standardInput() : option).trim()
  if (!text.includes('://')) return { token: text, url: undefined, protocol: undefined }
  const url = URL.canParse(text) ? new URL(text) : undefined
  const protocol = PROTOCOL_OF_SCHEME[url?.protocol ?? '']
  const token = url && decoded(url.password)
  if (protocol === undefined || token === undefined || token === '') throw new CommandError(NO_TOKEN)
  return { token, url, protocol }
}

function standardInput(): string {
  try {
    return readFileSync(0, 'utf8')
  } catch (error) {
    throw new CommandError(`cannot read standard input: ${(error as NodeJS.ErrnoException).code ?? 'error'}`)
  }
}

/** `undefined`: a `%` in it begins no escape. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
