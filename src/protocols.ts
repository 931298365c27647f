/** The only list of the three protocols, each with the control connection to its backends. */
import type { Analyser, Protocol, ProtocolName } from '../protocols/protocol.ts'
import type { Backend, BackendNotice, BackendTarget, OpenBackend } from './backends/backend.ts'

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

/** Loads a protocol when a system needs it: drivers and grammars that nobody uses take no memory. */
export async function loadProtocol(name: ProtocolName): Promise<SystemParts> {
  switch (name) {
    case 'postgres': {
      const { postgres } = await import('../protocols/postgres/index.ts')
      const { offlinePostgresAnalyser, openPostgresBackend } = await import('./backends/postgres.ts')
      return pair(postgres, { open: openPostgresBackend, offline: offlinePostgresAnalyser })
    }
    case 'mysql': {
      const { mysql } = await import('../protocols/mysql/index.ts')
      const { offlineMysqlAnalyser, openMysqlBackend } = await import('./backends/mysql.ts')
      return pair(mysql, { open: openMysqlBackend, offline: offlineMysqlAnalyser })
    }
    case 'redis': {
      const { redis } = await import('../protocols/redis/index.ts')
      const { offlineRedisAnalyser, openRedisBackend } = await import('./backends/redis.ts')
      return pair(redis, { open: openRedisBackend, offline: offlineRedisAnalyser })
    }
  }
}
