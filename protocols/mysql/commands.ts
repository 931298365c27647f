/**
 * The first byte of a client's packet: the command. Every one that either server family has ever had is listed, so
 * that a refusal can say its name; a byte that is not listed is refused all the same.
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
 * https://mariadb.com/kb/en/2-text-protocol/ and 3-binary-protocol-prepared-statements
 */
export const COM = {
  SLEEP: 0,
  QUIT: 1,
  INIT_DB: 2,
  QUERY: 3,
  FIELD_LIST: 4,
  CREATE_DB: 5,
  DROP_DB: 6,
  REFRESH: 7,
  SHUTDOWN: 8,
  STATISTICS: 9,
  PROCESS_INFO: 10,
  CONNECT: 11,
  PROCESS_KILL: 12,
  DEBUG: 13,
  PING: 14,
  TIME: 15,
  DELAYED_INSERT: 16,
  CHANGE_USER: 17,
  BINLOG_DUMP: 18,
  TABLE_DUMP: 19,
  CONNECT_OUT: 20,
  REGISTER_SLAVE: 21,
  STMT_PREPARE: 22,
  STMT_EXECUTE: 23,
  STMT_SEND_LONG_DATA: 24,
  STMT_CLOSE: 25,
  STMT_RESET: 26,
  SET_OPTION: 27,
  STMT_FETCH: 28,
  DAEMON: 29,
  BINLOG_DUMP_GTID: 30,
  RESET_CONNECTION: 31,
  CLONE: 32,
  SUBSCRIBE_GROUP_REPLICATION_STREAM: 33,
  STMT_BULK_EXECUTE: 250,
  SLAVE_WORKER: 251,
  SLAVE_IO: 252,
  SLAVE_SQL: 253,
  MULTI: 254,
} as const

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(COM).map(([name, byte]) => [byte, `COM_${name}`]),
)

/** The manual's name of a command: `COM_SET_OPTION`. */
export function commandName(byte: number): string {
  return NAMES.get(byte) ?? `command ${byte}`
}
