/** A Redis of a test file's own, a client straight to it, and a proxy in front. */
import { Redis } from 'ioredis'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { startProxy, type TestConfiguration, type TestProxy } from '../../support/proxy.ts'
import { ownRedisServer } from '../../support/servers.ts'

export type RedisStage = {
  readonly server: DatabaseServer
  /** Without the proxy. */
  readonly direct: Redis
  readonly proxy: TestProxy
  stop(): Promise<void>
}

/**
 * @param grants on the system `here`, which is database 0, or on those that the options name
 * @param options.settings of the server, as its command line takes them
 * @param options.databases by the name of a system
 */
export async function startRedisStage(
  grants: TestConfiguration['grants'],
  options: {
    readonly settings?: readonly string[]
    readonly databases?: Readonly<Record<string, number>>
  } = {},
): Promise<RedisStage> {
  const { settings = [], databases = { here: 0 } } = options
  const server = await ownRedisServer({ settings })
  const { host, port, password = '' } = server
  const direct = new Redis({ host, port, password, protocol: 2, replyMapping: 'legacy' })
  const systems = Object.entries(databases).map(([name, database]) => [
    name,
    { protocol: 'redis', backend: { url: `redis://:${password}@${host}:${port}/${database}` } },
  ])
  const proxy = await startProxy({ systems: Object.fromEntries(systems), grants })
  return {
    server,
    direct,
    proxy,
    stop: async () => {
      direct.disconnect()
      await proxy.stop()
      await server.stop()
    },
  }
}
