/** MySQL and MariaDB: the one door into this folder. */
import type { AgentLogin, AgentLoginOptions } from '../login.ts'
import type { Protocol } from '../protocol.ts'
import { MysqlAgentLogin } from './agent-login.ts'
import type { MysqlAnalyser } from './analyser.ts'

export { MysqlAnalyser } from './analyser.ts'
export { ed25519Password } from './authentication.ts'
export {
  type MysqlCatalog,
  type MysqlRelation,
  offlineCatalog,
  pinnedSqlMode,
  type SequenceName,
  sequencesOfDefault,
  versionNumberOf,
} from './catalog.ts'
export { MysqlNaming } from './naming.ts'

export const mysql: Protocol<MysqlAnalyser> = {
  name: 'mysql',
  portDefault: 3306,
  agentLogin(options: AgentLoginOptions<MysqlAnalyser>): AgentLogin {
    return new MysqlAgentLogin(options)
  },
}
