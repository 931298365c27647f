/** A backend whose name has several addresses, of which the first is dead, as `localhost` has where a server listens on one family. */
import assert from 'node:assert/strict'
import dns from 'node:dns'
import { after, before, describe, test } from 'node:test'
import { SYSTEMS } from '../../contract/systems.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'

/** No server of the tests listens on the first. */
const ADDRESSES = [
  { address: '127.0.0.9', family: 4 },
  { address: '127.0.0.1', family: 4 },
]

const NAME = 'several.test'

type Answer = (error: null, addresses: typeof ADDRESSES) => void

for (const [protocol, start] of Object.entries(SYSTEMS)) {
  describe(`a ${protocol} backend with a dead address before the one it has`, () => {
    let system: Awaited<ReturnType<typeof start>>
    let proxy: TestProxy
    let asked = 0

    before(async () => {
      system = await start()
    })
    after(async () => {
      await proxy.stop()
      await system.stop()
    })

    test('is reached by the control connection and by sessions', async (context) => {
      const { lookup } = dns
      context.mock.method(dns, 'lookup', (name: string, options: unknown, answer: Answer) => {
        if (name !== NAME) return lookup(name, options as dns.LookupOptions, answer as never)
        asked += 1
        assert.ok(typeof options === 'object' && options !== null && 'all' in options && options.all)
        answer(null, ADDRESSES)
      })
      const url = new URL(system.backendUrl)
      url.hostname = NAME
      proxy = await startProxy({
        systems: { here: { protocol: system.protocol, backend: { url: url.href, tls: 'disable' } } },
        grants: { work: { system: 'here', allow: [...system.allow] } },
      })
      assert.match(proxy.notices.join('\n'), /info: system here: reached /)
      const controls = asked
      assert.ok(controls > 0)
      const agent = await system.connect(proxy.address('here'), 'r-1', await proxy.token('work', 'r-1'))
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      await agent.close()
      assert.ok(asked > controls)
    })
  })
}
