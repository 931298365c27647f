/** Starts a private MySQL, Oracle's and not MariaDB: root with a password over loopback TCP, nothing synced to disk. */
import { randomBytes } from 'node:crypto'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { type Account, type DataFolder, makeDataFolder, runAs, serverAccount } from './account.ts'
import { freePort, startProcess } from './process.ts'
import { findMysql, type Programs, SERVER_ENVIRONMENT } from './programs.ts'
import type { DatabaseServer, StartOptions } from './server.ts'

/** The data lives as long as the server, which needs to be quick to start and small, and not durable. */
const THROW_AWAY = [
  '--innodb-flush-log-at-trx-commit=0',
  '--innodb-flush-method=nosync',
  '--innodb-doublewrite=OFF',
  '--innodb-buffer-pool-size=32M',
  '--innodb-redo-log-capacity=16M',
  '--performance-schema=OFF',
]

/** @throws ServerUnavailable where there is no MySQL and none can be fetched */
export async function startMysql(options: StartOptions): Promise<DatabaseServer> {
  const progress = options.progress ?? (() => {})
  const account = serverAccount('mysql')
  const programs = await findMysql(account, progress)
  const data = makeDataFolder(options.folder, account)
  const password = randomBytes(18).toString('base64url')
  try {
    progress('starting MySQL')
    const common = commonArguments(programs, data)
    const initialise = ['--no-defaults', '--initialize-insecure', ...common]
    await runAs(account, programs.server, initialise, SERVER_ENVIRONMENT)
    const port = await freePort()
    const command = {
      file: programs.server,
      args: [
        ...[
          '--no-defaults',
          ...common,
          '--bind-address=127.0.0.1',
          `--port=${port}`,
          '--mysqlx=OFF',
          '--secure-file-priv=NULL',
        ],
        ...['--socket=server.sock', '--pid-file=server.pid', '--skip-log-bin', '--skip-name-resolve'],
        `--init-file=${initFile(data, account, password)}`,
        ...(options.settings ?? []),
      ],
      environment: SERVER_ENVIRONMENT,
      signal: 'TERM',
    } as const
    const facts = { host: '127.0.0.1', port, user: 'root', password, database: 'test' } as const
    let version = ''
    const running = await startProcess(command, account, data, async () => {
      const connection = await createConnection({ ...facts, connectTimeout: 5_000 })
      try {
        const [rows] = await connection.query('select version() as version')
        version = String((rows as readonly { version?: unknown }[])[0]?.version)
      } finally {
        await connection.end()
      }
    })
    rmSync(join(data.path, 'init.sql'))
    return { kind: 'mysql', version, ...facts, programs: programs.clients, ...running }
  } catch (error) {
    data.remove()
    throw error
  }
}

function commonArguments(programs: Programs, data: DataFolder): readonly string[] {
  const plugins = join(programs.root, 'usr/lib/mysql/plugin')
  const shares = ['usr/share/mysql', 'usr/share/mysql-8.0', 'usr/local/share/mysql']
  const share = shares
    .map((folder) => join(programs.root, folder))
    .find((folder) => existsSync(join(folder, 'charsets')))
  return [
    `--basedir=${join(programs.root, 'usr')}`,
    ...(share === undefined
      ? []
      : [`--lc-messages-dir=${share}`, `--character-sets-dir=${join(share, 'charsets')}`]),
    ...(existsSync(plugins) ? [`--plugin-dir=${plugins}`] : []),
    `--datadir=${join(data.path, 'data')}`,
    ...THROW_AWAY,
  ]
}

/** Runs in the server before it listens, so nobody can log in without the password at any time. */
function initFile(data: DataFolder, account: Account | undefined, password: string): string {
  const path = join(data.path, 'init.sql')
  writeFileSync(
    path,
    [
      `create user root@'127.0.0.1' identified by '${password}';`,
      "grant all privileges on *.* to root@'127.0.0.1' with grant option;",
      "drop user root@'localhost';",
      'create database test;',
    ].join('\n'),
    { mode: account === undefined ? 0o600 : 0o644 },
  )
  return path
}
