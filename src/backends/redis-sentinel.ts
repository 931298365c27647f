/** Asks sentinels where the master is (https://redis.io/docs/latest/develop/reference/sentinel-clients/). */
import { isIP } from 'node:net'
import { Redis, type RedisOptions } from 'ioredis'
import type { BackendAddress, BackendTarget, SentinelTarget } from './backend.ts'
import { messageOf } from './control-connection.ts'
import { tlsOptions } from './tls.ts'

/** A sentinel that takes longer to connect or to answer is passed over. */
const ASK_MS = 2_000

/** Longest host name (RFC 1035, section 2.3.4). */
const HOST_CHARACTERS_MAX = 255

/** Finds the master that the sentinels agree on, anew at each question: after a failover it is another server. */
export class MasterLocator {
  readonly #name: string
  /** The one that answered last stands first. */
  #sentinels: readonly Sentinel[]
  #asking: Promise<BackendAddress> | undefined

  /** @param target `host` is the name of the master */
  constructor(target: BackendTarget, sentinel: SentinelTarget) {
    this.#name = target.host
    this.#sentinels = sentinel.addresses.map(
      (address) => new Sentinel(address, sentinelOptions(target, sentinel, address)),
    )
  }

  /** Questions asked while one is under way share its answer. @throws Error where no sentinel knows the master */
  locate(): Promise<BackendAddress> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<BackendAddress> {
    let failure = 'no sentinel was asked'
    for (const sentinel of this.#sentinels) {
      try {
        const address = await sentinel.masterOf(this.#name)
        if (sentinel !== this.#sentinels[0]) {
          this.#sentinels = [sentinel, ...this.#sentinels.filter((other) => other !== sentinel)]
        }
        return address
      } catch (error) {
        failure = messageOf(error)
      }
    }
    throw new Error(`no sentinel says where \`${this.#name}\` is: ${failure}`)
  }

  close(): void {
    for (const sentinel of this.#sentinels) sentinel.close()
  }
}

class Sentinel {
  readonly #client: Redis
  readonly #at: string
  /** Why the connection failed: the promise that waits for it says only that it is closed. */
  #trouble: string | undefined

  constructor({ host, port }: BackendAddress, options: ReturnType<typeof sentinelOptions>) {
    this.#at = `${host}:${port}`
    this.#client = new Redis(options)
    this.#client.on('error', (error: Error) => {
      this.#trouble = error.message
    })
  }

  async masterOf(name: string): Promise<BackendAddress> {
    this.#trouble = undefined
    try {
      const { status } = this.#client
      if (status === 'wait' || status === 'end' || status === 'close') await this.#client.connect()
      return addressOf(await this.#client.call('SENTINEL', 'get-master-addr-by-name', name))
    } catch (error) {
      const why = this.#trouble ?? messageOf(error)
      throw new Error(`${this.#at}: ${why}`)
    }
  }

  close(): void {
    this.#client.disconnect()
  }
}

function addressOf(answer: unknown): BackendAddress {
  if (answer === null) throw new Error('it does not know a master of that name')
  const [host, port] = Array.isArray(answer) ? answer.map(String) : []
  if (host === undefined || !/^[1-9]\d{0,4}$/.test(port ?? '') || Number(port) > 65_535) {
    throw new Error('its answer is not an address')
  }
  if (isIP(host) === 0 && (host.length > HOST_CHARACTERS_MAX || !/^[A-Za-z0-9._-]+$/.test(host))) {
    throw new Error('its answer is not an address')
  }
  return { host, port: Number(port) }
}

function sentinelOptions(
  target: BackendTarget,
  sentinel: SentinelTarget,
  { host, port }: BackendAddress,
): RedisOptions & { replyMapping: 'legacy' } {
  const { user, password } = sentinel
  return {
    ...{ host, port },
    ...(password !== undefined && { password }),
    ...(password !== undefined && user !== undefined && { username: user }),
    ...(sentinel.tls !== 'disable' && { tls: tlsOptions({ tls: sentinel.tls, ca: target.ca, host }) }),
    connectionName: 'bulkhead:sentinel',
    protocol: 2,
    replyMapping: 'legacy',
    lazyConnect: true,
    enableReadyCheck: false,
    disableClientInfo: true,
    connectTimeout: ASK_MS,
    commandTimeout: ASK_MS,
    maxRetriesPerRequest: 0,
    // Connected again by the next question.
    retryStrategy: () => null,
  }
}
