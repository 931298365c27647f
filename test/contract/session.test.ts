/** One specification, run for every protocol against a real server with an ordinary driver. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateKeyPair, SignJWT } from 'jose'
import { freePort } from '../../src/demo/servers/process.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { Agents } from './agents.ts'
import { type Agent, type ContractSystem, SYSTEMS } from './systems.ts'

const RUN = 'r-42'

for (const [name, start] of Object.entries(SYSTEMS)) {
  describe(`a ${name} session`, () => {
    let system: ContractSystem
    let proxy: TestProxy
    const agents = new Agents()

    before(async () => {
      system = await start()
      const { protocol, backendUrl, allow } = system
      const dead = new URL(backendUrl)
      dead.port = String(await freePort())
      const locked = new URL(backendUrl)
      locked.password = 'not-the-password'
      proxy = await startProxy({
        systems: {
          here: { protocol, backend: { url: backendUrl } },
          elsewhere: { protocol, backend: { url: backendUrl } },
          down: { protocol, backend: { url: dead.href } },
          locked: { protocol, backend: { url: locked.href } },
          trap: { protocol, decoy: true },
        },
        grants: {
          read: { system: 'here', allow },
          other: { system: 'elsewhere', allow },
          gone: { system: 'down', allow },
          shut: { system: 'locked', allow },
          few: { system: 'here', allow, limits: { statements_per_minute: 3, connections: 1 } },
        },
      })
    })
    after(async () => {
      await agents.close()
      await proxy.stop()
      await system.stop()
    })

    const connect = async (token?: string, where = 'here', run = RUN): Promise<Agent> =>
      agents.connect(system, proxy.address(where), run, token ?? (await proxy.token('read', run)))

    /** The error code that a login is refused with. */
    async function refusal(token: string, where = 'here', run = RUN): Promise<string> {
      try {
        await connect(token, where, run)
      } catch (error) {
        const { code, message } = error as Error & { code?: string }
        return code !== undefined && code !== 'ECONNRESET' ? code : message
      }
      return 'logged in'
    }

    const refusedAsNative = (said: string): boolean => said.includes(system.authenticationError)

    test('an allowed statement is answered by the backend', async () => {
      const agent = await connect()
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
    })

    test("a denied statement gets the database's own error, and the session lives on", async () => {
      const agent = await connect()
      const outcome = await agent.run(system.denied)
      assert.ok('error' in outcome)
      assert.equal(outcome.error, system.deniedError)
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
    })

    test('a denied write has no effect on the backend', async () => {
      const agent = await connect()
      assert.ok('error' in (await agent.run(system.deniedWrite)))
      assert.equal(await system.untouched(), true)
    })

    test('denials keep their place in a pipeline', async () => {
      const agent = await connect()
      const { allowed, denied, hop } = system
      const order = [allowed, denied, allowed, hop.statement, denied, allowed, denied, allowed, allowed]
      const outcomes = await agent.pipeline(order)
      assert.deepEqual(
        outcomes.map((outcome) => ('error' in outcome ? 'denied' : outcome.value)),
        order.map((statement) => (statement === allowed ? system.allowedValue : 'denied')),
      )
    })

    test('what is not understood is denied, and the session lives on', async () => {
      const agent = await connect()
      assert.ok('error' in (await agent.run(system.nonsense)))
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
    })

    test('a hop by statement is rejected, recorded and counted', async () => {
      const agent = await connect(await proxy.token('read', 'r-hop'), 'here', 'r-hop')
      assert.ok('error' in (await agent.run(system.hop.statement)))
      const hops = proxy.records().filter(({ event, run }) => event === 'hop' && run === 'r-hop')
      assert.deepEqual(
        hops.map(({ kind, from }) => [kind, from]),
        [[system.hop.kind, 'here']],
      )
      const counted = new RegExp(`bulkhead_hop_attempts_total{system="here",kind="${system.hop.kind}"} [1-9]`)
      assert.match(await proxy.metrics(), counted)
    })

    test("a token of another system is rejected with the database's own error, and is a hop", async () => {
      const said = await refusal(await proxy.token('other', 'r-visitor'), 'here', 'r-visitor')
      assert.ok(refusedAsNative(said), said)
      const hop = proxy.records().find(({ event, run }) => event === 'hop' && run === 'r-visitor')
      assert.equal(hop?.['kind'], 'wrong_system')
      assert.equal(hop?.['from'], 'elsewhere')
      assert.equal(hop?.['to'], 'here')
      assert.equal(hop?.['agent'], 'test-agent')
      assert.match(String(hop?.['client']), /^127\.0\.0\.1:\d+$/)
      assert.match(
        await proxy.metrics(),
        /bulkhead_hop_attempts_total{system="here",kind="wrong_system"} [1-9]/,
      )
    })

    test('any touch of a decoy is a hop', async () => {
      const said = await refusal(await proxy.token('read', 'r-curious'), 'trap', 'r-curious')
      assert.ok(refusedAsNative(said), said)
      assert.match(await proxy.metrics(), /bulkhead_hop_attempts_total{system="trap",kind="decoy"} 1/)
    })

    test('a forged, empty, oversized, foreign, unknown or expired token is refused alike', async () => {
      const stranger = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
      const good = await proxy.token('read', RUN)
      const claims = JSON.parse(Buffer.from(good.split('.')[1] ?? '', 'base64url').toString()) as Record<
        string,
        unknown
      >
      const tokens = {
        forged: await new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA' }).sign(stranger.privateKey),
        garbage: 'not-a-token',
        tampered: `${good.slice(0, -8)}AAAAAAAA`,
        'of another run': await proxy.token('read', 'r-43'),
        'of no grant': await proxy.token('no-such-grant', RUN, { system: 'here' }),
        'of a grant elsewhere': await proxy.token('other', RUN, { system: 'here' }),
        expired: await proxy.token('read', RUN, { nowMs: Date.now() - 3_600_000 }),
      }
      for (const [kind, token] of Object.entries(tokens)) {
        const said = await refusal(token)
        assert.ok(refusedAsNative(said), `${kind}: ${said}`)
      }
      const oversized = await refusal('a'.repeat(17_000))
      assert.notEqual(oversized, 'logged in')
      const faults = new Set(
        proxy
          .records()
          .filter(({ event }) => event === 'auth.failure')
          .map(({ reason }) => reason),
      )
      for (const fault of [
        'bad_signature',
        'malformed',
        'wrong_user',
        'unknown_grant',
        'expired',
        'wrong_system',
      ]) {
        assert.ok(faults.has(fault), `no ${fault} among ${[...faults].join(', ')}`)
      }
      const replay = proxy.records().find(({ event, kind }) => event === 'hop' && kind === 'replayed_token')
      assert.equal(replay?.['run'], RUN)
    })

    test("a session ends when its token expires, with the database's own error", async () => {
      // Time enough to log in on a busy machine; a token's times are whole seconds.
      const agent = await connect(await proxy.token('read', 'r-short', { ttlMs: 4_000 }), 'here', 'r-short')
      assert.deepEqual(await agent.run(system.allowed), { value: system.allowedValue })
      await agent.ended
      const end = proxy.records().find(({ event, run }) => event === 'session.end' && run === 'r-short')
      assert.equal(end?.['cause'], 'token_expired')
    })

    test('a backend that is down gives an error without its address', async () => {
      const said = await refusal(await proxy.token('gone', RUN), 'down')
      assert.notEqual(said, 'logged in')
      assert.doesNotMatch(said, /127\.0\.0\.1|ECONNREFUSED/)
      assert.ok(
        proxy
          .records()
          .some(({ reason, system: where }) => reason === 'backend_unavailable' && where === 'down'),
      )
      const readiness = await fetch(`http://127.0.0.1:${proxy.admin.port}/readyz`)
      assert.equal(readiness.status, 503)
      assert.match(await readiness.text(), /backend of system down/)
    })

    test('a backend that refuses our login gives an error without our credentials', async () => {
      const said = await refusal(await proxy.token('shut', RUN), 'locked')
      assert.notEqual(said, 'logged in')
      assert.doesNotMatch(said, /not-the-password|127\.0\.0\.1/)
    })

    test('a backend that ends the connection ends the session with an error, and the next one works', async () => {
      const agent = await connect(await proxy.token('read', 'r-cut'), 'here', 'r-cut')
      await agent.run(system.allowed)
      await system.killConnections()
      const said = await agent.ended
      assert.doesNotMatch(said, new RegExp(`127\\.0\\.0\\.1:${system.server.port}`))
      // The client may have the server's own last words before the proxy has seen the connection close.
      const ended = (): unknown =>
        proxy.records().find(({ event, run }) => event === 'session.end' && run === 'r-cut')?.['cause']
      while (ended() === undefined) await sleep(20)
      assert.equal(ended(), 'backend_lost')
      const next = await connect()
      assert.deepEqual(await next.run(system.allowed), { value: system.allowedValue })
    })

    test('limits of the grant: connections at once, statements a minute', async () => {
      const token = await proxy.token('few', 'r-few')
      const agent = await connect(token, 'here', 'r-few')
      assert.notEqual(await refusal(token, 'here', 'r-few'), 'logged in')
      const outcomes: string[] = []
      for (let count = 0; count < 6; count += 1) {
        const outcome = await agent.run(system.allowed)
        outcomes.push('error' in outcome ? 'denied' : 'allowed')
      }
      assert.equal(outcomes.at(-1), 'denied')
      assert.ok(proxy.records().some(({ run, reason }) => run === 'r-few' && reason === 'limit'))
    })

    test('garbage, half frames and lying lengths end that one connection and nothing else', async () => {
      const witness = await connect()
      const { host, port } = proxy.address('here')
      const openings = [
        randomBytes(64),
        Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        Buffer.alloc(64, 0xff),
        Buffer.from('00000000', 'hex'),
        Buffer.from('7fffffff00030000', 'hex'),
        Buffer.from('*1000000\r\n$1000000000\r\n'),
        Buffer.from('*1\r\n$-5\r\n'),
        Buffer.from('ffffff0185a6ff01', 'hex'),
        Buffer.from('00'),
      ]
      for (const opening of openings) {
        const socket = connectTcp({ host, port })
        socket.on('error', () => undefined)
        const closed = once(socket, 'close')
        socket.resume()
        socket.end(opening)
        await closed
      }
      assert.deepEqual(await witness.run(system.allowed), { value: system.allowedValue })
    })

    test('every statement is recorded with its run, accesses and verdict, and the chain holds', async () => {
      const agent = await connect(await proxy.token('read', 'r-audit'), 'here', 'r-audit')
      await agent.run(system.allowed)
      await agent.run(system.denied)
      await agent.close()
      const all = () => proxy.records().filter(({ run }) => run === 'r-audit')
      while (!all().some(({ event }) => event === 'session.end')) await sleep(5)
      const mine = all()
      const judged = mine.filter(({ event }) => event === 'statement')
      const allowed = judged.find(({ statement }) => String(statement).toLowerCase().includes(system.allowed))
      const denied = judged.find(({ statement }) => String(statement).toLowerCase().includes(system.denied))
      assert.equal(allowed?.['verdict'], 'allow')
      assert.deepEqual(allowed?.['rules'], [system.allow[0]])
      assert.ok(Array.isArray(allowed?.['accesses']) && allowed['accesses'].length === 1)
      assert.match(String(allowed?.['grant_sha256']), /^[0-9a-f]{64}$/)
      assert.equal(denied?.['verdict'], 'deny')
      assert.equal(denied?.['reason'], 'not_granted')
      const result = mine.find(({ event, id }) => event === 'result' && id === allowed?.['id'])
      assert.equal(result?.['rows'], 1)
      assert.ok(Number(result?.['bytes']) > 0 && Number(result?.['duration_us']) >= 0)
      assert.equal(
        mine.some(({ event, id }) => event === 'result' && id === denied?.['id']),
        false,
      )
      let previous = '0'.repeat(64)
      for (const line of readFileSync(proxy.auditFile, 'utf8').split('\n').slice(0, -1)) {
        const { prev, hash } = JSON.parse(line) as { prev: string; hash: string }
        assert.equal(prev, previous)
        assert.equal(
          createHash('sha256')
            .update(line.slice(0, line.lastIndexOf(',"hash":')))
            .digest('hex'),
          hash,
        )
        previous = hash
      }
    })

    test('no token and no backend password is in the log', () => {
      const log = readFileSync(proxy.auditFile, 'utf8')
      assert.doesNotMatch(log, /eyJ[\w-]+\.[\w-]+\./)
      assert.ok(system.server.password !== undefined && !log.includes(system.server.password))
    })
  })
}
