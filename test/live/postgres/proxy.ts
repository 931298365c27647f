import { randomBytes, X509Certificate } from 'node:crypto'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import type { AgentLogin, AgentLoginOptions, BackendLoginOptions } from '../../../protocols/login.ts'
import type { PostgresBackendLogin } from '../../../protocols/postgres/backend-login.ts'
import { postgres } from '../../../protocols/postgres/index.ts'
import type { Completion, Denial, Session, Statement } from '../../../protocols/session.ts'
import { FakeReader } from '../../protocols/postgres/fake-reader.ts'

/**
 * The protocol core between two sockets and nothing else: no token, no grant, no audit. A test says which
 * statements are refused, so that the wire can be held against the real server's on its own.
 */
export type WireProxy = {
  readonly port: number
  /** Every statement that was asked about, in order. */
  readonly statements: Statement[]
  readonly completions: Completion[]
  readonly close: () => Promise<void>
}

export async function openWireProxy(options: {
  readonly backend: {
    readonly port: number
    readonly user: string
    readonly password: string
    readonly database: string
  }
  readonly judge: (statement: Statement) => Denial | undefined
  readonly serverVersionNum?: number
  readonly verifierOf?: AgentLoginOptions<never>['verifierOf']
  /** PEM, for clients that ask for TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
}): Promise<WireProxy> {
  const statements: Statement[] = []
  const completions: Completion[] = []
  const cancels = new Map<string, () => void>()
  const sockets = new Set<Socket>()
  const reader = new FakeReader(options.serverVersionNum)
  let connections = 0

  function keep(socket: Socket): Socket {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    return socket
  }

  function serve(accepted: Socket): void {
    let client = keep(accepted)
    connections += 1
    const login = postgres.agentLogin({
      knowledge: { current: reader.asAnalyser() },
      random: randomBytes,
      connectionId: connections,
      tlsAvailable: options.tls !== undefined,
      cleartextAllowed: true,
      ...(options.verifierOf !== undefined && { verifierOf: options.verifierOf }),
      ...(options.tls !== undefined && { certificate: new X509Certificate(options.tls.cert).raw }),
    })
    const onData = (chunk: Buffer) => {
      try {
        login.fromClient(chunk)
        const step = login.next()
        for (const bytes of login.takeForClient()) client.write(bytes)
        if (step?.kind === 'start_tls') {
          client.off('data', onData)
          client.pause()
          const secureContext = createSecureContext(options.tls)
          client = keep(new TLSSocket(client, { isServer: true, secureContext }))
          client.once('secure', () => login.tlsStarted())
          client.on('data', onData)
        } else if (step?.kind === 'credentials') {
          client.off('data', onData)
          client.pause()
          if (step.credentials.secret === 'wrong') {
            login.refuse({ kind: 'authentication', message: undefined })
            for (const bytes of login.takeForClient()) client.write(bytes)
            client.end()
          } else dial(client, login)
        } else if (step?.kind === 'cancel') {
          cancels.get(step.key)?.()
          client.end()
        } else if (step?.kind === 'close') client.end()
      } catch {
        client.destroy()
      }
    }
    client.on('data', onData)
  }

  function dial(client: Socket, login: AgentLogin): void {
    const { user, password, database } = options.backend
    const backendOptions: BackendLoginOptions = {
      user,
      password,
      database,
      tls: 'disable',
      applicationName: 'bulkhead test',
      random: randomBytes,
    }
    const backend = login.dial(backendOptions) as PostgresBackendLogin
    const upstream = connectTo(options.backend.port)
    const onData = (chunk: Buffer) => {
      backend.fromServer(chunk)
      const step = backend.next()
      for (const bytes of backend.takeForServer()) upstream.write(bytes)
      if (step?.kind === 'failed') {
        login.refuse({ kind: 'backend_unavailable', message: step.message })
        for (const bytes of login.takeForClient()) client.write(bytes)
        client.end()
        upstream.destroy()
      } else if (step?.kind === 'ready') {
        upstream.off('data', onData)
        const session = login.welcome()
        for (const bytes of login.takeForClient()) client.write(bytes)
        cancels.set(login.cancelKey ?? '', () => sendCancel(backend))
        relay(client, upstream, session)
      }
    }
    upstream.on('data', onData)
    for (const bytes of backend.takeForServer()) upstream.write(bytes)
  }

  function connectTo(port: number): Socket {
    const socket = keep(connect(port, '127.0.0.1'))
    socket.setNoDelay(true)
    return socket
  }

  function sendCancel(backend: PostgresBackendLogin): void {
    const conversation = backend.cancel()
    if (conversation === undefined) return
    const socket = connectTo(options.backend.port)
    for (const bytes of conversation.takeForServer()) socket.write(bytes)
    if (conversation.next()?.kind === 'ready') socket.end()
  }

  function relay(client: Socket, upstream: Socket, session: Session): void {
    client.setNoDelay(true)
    const pump = () => {
      for (let statement = session.next(); statement !== undefined; statement = session.next()) {
        statements.push(statement)
        const denial = options.judge(statement)
        if (denial === undefined) session.relay()
        else session.reject(denial)
      }
      for (let done = session.completion(); done !== undefined; done = session.completion())
        completions.push(done)
      for (const bytes of session.takeForServer()) upstream.write(bytes)
      for (const bytes of session.takeForClient()) client.write(bytes)
      if (session.finished !== undefined) upstream.end()
      if (session.clientIsAhead) client.pause()
      else client.resume()
    }
    const guard = (step: () => void) => {
      try {
        step()
        pump()
      } catch (error) {
        session.end({ kind: 'protocol_error', message: (error as Error).message })
        for (const bytes of session.takeForServer()) upstream.write(bytes)
        for (const bytes of session.takeForClient()) client.write(bytes)
        client.end()
        upstream.end()
      }
    }
    client.on('data', (chunk) => guard(() => session.fromClient(chunk)))
    upstream.on('data', (chunk) => guard(() => session.fromServer(chunk)))
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.end())
    guard(() => {})
  }

  const listener: Server = createServer(serve)
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    statements,
    completions,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        listener.close(() => resolve())
      }),
  }
}
