/** What the audit log records. Field names are a contract: see docs/operating.md. */
import type { Access, CommandAccess } from '../../protocols/access.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'

export type AuditEvent =
  | 'proxy.start'
  | 'proxy.stop'
  | 'session.start'
  | 'session.regrant'
  | 'session.end'
  | 'auth.failure'
  | 'statement'
  | 'result'
  | 'hop'
  | 'quarantine'
  | 'revoked'
  | 'released'
  | 'secret.registered'
  | 'config.reloaded'
  | 'config.refused'
  | 'cancel'
  | 'protocol.error'
  | 'backend.error'
  | 'audit.recovered'
  | 'audit.repaired'
  | 'audit.file'
  | 'audit.checkpoint'

/** Who and where; known in parts before login. */
export type AuditContext = {
  readonly system: string
  readonly protocol: ProtocolName
  readonly run?: string | undefined
  readonly agent?: string | undefined
  readonly grant?: string | undefined
  readonly grant_sha256?: string | undefined
  readonly jti?: string | undefined
  /** Unique within the log. */
  readonly session?: string | undefined
  /** `address:port` of the client. */
  readonly client?: string | undefined
}

/** An access as recorded. */
export type RecordedAccess = { readonly action: string; readonly resource: string }

/** Characters of resources that a record keeps. A command may name a million keys, and a record must stay one. */
const RESOURCES_CHARACTERS_MAX = 65_536

/** The accesses as recorded: all of them, unless they are so many that the last one only says how many more there were. */
export function recordedAccesses(accesses: readonly Access[]): readonly RecordedAccess[] {
  const recorded: RecordedAccess[] = []
  let left = RESOURCES_CHARACTERS_MAX
  for (const access of accesses) {
    if (left <= 0) {
      recorded.push({ action: '…', resource: `${accesses.length - recorded.length} more` })
      break
    }
    const { action, resource } = recordedAccess(access, left)
    left -= action.length + resource.length
    recorded.push({ action, resource })
  }
  return recorded
}

/** The access in two words that can be searched: `select` on `public.customers(email)`. */
function recordedAccess(access: Access, charactersMax: number): RecordedAccess {
  switch (access.kind) {
    case 'relation': {
      const name = `${access.schema}.${access.name}`
      if (access.columns === undefined) return { action: access.action, resource: name }
      const columns = joined(access.columns, ',', charactersMax)
      return { action: access.action, resource: `${name}(${columns})` }
    }
    case 'routine':
    case 'sequence':
    case 'type':
      return { action: access.action, resource: `${access.kind} ${access.schema}.${access.name}` }
    case 'schema':
    case 'channel':
      return { action: access.action, resource: `${access.kind} ${access.name}` }
    case 'metadata':
      return { action: access.level, resource: `metadata ${access.name}` }
    case 'command': {
      const command =
        access.subcommand === undefined ? access.command : `${access.command}|${access.subcommand}`
      return { action: `+${command}`, resource: joined(commandResources(access), ' ', charactersMax) }
    }
  }
}

function* commandResources({ keys, channels, allKeys }: CommandAccess): Iterable<string> {
  for (const { key, read, write } of keys) yield `${read ? 'R' : ''}${write ? 'W' : ''}~${key}`
  for (const { channel } of channels) yield `&${channel}`
  if (allKeys) yield 'allkeys'
}

/** The words, until there are more characters than may be kept; then how many are left out. */
function joined(words: Iterable<string>, separator: string, charactersMax: number): string {
  let text = ''
  let count = 0
  let more = 0
  for (const word of words) {
    if (text.length > charactersMax) {
      more += 1
      continue
    }
    const left = charactersMax - text.length
    const kept = word.length > left ? `${word.slice(0, left)}…(${word.length} characters)` : word
    text += count === 0 ? kept : `${separator}${kept}`
    count += 1
  }
  return more === 0 ? text : `${text}${separator}… ${more} more`
}

/** Characters of a statement that its record keeps. */
const STATEMENT_CHARACTERS_MAX = 16_384

/** The statement as JSON members: its text, and how long it was where that is not all of it. */
export function statementMember(text: string): string {
  if (text.length <= STATEMENT_CHARACTERS_MAX) return `"statement":${JSON.stringify(text)}`
  const head = JSON.stringify(text.slice(0, STATEMENT_CHARACTERS_MAX))
  return `"statement":${head},"statement_characters":${text.length}`
}
