/** The configuration read anew under live sessions, and the drain at the end, with real drivers. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Agents } from '../contract/agents.ts'
import { type Agent, type ContractSystem, SYSTEMS } from '../contract/systems.ts'
import { startProxy, type TestConfiguration, type TestProxy } from '../support/proxy.ts'

/** What begins and ends a transaction. */
const TRANSACTION = {
  postgres: ['begin', 'commit'],
  mysql: ['begin', 'commit'],
  redis: ['multi', 'exec'],
} as const

for (const [name, start] of Object.entries(SYSTEMS)) {
  describe(`a ${name} session when the configuration is read anew`, () => {
    let system: ContractSystem
    let proxy: TestProxy
    let base: TestConfiguration
    const agents = new Agents()

    before(async () => {
      system = await start()
      const { protocol, backendUrl, allow } = system
      const backend = { url: backendUrl }
      base = {
        systems: { here: { protocol, backend } },
        grants: {
          read: { system: 'here', allow },
          other: { system: 'here', allow },
        },
        drain: '60s',
      }
      proxy = await startProxy(base)
    })
    after(async () => {
      await agents.close()
      await proxy.stop()
      await system.stop()
    })

    const connect = (grant: string, where = 'here'): Promise<Agent> =>
      agents.under(system, proxy, grant, where)

    const good = (): { value: unknown } => ({ value: system.allowedValue })
    const withGrants = (grants: TestConfiguration['grants']): TestConfiguration => ({ ...base, grants })

    test('sees the changed grant at its next statement, and another grant stays', async () => {
      const agent = await connect('read')
      const other = await connect('other')
      assert.deepEqual(await agent.run(system.allowed), good())
      const changed = await proxy.reload(withGrants({ ...base.grants, read: { system: 'here', allow: [] } }))
      assert.deepEqual(changed, { reloaded: true, changes: ['grant read changed'], problems: [] })
      const outcome = await agent.run(system.allowed)
      assert.equal('error' in outcome && outcome.error, system.deniedError)
      assert.deepEqual(await other.run(system.allowed), good())
      await proxy.reload(base)
      assert.deepEqual(await agent.run(system.allowed), good(), 'the session has lived through both')
      const mine = proxy.records().filter(({ run }) => run === 'r-read')
      const shas = new Set(
        mine.filter(({ event }) => event === 'statement').map((record) => record['grant_sha256']),
      )
      assert.equal(shas.size, 2, 'each statement is recorded with the grant that it was judged by')
    })

    test('ends when its grant is removed, in words of the database, and its token is refused', async () => {
      const agent = await connect('read')
      const other = await connect('other')
      await agent.run(system.allowed)
      const token = await proxy.token('read', 'r-read')
      await proxy.reload(withGrants({ other: { system: 'here', allow: system.allow } }))
      const words = await agent.ended
      if (name !== 'redis') assert.match(words, /the grant of this run was removed/)
      assert.deepEqual(await other.run(system.allowed), good())
      await assert.rejects(system.connect(proxy.address('here'), 'r-read', token))
      await proxy.reload(base)
    })

    test('goes on under the old one where the new one is wrong, and it is said why', async () => {
      const agent = await connect('read')
      const wrong: [TestConfiguration | string, RegExp][] = [
        ['systems: [', /bulkhead\.yaml:\d+:\d+/],
        [withGrants({ read: { system: 'nowhere', allow: [] } }), /there is no system `nowhere`/],
        [withGrants({ read: { system: 'here', allow: ['frobnicate everything'] } }), /not an allow line/],
        [
          { ...base, systems: { here: { ...base.systems['here'], tls: { cert: 'a', key: 'b' } } } },
          /cannot read/,
        ],
        [
          { ...base, systems: { ...base.systems, more: { ...base.systems['here'], listen: occupied() } } },
          /EADDRINUSE|already listens/,
        ],
        [
          { ...base, ...({ audit: { file: './elsewhere.jsonl' } } as object) },
          /`audit`.* cannot change while the proxy runs/,
        ],
        [
          { ...base, ...({ state: { file: './other.json' } } as object) },
          /`state` cannot change while the proxy runs/,
        ],
      ]
      for (const [configuration, why] of wrong) {
        const { reloaded, problems } = await proxy.reload(configuration)
        assert.equal(reloaded, false, String(why))
        assert.match(problems.join('\n'), why)
        assert.match(await proxy.metrics(), /bulkhead_config_last_reload_successful 0/)
        assert.deepEqual(await agent.run(system.allowed), good())
      }
      assert.ok(proxy.records().some(({ event }) => event === 'config.refused'))
      await proxy.reload(base)
      assert.match(await proxy.metrics(), /bulkhead_config_last_reload_successful 1/)
    })

    function occupied(): string {
      return `127.0.0.1:${proxy.address('here').port}`
    }

    test('stays while other systems come and go', async () => {
      const agent = await connect('read')
      const more = await proxy.reload({
        ...base,
        systems: { ...base.systems, more: { ...base.systems['here'] } },
        grants: { ...base.grants, there: { system: 'more', allow: system.allow } },
      })
      assert.deepEqual(more.changes, ['system more added', 'grant there added'])
      const there = await connect('there', 'more')
      assert.deepEqual(await there.run(system.allowed), good())
      assert.match(await proxy.metrics(), /bulkhead_sessions\{system="more"\} 1/)
      const address = proxy.address('more')
      const less = await proxy.reload(base)
      assert.deepEqual(less.changes, ['system more removed', 'grant there removed'])
      await there.ended
      await assert.rejects(system.connect(address, 'r-there', await proxy.token('read', 'r-there')))
      assert.doesNotMatch(await proxy.metrics(), /system="more"/)
      assert.deepEqual(await agent.run(system.allowed), good())
    })

    test('on a system that has another backend now ends when it is idle; new ones go to the new backend', async () => {
      const agent = await connect('read')
      await agent.run(system.allowed)
      const [begin, commit] = TRANSACTION[system.protocol]
      const busy = await connect('other')
      assert.ok('value' in (await busy.run(begin)))
      const backend = { ...(base.systems['here']?.['backend'] as object), tls: 'disable' }
      const url = new URL(system.backendUrl)
      url.hostname = 'localhost'
      const { changes } = await proxy.reload({
        ...base,
        systems: { here: { ...base.systems['here'], backend: { ...backend, url: url.href } } },
      })
      assert.deepEqual(changes, ['system here replaced'])
      await agent.ended
      await busy.run(system.allowed)
      assert.ok('value' in (await busy.run(commit)), 'a transaction may end')
      await busy.ended
      assert.deepEqual(await (await connect('read')).run(system.allowed), good())
      await proxy.reload(base)
    })

    test('that another backend has left behind is judged by what else was changed with it', async () => {
      const busy = await connect('other')
      assert.ok('value' in (await busy.run(TRANSACTION[system.protocol][0])))
      const url = new URL(system.backendUrl)
      url.hostname = 'localhost'
      const { changes } = await proxy.reload({
        ...base,
        systems: { here: { ...base.systems['here'], backend: { url: url.href }, ceiling: [] } },
      })
      assert.deepEqual(changes, ['system here replaced'])
      const outcome = await busy.run(system.allowed)
      assert.equal('error' in outcome && outcome.error, system.deniedError)
      await proxy.reload(base)
    })

    test('ends when its system speaks another protocol now, and no other session misses the change', async () => {
      const here = base.systems['here']
      const two = {
        ...base,
        systems: { here: { ...here }, more: { ...here } },
        grants: { ...base.grants, there: { system: 'more', allow: system.allow } },
      }
      await proxy.reload(two)
      const agent = await connect('read')
      const there = await connect('there', 'more')
      assert.deepEqual(await there.run(system.allowed), good())
      const [protocol, url, allow] =
        system.protocol === 'redis'
          ? ['postgres', 'postgres://nobody@127.0.0.1:1/nothing', 'select on t']
          : ['redis', 'redis://127.0.0.1:1/0', '+get ~k:*']
      const changed = await proxy.reload({
        ...two,
        systems: { here: { protocol, backend: { url } }, more: { ...here } },
        grants: {
          read: { system: 'here', allow: [allow] },
          other: { system: 'here', allow: [allow] },
          there: { system: 'more', allow: [] },
        },
      })
      assert.equal(changed.reloaded, true, changed.problems.join())
      await agent.ended
      const outcome = await there.run(system.allowed)
      assert.equal('error' in outcome && outcome.error, system.deniedError)
      await proxy.reload(base)
    })

    test('ends when its issuer is no longer trusted', async () => {
      const agent = await connect('read')
      await agent.run(system.allowed)
      const { changes } = await proxy.reload({
        ...base,
        issuers: [{ issuer: 'another', key: './keys/issuer.pub.jwk' }],
      })
      assert.deepEqual(changes, ['issuers changed'])
      const words = await agent.ended
      if (name !== 'redis') assert.match(words, /no longer trusted/)
      await proxy.reload(base)
    })
  })

  describe(`a ${name} session when the proxy is told to stop`, () => {
    let system: ContractSystem
    const proxies: TestProxy[] = []

    before(async () => {
      system = await start()
    })
    after(async () => {
      for (const proxy of proxies) await proxy.stop()
      await system.stop()
    })

    async function running(drain: string): Promise<{ proxy: TestProxy; connect: () => Promise<Agent> }> {
      const { protocol, backendUrl, allow } = system
      const proxy = await startProxy({
        systems: { here: { protocol, backend: { url: backendUrl } } },
        grants: { read: { system: 'here', allow } },
        drain,
      })
      proxies.push(proxy)
      const token = await proxy.token('read', 'r-1')
      return { proxy, connect: () => system.connect(proxy.address('here'), 'r-1', token) }
    }

    test('ends at once where it is idle, after its transaction where it is not, and nobody new comes in', async () => {
      const { proxy, connect } = await running('30s')
      const [idle, busy] = await Promise.all([connect(), connect()])
      const [begin, commit] = TRANSACTION[system.protocol]
      await idle.run(system.allowed)
      assert.ok('value' in (await busy.run(begin)))
      const drained = proxy.drain()
      const words = await idle.ended
      if (name === 'postgres') assert.match(words, /shutting down/)
      await assert.rejects(connect())
      const ready = await fetch(`http://127.0.0.1:${proxy.admin.port}/readyz`)
      assert.equal(ready.status, 503)
      assert.match(await ready.text(), /the proxy is stopping/)
      await busy.run(system.allowed)
      assert.ok('value' in (await busy.run(commit)))
      await busy.ended
      await drained
    })

    test('ends at the deadline with the shutdown error where it never is idle', async () => {
      const { proxy, connect } = await running('300ms')
      const busy = await connect()
      await busy.run(TRANSACTION[system.protocol][0])
      await proxy.drain()
      await proxy.stop()
      const end = proxy.records().find(({ event }) => event === 'session.end')
      assert.equal(end?.['cause'], 'shutdown')
      await busy.ended
    })
  })
}

test('no configuration is taken while the audit log takes no record of it', async () => {
  const systems = { here: { protocol: 'postgres', decoy: true } }
  const base = {
    systems,
    grants: {},
    // It takes the open and refuses every write; what stands beside it must stand elsewhere.
    audit: { file: '/dev/full' },
    ...({ state: { file: './state.json' } } as object),
  }
  const proxy = await startProxy(base)
  const { reloaded, problems } = await proxy.reload({ ...base, on_hop: 'end_session' })
  await proxy.stop()
  assert.equal(reloaded, false)
  assert.match(problems.join(), /the audit log cannot be written: ENOSPC/)
})
