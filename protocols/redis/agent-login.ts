/**
 * The agent's side of a login: `AUTH [user] password` or `HELLO n AUTH user password [SETNAME name]`, in RESP or as a
 * line. Until then a client is a stranger: the server's own small limits hold, and every other command is answered
 * with NOAUTH. Drivers send more behind the login without waiting for its answer; that stays in the inbox until the
 * session begins.
 */
import { timingSafeEqual } from 'node:crypto'
import { ProtocolError } from '../errors.ts'
import { Inbox } from '../inbox.ts'
import type {
  AgentCredentials,
  AgentLogin,
  AgentLoginOptions,
  AgentLoginStep,
  BackendLoginOptions,
  LoginRefusal,
} from '../login.ts'
import { Outbox } from '../outbox.ts'
import { sentSecretDigest } from '../secret.ts'
import type { Session } from '../session.ts'
import type { RedisAnalyser } from './analyser.ts'
import { ClientEntry } from './answers.ts'
import type { Args } from './args.ts'
import { RedisBackendLogin } from './backend-login.ts'
import { endReply, errorReply, NOAUTH, refusalReply } from './errors.ts'
import { LIMITS_BEFORE_LOGIN, RequestScanner } from './frames.ts'
import { greeting, parseHello } from './hello.ts'
import { credentialsDigest, RedisSession } from './session.ts'

/** What a stranger may send in all. */
const BYTES_BEFORE_LOGIN_MAX = 65_536

/** What may wait behind a login that is being judged. */
const BYTES_BEHIND_LOGIN_MAX = 1024 * 1024

/** Tries of a password on one connection. */
const TRIES_MAX = 3

/** First byte of a TLS record that begins a handshake: no command begins with it. */
const TLS_HANDSHAKE = 0x16

/** The name of a client in its credentials. */
const APPLICATION_CHARACTERS_MAX = 64

const NO_BYTES = Buffer.alloc(0)
const OK = Buffer.from('+OK\r\n')

const HELLO_NOAUTH = errorReply(
  'NOAUTH',
  'HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
)
const TLS_REQUIRED = errorReply('ERR', 'this listener takes passwords only over TLS')

/** A login shown and waiting to be judged. */
type Shown = {
  readonly credentials: AgentCredentials
  /** Of the user and the password as they were sent. */
  readonly digest: Buffer
  /** How it was shown: the answer has the same form. */
  readonly by: 'auth' | 'hello'
  readonly version: 2 | 3
}

type Phase = 'reading' | 'judging' | 'dialing' | 'closing'

export class RedisAgentLogin implements AgentLogin {
  readonly cancelKey = undefined
  readonly #options: AgentLoginOptions<RedisAnalyser>
  readonly #inbox = new Inbox()
  readonly #outbox = new Outbox()
  readonly #scanner = new RequestScanner(this.#inbox, LIMITS_BEFORE_LOGIN)
  #phase: Phase = 'reading'
  #secure = false
  #received = 0
  #tries = 0
  #version: 2 | 3 = 2
  #shown: Shown | undefined
  #backend: RedisBackendLogin | undefined

  constructor(options: AgentLoginOptions<RedisAnalyser>) {
    this.#options = options
  }

  fromClient(chunk: Buffer): void {
    if (this.#phase === 'closing') return
    this.#received += chunk.length
    const max = this.#phase === 'reading' ? BYTES_BEFORE_LOGIN_MAX : BYTES_BEHIND_LOGIN_MAX
    if (this.#received > max) this.#broken('too many bytes before login')
    this.#inbox.push(chunk)
  }

  next(): AgentLoginStep | undefined {
    if (this.#phase === 'closing') return { kind: 'close' }
    if (this.#phase !== 'reading') return undefined
    if (this.#startsTls()) {
      this.#received = 0
      return { kind: 'start_tls', rest: this.#inbox.takeAll() }
    }
    try {
      return this.#read()
    } catch (error) {
      if (error instanceof ProtocolError) this.#sayBroken(error.message)
      throw error
    }
  }

  #startsTls(): boolean {
    const first = this.#inbox.length > 0 ? this.#inbox.buffer[this.#inbox.start] : undefined
    return this.#options.tlsAvailable && !this.#secure && first === TLS_HANDSHAKE
  }

  #read(): AgentLoginStep | undefined {
    while (this.#scanner.next()) {
      if (!this.#secure && !this.#options.cleartextAllowed) return this.#close(TLS_REQUIRED)
      const step = this.#command(this.#scanner.args)
      this.#inbox.skip(this.#scanner.size)
      if (step !== undefined) return step
    }
    return undefined
  }

  #command(args: Args): AgentLoginStep | undefined {
    switch (args.word(0)) {
      case 'auth':
        return this.#auth(args)
      case 'hello':
        return this.#hello(args)
      case 'quit':
        return this.#close(OK)
      default:
        this.#outbox.push(NOAUTH)
        return undefined
    }
  }

  #auth(args: Args): AgentLoginStep | undefined {
    if (args.count === 2) return this.#show(undefined, args.latin1(1), { by: 'auth', name: undefined })
    if (args.count === 3) return this.#show(args.latin1(1), args.latin1(2), { by: 'auth', name: undefined })
    this.#outbox.push(
      args.count === 1
        ? errorReply('ERR', "wrong number of arguments for 'auth' command")
        : errorReply('ERR', 'syntax error'),
    )
    return undefined
  }

  #hello(args: Args): AgentLoginStep | undefined {
    const hello = parseHello(args)
    if ('code' in hello) {
      this.#outbox.push(errorReply(hello.code, hello.message))
      return undefined
    }
    if (hello.auth === undefined) {
      this.#outbox.push(HELLO_NOAUTH)
      return undefined
    }
    const { user, password } = hello.auth
    const step = this.#show(user, password, { by: 'hello', name: hello.name })
    this.#shown = this.#shown && { ...this.#shown, version: hello.version ?? this.#version }
    return step
  }

