/**
 * Takes the SQL statements out of a file in the mysqltest language, the one of the servers' own test-suites.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_MYSQL_TEST_COMMANDS.html
 *
 * What depends on variables of the test (`$x`), and commands of the language itself, are left out.
 */

/** Words that begin a command of the test language and not a statement. */
const COMMANDS = new Set(
  `append_file assert cat_file change_user character_set chmod connect connection copy_file copy_files_wildcard dec
  delimiter die diff_files dirty_close disable_abort_on_error disable_connect_log disable_info disable_metadata
  disable_parsing disable_prepare_warnings disable_ps_protocol disable_query_log disable_reconnect disable_result_log
  disable_rpl_parse disable_session_track_info disable_testcase disable_warnings disable_ps2_protocol
  disable_view_protocol disable_cursor_protocol disable_service_connection disconnect
  echo enable_abort_on_error enable_connect_log enable_info enable_metadata enable_parsing enable_prepare_warnings
  enable_ps_protocol enable_query_log enable_reconnect enable_result_log enable_rpl_parse enable_session_track_info
  enable_testcase enable_warnings enable_ps2_protocol enable_view_protocol enable_cursor_protocol
  enable_service_connection end error eval evalp exec exec_in_background execw exit expr file_exists
  force-cpdir force-rmdir horizontal_results if inc let list_files list_files_append_file list_files_write_file
  lowercase_result mkdir move_file optimizer_trace output perl ping query query_attributes query_get_value
  query_horizontal query_vertical real_sleep reap remove_file remove_files_wildcard replace_column
  replace_numeric_round replace_regex replace_result require reset_connection result_format rmdir
  save_master_pos send send_eval send_quit send_shutdown shutdown_server skip sleep sorted_result source
  start_timer sync_slave_with_master sync_with_master system timer vertical_results wait_for_slave_to_stop while
  write_file partially_sorted_result query_attrs`.split(/\s+/),
)

export function statementsOf(file: string): string[] {
  const statements: string[] = []
  let delimiter = ';'
  let at = 0
  while (at < file.length) {
    const start = skipBlanks(file, at)
    if (start >= file.length) break
    const line = file.slice(start, endOfLine(file, start))
    const word = /^(?:--\s*)?([a-z_0-9-]+)/i.exec(line)?.[1]?.toLowerCase() ?? ''
    if (line.startsWith('#') || line.startsWith('}') || line.startsWith('{')) {
      at = line.startsWith('#') ? endOfLine(file, start) : start + 1
    } else if (word === 'delimiter') {
      delimiter = /delimiter\s+(\S+)/i.exec(line)?.[1] ?? delimiter
      // `delimiter |;` ends with the delimiter that was in force.
      if (delimiter.length > 1 && delimiter.endsWith(';')) delimiter = delimiter.slice(0, -1)
      const changed = /delimiter\s+(\S)\|$/i.exec(line)
      if (changed?.[1] !== undefined) delimiter = changed[1]
      at = endOfLine(file, start)
    } else if (line.startsWith('--')) at = endOfLine(file, start)
    else if (word === 'if' || word === 'while') at = endOfLine(file, start)
    else {
      const end = endOfStatement(file, start, delimiter)
      const text = file.slice(start, end).trim()
      at = end + delimiter.length
      if (text !== '' && !COMMANDS.has(word) && !text.includes('$')) statements.push(text)
    }
  }
  return statements
}

function skipBlanks(file: string, from: number): number {
  let at = from
  while (at < file.length && /\s/.test(file.charAt(at))) at++
  return at
}

function endOfLine(file: string, from: number): number {
  const end = file.indexOf('\n', from)
  return end === -1 ? file.length : end + 1
}

/** The delimiter outside quotes, as mysqltest has it (which knows no comments). */
function endOfStatement(file: string, from: number, delimiter: string): number {
  let quote = ''
  for (let at = from; at < file.length; at++) {
    const character = file.charAt(at)
    if (quote !== '') {
      if (character === '\\' && quote !== '`') at++
      else if (character === quote) quote = ''
    } else if (file.startsWith(delimiter, at)) return at
    else if (character === "'" || character === '"' || character === '`') quote = character
  }
  return file.length
}
