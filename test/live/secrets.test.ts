/** Run secrets with the drivers' own ways to prove them: SCRAM, `caching_sha2_password`, `AUTH`. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { Agents } from '../contract/agents.ts'
import { type Agent, type ContractSystem, SYSTEMS } from '../contract/systems.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'

/** How long the secrets are good. */
const TTL_MS = 600_000

for (const [name, start] of Object.entries(SYSTEMS)) {
  describe(`a ${name} run with a secret`, () => {
    let system: ContractSystem
    let proxy: TestProxy
    const agents = new Agents()
    /** How far the proxy's clock is ahead. */
    let aheadMs = 0

    before(async () => {
      system = await start()
      const { protocol, backendUrl, allow } = system
      const backend = { url: backendUrl }
      proxy = await startProxy({
        systems: { here: { protocol, backend }, elsewhere: { protocol, backend } },
        grants: { read: { system: 'here', allow }, nothing: { system: 'here', allow: [] } },
        now: () => Date.now() + aheadMs,
      })
    })
    after(async () => {
      await agents.close()
      await proxy.stop()
      await system.stop()
    })

    async function secretFor(run: string, more: Record<string, unknown> = {}): Promise<string> {
      const { status, body } = await proxy.api('/v1/secrets', { run, grant: 'read', ttl_ms: TTL_MS, ...more })
      assert.equal(status, 200, JSON.stringify(body))
      return String(body['secret'])
    }

    const connect = (run: string, password: string, where = 'here'): Promise<Agent> =>
      agents.connect(system, proxy.address(where), run, password)

    const refusal = (run: string, password: string, where = 'here'): Promise<string> =>
      connect(run, password, where).then(
        () => 'logged in',
        ({ code, message }: Error & { code?: string }) => code ?? message.split(' ')[0] ?? '',
      )

    const recorded = (run: string, event: string) =>
      proxy
        .records()
        .filter((record) => record.event === event && (record['run'] === run || record['user'] === run))

    test('proves it, works under its grant, and is recorded as its token would be', async () => {
      const secret = await secretFor('r-secret', { agent: 'short' })
      assert.match(secret, /^[\w-]{32}$/)
      const agent = await connect('r-secret', secret)
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      assert.ok('error' in (await agent.run(system.denied)))
      const [started] = recorded('r-secret', 'session.start')
      assert.equal(started?.['agent'], 'short')
      assert.equal(started?.['grant'], 'read')
      assert.equal(started?.['jti'], recorded('r-secret', 'secret.registered')[0]?.['jti'])
    })

    test('is kept as verifiers alone, and known after a restart', async () => {
      const secret = await secretFor('r-kept')
      const state = readFileSync(proxy.auditFile.replace(/\.jsonl$/, '.state.json'), 'utf8')
      assert.match(state, /r-kept/)
      for (const text of [
        secret,
        Buffer.from(secret).toString('base64'),
        Buffer.from(secret).toString('hex'),
      ]) {
        assert.ok(!state.includes(text) && !readFileSync(proxy.auditFile, 'utf8').includes(text))
      }
      await proxy.restart()
      const agent = await connect('r-kept', secret)
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
    })

    test('is refused with another secret, and with that of another run', async () => {
      const mine = await secretFor('r-mine')
      const other = await secretFor('r-other')
      const { authenticationError } = system
      assert.equal(await refusal('r-mine', other), authenticationError)
      assert.equal(await refusal('r-mine', `${mine}x`), authenticationError)
      // pg refuses by itself to prove nothing.
      assert.notEqual(await refusal('r-mine', ''), 'logged in')
      assert.equal(await refusal('r-nobody', mine), authenticationError)
      assert.ok(recorded('r-mine', 'auth.failure').some(({ reason }) => reason === 'wrong_secret'))
      assert.deepEqual(recorded('r-mine', 'session.start'), [])
      assert.equal(await refusal('r-mine', mine), 'logged in')
    })

    test('that shows it at another system is known, and it is a hop', async () => {
      const secret = await secretFor('r-away')
      assert.equal(await refusal('r-away', secret, 'elsewhere'), system.authenticationError)
      const [hop] = recorded('r-away', 'hop')
      assert.equal(hop?.['kind'], 'wrong_system')
      assert.equal(hop?.['from'], 'here')
      assert.equal(hop?.['to'], 'elsewhere')
    })

    test('is refused once it is revoked, or has another secret', async () => {
      const first = await secretFor('r-twice')
      const second = await secretFor('r-twice')
      assert.equal(await refusal('r-twice', first), system.authenticationError)
      const agent = await connect('r-twice', second)
      await proxy.api('/v1/revoke', { run: 'r-twice', why: 'a test' })
      await agent.ended
      assert.equal(await refusal('r-twice', second), system.authenticationError)
      const again = await proxy.api('/v1/secrets', { run: 'r-twice', grant: 'read', ttl_ms: TTL_MS })
      assert.equal(again.status, 409)
      assert.match(String(again.body['error']), /revoked: release it first/)
    })

    test('ends with its time', async () => {
      const secret = await secretFor('r-brief')
      const agent = await connect('r-brief', secret)
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      aheadMs = TTL_MS
      assert.ok('error' in (await agent.run(system.allowed)))
      await agent.ended
      assert.equal(await refusal('r-brief', secret), system.authenticationError)
      assert.deepEqual(
        recorded('r-brief', 'session.end').map(({ cause }) => cause),
        ['token_expired'],
      )
    })
  })
}
