/** What the audit log keeps of one session: every record with the same members about who and where. */
import { randomBytes } from 'node:crypto'
import type { Completion, Statement } from '../../protocols/session.ts'
import { type AuditEvent, statementMember } from '../audit/event.ts'
import { type AuditLog, members } from '../audit/log.ts'
import type { Grant } from '../grants/grant.ts'
import type { RunToken } from '../grants/token.ts'
import type { System } from './system.ts'

export class SessionRecord {
  readonly #audit: AuditLog
  readonly #session: Readonly<Record<string, unknown>>
  /** Made once for each grant. */
  #contextMembers: string

  constructor(
    parts: {
      readonly system: System
      readonly token: RunToken
      readonly grant: Grant
      readonly clientAddress: string
    },
    grantSha256: string,
  ) {
    const { system, token, grant, clientAddress } = parts
    this.#audit = system.shared.audit
    this.#session = {
      ...system.auditContext,
      run: token.run,
      // A narrowed token is named by whoever narrowed it; the run that its issuer named answers for it.
      root_run: token.ancestors[0]?.run,
      agent: token.agent,
      jti: token.jti,
      session: randomBytes(8).toString('hex'),
      client: clientAddress,
    }
    this.#contextMembers = this.#under(grant, grantSha256)
  }

  #under(grant: Grant, grantSha256: string): string {
    return members({ ...this.#session, grant: grant.name, grant_sha256: grantSha256 })
  }

  started(): void {
    this.#audit.append('session.start', this.#contextMembers)
  }

  /** Another grant holds from here on. */
  regranted(grant: Grant, grantSha256: string): void {
    this.#contextMembers = this.#under(grant, grantSha256)
    this.#audit.append('session.regrant', this.#contextMembers)
  }

  /** @param verdictMembers the verdict as JSON members */
  statement(statement: Statement, verdictMembers: string): void {
    this.#audit.append(
      'statement',
      `${this.#contextMembers},"id":${statement.id},${statementMember(statement.text)},${verdictMembers}`,
    )
  }

  /** @param durationUs microseconds since the statement left */
  result({ statementId, rows, bytes, error, limit }: Completion, durationUs: number): void {
    const failed = error === undefined ? '' : `,"error":${JSON.stringify(error)}`
    const cut = limit === undefined ? '' : `,"limit":"${limit}"`
    this.#audit.append(
      'result',
      `${this.#contextMembers},"id":${statementId},"rows":${rows},"bytes":${bytes},"duration_us":${durationUs}${failed}${cut}`,
    )
  }

  /** Anything else, with its own fields. */
  event(event: AuditEvent, fields: Readonly<Record<string, unknown>>): void {
    this.#audit.append(event, `${this.#contextMembers},${members(fields)}`)
  }
}
