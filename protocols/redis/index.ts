/** The one door into the Redis and Valkey protocol. */
import type { Protocol } from '../protocol.ts'
import { RedisAgentLogin } from './agent-login.ts'
import type { RedisAnalyser } from './analyser.ts'

export { RedisAnalyser } from './analyser.ts'
export { ABSENT, offlineCatalog, type RedisCatalog } from './catalog.ts'
export { COMMANDS, NAMES } from './commands/table.ts'
export { compareWithServer, type ServerCommand } from './drift.ts'

export const redis: Protocol<RedisAnalyser> = {
  name: 'redis',
  portDefault: 6379,
  agentLogin: (options) => new RedisAgentLogin(options),
}
