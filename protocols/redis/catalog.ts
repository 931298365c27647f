/** What is known of one backend; plain data, made by the control connection. */
export type RedisCatalog = {
  readonly server: 'redis' | 'valkey'
  /** As the server says it: `8.0.6`. */
  readonly version: string
  /** The database that sessions are pinned to. */
  readonly database: number
  /**
   * Commands of the vetted table that this server does not have, or describes otherwise than it was vetted, with
   * the reason. Every one of them is denied.
   */
  readonly refused: ReadonlyMap<string, string>
  /** True where `refused` comes from a server; false for a reading without one. */
  readonly complete: boolean
}

/** Why a command of the table is refused that the server does not have: then it is answered as unknown. */
export const ABSENT = 'the server does not have it'

/** A catalog without a server: every vetted command counts as present. */
export function offlineCatalog(
  options: { readonly database?: number; readonly server?: 'redis' | 'valkey' } = {},
): RedisCatalog {
  return {
    server: options.server ?? 'redis',
    version: '8.0.0',
    database: options.database ?? 0,
    refused: new Map(),
    complete: false,
  }
}
