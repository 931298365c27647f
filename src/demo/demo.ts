/**
 * `bulkhead demo`: three real databases with data, the gateway in front of them, one token for each, and scripted
 * agents that do their work and then overreach. Every attempt has an expectation; what comes back is printed as the
 * driver got it.
 */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { CommandError } from '../commands/exit.ts'
import { writeKeys } from '../commands/init.ts'
import { loadConfig } from '../config/load.ts'
import { Gateway } from '../gateway.ts'
import { signToken } from '../grants/token.ts'
import { seedCarts, seedCrm, seedShop } from './accounts.ts'
import type { Door } from './agents.ts'
import {
  type Backends,
  GRANTS,
  type Ports,
  SYSTEMS,
  type SystemName,
  writeConfiguration,
} from './configuration.ts'
import { parseExposition, type Sample } from './exposition.ts'
import { printHandsOn } from './hands-on.ts'
import { playHops, playScript, type Tally } from './play.ts'
import { checkAlerts, checkRecords, showTimeline } from './records.ts'
import { startMariadb } from './servers/mariadb.ts'
import { startPostgres } from './servers/postgres.ts'
import { freePort, isFree } from './servers/process.ts'
import { findPsql } from './servers/programs.ts'
import { startRedis } from './servers/redis.ts'
import { type DatabaseServer, ServerUnavailable } from './servers/server.ts'
import { print, printProgress, printVerdict } from './terminal.ts'

/** The ports of the examples in the documentation, taken where they are free. */
const PORTS_WANTED: Ports = { shop: 6432, crm: 6306, carts: 6380, payroll: 6433, admin: 9464 }

/** Long enough that the printed lines work for a working day. */
const TOKEN_MS = 8 * 3_600_000

/** One run per system, because a token names one system. */
const RUNS: Readonly<Record<SystemName, { readonly run: string; readonly agent: string }>> = {
  shop: { run: 'r-41', agent: 'triage-agent' },
  crm: { run: 'r-42', agent: 'notes-agent' },
  carts: { run: 'r-43', agent: 'carts-agent' },
}

/**
 * Plays the demo, and stays up until Ctrl-C unless `once`.
 *
 * @returns the exit code: 0 when every attempt ended as expected
 * @throws CommandError where no server can be had
 */
export async function runDemo({ once }: { readonly once: boolean }): Promise<number> {
  const stop = new AbortController()
  // npm passes a signal on that the terminal has sent to everyone already: it may come more than once.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
  const cleanup: (() => Promise<void>)[] = []
  try {
    return await play(once, stop.signal, cleanup)
  } catch (error) {
    if (stop.signal.aborted) return 130
    if (error instanceof ServerUnavailable) throw new CommandError(error.message)
    throw error
  } finally {
    for (const step of cleanup.reverse()) await step()
  }
}

async function play(once: boolean, stop: AbortSignal, cleanup: (() => Promise<void>)[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-demo-'))
  cleanup.push(async () => rmSync(folder, { recursive: true, force: true }))
  const backends = await startBackends(folder, cleanup)
  stop.throwIfAborted()
  await writeKeys(folder)
  const ports = await choosePorts()
  const file = writeConfiguration(folder, backends, ports)
  const { config } = loadConfig(file, {
    environment: process.env,
    secrets: 'required',
  })
  printProgress('starting Bulkhead')
  const gateway = await Gateway.build(config, { notice: printProgress })
  await gateway.start()
  cleanup.push(() => gateway.stop())
  const doors = await openDoors(folder, ports)
  const before = await scrape(ports)
  stop.throwIfAborted()

  const tally: Tally = { attempts: 0, unexpected: 0, hops: new Map(), explained: new Set() }
  for (const name of SYSTEMS) {
    const { server } = backends[name]
    await playScript(name, doors[name], `${server.kind} ${server.version}, grant ${GRANTS[name].name}`, tally)
  }
  await playHops(doors, { ...doors.shop, system: 'payroll', port: ports.payroll }, tally)
  const now = await scrape(ports)
  checkRecords(config.auditFile, now, tally)
  await showTimeline(file, doors.shop.run)
  checkAlerts(before, now, tally)

  const good = tally.unexpected === 0
  print()
  printVerdict(
    good
      ? `All ${tally.attempts} attempts ended as expected.`
      : `${tally.unexpected} of ${tally.attempts} attempts did not end as expected.`,
    good,
  )
  if (!once) {
    const psql = backends.shop.server.programs ?? (await findPsql(undefined, printProgress))
    printHandsOn({ doors, backends, psql, ports, config, certificate: join(folder, 'keys', 'tls.crt') })
    await interrupted(stop)
    print()
    printProgress('stopping')
  }
  return good ? 0 : 1
}

/** What `/metrics` says now. */
async function scrape(ports: Ports): Promise<readonly Sample[]> {
  const response = await fetch(`http://127.0.0.1:${ports.admin}/metrics`)
  return parseExposition(await response.text())
}

async function startBackends(folder: string, cleanup: (() => Promise<void>)[]): Promise<Backends> {
  const start = async <Extra>(
    kind: string,
    starter: (options: { folder: string; progress: (line: string) => void }) => Promise<DatabaseServer>,
    seed: (server: DatabaseServer) => Promise<Extra>,
  ): Promise<{ server: DatabaseServer; account: Extra }> => {
    const server = await starter({ folder: join(folder, kind), progress: printProgress })
    cleanup.push(() => server.stop())
    return { server, account: await seed(server) }
  }
  // All three are waited for even when one fails, so that none is left starting while the others are stopped.
  const [shop, crm, carts] = await Promise.allSettled([
    start('postgres', startPostgres, seedShop),
    start('mariadb', startMariadb, seedCrm),
    start('redis', startRedis, seedCarts),
  ])
  return { shop: settled(shop), crm: settled(crm), carts: settled(carts) }
}

function settled<Value>(result: PromiseSettledResult<Value>): Value {
  if (result.status === 'rejected') throw result.reason
  return result.value
}

async function choosePorts(): Promise<Ports> {
  const choose = async (wanted: number): Promise<number> => ((await isFree(wanted)) ? wanted : freePort())
  const { shop, crm, carts, payroll, admin } = PORTS_WANTED
  return {
    shop: await choose(shop),
    crm: await choose(crm),
    carts: await choose(carts),
    payroll: await choose(payroll),
    admin: await choose(admin),
  }
}

/** A token for each system, signed with the key that `bulkhead init` made. */
async function openDoors(folder: string, ports: Ports): Promise<Readonly<Record<SystemName, Door>>> {
  const key = JSON.parse(readFileSync(join(folder, 'keys', 'issuer.jwk'), 'utf8')) as JWK
  const ca = readFileSync(join(folder, 'keys', 'tls.crt'), 'utf8')
  const door = async (system: SystemName, database: string): Promise<Door> => {
    const { run, agent } = RUNS[system]
    const grant = GRANTS[system].name
    const claims = { issuer: 'bulkhead', agent, run, system, grant, jti: randomUUID() }
    const token = await signToken({ ...claims, nowMs: Date.now(), ttlMs: TOKEN_MS }, key)
    const tls = system === 'carts' ? undefined : ca
    return { system, host: '127.0.0.1', port: ports[system], ca: tls, run, token, database }
  }
  return { shop: await door('shop', 'shop'), crm: await door('crm', 'crm'), carts: await door('carts', '0') }
}

function interrupted(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve()
    else stop.addEventListener('abort', () => resolve(), { once: true })
  })
}
