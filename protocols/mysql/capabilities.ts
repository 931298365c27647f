/**
 * Capability flags of the handshake, and which of them may be true on a proxied connection.
 *
 * A flag changes how bytes are laid out or how SQL is read, so only flags whose meaning is modelled here are
 * offered to a client or asked of a backend.
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html
 * https://mariadb.com/kb/en/connection/#capabilities
 */
export const CLIENT = {
  /** MySQL calls it LONG_PASSWORD. MariaDB: absent means that the extended flags are in use. */
  MYSQL: 1 << 0,
  FOUND_ROWS: 1 << 1,
  LONG_FLAG: 1 << 2,
  CONNECT_WITH_DB: 1 << 3,
  IGNORE_SPACE: 1 << 8,
  PROTOCOL_41: 1 << 9,
  INTERACTIVE: 1 << 10,
  SSL: 1 << 11,
  IGNORE_SIGPIPE: 1 << 12,
  TRANSACTIONS: 1 << 13,
  RESERVED: 1 << 14,
  SECURE_CONNECTION: 1 << 15,
  MULTI_RESULTS: 1 << 17,
  PS_MULTI_RESULTS: 1 << 18,
  PLUGIN_AUTH: 1 << 19,
  CONNECT_ATTRS: 1 << 20,
  PLUGIN_AUTH_LENENC: 1 << 21,
  SESSION_TRACK: 1 << 23,
  DEPRECATE_EOF: 1 << 24,
} as const

/** MariaDB's second word of flags, carried in what MySQL keeps reserved. */
export const MARIADB_CLIENT = {
  /** COM_STMT_BULK_EXECUTE: one prepared statement with many rows of parameters. */
  STMT_BULK: 1 << 2,
  /** Column definitions carry the extended type (`json`, `uuid`, `inet6`). */
  EXTENDED_METADATA: 1 << 3,
} as const

/** Since when MariaDB has each, as far back as servers are used here. */
const STMT_BULK_SINCE = 100206
const EXTENDED_METADATA_SINCE = 100502

/** What a client may have. Absent on purpose: COMPRESS, LOCAL_FILES, MULTI_STATEMENTS, QUERY_ATTRIBUTES, ZSTD, … */
const OFFERED =
  CLIENT.FOUND_ROWS |
  CLIENT.LONG_FLAG |
  CLIENT.CONNECT_WITH_DB |
  CLIENT.IGNORE_SPACE |
  CLIENT.PROTOCOL_41 |
  CLIENT.INTERACTIVE |
  CLIENT.IGNORE_SIGPIPE |
  CLIENT.TRANSACTIONS |
  CLIENT.RESERVED |
  CLIENT.SECURE_CONNECTION |
  CLIENT.MULTI_RESULTS |
  CLIENT.PS_MULTI_RESULTS |
  CLIENT.PLUGIN_AUTH |
  CLIENT.CONNECT_ATTRS |
  CLIENT.PLUGIN_AUTH_LENENC |
  CLIENT.SESSION_TRACK |
  CLIENT.DEPRECATE_EOF

/** What every backend connection has; a server without one of these cannot be watched and is not used. */
const BACKEND_REQUIRED =
  CLIENT.LONG_FLAG |
  CLIENT.CONNECT_WITH_DB |
  CLIENT.PROTOCOL_41 |
  CLIENT.TRANSACTIONS |
  CLIENT.SECURE_CONNECTION |
  CLIENT.PLUGIN_AUTH |
  CLIENT.SESSION_TRACK

/**
 * Flags that mean the same on both sides of the proxy and are asked of the backend exactly where the client has
 * them: they change the layout of replies, which are relayed as they are.
 */
const PASSED_ON =
  CLIENT.FOUND_ROWS |
  CLIENT.INTERACTIVE |
  CLIENT.MULTI_RESULTS |
  CLIENT.PS_MULTI_RESULTS |
  CLIENT.DEPRECATE_EOF

/** The flags of one side of a connection. */
export type Capabilities = { readonly flags: number; readonly extended: number }

/** What our greeting offers to a client, given which server family stands behind. */
export function offeredTo(
  server: { readonly flavour: 'mysql' | 'mariadb'; readonly versionNumber: number },
  tls: boolean,
): Capabilities {
  const flags = tls ? OFFERED | CLIENT.SSL : OFFERED
  if (server.flavour === 'mysql') return { flags: flags | CLIENT.MYSQL, extended: 0 }
  const bulk = server.versionNumber >= STMT_BULK_SINCE ? MARIADB_CLIENT.STMT_BULK : 0
  const metadata = server.versionNumber >= EXTENDED_METADATA_SINCE ? MARIADB_CLIENT.EXTENDED_METADATA : 0
  return { flags, extended: bulk | metadata }
}

/** What holds after a client has answered: never more than was offered. */
export function agreed(offered: Capabilities, answered: Capabilities): Capabilities {
  const extended = answered.flags & CLIENT.MYSQL ? 0 : offered.extended & answered.extended
  return { flags: (offered.flags | CLIENT.MYSQL) & answered.flags, extended }
}

/** What to ask of the backend for this client; `undefined` where the backend cannot give what the client has. */
export function askedOfBackend(client: Capabilities, server: Capabilities): Capabilities | undefined {
  const needed = BACKEND_REQUIRED | (client.flags & PASSED_ON)
  if ((server.flags & needed) !== needed) return undefined
  const optional = server.flags & (CLIENT.CONNECT_ATTRS | CLIENT.PLUGIN_AUTH_LENENC)
  if (client.extended === 0) return { flags: needed | optional | CLIENT.MYSQL, extended: 0 }
  if (server.flags & CLIENT.MYSQL || (server.extended & client.extended) !== client.extended) return undefined
  return { flags: needed | optional, extended: client.extended }
}
