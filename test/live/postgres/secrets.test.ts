/** Run secrets by SCRAM, as real drivers prove them: pg, and libpq with each of its words on channel binding. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Client } from 'pg'
import selfsigned from 'selfsigned'
import { secretVerifier } from '../../../protocols/secret.ts'
import { postgresServer } from '../../support/servers.ts'
import { postgresPrograms } from './programs.ts'
import { openWireProxy, type WireProxy } from './proxy.ts'

const SECRET = 'iP2t-8Rr0_pWvQ5xYkLmZg'

let plain: WireProxy
let secure: WireProxy

before(async () => {
  const { port, user, password = '' } = await postgresServer()
  const verifier = secretVerifier(SECRET, Buffer.alloc(16, 4))
  const options = {
    backend: { port, user, password, database: 'postgres' },
    judge: () => undefined,
    verifierOf: (name: string) => (name === 'r-secret' ? verifier : undefined),
  }
  const { cert, private: key } = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], {
    algorithm: 'sha256',
    keySize: 2048,
  })
  plain = await openWireProxy(options)
  secure = await openWireProxy({ ...options, tls: { cert, key } })
})
after(async () => {
  await plain?.close()
  await secure?.close()
})

const facts = (
  proxy: WireProxy,
  password: string,
  more: object = {},
): ConstructorParameters<typeof Client>[0] => ({
  ...{ host: '127.0.0.1', port: proxy.port, user: 'r-secret', database: 'postgres', password, ...more },
})

test('pg logs in with a secret, on a plain connection, on TLS, and bound to its certificate', async () => {
  const ssl = { rejectUnauthorized: false }
  for (const [proxy, more] of [
    [plain, {}],
    [secure, { ssl }],
    [secure, { ssl, enableChannelBinding: true }],
  ] as const) {
    const client = new Client(facts(proxy, SECRET, more))
    await client.connect()
    assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
    await client.end()
  }
})

test('pg with a wrong secret is refused in the words of the server', async () => {
  const client = new Client(facts(plain, 'wrong'))
  await assert.rejects(client.connect(), {
    code: '28P01',
    message: /password authentication failed for user "r-secret"/,
  })
})

test('libpq logs in as it likes to bind', async (context) => {
  const [psql] = postgresPrograms('psql')
  if (psql === undefined) {
    context.skip('psql is not on this machine')
    return
  }
  const run = async (proxy: WireProxy, password: string, words: string): Promise<string> => {
    const target = `host=127.0.0.1 port=${proxy.port} user=r-secret dbname=postgres ${words}`
    const { stdout } = await promisify(execFile)(
      psql.file,
      [...psql.before, '-X', '-w', '-At', target, '-c', 'select 1'],
      {
        env: { PATH: process.env['PATH'], PGPASSWORD: password },
      },
    )
    return stdout.trim()
  }
  for (const [proxy, words] of [
    [plain, 'sslmode=disable'],
    [plain, 'sslmode=prefer'],
    [secure, 'sslmode=require'],
    [secure, 'sslmode=require channel_binding=disable'],
    [secure, 'sslmode=require channel_binding=prefer'],
    [secure, 'sslmode=require channel_binding=require'],
  ] as const)
    assert.equal(await run(proxy, SECRET, words), '1', words)
  await assert.rejects(run(secure, 'wrong', 'sslmode=require'), /password authentication failed/)
  await assert.rejects(run(plain, SECRET, 'sslmode=disable channel_binding=require'), /channel binding/)
})
