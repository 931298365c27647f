import { FREE, forbidden, hop, type Line, NAMED } from './row.ts'

/** The STORE, BY and GET of `SORT` stand anywhere: the server calls their places unknown, the parser finds them. */
const SORT_RO_KEYS = ['RO+access@i1/r(0,1,0)', 'RO+access@unknown/unknown']
const SORT_KEYS = [...SORT_RO_KEYS, 'OW+update@unknown/unknown']

/** Keys of any type. */
export const KEYSPACE: readonly Line[] = [
  ['copy', -3, 'R 1; W 2', 'write keyspace slow', { parser: 'copy' }],
  ['dbsize', 1, '', 'read keyspace fast', { allKeys: true }],
  ['del', -2, 'W 1..-1', 'write keyspace slow'],
  ['dump', 2, 'R 1', 'read keyspace slow'],
  ['exists', -2, 'R 1..-1', 'read keyspace fast'],
  ['expire', -3, 'W 1', 'write keyspace fast'],
  ['expireat', -3, 'W 1', 'write keyspace fast'],
  ['expiretime', 2, 'R 1', 'read keyspace fast'],
  ['flushall', -1, '', 'write keyspace slow dangerous', forbidden('empties every database of the server')],
  ['flushdb', -1, '', 'write keyspace slow dangerous', { allKeys: true }],
  ['keys', 2, '', 'read keyspace slow dangerous', { parser: 'keys' }],
  ['move', 3, 'RW 1', 'write keyspace fast', hop('wrong_database', 'reaches another database of the server')],
  ['object|encoding', 3, 'R 2', 'read keyspace slow'],
  ['object|freq', 3, 'R 2', 'read keyspace slow'],
  ['object|help', 2, '', 'keyspace slow', FREE],
  ['object|idletime', 3, 'R 2', 'read keyspace slow'],
  ['object|refcount', 3, 'R 2', 'read keyspace slow'],
  ['persist', 2, 'W 1', 'write keyspace fast'],
  ['pexpire', -3, 'W 1', 'write keyspace fast'],
  ['pexpireat', -3, 'W 1', 'write keyspace fast'],
  ['pexpiretime', 2, 'R 1', 'read keyspace fast'],
  ['pttl', 2, 'R 1', 'read keyspace fast'],
  ['randomkey', 1, '', 'read keyspace slow', { allKeys: true }],
  ['rename', 3, 'RW 1; W 2', 'write keyspace slow'],
  ['renamenx', 3, 'RW 1; W 2', 'write keyspace fast'],
  ['restore', -4, 'W 1', 'write keyspace slow dangerous', NAMED],
  ['scan', -2, '', 'read keyspace slow', { parser: 'scan' }],
  ['sort', -2, '', 'write list set sortedset slow dangerous', { parser: 'sort', serverKeys: SORT_KEYS }],
  [
    'sort_ro',
    -2,
    '',
    'read list set sortedset slow dangerous',
    { parser: 'sort_ro', serverKeys: SORT_RO_KEYS },
  ],
  [
    'swapdb',
    3,
    '',
    'write keyspace fast dangerous',
    hop('wrong_database', 'reaches another database of the server'),
  ],
  ['touch', -2, 'R 1..-1', 'read keyspace fast'],
  ['ttl', 2, 'R 1', 'read keyspace fast'],
  ['type', 2, 'R 1', 'read keyspace fast'],
  ['unlink', -2, 'W 1..-1', 'write keyspace fast'],
]
