/** Runs under control, with real drivers on three real servers behind one proxy: revoke, release, quarantine, restart. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { Agents } from '../contract/agents.ts'
import { type Agent, type ContractSystem, SYSTEMS } from '../contract/systems.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'

const NAMES = ['postgres', 'mysql', 'redis'] as const
type Name = (typeof NAMES)[number]

/** Redis has no word for a client that has asked nothing: its connection is closed. */
const WORDS: Readonly<Record<Name, RegExp>> = {
  postgres: /^this run was revoked$/,
  mysql: /^Connection was killed: this run was revoked$/,
  redis: /^$/,
}

let systems: Record<Name, ContractSystem>
let proxy: TestProxy
const agents = new Agents()

before(async () => {
  const [postgres, mysql, redis] = await Promise.all([SYSTEMS.postgres(), SYSTEMS.mysql(), SYSTEMS.redis()])
  systems = { postgres, mysql, redis }
  proxy = await startProxy({
    systems: Object.fromEntries(
      NAMES.map((name) => [name, { protocol: name, backend: { url: systems[name].backendUrl } }]),
    ),
    grants: Object.fromEntries([
      ...NAMES.map((name) => [`read-${name}`, { system: name, allow: systems[name].allow }]),
      ...NAMES.map((name) => [`other-${name}`, { system: name, allow: systems[name].allow }]),
      ...NAMES.map((name) => [`slow-${name}`, { system: name, allow: systems[name].bounded.allow }]),
    ]),
    on_hop: 'quarantine',
  })
})
after(async () => {
  await agents.close()
  await proxy.stop()
  await Promise.all(NAMES.map((name) => systems[name].stop()))
})

const connect = async (name: Name, run: string, token?: string): Promise<Agent> =>
  agents.connect(systems[name], proxy.address(name), run, token ?? (await proxy.token(`read-${name}`, run)))

const refusal = (name: Name, run: string, token: string): Promise<string> =>
  connect(name, run, token).then(
    () => 'logged in',
    ({ code, message }: Error & { code?: string }) => code ?? message.split(' ')[0] ?? '',
  )

async function works(agent: Agent, name: Name): Promise<void> {
  assert.deepEqual(await agent.run(systems[name].allowed), { value: systems[name].allowedValue })
}

