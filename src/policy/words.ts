/**
 * What people read: an access as a privilege, a denial as a sentence with a hint. Sentences are lower case, one
 * line, without a final stop; they never hold a literal of the statement, a backend address or another run's name.
 */
import type { Access, CommandAccess } from '../../protocols/access.ts'
import type { Denial, DenyReason } from '../../protocols/session.ts'
import type { Denied } from './decide.ts'

/** What came of a statement; `would_deny`: relayed although no allow line covers it, because the grant only observes. */
export const VERDICT_WORDS = ['allow', 'deny', 'would_deny'] as const
export type VerdictWord = (typeof VERDICT_WORDS)[number]

/** How many allow lines a hint shows. */
const HINT_LINES_MAX = 4

/** How many missing accesses a sentence names. */
const NAMED_ACCESSES_MAX = 3

const REASON_SENTENCES: Record<DenyReason, string> = {
  not_granted: 'the grant does not allow this',
  not_understood: 'the statement could not be analysed',
  unknown_object: 'the statement names an object that does not exist',
  readers_disagree: 'two readers of the statement disagree about what it touches',
  forbidden: 'no grant can allow this',
  hop: 'this leaves the granted system',
  token_expired: 'the token of this run has expired',
  grant_removed: 'the grant of this run no longer exists',
  limit: 'a limit of the grant is reached',
  audit_unavailable: 'the audit log cannot be written, so that nothing may pass',
}

/** The access in the words of a grant: `select (email) on public.customers`, `+get ~cart:7`. */
export function accessWords(access: Access): string {
  switch (access.kind) {
    case 'relation': {
      const columns =
        access.columns === undefined || access.columns.length === 0 ? '' : ` (${access.columns.join(', ')})`
      return `${access.action}${columns} on ${access.schema}.${access.name}`
    }
    case 'routine':
      return `execute on ${access.action === 'call' ? 'procedure' : 'function'} ${access.schema}.${access.name}`
    case 'sequence':
    case 'type':
      return `${access.action} on ${access.kind} ${access.schema}.${access.name}`
    case 'schema':
    case 'channel':
      return `${access.action} on ${access.kind} ${access.name}`
    case 'metadata':
      return `metadata: ${access.level} (${access.name})`
    case 'command':
      return commandWords(access)
  }
}

function commandWords(access: CommandAccess): string {
  const words = [`+${access.command}${access.subcommand === undefined ? '' : `|${access.subcommand}`}`]
  for (const { key, read, write } of access.keys.slice(0, NAMED_ACCESSES_MAX)) {
    words.push(`${read && write ? '~' : read ? '%R~' : '%W~'}${printable(key)}`)
  }
  if (access.keys.length > NAMED_ACCESSES_MAX)
    words.push(`and ${access.keys.length - NAMED_ACCESSES_MAX} more`)
  for (const { channel } of access.channels.slice(0, NAMED_ACCESSES_MAX)) words.push(`&${printable(channel)}`)
  if (access.allKeys) words.push('allkeys')
  return words.join(' ')
}

/** Key bytes (latin1) as printable ASCII, cut to 64 characters. */
function printable(bytes: string): string {
  let text = ''
  for (let at = 0; at < bytes.length && at < 64; at += 1) {
    const code = bytes.charCodeAt(at)
    text += code > 0x20 && code < 0x7f ? bytes[at] : `\\x${code.toString(16).padStart(2, '0')}`
  }
  return bytes.length > 64 ? `${text}…` : text
}

/** Words a denial for the client. `allow` are the grant's lines, for the hint. */
export function denialOf(denied: Denied, allow: readonly string[]): Denial {
  const { missing, nativeError } = denied
  const reason = denied.toldAs ?? denied.reason
  const first = missing[0]
  const message =
    reason === 'not_granted'
      ? `the grant does not allow: ${listed(missing)}`
      : denied.why === undefined
        ? REASON_SENTENCES[reason]
        : `${sentence(reason, denied.hops)}: ${denied.why}`
  const hint = reason === 'not_granted' ? nearby(missing, allow) : undefined
  return {
    reason,
    message,
    ...(hint !== undefined && { hint }),
    ...(first !== undefined && { missing: first }),
    ...(denied.lacks !== undefined && { lacks: denied.lacks }),
    ...(nativeError !== undefined && { nativeError }),
  }
}

function sentence(reason: DenyReason, [hop]: Denied['hops']): string {
  return reason === 'hop' && hop !== undefined
    ? `${REASON_SENTENCES.hop} (${hop.kind})`
    : REASON_SENTENCES[reason]
}

function listed(missing: readonly Access[]): string {
  const named = missing.slice(0, NAMED_ACCESSES_MAX).map(accessWords).join('; ')
  return missing.length > NAMED_ACCESSES_MAX
    ? `${named}; and ${missing.length - NAMED_ACCESSES_MAX} more`
    : named
}

/** The lines that speak of the same object first, then the others. */
function nearby(missing: readonly Access[], allow: readonly string[]): string {
  if (allow.length === 0) return 'this grant allows nothing'
  const metadata = missing.find((access) => access.kind === 'metadata')
  if (metadata !== undefined) return `reading the catalog needs a grant with \`metadata: ${metadata.level}\``
  const words = new Set(missing.flatMap(nameWords))
  const ranked = [...allow].sort((a, b) => nearness(b, words) - nearness(a, words))
  const shown = ranked.slice(0, HINT_LINES_MAX).join('; ')
  const more = allow.length > HINT_LINES_MAX ? `; and ${allow.length - HINT_LINES_MAX} more` : ''
  return `this grant allows: ${shown}${more}. Ask for a grant that names what is missing`
}

function nameWords(access: Access): string[] {
  if (access.kind === 'command') return [`+${access.command}`]
  return 'name' in access ? [access.name] : []
}

function nearness(line: string, words: ReadonlySet<string>): number {
  let score = 0
  for (const word of words) if (line.includes(word)) score += 1
  return score
}

const UNITS: readonly (readonly [ms: number, unit: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
]

/** Milliseconds in the words of the configuration: `30m`, `1500ms`. */
export function durationWords(ms: number): string {
  const [unitMs, unit] = UNITS.find(([size]) => ms % size === 0) ?? [1, 'ms']
  return `${ms / unitMs}${unit}`
}
