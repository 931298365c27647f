/** The only list of the three protocols, each with the control connection to its backends. */
import { mysql } from '../protocols/mysql/index.ts'
import { postgres } from '../protocols/postgres/index.ts'
import type { Analyser, Protocol, ProtocolName } from '../protocols/protocol.ts'
import { redis } from '../protocols/redis/index.ts'
import type { Backend, BackendNotice, BackendTarget, OpenBackend } from './backends/backend.ts'
import { offlineMysqlAnalyser, openMysqlBackend } from './backends/mysql.ts'
import { offlinePostgresAnalyser, openPostgresBackend } from './backends/postgres.ts'
import { offlineRedisAnalyser, openRedisBackend } from './backends/redis.ts'

/** A protocol and its backend, which agree on what knowledge is. */
export type SystemParts = {
  readonly protocol: Protocol<Analyser>
  readonly open: (target: BackendTarget, notice: (notice: BackendNotice) => void) => Backend<Analyser>
  /** An analyser without a server: no catalog, so that every named table is taken to exist. */
  readonly offline: (target: BackendTarget) => Promise<Analyser>
}

/**
 * Forgets which kind of knowledge a protocol and its backend share. Sound because the two are only ever used
 * together: a login of this protocol is given the knowledge of this backend and no other.
 */
function pair<Knowledge extends Analyser>(
  protocol: Protocol<Knowledge>,
  backend: { readonly open: OpenBackend<Knowledge>; readonly offline: SystemParts['offline'] },
): SystemParts {
  return { protocol: protocol as unknown as Protocol<Analyser>, ...backend }
}

export const PROTOCOLS: Readonly<Record<ProtocolName, SystemParts>> = {
  postgres: pair(postgres, { open: openPostgresBackend, offline: offlinePostgresAnalyser }),
  mysql: pair(mysql, { open: openMysqlBackend, offline: offlineMysqlAnalyser }),
  redis: pair(redis, { open: openRedisBackend, offline: offlineRedisAnalyser }),
}
