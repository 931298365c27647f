import type { Address } from '../../src/config/config.ts'
import type { TestProxy } from '../support/proxy.ts'
import type { Agent, ContractSystem } from './systems.ts'

/** The agents that the tests of a proxy have connected: all of them are to be gone before the proxy is. */
export class Agents {
  readonly #connected: Agent[] = []

  async connect(system: ContractSystem, address: Address, run: string, password: string): Promise<Agent> {
    const agent = await system.connect(address, run, password)
    this.#connected.push(agent)
    return agent
  }

  /** As run `r-GRANT`, with a new token of that grant. @param where what the proxy calls the system */
  async under(system: ContractSystem, proxy: TestProxy, grant: string, where = 'here'): Promise<Agent> {
    const run = `r-${grant}`
    return this.connect(system, proxy.address(where), run, await proxy.token(grant, run))
  }

  async close(): Promise<void> {
    await Promise.all(this.#connected.map((agent) => agent.close()))
  }
}
