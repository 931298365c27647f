/**
 * The backend's side of a login: HELLO or AUTH with the proxy's own credentials, then the database that the system
 * pins and a name for the server's administrator. All of it is sent at once; the answers come in order.
 *
 * TLS has no negotiation in this protocol: where it is configured, the socket is wrapped before the first byte.
 */
import { ProtocolError } from '../errors.ts'
import { Inbox } from '../inbox.ts'
import type { BackendLogin, BackendLoginOptions, BackendLoginStep } from '../login.ts'
import { Outbox } from '../outbox.ts'
import { encodeCommand } from './frames.ts'
import { REPLY, ReplyScanner } from './replies.ts'

/** A greeting is a few hundred bytes, more with modules. */
const ANSWER_BYTES_MAX = 65_536

type Asked = 'login' | 'id' | 'select' | 'name' | 'unblock'

type Failure = Extract<BackendLoginStep, { kind: 'failed' }>

export class RedisBackendLogin implements BackendLogin {
  readonly #options: BackendLoginOptions
  readonly #version: 2 | 3
  /** Set in a conversation that ends the wait of the connection with this number. */
  readonly #unblocks: number | undefined
  /** The server's number of this connection; `undefined`: it has not said. */
  #id: number | undefined
  readonly #inbox = new Inbox()
  readonly #outbox = new Outbox()
  readonly #replies = new ReplyScanner(this.#inbox)
  readonly #asked: Asked[] = []
  #phase: 'tls' | 'asking' | 'answers' | 'ready' | 'failed' = 'tls'
  #inReply = false
  #isError = false
  #failure: Failure | undefined

  /** @param unblocks the number of another connection, whose wait is to be ended instead of beginning a session */
  constructor(options: BackendLoginOptions, version: 2 | 3, unblocks?: number) {
    this.#options = options
    this.#version = version
    this.#unblocks = unblocks
    if (options.tls === 'disable') this.#phase = 'asking'
  }

  fromServer(chunk: Buffer): void {
    this.#inbox.push(chunk)
    if (this.#phase !== 'ready' && this.#inbox.length > ANSWER_BYTES_MAX) {
      throw new ProtocolError('redis', 'server', 'too many bytes during login')
    }
  }

  next(): BackendLoginStep | undefined {
    switch (this.#phase) {
      case 'tls':
        return { kind: 'start_tls' }
      case 'asking':
        this.#ask()
        return this.#readAnswers()
      case 'answers':
        return this.#readAnswers()
      case 'failed':
        return this.#failure
      case 'ready':
        return { kind: 'ready' }
    }
  }

  tlsStarted(): void {
    this.#phase = 'asking'
  }

  #ask(): void {
    const { user, password, database, applicationName } = this.#options
    const account = user === '' ? 'default' : user
    if (this.#version === 3) {
      this.#send('login', ['HELLO', '3', ...(password === undefined ? [] : ['AUTH', account, password])])
    } else if (password !== undefined) {
      // Servers before ACLs know the short form only, and `default` is what it means.
      this.#send('login', account === 'default' ? ['AUTH', password] : ['AUTH', account, password])
    }
    this.#phase = 'answers'
    if (this.#unblocks !== undefined) {
      this.#send('unblock', ['CLIENT', 'UNBLOCK', String(this.#unblocks), 'ERROR'])
      return
    }
    // The greeting of HELLO says it by itself.
    if (this.#version === 2) this.#send('id', ['CLIENT', 'ID'])
    // Always, so that a user without the right to it is found out here.
    this.#send('select', ['SELECT', database])
    this.#send('name', ['CLIENT', 'SETNAME', applicationName.replaceAll(/[^!-~]/g, ':')])
  }

  #send(asked: Asked, words: readonly string[]): void {
    this.#asked.push(asked)
    this.#outbox.push(encodeCommand(words))
  }

  #readAnswers(): BackendLoginStep | undefined {
    while (this.#asked.length > 0) {
      const text = this.#answer()
      if (text === undefined) return undefined
      const failure = this.#judge(this.#asked.shift(), text)
      if (failure === undefined) continue
      this.#phase = 'failed'
      this.#failure = failure
      return failure
    }
    this.#phase = 'ready'
    return { kind: 'ready' }
  }

  /** The next answer whole, as latin1; `undefined`: it has not all arrived. */
  #answer(): string | undefined {
    const replies = this.#replies
    if (!this.#inReply) {
      if (this.#inbox.length === 0 || !replies.begin()) return undefined
      this.#inReply = true
      this.#isError = replies.type === REPLY.error
    }
    if (replies.walk() !== 'done') return undefined
    this.#inReply = false
    const bytes = this.#inbox.take(replies.at)
    replies.at = 0
    return bytes.toString('latin1')
  }

  #judge(asked: Asked | undefined, text: string): Failure | undefined {
    if (!this.#isError) {
      const cluster = asked === 'login' && /\$4\r\nmode\r\n\$7\r\ncluster\r\n/.test(text)
      if (cluster) return failed('unsupported', 'the backend is a cluster, which is not supported')
      if (asked === 'login' || asked === 'id') this.#id = connectionNumber(text)
      return undefined
    }
    const line = text.slice(1, -2)
    // A name is a courtesy, and without its number a wait cannot be ended; a user without the rights can still work.
    if (asked === 'name' || asked === 'id') return undefined
    if (/^(?:WRONGPASS|NOAUTH|ERR (?:invalid password|Client sent AUTH|AUTH <password> called))/.test(line)) {
      return failed('authentication', line)
    }
    if (/^(?:NOPROTO|ERR unknown command)/.test(line)) {
      return failed('unsupported', `the backend does not speak RESP${this.#version}: ${line}`)
    }
    return failed('refused', line)
  }

  takeForServer(): readonly Buffer[] {
    return this.#outbox.take()
  }

  /** Bytes behind the last answer. */
  rest(): Buffer {
    return this.#inbox.takeAll()
  }

  /** Ends the wait of a blocking command (`BLPOP`, `XREAD … BLOCK`, `WAIT`). Nothing else can be interrupted. */
  cancel(): RedisBackendLogin | undefined {
    if (this.#id === undefined) return undefined
    return new RedisBackendLogin(this.#options, this.#version, this.#id)
  }
}

/** In the answer to `CLIENT ID`, or in a greeting: `$2 id :7`. */
function connectionNumber(answer: string): number | undefined {
  const digits = /^:(\d{1,15})\r\n$/.exec(answer)?.[1] ?? /\$2\r\nid\r\n:(\d{1,15})\r\n/.exec(answer)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

function failed(reason: Failure['reason'], message: string): Failure {
  return { kind: 'failed', reason, message }
}
