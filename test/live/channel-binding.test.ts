/** libpq binds its proof of a run secret to the certificate of the listener: nobody in between can pass it on. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { type ContractSystem, SYSTEMS } from '../contract/systems.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { postgresPrograms } from './postgres/programs.ts'

let system: ContractSystem
let proxy: TestProxy

before(async () => {
  system = await SYSTEMS.postgres()
  proxy = await startProxy({
    systems: { here: { protocol: 'postgres', backend: { url: system.backendUrl } } },
    grants: { read: { system: 'here', allow: system.allow } },
  })
})
after(async () => {
  await proxy.stop()
  await system.stop()
})

test('a client that insists on channel binding logs in with a run secret', async (context) => {
  const [psql] = postgresPrograms('psql')
  if (psql === undefined) {
    context.skip('psql is not on this machine')
    return
  }
  const { body } = await proxy.api('/v1/secrets', { run: 'r-bound', grant: 'read', ttl_ms: 60_000 })
  const { host, port } = proxy.address('here')
  const target = `host=${host} port=${port} user=r-bound dbname=${system.server.database} sslmode=require channel_binding=require`
  const { stdout } = await promisify(execFile)(
    psql.file,
    [...psql.before, '-X', '-w', '-At', target, '-c', system.allowed],
    { env: { PATH: process.env['PATH'], PGPASSWORD: String(body['secret']) } },
  )
  assert.equal(stdout.trim(), String(system.allowedValue))
})
