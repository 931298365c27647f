/**
 * Private database servers for the demo and the tests: what one is and how one is asked for. Every instance has
 * its own data folder and a free loopback port, and ends with the process that started it.
 */

export type ServerKind = 'postgres' | 'mariadb' | 'mysql' | 'redis' | 'valkey'

/** A running private server and its super user, for seeding. */
export type DatabaseServer = {
  readonly kind: ServerKind
  /** As the server itself says it, such as `15.18` or `10.11.19-MariaDB`. */
  readonly version: string
  readonly host: '127.0.0.1'
  readonly port: number
  readonly user: string
  readonly password: string | undefined
  /** Redis: the number as text. */
  readonly database: string
  /** Folder with client programs (`psql`, `mariadb`, `redis-cli`), where they could be had. */
  readonly programs: string | undefined
  /** Of the server process itself, for tests that pause or kill a backend. */
  readonly pid: number
  /** Ends the server and removes its data. May be called more than once. */
  stop(): Promise<void>
}

export type StartOptions = {
  /** Data folder: made if missing, removed at stop. Must be empty. */
  readonly folder: string
  /** Told about each step that takes noticeable time. */
  readonly progress?: (line: string) => void
  /** Extra options of the server program, appended last, so that they win. */
  readonly settings?: readonly string[]
}

/** The server's programs can neither be found nor fetched here; the message is one line that says what to do. */
export class ServerUnavailable extends Error {
  constructor(kind: ServerKind, cause: string) {
    super(
      `no ${kind} server on this machine and none could be fetched (${cause}): run \`docker compose up\` instead`,
    )
    this.name = 'ServerUnavailable'
  }
}
