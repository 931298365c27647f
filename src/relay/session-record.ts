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
  /** Made once. */
  readonly #contextMembers: string
  /** When each relayed statement that is still running left, by statement id; milliseconds of `performance`. */
  readonly #leftAtMs = new Map<number, number>()

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
    this.#contextMembers = members({
      ...system.auditContext,
      run: token.run,
      agent: token.agent,
      grant: grant.name,
      grant_sha256: grantSha256,
      jti: token.jti,
      session: randomBytes(8).toString('hex'),
      client: clientAddress,
    })
  }

  started(): void {
    this.#audit.append('session.start', this.#contextMembers)
  }

  /** @param verdictMembers the verdict as JSON members */
  statement(statement: Statement, verdictMembers: string): void {
    this.#audit.append(
      'statement',
      `${this.#contextMembers},"id":${statement.id},${statementMember(statement.text)},${verdictMembers}`,
    )
  }

  /** The statement is on its way to the backend. */
  left(statementId: number): void {
    this.#leftAtMs.set(statementId, performance.now())
  }

  result({ statementId, rows, bytes, error }: Completion): void {
    const leftAtMs = this.#leftAtMs.get(statementId)
    // Statements end in order: an earlier one that never answered was skipped by the server.
    for (const id of this.#leftAtMs.keys()) {
      if (id > statementId) break
      this.#leftAtMs.delete(id)
    }
    const durationUs = leftAtMs === undefined ? 0 : Math.round((performance.now() - leftAtMs) * 1_000)
    const failed = error === undefined ? '' : `,"error":${JSON.stringify(error)}`
    this.#audit.append(
      'result',
      `${this.#contextMembers},"id":${statementId},"rows":${rows},"bytes":${bytes},"duration_us":${durationUs}${failed}`,
    )
  }

  /** Anything else, with its own fields. */
  event(event: AuditEvent, fields: Readonly<Record<string, unknown>>): void {
    this.#audit.append(event, `${this.#contextMembers},${members(fields)}`)
  }
}
