/** What the audit log records. Field names are a contract: see docs/operating.md. */
import type { Access } from '../../protocols/access.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'

export type AuditEvent =
  | 'proxy.start'
  | 'proxy.stop'
  | 'session.start'
  | 'session.end'
  | 'auth.failure'
  | 'statement'
  | 'result'
  | 'hop'
  | 'quarantine'
  | 'cancel'
  | 'protocol.error'
  | 'backend.error'
  | 'audit.recovered'

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

/** The access in two words that can be searched: `select` on `public.customers(email)`. */
export function recordedAccess(access: Access): RecordedAccess {
  switch (access.kind) {
    case 'relation':
      return {
        action: access.action,
        resource: `${access.schema}.${access.name}${access.columns === undefined ? '' : `(${access.columns.join(',')})`}`,
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
      const keys = access.keys.map(({ key, read, write }) => `${read ? 'R' : ''}${write ? 'W' : ''}~${key}`)
      const channels = access.channels.map(({ channel }) => `&${channel}`)
      return {
        action: `+${command}`,
        resource: [...keys, ...channels, ...(access.allKeys ? ['allkeys'] : [])].join(' '),
      }
    }
  }
}

/** Characters of a statement that its record keeps. */
const STATEMENT_CHARACTERS_MAX = 16_384

/** The statement as JSON members: its text, and how long it was where that is not all of it. */
export function statementMember(text: string): string {
  if (text.length <= STATEMENT_CHARACTERS_MAX) return `"statement":${JSON.stringify(text)}`
  const head = JSON.stringify(text.slice(0, STATEMENT_CHARACTERS_MAX))
  return `"statement":${head},"statement_characters":${text.length}`
}
