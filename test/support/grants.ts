/** Random grants and random accesses over a small world, so that they meet often. */
import fc from 'fast-check'
import type { Access, CommandAccess, KeyUse, RelationAction } from '../../protocols/access.ts'
import { MysqlNaming } from '../../protocols/mysql/index.ts'
import type { Naming } from '../../protocols/naming.ts'
import { PostgresNaming } from '../../protocols/postgres/naming.ts'
import type { ProtocolName } from '../../protocols/protocol.ts'
import { COMMANDS } from '../../protocols/redis/index.ts'

/** What each protocol's names fold to. */
export const NAMINGS: Readonly<Record<ProtocolName, Naming>> = {
  postgres: new PostgresNaming('public'),
  mysql: new MysqlNaming({ database: 'crm', lowerCaseTableNames: 0 }),
  redis: new PostgresNaming('public'),
}

const COLUMNS = ['id', 'total', 'city', 'Odd "one"', 'a`b,c(d)']
const TABLES = ['orders', 'customers', 'Odd.Table', 'table', 'ünï']
const WITH_COLUMNS: readonly RelationAction[] = ['select', 'insert', 'update', 'references']
const WHOLE: readonly RelationAction[] = ['delete', 'truncate', 'create', 'drop']

type SqlProtocol = 'postgres' | 'mysql'

const schemaNames = (protocol: SqlProtocol): readonly string[] =>
  protocol === 'postgres' ? ['public', 'sales', 'S.1'] : ['crm', 'sales', 'S.1']

/** A name as an allow line writes it. */
const quoted = (protocol: SqlProtocol, name: string): string =>
  protocol === 'postgres' ? `"${name.replaceAll('"', '""')}"` : `\`${name.replaceAll('`', '``')}\``

/** The columns as the server folds them, sorted. */
const folded = (protocol: SqlProtocol, columns: readonly string[]): readonly string[] =>
  columns.map((column) => NAMINGS[protocol].column(column, true)).sort()

function sqlLine(protocol: SqlProtocol): fc.Arbitrary<string> {
  const columns = fc.subarray(COLUMNS, { minLength: 1 })
  const privilege = fc.oneof(
    fc
      .tuple(fc.constantFrom(...WITH_COLUMNS), columns)
      .map(([action, names]) => `${action} (${names.map((name) => quoted(protocol, name)).join(', ')})`),
    fc.constantFrom(...WITH_COLUMNS, ...WHOLE, 'all'),
  )
  const schema = fc.constantFrom(...schemaNames(protocol)).map((name) => `${quoted(protocol, name)}.`)
  const object = fc
    .tuple(fc.oneof(schema, fc.constant('')), fc.constantFrom(...TABLES))
    .map(([where, name]) => where + quoted(protocol, name))
  const objects = fc.oneof(
    fc.array(object, { minLength: 1, maxLength: 2 }).map((names) => names.join(', ')),
    schema.map((where) => `${where}*`),
  )
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.array(privilege, { minLength: 1, maxLength: 2 }), objects)
        .map(([privileges, names]) => `${privileges.join(', ')} on ${names}`),
    },
    { weight: 1, arbitrary: object.map((name) => `execute on function ${name}`) },
    { weight: 1, arbitrary: object.map((name) => `usage, update on sequence ${name}`) },
  )
}

function sqlAccess(protocol: SqlProtocol): fc.Arbitrary<Access> {
  const schema = fc.constantFrom(...schemaNames(protocol))
  const name = fc.constantFrom(...TABLES)
  const columns = fc.option(
    fc.subarray(COLUMNS).map((names) => folded(protocol, names)),
    { nil: undefined },
  )
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('relation' as const),
        action: fc.constantFrom(...WITH_COLUMNS),
        schema,
        name,
        columns,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('relation' as const),
        action: fc.constantFrom(...WHOLE),
        schema,
        name,
        columns: fc.constant(undefined),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('routine' as const),
        action: fc.constantFrom('execute' as const, 'call' as const),
        schema,
        name: name.map((written) => NAMINGS[protocol].routine(written, true)),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('sequence' as const),
        action: fc.constantFrom('usage' as const, 'update' as const, 'select' as const),
        schema,
        name,
      }),
    },
  )
}

const KEYS = ['a', 'b', 'cart:1', 'cart:2', 'cart:*', 'k[x]', 'back\\slash', '']
const KEY_PATTERNS = ['a', 'cart:*', 'c*', '?', '*', 'cart:[12]', 'k\\[x\\]']
const CHANNELS = ['news', 'events:1', 'events:2', 'e*']
const COMMAND_NAMES = [
  'get',
  'set',
  'mget',
  'del',
  'rename',
  'scan',
  'dbsize',
  'publish',
  'subscribe',
  'psubscribe',
]

const redisLine: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(
      fc.oneof(
        fc.constantFrom(...COMMAND_NAMES).map((command) => `+${command}`),
        fc.constantFrom('+@read', '+@write', '+@pubsub', '-@write', '-get', 'allcommands'),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    fc.array(
      fc.oneof(
        fc
          .tuple(fc.constantFrom('~', '%R~', '%W~'), fc.constantFrom(...KEY_PATTERNS))
          .map((words) => words.join('')),
        fc.constant('allkeys'),
      ),
      { maxLength: 3 },
    ),
    fc.array(fc.constantFrom('&news', '&events:*', '&e*', 'allchannels'), { maxLength: 2 }),
  )
  .map(([commands, keys, channels]) => ['+ping', ...commands, ...keys, ...channels].join(' '))

const redisAccess: fc.Arbitrary<CommandAccess> = fc
  .record({
    command: fc.constantFrom(...COMMAND_NAMES),
    keys: fc.array(
      fc.record({
        key: fc.constantFrom(...KEYS),
        use: fc.constantFrom(
          { read: true, write: false },
          { read: false, write: true },
          { read: true, write: true },
        ),
      }),
      { maxLength: 3 },
    ),
    channels: fc.subarray(CHANNELS, { maxLength: 2 }),
    allKeys: fc.boolean(),
  })
  .map(({ command, keys, channels, allKeys }) => ({
    kind: 'command' as const,
    command,
    subcommand: undefined,
    categories: COMMANDS.get(command)?.grantCategories ?? new Set<string>(),
    keys: keys.map(({ key, use }): KeyUse => ({ key, ...use, ...(command === 'scan' && { pattern: true }) })),
    channels: channels.map((channel) => ({ channel, pattern: command === 'psubscribe' })),
    allKeys: allKeys && (command === 'dbsize' || command === 'scan'),
  }))

/** An allow line in the words of a protocol. */
export function allowLine(protocol: ProtocolName): fc.Arbitrary<string> {
  return protocol === 'redis' ? redisLine : sqlLine(protocol)
}

/** Something that a statement may need. */
export function anyAccess(protocol: ProtocolName): fc.Arbitrary<Access> {
  return protocol === 'redis' ? redisAccess : sqlAccess(protocol)
}
