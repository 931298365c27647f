/** Starts a private PostgreSQL: scram-sha-256 over loopback TCP, no Unix socket, nothing synced to disk. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { type Account, type DataFolder, makeDataFolder, runAs, serverAccount } from './account.ts'
import { freePort, startProcess } from './process.ts'
import { findPostgres, SERVER_ENVIRONMENT } from './programs.ts'
import type { DatabaseServer, StartOptions } from './server.ts'

const USER = 'postgres'

/** The data lives as long as the server: losing it in a power cut costs nothing, syncing costs seconds. */
const THROW_AWAY = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'shared_buffers=32MB']

/** @param options.major asks for one major version instead of the newest found on the machine. */
export async function startPostgres(
  options: StartOptions & { readonly major?: number },
): Promise<DatabaseServer> {
  const progress = options.progress ?? (() => {})
  const account = serverAccount('postgres')
  const programs = await findPostgres(account, options.major, progress)
  const data = makeDataFolder(options.folder, account)
  const password = randomBytes(18).toString('base64url')
  try {
    progress('starting PostgreSQL')
    await initialise(programs.server, account, data, password)
    const port = await freePort()
    const settings = [
      ...['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories='],
      ...THROW_AWAY,
      ...(options.settings ?? []),
    ]
    const command = {
      file: programs.server,
      args: ['-D', join(data.path, 'data'), ...settings.flatMap((setting) => ['-c', setting])],
      environment: SERVER_ENVIRONMENT,
      signal: 'INT',
    } as const
    const facts = {
      host: '127.0.0.1',
      port,
      user: USER,
      password,
      database: 'postgres',
    } as const
    let version = ''
    const running = await startProcess(command, account, data, async () => {
      const client = new pg.Client({
        ...facts,
        connectionTimeoutMillis: 5_000,
      })
      await client.connect()
      try {
        const { rows } = await client.query<{ server_version: string }>('show server_version')
        version = rows[0]?.server_version.split(' ')[0] ?? ''
      } finally {
        await client.end()
      }
    })
    return {
      kind: 'postgres',
      version,
      ...facts,
      programs: programs.clients,
      ...running,
    }
  } catch (error) {
    data.remove()
    throw error
  }
}

async function initialise(
  server: string,
  account: Account | undefined,
  data: DataFolder,
  password: string,
): Promise<void> {
  const secret = join(data.path, 'password')
  mkdirSync(data.path, { recursive: true })
  writeFileSync(secret, password, { mode: 0o644 })
  const args = [
    ...['-D', join(data.path, 'data'), '-U', USER, `--pwfile=${secret}`, '--auth=scram-sha-256'],
    ...['--encoding=UTF8', '--locale=C', '--no-sync'],
  ]
  try {
    await runAs(account, join(dirname(server), 'initdb'), args, SERVER_ENVIRONMENT)
  } finally {
    rmSync(secret)
  }
}
