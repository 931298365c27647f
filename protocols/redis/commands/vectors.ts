import type { Line } from './row.ts'

/** Vector sets (Redis 8). The server declares every one as reading and writing; here what each really does. */
export const VECTORS: readonly Line[] = [
  ['vadd', -1, 'RW 1', ''],
  ['vcard', -1, 'R 1', ''],
  ['vdim', -1, 'R 1', ''],
  ['vemb', -1, 'R 1', ''],
  ['vgetattr', -1, 'R 1', ''],
  ['vinfo', -1, 'R 1', ''],
  ['vismember', -1, 'R 1', ''],
  ['vlinks', -1, 'R 1', ''],
  ['vrandmember', -1, 'R 1', ''],
  ['vrem', -1, 'RW 1', ''],
  ['vsetattr', -1, 'RW 1', ''],
  ['vsim', -1, 'R 1', ''],
]
