import type { SecretVerifier } from './secret.ts'
import type { Session } from './session.ts'

/** Gives `size` random bytes. Randomness is an argument, so that a recorded conversation can be replayed. */
export type Random = (size: number) => Buffer

/** What the agent's side of a login needs to know. */
export type AgentLoginOptions<Knowledge> = {
  /**
   * What is known of the backend: an analyser over its catalog. `current` changes when the catalog does, and is
   * `undefined` while the backend has never been reached (and for a decoy): credentials can be judged all the
   * same, but `dial()` is called only once it is known.
   */
  readonly knowledge: Live<Knowledge | undefined>
  readonly random: Random
  /** A number for this connection, unique within the process, from 1 to 2^31-1. */
  readonly connectionId: number
  /** True where the listener has a certificate, so that TLS can be offered. */
  readonly tlsAvailable: boolean
  /** True where a password may cross this connection without TLS: loopback, or the configuration says so. */
  readonly cleartextAllowed: boolean
  /**
   * PEM of an RSA private key for MySQL's `caching_sha2_password` without TLS; `undefined`: that way is refused.
   */
  readonly rsaPrivateKey?: string
  /**
   * What is kept of the run secret of a user; `undefined`: that user has none, and shows a token. A user with a secret
   * is asked to prove it by challenge and response, which may cross a network without TLS.
   */
  readonly verifierOf?: (user: string) => SecretVerifier | undefined
  /**
   * The certificate that a client on TLS sees, in DER, so that its proof of a secret can be bound to it (PostgreSQL);
   * `undefined`: no binding is offered.
   */
  readonly certificate?: Buffer
}

/** A value that its owner replaces from time to time; read `current` at each use. */
export type Live<T> = { readonly current: T }

/** What a login waits for from outside. */
export type AgentLoginStep =
  /**
   * Wrap the client's socket in TLS as a server, first giving back `rest` (bytes that came along), after writing
   * out what `takeForClient()` has. `alpn`: the protocol that the client must negotiate (direct TLS).
   */
  | { readonly kind: 'start_tls'; readonly rest: Buffer; readonly alpn?: string }
  /** The client has shown a user and a token: verify it, then call `refuse()` or `dial()`. */
  | { readonly kind: 'credentials'; readonly credentials: AgentCredentials }
  /** A cancel request: end the statement of the session that registered this key, then close. */
  | { readonly kind: 'cancel'; readonly key: string }
  /** The client left, or was told why it cannot stay: flush and close. */
  | { readonly kind: 'close' }

export type AgentCredentials = {
  /** The run id that the driver sent as its user; `undefined` where the protocol allows to send none. */
  readonly user: string | undefined
  /** The password as sent: a token. Empty where `secret` is set. */
  readonly password: string
  /** Set where the user has a run secret: whether the client has proved that it knows it. */
  readonly secret?: 'proved' | 'wrong'
  /** The database asked for; `undefined` where none was named. Judged by the caller: another one is a hop. */
  readonly database: string | undefined
  /** What the client calls itself (application_name, connection attributes), cut to 64 characters. */
  readonly application: string | undefined
}

/** Why a login is refused. The protocol answers with its own error. */
export type LoginRefusal =
  /** `message`: one sentence more; `undefined` for credentials that do not hold, of which a stranger learns nothing. */
  | { readonly kind: 'authentication'; readonly message: string | undefined }
  /** `message`: one sentence for the client. */
  | {
      readonly kind: 'database' | 'backend_unavailable' | 'too_many_connections'
      readonly message: string
    }

/** The agent's side of a connection until the session begins. We are the server here. */
export interface AgentLogin {
  fromClient(chunk: Buffer): void
  /** The next thing to do; `undefined`: more bytes are needed. Throws `ProtocolError`. */
  next(): AgentLoginStep | undefined
  takeForClient(): readonly Buffer[]
  /** The client's socket is now a TLS socket. */
  tlsStarted(): void
  /**
   * Refuses the credentials. Afterwards `next()` says `close`, or waits on for another try where the protocol
   * allows one (Redis).
   */
  refuse(refusal: LoginRefusal): void
  /** Begins the login at the backend on behalf of this client. */
  dial(options: BackendLoginOptions): BackendLogin
  /**
   * The backend login that `dial()` began is ready: completes this login toward the client and gives the session,
   * which takes over all bytes not yet consumed on both sides.
   */
  welcome(): Session
  /** The key under which a later cancel request may name this session; `undefined` where there is no such thing. */
  readonly cancelKey: string | undefined
}

export type BackendTls = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

export type BackendLoginOptions = {
  readonly user: string
  readonly password: string | undefined
  /** Database name; Redis: the number as text. */
  readonly database: string
  readonly tls: BackendTls
  /** A name for this session that the backend's administrator sees: `bulkhead r-42`. At most 63 ASCII characters. */
  readonly applicationName: string
  readonly random: Random
}

export type BackendLoginStep =
  /** Wrap the backend's socket in TLS as a client (after writing out `takeForServer()`), then `tlsStarted()`. */
  | { readonly kind: 'start_tls' }
  | { readonly kind: 'ready' }
  /** `message` is for operators: the log and the audit record, never for the client. */
  | {
      readonly kind: 'failed'
      readonly reason: 'authentication' | 'tls' | 'protocol' | 'refused' | 'unsupported'
      readonly message: string
    }

/** The backend's side of a connection until the session begins. We are the client here. */
export interface BackendLogin {
  fromServer(chunk: Buffer): void
  next(): BackendLoginStep | undefined
  takeForServer(): readonly Buffer[]
  /** @param certificate the backend's certificate in DER, for channel binding */
  tlsStarted(certificate: Buffer | undefined): void
  /**
   * A conversation, on a new connection to the backend, that cancels what runs on this one (asking for TLS first
   * where this one did); it ends with `ready`. `undefined` where the protocol has none.
   */
  cancel(): BackendLogin | undefined
}
