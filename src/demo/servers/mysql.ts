/** Starts a private MySQL, Oracle's and not MariaDB: root with a password over loopback TCP, nothing synced to disk. */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { type DataFolder, runAs } from './account.ts'
import { type Login, launch, type Prepared } from './launch.ts'
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
export function startMysql(options: StartOptions): Promise<DatabaseServer> {
  return launch(
    {
      ...{ name: 'MySQL', account: 'mysql', user: 'root', database: 'test', signal: 'TERM' },
      find: findMysql,
      initialise,
      args: ({ programs, data }, port, settings) => [
        ...[
          '--no-defaults',
          ...commonArguments(programs, data),
          '--bind-address=127.0.0.1',
          `--port=${port}`,
        ],
        ...['--mysqlx=OFF', '--secure-file-priv=NULL', '--socket=server.sock', '--pid-file=server.pid'],
        ...['--skip-log-bin', '--skip-name-resolve', `--init-file=${initFile(data)}`],
        ...settings,
      ],
      ask: async (login) => ({ kind: 'mysql', version: await mysqlVersion(login) }),
      tidy: ({ data }) => rmSync(initFile(data)),
    },
    options,
  )
}

/** What a MySQL or MariaDB server says that it is. Rejects while it does not answer. */
export async function mysqlVersion(login: Login): Promise<string> {
  const connection = await createConnection({ ...login, connectTimeout: 5_000 })
  try {
    const [rows] = await connection.query('select version() as version')
    return String((rows as readonly { version?: unknown }[])[0]?.version)
  } finally {
    await connection.end()
  }
}

async function initialise({ programs, account, data, password }: Prepared): Promise<void> {
  const args = ['--no-defaults', '--initialize-insecure', ...commonArguments(programs, data)]
  await runAs(account, programs.server, args, SERVER_ENVIRONMENT)
  writeFileSync(
    initFile(data),
    [
      `create user root@'127.0.0.1' identified by '${password}';`,
      "grant all privileges on *.* to root@'127.0.0.1' with grant option;",
      "drop user root@'localhost';",
      'create database test;',
    ].join('\n'),
    { mode: account === undefined ? 0o600 : 0o644 },
  )
}

/** Run in the server before it listens, so nobody can log in without the password at any time. */
function initFile(data: DataFolder): string {
  return join(data.path, 'init.sql')
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
