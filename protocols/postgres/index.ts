import type { Protocol } from '../protocol.ts'
import { PostgresAgentLogin } from './agent-login.ts'
import type { PostgresAnalyser } from './analyser.ts'

/** PostgreSQL, protocol version 3: https://www.postgresql.org/docs/current/protocol.html */
export const postgres: Protocol<PostgresAnalyser> = {
  name: 'postgres',
  portDefault: 5432,
  agentLogin: (options) => new PostgresAgentLogin(options),
}