  #show(
    user: string | undefined,
    password: string,
    how: { readonly by: 'auth' | 'hello'; readonly name: string | undefined },
  ): AgentLoginStep {
    const secret = this.#secretOf(user, password)
    const credentials: AgentCredentials = {
      // `default` is who a client is that names nobody.
      user: user === 'default' ? undefined : user,
      password: secret === undefined ? password : '',
      ...(secret !== undefined && { secret }),
      database: undefined,
      application: how.name?.slice(0, APPLICATION_CHARACTERS_MAX),
    }
    const digest = credentialsDigest(user, password)
    this.#shown = { credentials, digest, by: how.by, version: this.#version }
    this.#phase = 'judging'
    return { kind: 'credentials', credentials }
  }

  /**
   * Whether the password is the user's run secret; `undefined`: that user has none and shows a token. The protocol has no
   * challenge, so that the secret comes as it is; a user who has one is not let in by a token.
   */
  #secretOf(user: string | undefined, password: string): 'proved' | 'wrong' | undefined {
    const verifier = user === undefined ? undefined : this.#options.verifierOf?.(user)
    if (verifier === undefined) return undefined
    const shown = sentSecretDigest(Buffer.from(password, 'latin1'))
    return timingSafeEqual(shown, verifier.sha256) ? 'proved' : 'wrong'
  }

  #close(answer: Buffer): AgentLoginStep {
    this.#outbox.push(answer)
    this.#phase = 'closing'
    return { kind: 'close' }
  }

  #broken(message: string): never {
    this.#sayBroken(message)
    throw new ProtocolError('redis', 'client', message)
  }

  /** As the server does: the error first, then the end. */
  #sayBroken(message: string): void {
    this.#outbox.push(endReply({ kind: 'protocol_error', message }))
    this.#phase = 'closing'
  }

  takeForClient(): readonly Buffer[] {
    return this.#outbox.take()
  }

  tlsStarted(): void {
    this.#secure = true
  }

  refuse(refusal: LoginRefusal): void {
    this.#outbox.push(refusalReply(refusal))
    this.#tries += 1
    const mayTryAgain = refusal.kind === 'authentication' && this.#tries < TRIES_MAX
    this.#phase = mayTryAgain ? 'reading' : 'closing'
    this.#shown = undefined
    this.#received = this.#inbox.length
  }

  dial(options: BackendLoginOptions): RedisBackendLogin {
    if (this.#shown === undefined) throw new Error('dial() before credentials')
    this.#phase = 'dialing'
    this.#backend = new RedisBackendLogin(options, this.#shown.version)
    return this.#backend
  }

  welcome(): Session {
    const shown = this.#shown
    const backend = this.#backend
    const catalog = this.#options.knowledge.current?.catalog
    if (shown === undefined || backend === undefined || catalog === undefined) {
      throw new Error('welcome() before the backend is ready')
    }
    const { credentials, version } = shown
    const { connectionId } = this.#options
    const welcome =
      shown.by === 'auth'
        ? OK
        : greeting({ server: catalog.server, version: catalog.version, proto: version, id: connectionId })
    return new RedisSession({
      knowledge: this.#options.knowledge,
      nonce: this.#options.random(8),
      connectionId,
      user: credentials.user ?? 'default',
      credentials: shown.digest,
      entry: new ClientEntry(version, credentials.application),
      welcome,
      fromClient: this.#inbox.length > 0 ? this.#inbox.takeAll() : NO_BYTES,
      fromServer: backend.rest(),
    })
  }
}
