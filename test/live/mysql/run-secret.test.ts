/** What ordinary drivers make of a run secret on a connection without TLS: a login of ours alone, behind a socket. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { createConnection } from 'mysql2/promise'
import { ProtocolError } from '../../../protocols/errors.ts'
import { MysqlAgentLogin } from '../../../protocols/mysql/agent-login.ts'
import { secretVerifier } from '../../../protocols/secret.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { mariadbServer } from '../../support/servers.ts'

const run = promisify(execFile)
const RUN = 'r-secret'
const SECRET = randomBytes(18).toString('base64url')
const VERIFIER = secretVerifier(SECRET, randomBytes(16))

let listener: Server
let port: number
/** For its client program. */
let server: DatabaseServer

before(async () => {
  server = await mariadbServer()
  listener = createServer(serve).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  assert.ok(address !== null && typeof address === 'object')
  port = address.port
})

after(async () => {
  listener.close()
  await server.stop()
})

/** Tells in its refusal what the login has found. */
function serve(socket: Socket): void {
  const login = new MysqlAgentLogin({
    knowledge: { current: undefined },
    random: randomBytes,
    connectionId: 1,
    tlsAvailable: false,
    cleartextAllowed: false,
    verifierOf: (user) => (user === RUN ? VERIFIER : undefined),
  })
  const step = (): void => {
    for (let next = login.next(); next !== undefined; next = login.next()) {
      if (next.kind === 'credentials')
        login.refuse({ kind: 'authentication', message: `secret ${next.credentials.secret}` })
      else if (next.kind === 'close') socket.end()
      for (const chunk of login.takeForClient()) socket.write(chunk)
    }
    for (const chunk of login.takeForClient()) socket.write(chunk)
  }
  socket.on('error', () => undefined)
  socket.on('data', (chunk) => {
    login.fromClient(chunk)
    try {
      step()
    } catch (error) {
      assert.ok(error instanceof ProtocolError)
      socket.destroy()
    }
  })
  step()
}

/** What mysql2 says of its refusal. */
async function mysql2(password: string, options: object = {}): Promise<string> {
  try {
    const made = await createConnection({ host: '127.0.0.1', port, user: RUN, password, ...options })
    made.destroy()
    return 'connected'
  } catch (error) {
    return String(error)
  }
}

/** What the command-line client says. */
async function mariadb(password: string, ...options: readonly string[]): Promise<string> {
  const program = server.programs === undefined ? 'mariadb' : join(server.programs, 'mariadb')
  const where = ['--no-defaults', '--host=127.0.0.1', `--port=${port}`, `--user=${RUN}`, '--protocol=tcp']
  const env = { ...process.env, MYSQL_PWD: password }
  try {
    return (await run(program, [...where, '--skip-ssl', ...options, '-e', 'select 1'], { env })).stdout
  } catch (error) {
    return (error as { stderr: string }).stderr
  }
}

test('mysql2 proves it by caching_sha2_password', async () => {
  assert.match(await mysql2(SECRET), /Access denied for user 'r-secret'@'bulkhead': secret proved/)
  assert.match(await mysql2('another'), /secret wrong/)
  assert.match(await mysql2(''), /secret wrong/)
})

test('the mariadb command-line client proves it by each plugin', async () => {
  for (const plugin of ['caching_sha2_password', 'mysql_native_password', 'client_ed25519']) {
    const chosen = `--default-auth=${plugin}`
    assert.match(await mariadb(SECRET, chosen), /ERROR 1045 \(28000\).*secret proved/, plugin)
    assert.match(await mariadb('another', chosen), /ERROR 1045 \(28000\).*secret wrong/, plugin)
  }
})
