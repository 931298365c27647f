import type { ProtocolName } from '../../../protocols/protocol.ts'

/** One side of a conversation: each call gives the next bytes of a server that is not one; `undefined`: it hangs up. */
export type Talk = () => Buffer | undefined

type Random = {
  readonly bytes: (size: number) => Buffer
  readonly below: (max: number) => number
}

/** Answers that a server might give before it goes wrong, so that what follows is reached too. */
const BEGINNINGS: Readonly<Record<ProtocolName, (n: number) => Buffer | undefined>> = {
  // AuthenticationOk with a setting.
  postgres: (n) =>
    n === 0 ? Buffer.concat([pg('R', Buffer.alloc(4)), pg('S', Buffer.from('a\0b\0'))]) : undefined,
  mysql: (n) =>
    n === 0 ? packet(0, GREETING) : n === 1 ? packet(2, Buffer.from([0, 0, 0, 2, 0, 0, 0])) : undefined,
  redis: (n) => (n === 0 ? Buffer.from('+OK\r\n') : undefined),
}

/** Protocol 10 of an 8.0 server that asks for `mysql_native_password`. */
const GREETING = Buffer.concat([
  Buffer.from('\x0a8.0.1\0\x01\0\0\0abcdefgh\0', 'latin1'),
  Buffer.from([0xff, 0xf7, 33, 2, 0, 0xff, 0x81, 21]),
  Buffer.alloc(10),
  Buffer.from('abcdefghijkl\0mysql_native_password\0', 'latin1'),
])

const PG_TYPES = 'RSKZTDCENAGHWVvnst123Icd'
const MYSQL_FIRST = [0x00, 0x01, 0x02, 0xfb, 0xfe, 0xff]
const REDIS_WORDS = [
  ...[
    '+OK',
    '*2',
    '$5',
    '$-1',
    ':1',
    '*-1',
    '%1',
    '%-1',
    '*1\r\n*1',
    '|1',
    '>3',
    '_',
    ',inf',
    '#t',
    '=4\r\ntxt:',
  ],
  ...[
    '$99999999999',
    '*99999999',
    '$4294967297',
    '%4294967297',
    '-ERR x',
    '-',
    '-NOAUTH x',
    '$3\r\nabc',
    '~1',
  ],
]

/** @param below gives a number from 0 to one below its argument */
export function garbage(
  protocol: ProtocolName,
  bytes: Random['bytes'],
  below: (max: number) => number,
): Talk {
  const random = { bytes, below }
  const beginsWell = below(2) === 0
  let n = -1
  return () => {
    n += 1
    if (n > 6 || below(8) === 0) return undefined
    const begun = beginsWell ? BEGINNINGS[protocol](n) : undefined
    return begun ?? answer(protocol, n, random)
  }
}

function answer(protocol: ProtocolName, n: number, { bytes, below }: Random): Buffer {
  const some = bytes(below(60))
  if (below(4) === 0) return some
  switch (protocol) {
    case 'postgres': {
      // Half of them an Authentication with a number that is known.
      if (below(2) === 0) return pg('R', Buffer.concat([Buffer.from([0, 0, 0, below(14)]), some]))
      const message = pg(PG_TYPES.charAt(below(PG_TYPES.length)), some)
      if (below(4) === 0) message.writeUInt32BE(below(2) === 0 ? 0xffff_fff0 : below(5), 1)
      return message
    }
    case 'mysql': {
      const body = Buffer.concat([Buffer.from([MYSQL_FIRST[below(MYSQL_FIRST.length)] ?? 0]), some])
      const made = packet(2 * n, body)
      if (below(4) === 0) made.writeUIntLE(0xffffff, 0, 3)
      return made
    }
    case 'redis':
      return Buffer.from(`${REDIS_WORDS[below(REDIS_WORDS.length)]}\r\n`)
  }
}

function pg(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5)
  header.write(type, 0, 'latin1')
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

function packet(sequence: number, body: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUIntLE(body.length, 0, 3)
  header[3] = sequence
  return Buffer.concat([header, body])
}
