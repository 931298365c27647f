import { Client } from 'pg'
import { startPostgres } from '../../../src/demo/servers/postgres.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { startProxy, type TestConfiguration, type TestProxy } from '../../support/proxy.ts'
import { connection } from '../../support/servers.ts'

/** A PostgreSQL of one major version for one suite alone, and a proxy in front of it, where it is `shop` without TLS. */
export type PrivateShop = {
  readonly server: DatabaseServer
  readonly proxy: TestProxy
  /** The super user, directly. */
  readonly administrator: Client
  /** Ends the server, too. */
  stop(): Promise<void>
}

/** @param schema statements that make what the grants name */
export async function startPrivateShop(
  major: number,
  schema: string,
  grants: TestConfiguration['grants'],
): Promise<PrivateShop> {
  const server = await startPostgres({ folder: temporaryFolder(), major })
  const administrator = new Client(connection(server))
  await administrator.connect()
  await administrator.query(schema)
  const { host, port, user, password = '', database } = server
  const proxy = await startProxy({
    systems: {
      shop: {
        protocol: 'postgres',
        tls: undefined,
        backend: { url: `postgres://${user}@${host}:${port}/${database}`, password, tls: 'prefer' },
      },
    },
    grants,
  })
  return {
    server,
    proxy,
    administrator,
    async stop() {
      await proxy.stop()
      await administrator.end()
      await server.stop()
    },
  }
}
