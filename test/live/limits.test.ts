/** What bounds a run beside its allow lines: limits, decoys on a real system; and a grant that only observes. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Agents } from '../contract/agents.ts'
import { type Agent, type ContractSystem, type Outcome, SYSTEMS } from '../contract/systems.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'

for (const [name, start] of Object.entries(SYSTEMS)) {
  describe(`a ${name} session under limits`, () => {
    let system: ContractSystem
    let proxy: TestProxy
    const agents = new Agents()

    before(async () => {
      system = await start()
      const { protocol, backendUrl, allow, bounded, decoy } = system
      const backend = { url: backendUrl }
      const lines = [...allow, ...bounded.allow]
      const under = (limits: Record<string, unknown>) => ({ system: 'here', allow: lines, limits })
      proxy = await startProxy({
        systems: {
          here: { protocol, backend, limits: { rows: 500 } },
          watched: { protocol, backend, observe: true },
          baited: { protocol, backend, decoys: [decoy] },
        },
        grants: {
          rows: under({ rows: 999 }),
          enough: under({ rows: 1_000 }),
          defaults: under({}),
          bytes: under({ rows: 5_000, bytes: 2_000 }),
          time: under({ statement_timeout: '300ms' }),
          session: under({ session: '400ms' }),
          idle: under({ idle: '300ms' }),
          watch: { system: 'watched', allow },
          study: { system: 'here', allow, observe: true },
          bait: {
            system: 'baited',
            allow: [...lines, ...allow.map((line) => line.replace('open', 'closed'))],
          },
          lure: { system: 'baited', allow: lines },
        },
      })
    })
    after(async () => {
      await agents.close()
      await proxy.stop()
      await system.stop()
    })

    const connect = (grant: string, where = 'here'): Promise<Agent> =>
      agents.under(system, proxy, grant, where)

    const works = async (agent: Agent): Promise<void> =>
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })

    const refused = (outcome: Outcome, code: string, message: RegExp): void => {
      assert.ok('error' in outcome, JSON.stringify(outcome))
      assert.equal(outcome.error, code, outcome.message)
      assert.match(outcome.message, message)
    }

    /** The events of a run, and what a field of them says. */
    const recorded = (grant: string, event: string, field: string): unknown[] =>
      proxy
        .records()
        .filter((record) => record.event === event && record['run'] === `r-${grant}`)
        .map((record) => record[field])

    test('a reply of more rows than the grant allows is cut, and the session lives on', async () => {
      const agent = await connect('rows')
      refused(await agent.run(system.bounded.many), system.bounded.tooMany, /999/)
      await works(agent)
      await agent.close()
      assert.deepEqual(recorded('rows', 'result', 'limit').filter(Boolean), ['rows'])
    })

    test('a reply of just as many rows as the grant allows is whole', async () => {
      const agent = await connect('enough')
      assert.ok('value' in (await agent.run(system.bounded.many)))
      await works(agent)
    })

    test('where a grant sets no limit, that of its system holds', async () => {
      const agent = await connect('defaults')
      refused(await agent.run(system.bounded.many), system.bounded.tooMany, /500/)
      await works(agent)
    })

    test('a reply of more bytes than the grant allows is cut', async () => {
      const agent = await connect('bytes')
      refused(await agent.run(system.bounded.many), system.bounded.tooMany, /2000/)
      await works(agent)
    })

    test('refusals by a limit keep their place in a pipeline', async () => {
      const agent = await connect('rows')
      const { allowed, bounded } = system
      const outcomes = await agent.pipeline([allowed, bounded.many, allowed, bounded.many, allowed])
      assert.deepEqual(
        outcomes.map((outcome) => ('error' in outcome ? outcome.error : outcome.value)),
        [system.allowedValue, bounded.tooMany, system.allowedValue, bounded.tooMany, system.allowedValue],
      )
    })

    test('a statement over its time is cancelled on the backend, and the session lives on', async () => {
      const agent = await connect('time')
      refused(await agent.run(system.bounded.slow), system.bounded.tooSlow, /300ms/)
      await works(agent)
      assert.equal(await system.isRunning(), false)
      assert.deepEqual(recorded('time', 'result', 'limit').filter(Boolean), ['time'])
    })

    test('a session over its time ends, and is told why', async () => {
      const agent = await connect('session')
      await works(agent)
      const said = await agent.ended
      await agent.close()
      assert.deepEqual(recorded('session', 'session.end', 'cause'), ['limit'])
      if (said !== '') assert.match(said, /400ms|closed|lost/i)
    })

    test('an idle session ends', async () => {
      const agent = await connect('idle')
      await works(agent)
      await agent.ended
      assert.deepEqual(recorded('idle', 'session.end', 'cause'), ['limit'])
    })

    for (const [grant, where, of] of [
      ['watch', 'watched', 'a system'],
      ['study', 'here', 'a grant'],
    ] as const) {
      test(`${of} that only observes lets pass what it would deny, and counts it`, async () => {
        const agent = await connect(grant, where)
        await works(agent)
        assert.ok('value' in (await agent.run(system.denied)))
        const verdicts = recorded(grant, 'statement', 'verdict')
        assert.deepEqual(
          verdicts.filter((verdict) => verdict !== 'allow'),
          ['would_deny'],
        )
        assert.deepEqual(recorded(grant, 'statement', 'reason').filter(Boolean), ['not_granted'])
        assert.match(
          await proxy.metrics(),
          new RegExp(`bulkhead_statements_total\\{system="${where}",.*verdict="would_deny",.*\\} 1`),
        )
      })
    }

    test('a grant that only observes still rejects a hop, and what is not understood', async () => {
      const agent = await connect('watch', 'watched')
      assert.ok('error' in (await agent.run(system.hop.statement)))
      assert.ok('error' in (await agent.run(system.nonsense)))
      assert.deepEqual(recorded('watch', 'hop', 'kind'), [system.hop.kind])
      await works(agent)
    })

    test('a touch of a decoy is a hop, though the grant covers it, and reads as an ordinary denial', async () => {
      const agent = await connect('bait', 'baited')
      const outcome = await agent.run(system.denied)
      refused(outcome, system.deniedError, /closed/)
      assert.ok('message' in outcome && !/decoy|hop/i.test(outcome.message))
      assert.deepEqual(recorded('bait', 'hop', 'kind'), ['decoy'])
      assert.match(await proxy.metrics(), /bulkhead_hop_attempts_total\{system="baited",kind="decoy"\} 1/)
      await works(agent)
    })

    test('a decoy in a statement that no grant allows is a hop too, and reads as that statement does elsewhere', async () => {
      const agent = await connect('lure', 'baited')
      const elsewhere = await connect('enough')
      const outcome = await agent.run(system.forbidden)
      assert.ok('error' in outcome)
      assert.deepEqual(outcome, await elsewhere.run(system.forbidden))
      assert.deepEqual(recorded('lure', 'hop', 'kind'), ['decoy'])
      assert.deepEqual(recorded('lure', 'statement', 'reason').filter(Boolean), ['hop'])
      assert.deepEqual(recorded('enough', 'statement', 'reason').filter(Boolean).slice(-1), ['forbidden'])
      await works(agent)
    })
  })
}
