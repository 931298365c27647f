/** Denials, refusals and ends as Redis errors: one line, a prefix in capitals that drivers look at, a sentence. */
import type { LoginRefusal } from '../login.ts'
import type { Denial, EndCause, LimitKind, ReplyLimits } from '../session.ts'

/** Characters of an error's sentence; a line is a line. */
const SENTENCE_CHARACTERS_MAX = 512

/** An error reply; what is not printable in the sentence becomes a space. */
export function errorReply(prefix: string, sentence: string): Buffer {
  let text = ''
  for (const char of sentence.slice(0, SENTENCE_CHARACTERS_MAX)) {
    const code = char.codePointAt(0) ?? 0
    text += code < 0x20 || (code >= 0x7f && code < 0xa0) ? ' ' : char
  }
  return Buffer.from(`-${prefix} ${text}\r\n`, 'utf8')
}

export const NOAUTH = errorReply('NOAUTH', 'Authentication required.')
const WRONGPASS = errorReply('WRONGPASS', 'invalid username-password pair or user is disabled.')

/** Stands where the server named another server. */
export const REDIRECTION = errorReply('ERR', 'the backend answered with a redirection, which is not followed')

/** The error for a refused statement. */
export function denialReply(denial: Denial, user: string): Buffer {
  const { nativeError, reason } = denial
  if (nativeError !== undefined) return errorReply(nativeError.code, nativeError.message)
  const told = namesEveryKey(denial)
    ? `${denial.message}; with a granted pattern behind MATCH it is`
    : denial.message
  const sentence = denial.hint === undefined ? told : `${told}; ${denial.hint}`
  switch (reason) {
    case 'not_granted':
      return errorReply('NOPERM', `${permissionSentence(denial, user)}${sentence}`)
    case 'forbidden':
    case 'hop':
      return errorReply('NOPERM', sentence)
    case 'token_expired':
    case 'grant_removed':
      return errorReply('NOAUTH', sentence)
    case 'not_understood':
    case 'unknown_object':
    case 'readers_disagree':
    case 'limit':
    case 'audit_unavailable':
      return errorReply('ERR', sentence)
  }
}

/** `SCAN` without a pattern, where the command as such is granted. */
function namesEveryKey({ missing, lacks }: Denial): boolean {
  return lacks === 'key' && missing?.kind === 'command' && missing.command === 'scan' && missing.allKeys
}

/** As the server says it since 7.2 (`getAclErrorMessage` in `acl.c`), with the agent's own user. */
function permissionSentence({ missing, lacks }: Denial, user: string): string {
  if (missing?.kind !== 'command') return ''
  if (lacks === 'key') return 'No permissions to access a key: '
  if (lacks === 'channel') return 'No permissions to access a channel: '
  const { command, subcommand } = missing
  const name = subcommand === undefined ? command : `${command}|${subcommand}`
  return `User ${user} has no permissions to run the '${name}' command: `
}

/** Stands where a reply was to stand that has passed a bound. */
export function limitReply(passed: Exclude<LimitKind, 'time'>, limits: ReplyLimits): Buffer {
  const sentence =
    passed === 'rows'
      ? `the reply has a list of more than ${limits.rows} elements`
      : `the reply is longer than ${limits.bytes} bytes`
  return errorReply('ERR', `${sentence}, the limit of the grant`)
}

/** The last words to a client whose session ends. */
export function endReply(cause: EndCause): Buffer {
  switch (cause.kind) {
    case 'token_expired':
    case 'revoked':
      return errorReply('NOAUTH', cause.message)
    case 'hop':
      return errorReply('NOPERM', cause.message)
    case 'protocol_error':
      return errorReply('ERR', `Protocol error: ${cause.message}`)
    case 'limit':
    case 'backend_lost':
    case 'shutdown':
    case 'audit_unavailable':
      return errorReply('ERR', cause.message)
  }
}

export function refusalReply(refusal: LoginRefusal): Buffer {
  switch (refusal.kind) {
    case 'authentication':
      return WRONGPASS
    case 'too_many_connections':
      return errorReply('ERR', 'max number of clients reached')
    case 'database':
    case 'backend_unavailable':
      return errorReply('ERR', refusal.message)
  }
}
