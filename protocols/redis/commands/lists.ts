import type { Line } from './row.ts'

/** Lists. */
export const LISTS: readonly Line[] = [
  ['blmove', 6, 'RW 1; W 2', 'write list slow blocking'],
  ['blmpop', -5, 'RW #2', 'write list slow blocking'],
  ['blpop', -3, 'RW 1..-2', 'write list slow blocking'],
  ['brpop', -3, 'RW 1..-2', 'write list slow blocking'],
  ['brpoplpush', 4, 'RW 1; W 2', 'write list slow blocking'],
  ['lindex', 3, 'R 1', 'read list slow'],
  ['linsert', 5, 'W 1', 'write list slow'],
  ['llen', 2, 'R 1', 'read list fast'],
  ['lmove', 5, 'RW 1; W 2', 'write list slow'],
  ['lmpop', -4, 'RW #1', 'write list slow'],
  ['lpop', -2, 'RW 1', 'write list fast'],
  ['lpos', -3, 'R 1', 'read list slow'],
  ['lpush', -3, 'W 1', 'write list fast'],
  ['lpushx', -3, 'W 1', 'write list fast'],
  ['lrange', 4, 'R 1', 'read list slow'],
  ['lrem', 4, 'W 1', 'write list slow'],
  ['lset', 4, 'W 1', 'write list slow'],
  ['ltrim', 4, 'W 1', 'write list slow'],
  ['rpop', -2, 'RW 1', 'write list fast'],
  ['rpoplpush', 3, 'RW 1; W 2', 'write list slow'],
  ['rpush', -3, 'W 1', 'write list fast'],
  ['rpushx', -3, 'W 1', 'write list fast'],
]
