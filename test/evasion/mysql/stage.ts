/**
 * What the cases are tried on: a server where the forbidden things exist, a proxy in front of it, and an agent's session
 * under the grant of an ordinary run.
 */
import { type Connection, createConnection } from 'mysql2/promise'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import { connectMysql } from '../../support/drivers.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { ALLOW, DATABASE, SCHEMA, SCHEMA_MARIADB, SECRET_TEXT } from './database.ts'

export type Stage = {
  /** The super user, directly. */
  readonly administrator: Connection
  readonly proxy: TestProxy
  readonly agent: Connection
  /** Another session of the same run. */
  connectAgent(): Promise<Connection>
  /** Ends all of it, the server too. */
  end(): Promise<void>
}

/** @param server of the caller's own: some cases would harm the whole of it if they got through */
export async function setStage(server: DatabaseServer): Promise<Stage> {
  const { host, port, user, password = '' } = server
  const administrator = await createConnection({ host, port, user, password, flags: ['-IGNORE_SPACE'] })
  await administrator.query(`create database \`${DATABASE}\` character set utf8mb4`)
  await administrator.query('create database hr')
  await administrator.query('create table hr.salaries (id int, amount varchar(20))')
  await administrator.query(`insert into hr.salaries values (1, '${SECRET_TEXT}')`)
  await administrator.query(`use \`${DATABASE}\``)
  const own = server.kind === 'mariadb' ? SCHEMA_MARIADB : []
  for (const statement of [...SCHEMA, ...own]) await administrator.query(statement)
  const proxy = await startProxy({
    systems: {
      [DATABASE]: {
        protocol: 'mysql',
        backend: { url: `mysql://${user}@${host}:${port}/${DATABASE}`, password, tls: 'prefer' },
      },
    },
    grants: { agent: { system: DATABASE, allow: ALLOW, metadata: 'introspect' } },
  })
  const connectAgent = async (): Promise<Connection> => {
    const login = { run: 'evader', token: await proxy.token('agent', 'evader'), database: DATABASE }
    return connectMysql(proxy.address(DATABASE), login, { flags: ['-IGNORE_SPACE'] })
  }
  const agent = await connectAgent()
  return {
    administrator,
    proxy,
    agent,
    connectAgent,
    async end() {
      agent.destroy()
      await proxy.stop()
      await administrator.end()
      await server.stop()
    },
  }
}

/** `text` is all that the client was told. */
export type Answer = { readonly errno: number; readonly message: string; readonly text: string }

export async function ask(client: Connection, statement: string): Promise<Answer> {
  try {
    return { errno: 0, message: '', text: JSON.stringify(await client.query(statement)) }
  } catch (error) {
    const { errno = -1, message } = error as { errno?: number; message: string }
    return { errno, message, text: message }
  }
}
