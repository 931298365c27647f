/**
 * Starts a private MariaDB: root with a password over loopback TCP, nothing synced to disk. The system tables are
 * made by the server's own bootstrap mode from its SQL files, which is what `mariadb-install-db` does, without that
 * script's needs (perl tools, fixed paths).
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DataFolder, runAs } from './account.ts'
import { launch, type Prepared } from './launch.ts'
import { mysqlVersion } from './mysql.ts'
import { findMariadb, type Programs, SERVER_ENVIRONMENT } from './programs.ts'
import type { DatabaseServer, StartOptions } from './server.ts'

/** The SQL files of the system tables, in the order of `mariadb-install-db`; its help texts are left out. */
const SYSTEM_TABLES = [
  'mysql_system_tables.sql',
  'mysql_performance_tables.sql',
  'mysql_system_tables_data.sql',
  'maria_add_gis_sp_bootstrap.sql',
  'mysql_sys_schema.sql',
]

/** The data lives as long as the server, which needs to be quick to start and small, and not durable. */
const THROW_AWAY = [
  '--innodb-flush-log-at-trx-commit=0',
  '--innodb-flush-method=nosync',
  '--innodb-doublewrite=OFF',
  '--innodb-buffer-pool-size=16M',
  '--innodb-log-file-size=8M',
  '--key-buffer-size=1M',
  '--aria-pagecache-buffer-size=4M',
  '--skip-log-bin',
]

export function startMariadb(options: StartOptions): Promise<DatabaseServer> {
  return launch(
    {
      ...{ name: 'MariaDB', account: 'mysql', user: 'root', database: 'test', signal: 'TERM' },
      find: findMariadb,
      async initialise(prepared) {
        await bootstrap(prepared)
        writeInitFile(prepared)
      },
      args: ({ programs, data }, port, settings) => [
        ...commonArguments(programs, data),
        ...['--bind-address=127.0.0.1', `--port=${port}`, '--socket=server.sock', '--pid-file=server.pid'],
        ...['--skip-name-resolve', `--init-file=${initFile(data)}`],
        ...settings,
      ],
      ask: async (login) => ({ kind: 'mariadb', version: await mysqlVersion(login) }),
      tidy: ({ data }) => rmSync(initFile(data)),
    },
    options,
  )
}

function commonArguments(programs: Programs, data: DataFolder): readonly string[] {
  const plugins = join(programs.root, 'usr/lib/mysql/plugin')
  return [
    // First, as it must be: the machine's option files are for the machine's server.
    '--no-defaults',
    `--basedir=${join(programs.root, 'usr')}`,
    `--lc-messages-dir=${shareFolder(programs)}`,
    ...(existsSync(plugins) ? [`--plugin-dir=${plugins}`] : []),
    `--datadir=${join(data.path, 'data')}`,
    `--tmpdir=${join(data.path, 'tmp')}`,
    '--character-set-server=utf8mb4',
    ...THROW_AWAY,
  ]
}

/** The folder of the server's messages and SQL files; packages disagree on its name. */
function shareFolder(programs: Programs): string {
  const folders = [
    'usr/share/mysql',
    'usr/share/mariadb',
    'usr/local/share/mysql',
    'opt/homebrew/share/mysql',
  ]
  const found = folders
    .map((folder) => join(programs.root, folder))
    .find((folder) => existsSync(join(folder, 'mysql_system_tables.sql')))
  if (found === undefined) throw new Error(`no mysql_system_tables.sql under ${programs.root}`)
  return found
}

async function bootstrap({ programs, account, data }: Prepared): Promise<void> {
  const share = shareFolder(programs)
  const files = SYSTEM_TABLES.map((name) => join(share, name)).filter(existsSync)
  const statements = [
    'create database mysql;',
    'use mysql;',
    ...files.map((file) => readFileSync(file, 'utf8')),
  ]
  const script = join(data.path, 'bootstrap.sql')
  writeFileSync(script, statements.join('\n'), { mode: 0o644 })
  // A shell only to feed the file: it and its folders must belong to the account, not to us.
  const steps =
    'mkdir -p "$1/data" "$1/tmp" && server=$2 && script=$3 && shift 3 && exec "$server" "$@" --bootstrap < "$script"'
  const args = ['-c', steps, 'sh', data.path, programs.server, script, ...commonArguments(programs, data)]
  await runAs(account, '/bin/sh', args, SERVER_ENVIRONMENT)
  rmSync(script)
}

/** Run in the server before it listens, so nobody can log in without the password at any time. */
function initFile(data: DataFolder): string {
  return join(data.path, 'init.sql')
}

function writeInitFile({ account, data, password }: Prepared): void {
  writeFileSync(
    initFile(data),
    [
      "delete from mysql.global_priv where user = '' or user = 'root';",
      'flush privileges;',
      `create user root@'127.0.0.1' identified via mysql_native_password using password('${password}');`,
      "grant all privileges on *.* to root@'127.0.0.1' with grant option;",
      'create database test;',
    ].join('\n'),
    { mode: account === undefined ? 0o600 : 0o644 },
  )
}
