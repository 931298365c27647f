/**
 * Both ends of a proxied connection, played by a test: what the client sends goes through login and session, what
 * reaches the server is kept, and the server's answers come from the test.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Random } from '../../../protocols/login.ts'
import { MysqlAgentLogin } from '../../../protocols/mysql/agent-login.ts'
import type { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import type { MysqlBackendLogin } from '../../../protocols/mysql/backend-login.ts'
import { CLIENT, MARIADB_CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { packet } from '../../../protocols/mysql/frames.ts'
import { greetingBody } from '../../../protocols/mysql/handshake.ts'
import type { Denial, Session, Statement } from '../../../protocols/session.ts'
import { CATALOG, KnownTexts } from './known-texts.ts'
import { ok, packets, result, uint32 } from './packets.ts'

/** The same bytes in every run. */
export const fixedRandom: Random = (size) => createHash('shake256', { outputLength: size }).digest()

/** What drivers of both families set; no DEPRECATE_EOF, no SESSION_TRACK. */
export const CLASSIC =
  CLIENT.MYSQL |
  CLIENT.LONG_FLAG |
  CLIENT.CONNECT_WITH_DB |
  CLIENT.PROTOCOL_41 |
  CLIENT.TRANSACTIONS |
  CLIENT.SECURE_CONNECTION |
  CLIENT.MULTI_RESULTS |
  CLIENT.PS_MULTI_RESULTS |
  CLIENT.PLUGIN_AUTH

/** Results without EOF packets. */
export const MODERN = CLASSIC | CLIENT.DEPRECATE_EOF

export type ClientOptions = {
  readonly flags?: number
  readonly user?: string
  readonly database?: string
  readonly plugin?: string
  readonly answer?: Buffer
  readonly collation?: number
  /** MariaDB's second word of capabilities; only for clients without CLIENT.MYSQL. */
  readonly extended?: number
}

export function handshakeResponse({
  flags = CLASSIC,
  user = 'r-42',
  database = 'crm',
  plugin = 'caching_sha2_password',
  answer = Buffer.alloc(32, 7),
  collation = 45,
  extended = 0,
}: ClientOptions = {}): Buffer {
  return Buffer.concat([
    uint32(flags),
    uint32(1 << 24),
    Buffer.of(collation),
    Buffer.alloc(19),
    uint32(extended),
    Buffer.from(`${user}\0`),
    Buffer.of(answer.length),
    answer,
    ...(flags & CLIENT.CONNECT_WITH_DB ? [Buffer.from(`${database}\0`)] : []),
    ...(flags & CLIENT.PLUGIN_AUTH ? [Buffer.from(`${plugin}\0`)] : []),
  ])
}

export type ServerOptions = {
  readonly flags?: number
  readonly version?: string
  readonly plugin?: string
  readonly sqlMode?: string
  readonly lowerCase?: string
  readonly charset?: string
}

const SERVER_FLAGS = 0x81bff7fe

export function serverGreeting({
  flags = SERVER_FLAGS,
  version = `5.5.5-${CATALOG.serverVersion}`,
  plugin = 'mysql_native_password',
}: ServerOptions = {}): Buffer {
  return packet(
    0,
    greetingBody({
      serverVersion: version,
      connectionId: 77,
      capabilities: { flags, extended: MARIADB_CLIENT.STMT_BULK | MARIADB_CLIENT.EXTENDED_METADATA },
      collationId: 45,
      status: 2,
      scramble: Buffer.from('abcdefghijklmnopqrst'),
      plugin,
    }),
  )
}

/** Answers the login, the pin and its verification, whatever the password. */
export function completeBackendLogin(
  backend: MysqlBackendLogin,
  deprecateEof: boolean,
  { sqlMode = 'STRICT_TRANS_TABLES', lowerCase = '0', charset = 'utf8mb4', ...options }: ServerOptions = {},
): string[] {
  const sent: string[] = []
  const exchange = (answer: Buffer): void => {
    backend.fromServer(answer)
    backend.next()
    for (const chunk of backend.takeForServer()) sent.push(chunk.toString('latin1', 4))
  }
  exchange(serverGreeting(options))
  exchange(packet(2, ok()))
  exchange(packet(1, ok()))
  const row = [sqlMode, charset, 'utf8mb4', lowerCase, 'crm', CATALOG.serverVersion]
  exchange(result({ columns: row.length, rows: [row], deprecateEof }))
  return sent
}

export type Conversation = {
  readonly session: Session
  readonly backend: MysqlBackendLogin
  readonly analyser: { current: MysqlAnalyser | undefined }
  /** Feeds the client's bytes and judges what comes: `denies` names the texts to refuse. */
  client(bytes: Buffer): void
  server(bytes: Buffer): void
  /** What has reached each side since the last call. */
  toClient(): Buffer
  toServer(): Buffer
  readonly statements: Statement[]
}

const DENIAL: Denial = { reason: 'not_granted', message: 'the grant does not allow this' }

/** A session right after login, with everything that the login said already taken. */
export function openConversation(
  options: {
    readonly flags?: number
    readonly extended?: number
    readonly denies?: (statement: Statement) => boolean
    readonly catalog?: ConstructorParameters<typeof KnownTexts>[0]
  } = {},
): Conversation {
  const { flags = CLASSIC, extended = 0, denies = isSecret } = options
  const analyser: { current: MysqlAnalyser | undefined } = { current: new KnownTexts(options.catalog) }
  const login = new MysqlAgentLogin({
    knowledge: analyser,
    random: fixedRandom,
    connectionId: 5,
    tlsAvailable: false,
    cleartextAllowed: true,
  })
  login.fromClient(
    packet(
      1,
      handshakeResponse({ flags, extended, plugin: 'mysql_clear_password', answer: Buffer.from('token\0') }),
    ),
  )
  assert.equal(login.next()?.kind, 'credentials')
  const backend = login.dial({
    user: 'app',
    password: 'secret',
    database: 'crm',
    tls: 'disable',
    applicationName: 'bulkhead r-42',
    random: fixedRandom,
  })
  completeBackendLogin(backend, (flags & CLIENT.DEPRECATE_EOF) !== 0)
  assert.equal(backend.next()?.kind, 'ready')
  const session = login.welcome()
  login.takeForClient()
  session.takeForClient()
  const statements: Statement[] = []
  const judge = (): void => {
    for (let statement = session.next(); statement !== undefined; statement = session.next()) {
      statements.push(statement)
      if (statement.analysis.outcome === 'accesses' && !denies(statement)) session.relay()
      else session.reject(denialFor(statement))
    }
  }
  return {
    session,
    backend,
    analyser,
    statements,
    client(bytes) {
      session.fromClient(bytes)
      judge()
    },
    server(bytes) {
      session.fromServer(bytes)
      judge()
    },
    toClient: () => Buffer.concat(session.takeForClient()),
    toServer: () => Buffer.concat(session.takeForServer()),
  }
}

function isSecret({ analysis }: Statement): boolean {
  return (
    analysis.outcome === 'accesses' &&
    analysis.accesses.some((access) => 'name' in access && access.name.startsWith('secret'))
  )
}

function denialFor({ analysis }: Statement): Denial {
  if (analysis.outcome !== 'accesses') return { reason: analysis.outcome, message: analysis.why }
  const [missing] = analysis.accesses
  return missing === undefined ? DENIAL : { ...DENIAL, missing }
}

export const okReply = (status = 2): Buffer => packets(1, ok({ status }))
