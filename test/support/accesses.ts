/** Accesses as a statement would need them, written in a few words. */
import type { CommandAccess, KeyUse, RelationAccess } from '../../protocols/access.ts'
import { COMMANDS } from '../../protocols/redis/index.ts'

/** @param columns `undefined`: all of them; none: rows are only counted */
export function select(
  columns: readonly string[] | undefined,
  name = 'orders',
  schema = 'public',
): RelationAccess {
  return { kind: 'relation', action: 'select', schema, name, columns }
}

export function command(
  name: string,
  keys: readonly KeyUse[],
  more: Partial<CommandAccess> = {},
): CommandAccess {
  return {
    kind: 'command',
    command: name,
    subcommand: undefined,
    categories: COMMANDS.get(name)?.grantCategories ?? new Set(),
    keys,
    channels: [],
    allKeys: false,
    ...more,
  }
}

export const read = (key: string): KeyUse => ({ key, read: true, write: false })

export const write = (key: string): KeyUse => ({ key, read: false, write: true })
