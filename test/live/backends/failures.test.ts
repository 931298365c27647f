/** What a run, an operator and the record see when a backend fails: in a statement, between sessions, in a login. */
import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseExposition } from '../../../src/demo/exposition.ts'
import { type Agent, type ContractSystem, SYSTEMS } from '../../contract/systems.ts'
import { type AuditRecord, startProxy, type TestProxy } from '../../support/proxy.ts'
import { garbage } from './garbage.ts'
import { type Gate, openGate } from './gate.ts'

/** Conversations with a backend that answers at random; a thousand where time does not matter. */
const CONVERSATIONS = process.env['BULKHEAD_LONG'] === undefined ? 100 : 1_000

/** Waits for what must come; a test that waits longer than this fails. */
const WAIT_MS_MAX = 20_000

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const endMs = performance.now() + WAIT_MS_MAX; !(await holds()); await sleep(10)) {
    if (performance.now() > endMs) throw new Error(`not in time: ${what}`)
  }
}

for (const [name, start] of Object.entries(SYSTEMS)) {
  describe(`when a ${name} backend fails`, () => {
    let system: ContractSystem
    let gate: Gate
    let proxy: TestProxy
    const agents: Agent[] = []

    before(async () => {
      system = await start()
      gate = await openGate(system.server.port)
      const { protocol, backendUrl, bounded } = system
      const url = new URL(backendUrl)
      url.port = String(gate.port)
      proxy = await startProxy({
        systems: { here: { protocol, backend: { url: url.href } } },
        grants: { work: { system: 'here', allow: [...system.allow, ...bounded.allow] } },
      })
    })
    after(async () => {
      // Not waited for: a driver whose connection has broken may wait for its end for ever.
      for (const agent of agents) agent.close().catch(() => undefined)
      await proxy.stop()
      await gate.close()
      // A server that computes does not see that nobody waits for it, and its database cannot be dropped meanwhile.
      await system.killConnections()
      await system.stop()
    })

    const login = async (run: string): Promise<Agent> => {
      const agent = await system.connect(proxy.address('here'), run, await proxy.token('work', run))
      agents.push(agent)
      return agent
    }

    const refusal = async (run: string): Promise<string> =>
      login(run).then(
        () => 'logged in',
        (error: Error) => error.message,
      )

    const of = (run: string): AuditRecord[] => proxy.records().filter((record) => record['run'] === run)

    const errors = async (kind: string): Promise<number> =>
      parseExposition(await proxy.metrics()).find(
        (sample) => sample.name === 'bulkhead_backend_errors_total' && sample.labels['kind'] === kind,
      )?.value ?? 0

    const reachable = async (): Promise<boolean> =>
      (await fetch(`http://127.0.0.1:${proxy.admin.port}/readyz`)).status === 200

    test('to the control connection alone, nothing is judged by what was known until it is back', async () => {
      const agent = await login('r-blind')
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      gate.cutOldest()
      await until(async () => !(await reachable()), 'the loss is noticed')
      const said = await agent.run(system.allowed)
      assert.ok('error' in said, JSON.stringify(said))
      const denial = of('r-blind').findLast(({ event }) => event === 'statement')
      assert.deepEqual([denial?.['verdict'], denial?.['reason']], ['deny', 'not_understood'])
      assert.equal(denial?.['why'], 'what here holds cannot be read at present')
      gate.open()
      await until(reachable, 'the control connection is back')
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      await agent.close()
      await until(() => of('r-blind').some(({ event }) => event === 'session.end'), 'the agent has left')
    })

    test('in the middle of a statement, the agent is told, and it is recorded and counted', async () => {
      const agent = await login('r-middle')
      const before = await errors('lost')
      const outcome = agent.run(system.bounded.slow)
      await until(() => system.isRunning(), 'the statement runs')
      gate.cut()
      gate.open()
      const said = await outcome
      assert.ok('error' in said, JSON.stringify(said))
      assert.doesNotMatch(said.message, new RegExp(`${gate.port}|ECONN`))
      const end = of('r-middle').find(({ event }) => event === 'session.end')
      assert.equal(end?.['cause'], 'backend_lost')
      // Nobody knows what became of it: a result that says so would be made up.
      const slow = of('r-middle').findLast(({ event }) => event === 'statement')
      assert.ok(!of('r-middle').some((record) => record.event === 'result' && record['id'] === slow?.['id']))
      assert.equal(await errors('lost'), before + 1)
    })

    test('and is back, the next login works at once', async () => {
      gate.cut()
      await until(async () => !(await reachable()), 'the loss is noticed')
      assert.match(await refusal('r-away'), /not available|^(?!logged in)/)
      assert.ok(of('r-away').some(({ event, fault }) => event === 'backend.error' && fault === 'unreachable'))
      gate.open()
      const agent = await login('r-back')
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
    })

    test('with a login that never ends, the agent is told in the end', async () => {
      await until(reachable, 'the control connection is back')
      const before = await errors('unreachable')
      gate.instead(() => undefined)
      assert.notEqual(await refusal('r-hang'), 'logged in')
      assert.equal(await errors('unreachable'), before + 1)
      assert.match(JSON.stringify(of('r-hang')), /no login within \d+ ms/)
      gate.open()
    })

    test('by closing every connection at once, the agent is told', async () => {
      await until(reachable, 'the control connection is back')
      gate.instead((socket) => socket.destroy())
      assert.notEqual(await refusal('r-closed'), 'logged in')
      gate.open()
    })

    test('by answering a login at random, the agent is told and the proxy lives', async () => {
      await until(reachable, 'the control connection is back')
      gate.instead((socket: Socket) => {
        const talk = garbage(system.protocol, randomBytes, randomInt)
        const say = (): void => {
          const bytes = talk()
          if (bytes === undefined) socket.destroy()
          else socket.write(bytes)
        }
        if (system.protocol === 'mysql') say()
        socket.on('data', say)
        // A peer that waits for more than was sent: the login ends when the connection does.
        setTimeout(() => socket.destroy(), 50)
      })
      const token = await proxy.token('work', 'r-garbage')
      let left = CONVERSATIONS
      const talk = async (): Promise<void> => {
        for (; left > 0; left -= 1) {
          const said = await system.connect(proxy.address('here'), 'r-garbage', token).then(
            () => 'logged in',
            () => 'refused',
          )
          assert.equal(said, 'refused')
        }
      }
      await Promise.all(Array.from({ length: 8 }, talk))
      gate.open()
      const told = JSON.stringify(of('r-garbage'))
      assert.doesNotMatch(told, /a bug in|internal error/)
      assert.ok(of('r-garbage').filter(({ event }) => event === 'backend.error').length >= CONVERSATIONS)
      const agent = await login('r-after')
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
    })

    test('by sending what nobody asked for, that session ends and no other', async () => {
      await until(reachable, 'the control connection is back')
      const other = await login('r-other')
      const agent = await login('r-injected')
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      // Announces gigabytes, or is no message at all.
      gate.inject(Buffer.from([0x44, 0xff, 0xff, 0xff, 0xff, 0x0d, 0x0a, 0x00]))
      await until(() => of('r-injected').some(({ event }) => event === 'session.end'), 'the session ends')
      assert.ok(of('r-injected').some(({ event, side }) => event === 'protocol.error' && side === 'server'))
      assert.deepEqual(await other.run(system.allowed), { value: system.allowedValue })
    })

    test('without a word, the kernel asks whether it is there', {
      skip: process.platform === 'linux' ? false : 'timers of sockets are read from /proc',
    }, async () => {
      const agent = await login('r-idle')
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      // sl local_address rem_address st tx_queue:rx_queue tr:tm->when …; state 1 is established, timer 2 is keep-alive.
      const socketsOf = (column: 1 | 2, port: number): string[] => {
        const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
        const rows = readFileSync('/proc/net/tcp', 'utf8')
          .split('\n')
          .map((line) => line.trim().split(/\s+/))
        return rows.filter((row) => row[column]?.endsWith(end) && row[3] === '01').map((row) => row[5] ?? '')
      }
      const areKept = (timers: string[]): boolean =>
        timers.length > 0 && timers.every((timer) => timer.startsWith('02:'))
      // A socket with bytes on their way has the timer of their retransmission instead, until they are acknowledged.
      await until(() => areKept(socketsOf(2, gate.port)), 'the kernel watches the backend')
      await until(() => areKept(socketsOf(1, proxy.address('here').port)), 'the kernel watches the agent')
    })
  })
}
