/** What the audit log records. Field names are a contract: see docs/operating.md. */
import { createHash } from 'node:crypto'
import type { ProtocolName } from '../../protocols/protocol.ts'

export const AUDIT_EVENTS = [
  'proxy.start',
  'proxy.stop',
  'session.start',
  'session.regrant',
  'session.end',
  'auth.failure',
  'statement',
  'result',
  'hop',
  'quarantine',
  'revoked',
  'released',
  'secret.registered',
  'config.reloaded',
  'config.refused',
  'cancel',
  'protocol.error',
  'backend.error',
  'audit.recovered',
  'audit.repaired',
  'audit.file',
  'audit.checkpoint',
] as const
export type AuditEvent = (typeof AUDIT_EVENTS)[number]

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

/** Characters of a statement that its record keeps. */
const STATEMENT_CHARACTERS_MAX = 16_384

/**
 * The statement as JSON members: its text; where that is not all of it, how long it was and the SHA-256 of the whole (UTF-8), so
 * that a text from elsewhere can be held against it.
 */
export function statementMember(text: string): string {
  if (text.length <= STATEMENT_CHARACTERS_MAX) return `"statement":${JSON.stringify(text)}`
  const head = JSON.stringify(text.slice(0, STATEMENT_CHARACTERS_MAX))
  const sha256 = createHash('sha256').update(text).digest('hex')
  return `"statement":${head},"statement_characters":${text.length},"statement_sha256":"${sha256}"`
}
