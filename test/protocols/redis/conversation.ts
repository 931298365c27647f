/** A session without sockets: what goes in on either side, and what comes out. */
import type { Analysis } from '../../../protocols/analysis.ts'
import { ClientEntry } from '../../../protocols/redis/answers.ts'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { credentialsDigest, RedisSession } from '../../../protocols/redis/session.ts'
import type { Completion, Denial } from '../../../protocols/session.ts'
import { command, raw, text } from './wire.ts'

/** The denial of what a test calls denied: a command whose analysis is not plain, or that touches a key `no…`. */
export function verdict(analysis: Analysis): Denial | undefined {
  if (analysis.outcome === 'accesses') {
    const denied = analysis.accesses.some(
      (access) => access.kind === 'command' && access.keys.some(({ key }) => key.startsWith('no')),
    )
    return denied ? { reason: 'not_granted', message: 'denied' } : undefined
  }
  const native = 'nativeError' in analysis ? analysis.nativeError : undefined
  return {
    reason: analysis.outcome,
    message: 'why' in analysis ? analysis.why : 'denied',
    ...(native !== undefined && { nativeError: native }),
  }
}

export class Conversation {
  readonly session: RedisSession
  readonly knowledge: { current: RedisAnalyser | undefined } = {
    current: new RedisAnalyser(offlineCatalog()),
  }

  constructor(version: 2 | 3 = 2) {
    this.session = new RedisSession({
      knowledge: this.knowledge,
      nonce: Buffer.from('0123456789abcdef', 'hex'),
      connectionId: 7,
      user: 'r-42',
      credentials: credentialsDigest('r-42', 'secret'),
      entry: new ClientEntry(version, undefined),
      welcome: Buffer.alloc(0),
      fromClient: Buffer.alloc(0),
      fromServer: Buffer.alloc(0),
    })
  }

  /** Sends command lines as one chunk, judges them, and gives what leaves for the server. */
  client(...lines: string[]): string {
    return this.clientBytes(Buffer.concat(lines.map(command)))
  }

  clientBytes(bytes: Buffer): string {
    this.session.fromClient(bytes)
    this.judge()
    return text(this.session.takeForServer())
  }

  judge(): void {
    for (let statement = this.session.next(); statement !== undefined; statement = this.session.next()) {
      const denial = verdict(statement.analysis)
      if (denial === undefined) this.session.relay()
      else this.session.reject(denial)
    }
  }

  /** What the client gets that has not been looked at yet. */
  get answers(): string {
    return text(this.session.takeForClient())
  }

  /** Bytes of the server, with `|` for line ends; gives what the client then gets. */
  server(bytes: string): string {
    this.session.fromServer(raw(bytes))
    return this.answers
  }

  completions(): Completion[] {
    const all: Completion[] = []
    for (let one = this.session.completion(); one !== undefined; one = this.session.completion())
      all.push(one)
    return all
  }
}

/** The name of the n-th command that stands for a denied one. */
export function poison(n: number): string {
  return `bulkhead:0123456789abcdef:${n}`
}

/** What a server says to it. */
export function complaint(n: number): string {
  return `-ERR unknown command '${poison(n)}', with args beginning with: |`
}
