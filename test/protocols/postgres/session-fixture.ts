import { Inbox } from '../../../protocols/inbox.ts'
import { PostgresSession } from '../../../protocols/postgres/session.ts'
import type { Completion, Denial, Statement } from '../../../protocols/session.ts'
import { FakeReader } from './fake-reader.ts'
import { clientText, serverText } from './messages.ts'

/** What a server reports at login. */
export const PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['client_encoding', 'UTF8'],
  ['is_superuser', 'off'],
  ['server_encoding', 'UTF8'],
  ['session_authorization', 'app'],
  ['standard_conforming_strings', 'on'],
  ['TimeZone', 'UTC'],
])

export const DENIAL: Denial = { reason: 'not_granted', message: 'not in this grant' }

/** The default judge: texts with `refused` in them, and what was not understood. */
export function judge({ text, analysis }: Statement): Denial | undefined {
  if (analysis.outcome !== 'accesses') {
    const nativeError = 'nativeError' in analysis ? analysis.nativeError : undefined
    return {
      reason: 'not_understood',
      message: 'why' in analysis ? analysis.why : '',
      ...(nativeError !== undefined && { nativeError }),
    }
  }
  return text.includes('refused') ? DENIAL : undefined
}

/** A session whose two sides are in the hands of the test. */
export class Fixture {
  readonly knowledge: { current: FakeReader } = { current: new FakeReader() }
  readonly session: PostgresSession
  readonly statements: Statement[] = []
  readonly completions: Completion[] = []
  readonly #judge: (statement: Statement) => Denial | undefined
  /** All that ever came out. */
  toServer = Buffer.alloc(0)
  toClient = Buffer.alloc(0)

  constructor(judgement = judge) {
    this.#judge = judgement
    this.session = new PostgresSession({
      knowledge: this.knowledge,
      reader: this.knowledge.current,
      random: (size) => Buffer.alloc(size, 7),
      parameters: PARAMETERS,
      clientInbox: new Inbox(),
      serverInbox: new Inbox(),
    })
  }

  /** Judges what can be judged, and collects what came out. */
  settle(): void {
    const { session } = this
    for (let statement = session.next(); statement !== undefined; statement = session.next()) {
      this.statements.push(statement)
      const denial = this.#judge(statement)
      if (denial === undefined) session.relay()
      else session.reject(denial)
    }
    for (let done = session.completion(); done !== undefined; done = session.completion())
      this.completions.push(done)
    this.collect()
  }

  collect(): void {
    this.toServer = Buffer.concat([this.toServer, ...this.session.takeForServer()])
    this.toClient = Buffer.concat([this.toClient, ...this.session.takeForClient()])
  }

  /** The client speaks; gives what the server gets. */
  client(...messages: readonly Buffer[]): string {
    const before = this.toServer.length
    this.session.fromClient(Buffer.concat(messages))
    this.settle()
    return clientText(this.toServer.subarray(before))
  }

  /** The server speaks; gives what the client gets. */
  server(...messages: readonly Buffer[]): string {
    const before = this.toClient.length
    this.session.fromServer(Buffer.concat(messages))
    this.settle()
    return serverText(this.toClient.subarray(before))
  }

  /** The marker of the last refused message that went to the server. */
  get marker(): string {
    return (
      /bulkhead_denied_[0-9a-f]+_\d+(?!.*bulkhead_denied_)/s.exec(this.toServer.toString('latin1'))?.[0] ?? ''
    )
  }
}
