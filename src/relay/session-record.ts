/** What the audit log keeps of one session: every record with the same members about who and where. */
import { randomBytes } from 'node:crypto'
import type { HopKind } from '../../protocols/analysis.ts'
import type { Completion, Statement } from '../../protocols/session.ts'
import { type AuditEvent, statementMember } from '../audit/event.ts'
import { type AuditLog, members } from '../audit/log.ts'
import type { RunToken } from '../grants/token.ts'
import type { Judge, Judgement } from '../policy/judge.ts'
import type { System } from './system.ts'

/** Hops that aim at a name, which is recorded whatever becomes of literals. */
const NAMING_HOPS: ReadonlySet<HopKind> = new Set(['wrong_system', 'decoy', 'wrong_database'])

export class SessionRecord {
  readonly #audit: AuditLog
  readonly #system: System
  readonly #session: Readonly<Record<string, unknown>>
  /** Made once for each grant. */
  #contextMembers: string

  constructor(
    parts: {
      readonly system: System
      readonly token: RunToken
      readonly clientAddress: string
    },
    judge: Judge,
  ) {
    const { system, token, clientAddress } = parts
    this.#audit = system.shared.audit
    this.#system = system
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
    this.#contextMembers = this.#under(judge)
  }

  #under({ grant, grantSha256 }: Judge): string {
    return members({ ...this.#session, grant: grant.name, grant_sha256: grantSha256 })
  }

  /** @param judge what verdicts follow from, kept once so that every one of them can be computed again */
  started(judge: Judge): void {
    this.#audit.append('session.start', `${this.#contextMembers},"judged_by":${judge.canonical}`)
  }

  /** Another grant holds from here on. */
  regranted(judge: Judge): void {
    this.#contextMembers = this.#under(judge)
    this.#audit.append('session.regrant', `${this.#contextMembers},"judged_by":${judge.canonical}`)
  }

  statement(statement: Statement, judgement: Judgement): void {
    const text = this.#textMember(statement.text)
    // What could not be followed may quote what stands in the statement.
    const why = this.#keepsLiterals ? judgement.whyMember : ''
    this.#audit.append(
      'statement',
      `${this.#contextMembers},"id":${statement.id}${text},${judgement.members}${why}`,
    )
  }

  get #keepsLiterals(): boolean {
    return this.#system.shared.config.audit.statementText === 'full'
  }

  #textMember(text: string): string {
    switch (this.#system.shared.config.audit.statementText) {
      case 'full':
        return `,${statementMember(text)}`
      case 'redacted': {
        const shape = this.#system.backend?.knowledge.current?.redact(text)
        return shape === undefined ? '' : `,${statementMember(shape)}`
      }
      case 'none':
        return ''
    }
  }

  /** @param target what it aimed at; a file or a host is a literal, a database or a decoy a name */
  hop(kind: HopKind, target: string | undefined): void {
    const keepsTarget = this.#keepsLiterals || NAMING_HOPS.has(kind)
    const from = this.#system.config.name
    this.event('hop', { kind, from, to: keepsTarget ? target : undefined })
  }

  quarantined(kind: HopKind): void {
    this.event('quarantine', { kind })
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