for (const name of NAMES) {
  describe(`a ${name} run`, () => {
    test('that is revoked ends within a second in words of the database, and its tokens are refused until it is released', async () => {
      const run = `r-revoked-${name}`
      const token = await proxy.token(`read-${name}`, run)
      const [agent, second] = await Promise.all([connect(name, run, token), connect(name, run, token)])
      const bystander = await connect(name, `r-bystander-${name}`)
      for (const each of [agent, second, bystander]) await works(each, name)

      const answer = await proxy.api('/v1/revoke', { run, why: 'a test', by: 'tester' })
      assert.equal(answer.body['sessions_ended'], 2)
      const words = await Promise.all([agent.ended, second.ended])
      for (const word of words) assert.match(word, WORDS[name])
      await works(bystander, name)

      assert.equal(await refusal(name, run, token), systems[name].authenticationError)
      assert.equal(
        await refusal(name, run, await proxy.token(`read-${name}`, run)),
        systems[name].authenticationError,
        'a new token of the run is refused, too',
      )
      const records = proxy.records().filter((record) => record['run'] === run)
      const revoked = records.find(({ event }) => event === 'revoked')
      assert.equal(revoked?.['why'], 'a test')
      assert.equal(revoked?.['by'], 'tester')
      // By the proxy's own clock: how soon a driver gets to read it is up to the machine that the test shares.
      const ends = records.filter(({ event, cause }) => event === 'session.end' && cause === 'revoked')
      assert.equal(ends.length, 2)
      for (const end of ends) {
        const tookMs = Date.parse(String(end['time'])) - Date.parse(String(revoked?.['time']))
        assert.ok(tookMs < 1_000, `${tookMs} ms`)
      }
      assert.ok(records.some(({ event, reason }) => event === 'auth.failure' && reason === 'revoked'))
      assert.ok(records.some(({ event, kind }) => event === 'hop' && kind === 'replayed_token'))

      // That hop has quarantined the run on top: one release takes both back.
      const released = await proxy.api('/v1/release', { run, why: 'over' })
      assert.equal((released.body['released'] as unknown[]).length, 2)
      await works(await connect(name, run, token), name)
    })

    test('loses one token or one grant, and keeps the others', async () => {
      const run = `r-token-${name}`
      const token = await proxy.token(`read-${name}`, run)
      const agent = await connect(name, run, token)
      const other = await connect(name, run, await proxy.token(`other-${name}`, run))
      for (const each of [agent, other]) await works(each, name)
      const byToken = await proxy.api('/v1/revoke', { token: decodeJwt(token).jti, why: 'leaked' })
      assert.equal(byToken.body['sessions_ended'], 1)
      const { revocation } = byToken.body as { revocation: { issuer: string; until: string } }
      assert.equal(revocation.issuer, 'bulkhead')
      assert.ok(Date.parse(revocation.until) > Date.now(), 'it is forgotten when the token has expired')
      await agent.ended
      await works(other, name)
      const byGrant = await proxy.api('/v1/revoke', { grant: `other-${name}`, why: 'too wide' })
      assert.equal(byGrant.body['sessions_ended'], 1)
      await other.ended
      await works(await connect(name, run), name)
      await proxy.api('/v1/release', { grant: `other-${name}`, why: 'over' })
    })

    test('that hops loses its sessions on all three systems, and does not come back with a restart', async () => {
      const run = `r-hop-${name}`
      const everywhere = await Promise.all(NAMES.map((each) => connect(each, run)))
      for (const [index, each] of NAMES.entries()) await works(everywhere[index] as Agent, each)
      const hopper = everywhere[NAMES.indexOf(name)] as Agent
      assert.ok('error' in (await hopper.run(systems[name].hop.statement)))
      await Promise.all(everywhere.map(({ ended }) => ended))
      const tokens = await Promise.all(NAMES.map((each) => proxy.token(`read-${each}`, run)))
      for (const [index, each] of NAMES.entries()) {
        assert.equal(await refusal(each, run, tokens[index] as string), systems[each].authenticationError)
      }
      await proxy.restart()
      assert.equal(
        await refusal(name, run, tokens[NAMES.indexOf(name)] as string),
        systems[name].authenticationError,
      )
      const { body } = await proxy.api('/v1/revocations')
      const [quarantine] = (body['revocations'] as Record<string, unknown>[]).filter(
        (entry) => entry['run'] === run,
      )
      assert.equal(quarantine?.['cause'], 'quarantined')
      assert.equal(quarantine?.['issuer'], 'bulkhead')
      assert.equal(quarantine?.['why'], `hop: ${systems[name].hop.kind}`)
      await proxy.api('/v1/release', { run, why: 'looked into' })
      await works(await connect(name, run, tokens[NAMES.indexOf(name)]), name)
    })

    test('that is revoked in the middle of a statement has it cancelled on the server', async () => {
      const run = `r-slow-${name}`
      const { bounded, isRunning } = systems[name]
      const agent = await connect(name, run, await proxy.token(`slow-${name}`, run))
      const outcome = agent.run(bounded.slow)
      while (!(await isRunning())) await sleep(20)
      await proxy.api('/v1/revoke', { run, why: 'it takes too long' })
      await agent.ended
      assert.ok('error' in (await outcome))
      const deadlineMs = Date.now() + 30_000
      while ((await isRunning()) && Date.now() < deadlineMs) await sleep(20)
      assert.equal(await isRunning(), false)
    })

    test('is listed with what it did', async () => {
      const run = `r-listed-${name}`
      const agent = await connect(name, run)
      await agent.run(systems[name].allowed)
      await agent.run(systems[name].denied)
      const { body } = await proxy.api(`/v1/runs?run=${run}`)
      const [entry] = body['runs'] as Record<string, unknown>[]
      assert.deepEqual(
        {
          run: entry?.['run'],
          agents: entry?.['agents'],
          grants: entry?.['grants'],
          touched: entry?.['systems_touched'],
          open: entry?.['sessions_open'],
          denied: entry?.['statements_denied'],
          hops: entry?.['hops'],
        },
        {
          run,
          agents: ['test-agent'],
          grants: [`read-${name}`],
          touched: [name],
          open: 1,
          denied: 1,
          hops: 0,
        },
      )
      assert.ok(Number(entry?.['statements_allowed']) >= 1)
      const sessions = (await proxy.api('/v1/sessions')).body['sessions'] as Record<string, unknown>[]
      const mine = sessions.find((session) => session['run'] === run)
      assert.equal(mine?.['system'], name)
      assert.match(String(mine?.['client']), /^127\.0\.0\.1:\d+$/)
    })
  })
}

test('a state file that is broken stops the start and names itself', async () => {
  const file = proxy.auditFile.replace(/\.jsonl$/, '.state.json')
  const good = readFileSync(file)
  writeFileSync(file, good.subarray(0, good.length - 20))
  await assert.rejects(proxy.restart(), new RegExp(`state file ${file} is not JSON`))
  writeFileSync(file, good)
  await proxy.restart()
})
