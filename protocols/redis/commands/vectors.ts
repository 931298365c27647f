import type { Line } from './row.ts'

/** Vector sets (Redis 8). The server declares that each of them reads and writes, and its ACL asks for both. */
export const VECTORS: readonly Line[] = [
  ['vadd', -1, 'RW 1', ''],
  ['vcard', -1, 'RW 1', ''],
  ['vdim', -1, 'RW 1', ''],
  ['vemb', -1, 'RW 1', ''],
  ['vgetattr', -1, 'RW 1', ''],
  ['vinfo', -1, 'RW 1', ''],
  ['vismember', -1, 'RW 1', ''],
  ['vlinks', -1, 'RW 1', ''],
  ['vrandmember', -1, 'RW 1', ''],
  ['vrem', -1, 'RW 1', ''],
  ['vsetattr', -1, 'RW 1', ''],
  ['vsim', -1, 'RW 1', ''],
]
