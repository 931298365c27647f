/** Starts a private PostgreSQL: scram-sha-256 over loopback TCP, no Unix socket, nothing synced to disk. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { runAs } from './account.ts'
import { type Login, launch, type Prepared } from './launch.ts'
import { findPostgres, SERVER_ENVIRONMENT } from './programs.ts'
import type { DatabaseServer, StartOptions } from './server.ts'

const USER = 'postgres'

/** The data lives as long as the server: losing it in a power cut costs nothing, syncing costs seconds. */
const THROW_AWAY = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'shared_buffers=32MB']

/** @param options.major asks for one major version instead of the newest found on the machine. */
export function startPostgres(options: StartOptions & { readonly major?: number }): Promise<DatabaseServer> {
  return launch(
    {
      ...{ name: 'PostgreSQL', account: 'postgres', user: USER, database: 'postgres', signal: 'INT' },
      find: (account, progress) => findPostgres(account, options.major, progress),
      initialise,
      args: ({ data }, port, settings) => [
        ...['-D', join(data.path, 'data')],
        ...[
          ...['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories='],
          ...THROW_AWAY,
          ...settings,
        ].flatMap((setting) => ['-c', setting]),
      ],
      ask: async (login) => ({ kind: 'postgres', version: await versionOf(login) }),
    },
    options,
  )
}

async function versionOf(login: Login): Promise<string> {
  const client = new pg.Client({ ...login, connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    return rows[0]?.server_version.split(' ')[0] ?? ''
  } finally {
    await client.end()
  }
}

async function initialise({ programs, account, data, password }: Prepared): Promise<void> {
  const secret = join(data.path, 'password')
  mkdirSync(data.path, { recursive: true })
  writeFileSync(secret, password, { mode: 0o644 })
  const args = [
    ...['-D', join(data.path, 'data'), '-U', USER, `--pwfile=${secret}`, '--auth=scram-sha-256'],
    ...['--encoding=UTF8', '--locale=C', '--no-sync'],
  ]
  try {
    await runAs(account, join(dirname(programs.server), 'initdb'), args, SERVER_ENVIRONMENT)
  } finally {
    rmSync(secret)
  }
}
