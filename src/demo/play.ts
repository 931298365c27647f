/** Plays the script against the gateway and holds every answer against what was expected. */
import {
  type Agent,
  connectMysql,
  connectPostgres,
  connectRedis,
  type Door,
  type Outcome,
  outcomeOf,
} from './agents.ts'
import { SYSTEMS, type SystemName } from './configuration.ts'
import { type Expectation, LOGIN_REFUSED, SCRIPT } from './script.ts'
import { printAttempt, printHeading } from './terminal.ts'

export type Tally = {
  attempts: number
  unexpected: number
  /** Hops made, by kind. */
  readonly hops: Map<string, number>
  /** Systems whose way of refusing has been shown whole. */
  readonly explained: Set<string>
}

const CONNECT: Readonly<Record<Door['system'], (door: Door) => Promise<Agent>>> = {
  shop: connectPostgres,
  crm: connectMysql,
  carts: connectRedis,
  payroll: connectPostgres,
}

/** One agent's script on the system of its token. */
export async function playScript(
  system: SystemName,
  door: Door,
  detail: string,
  tally: Tally,
): Promise<void> {
  printHeading(system, `${detail}, run ${door.run}`)
  let agent: Agent
  try {
    agent = await CONNECT[system](door)
  } catch (error) {
    const outcome = outcomeOf(error)
    judge({ system, what: 'login', statement: `as ${door.run}`, outcome, expect: 'allowed' }, tally)
    return
  }
  for (const { what, statement, values = [], expect, hop } of SCRIPT[system]) {
    const outcome = await agent.attempt(statement, values)
    const shown = values.length === 0 ? statement : `${statement} [${values.join(', ')}]`
    judge({ system, what, statement: shown, outcome, expect }, tally)
    if (hop !== undefined) countHop(hop, tally)
  }
  await agent.close()
}

/** Each token at each system that it is not for, and one at the decoy. */
export async function playHops(
  doors: Readonly<Record<SystemName, Door>>,
  decoy: Door,
  tally: Tally,
): Promise<void> {
  printHeading('hops', 'each token at every other system, with that system’s own driver')
  for (const from of SYSTEMS) {
    for (const to of SYSTEMS) {
      if (from === to) continue
      const { run, token } = doors[from]
      await hop({ ...doors[to], run, token }, from, tally)
      countHop('wrong_system', tally)
    }
  }
  await hop(decoy, 'shop', tally)
  countHop('decoy', tally)
}

async function hop(door: Door, from: SystemName, tally: Tally): Promise<void> {
  const { system } = door
  const outcome = await CONNECT[system](door).then(
    async (agent): Promise<Outcome> => {
      await agent.close()
      return { ok: true, shown: 'logged in' }
    },
    (error: unknown) => outcomeOf(error),
  )
  const what = `${from} → ${system}`
  const statement = `log in to ${system} as ${door.run}`
  judge({ system, what, statement, outcome, expect: { refused: LOGIN_REFUSED[system] } }, tally)
}

type Attempt = {
  readonly system: Door['system']
  readonly what: string
  readonly statement: string
  readonly outcome: Outcome
  readonly expect: Expectation
}

function judge({ system, what, statement, outcome, expect }: Attempt, tally: Tally): void {
  const asExpected = expect === 'allowed' ? outcome.ok : !outcome.ok && outcome.code === expect.refused
  tally.attempts += 1
  if (!asExpected) tally.unexpected += 1
  // A system's first refusal is shown whole; the later ones say the same of other things.
  const whole = !asExpected || !tally.explained.has(system)
  if (!outcome.ok) tally.explained.add(system)
  printAttempt(what, statement, outcome, { asExpected, whole })
}

function countHop(kind: string, tally: Tally): void {
  tally.hops.set(kind, (tally.hops.get(kind) ?? 0) + 1)
}
