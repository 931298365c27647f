/** What is kept of one login: records, counts, and what follows from a hop before there is a session. */
import type { HopKind } from '../../protocols/analysis.ts'
import type { AgentCredentials } from '../../protocols/login.ts'
import type { AuditContext } from '../audit/event.ts'
import type { LoginFault } from '../grants/login-faults.ts'
import type { RunToken } from '../grants/token.ts'
import { followHops } from './hop.ts'
import type { System } from './system.ts'

/** Characters of a user name that a record keeps: those of a run id, and a few more. */
const USER_CHARACTERS_MAX = 96

export class LoginRecord {
  readonly #system: System
  readonly #client: string

  /** @param client `address:port` */
  constructor(system: System, client: string) {
    this.#system = system
    this.#client = client
  }

  /** @param token set where its signature was good */
  refused(fault: LoginFault, token: RunToken | undefined, credentials: AgentCredentials | undefined): void {
    const { shared, metrics } = this.#system
    metrics.authFailure(fault)
    if (token !== undefined) shared.runs.ledger.entryOf(token, shared.now()).refused += 1
    shared.audit.appendEvent('auth.failure', this.#context(token), {
      reason: fault,
      user: credentials?.user?.slice(0, USER_CHARACTERS_MAX),
      application: credentials?.application,
    })
  }

  /** @param target within this system; `undefined`: the system itself */
  hop(kind: HopKind, target: string | undefined, token: RunToken | undefined): void {
    const { shared, config } = this.#system
    const context = this.#context(token)
    const { audit, runs } = shared
    followHops(
      this.#system,
      [{ kind, target: target === undefined ? config.name : `${config.name}/${target}` }],
      {
        record: {
          hop: (_, to) => audit.appendEvent('hop', context, { kind, from: token?.system, to }),
          quarantined: () => audit.appendEvent('quarantine', context, { kind }),
        },
        run: token && { token, entry: runs.ledger.entryOf(token, shared.now()) },
      },
    )
  }

  backendFailed(fault: string, message: string, token: RunToken): void {
    this.#system.shared.audit.appendEvent('backend.error', this.#context(token), { fault, message })
  }

  protocolBroken(message: string): void {
    this.#system.metrics.authFailure('protocol_error')
    this.#system.shared.audit.appendEvent('protocol.error', this.#context(undefined), { message })
  }

  cancelAsked(outcome: string): void {
    this.#system.shared.audit.appendEvent('cancel', this.#context(undefined), { outcome })
  }

  #context(token: RunToken | undefined): AuditContext & { readonly root_run: string | undefined } {
    return {
      ...this.#system.auditContext,
      run: token?.run,
      // So that what a narrowed token tried is found with the run that its issuer named.
      root_run: token?.ancestors[0]?.run,
      agent: token?.agent,
      grant: token === undefined || typeof token.grant !== 'string' ? undefined : token.grant,
      jti: token?.jti,
      client: this.#client,
    }
  }
}
