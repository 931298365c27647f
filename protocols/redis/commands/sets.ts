import type { Line } from './row.ts'

/** Sets. */
export const SETS: readonly Line[] = [
  ['sadd', -3, 'W 1', 'write set fast'],
  ['scard', 2, 'R 1', 'read set fast'],
  ['sdiff', -2, 'R 1..-1', 'read set slow'],
  ['sdiffstore', -3, 'W 1; R 2..-1', 'write set slow'],
  ['sinter', -2, 'R 1..-1', 'read set slow'],
  ['sintercard', -3, 'R #1', 'read set slow'],
  ['sinterstore', -3, 'W 1; R 2..-1', 'write set slow'],
  ['sismember', 3, 'R 1', 'read set fast'],
  ['smembers', 2, 'R 1', 'read set slow'],
  ['smismember', -3, 'R 1', 'read set fast'],
  ['smove', 4, 'RW 1; W 2', 'write set fast'],
  ['spop', -2, 'RW 1', 'write set fast'],
  ['srandmember', -2, 'R 1', 'read set slow'],
  ['srem', -3, 'W 1', 'write set fast'],
  ['sscan', -3, 'R 1', 'read set slow'],
  ['sunion', -2, 'R 1..-1', 'read set slow'],
  ['sunionstore', -3, 'W 1; R 2..-1', 'write set slow'],
]
