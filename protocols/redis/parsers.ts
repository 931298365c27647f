/**
 * Commands whose options decide what they touch. Each parser walks the arguments as the server's own does, word for
 * word, and gives up where the server would answer with an error: what it cannot follow is refused.
 *
 * Options are C strings to the server, which stops at a NUL where we would not: `Args.word` gives nothing for a
 * word with any byte that is not printable, and so such an option is never followed.
 */
import type { HopKind } from '../analysis.ts'
import type { Args } from './args.ts'
import type { RedisCatalog } from './catalog.ts'
import type { ParserName } from './commands/row.ts'
import type { KeyReader } from './keys.ts'

/** What a parser found: all keys read, all that and unnamed keys, the server's error, or an attempt to leave. */
export type Parsed =
  | { readonly found: 'named_keys' | 'all_keys' }
  | { readonly found: 'error'; readonly message: string }
  | { readonly found: 'hop'; readonly hop: HopKind; readonly why: string; readonly target: string }

const NAMED_KEYS: Parsed = { found: 'named_keys' }
const ALL_KEYS: Parsed = { found: 'all_keys' }
const SYNTAX: Parsed = error('syntax error')

/**
 * The longest pattern of keys or channels that is read, in bytes. Patterns are escaped and matched, some against every line of
 * a grant: one of many megabytes would hold everybody up, or be more than one string can become.
 */
export const PATTERN_BYTES_MAX = 4_096
export const PATTERN_TOO_LONG = `a pattern of more than ${PATTERN_BYTES_MAX} bytes`
const TOO_LONG: Parsed = error(PATTERN_TOO_LONG)

function error(message: string): Parsed {
  return { found: 'error', message }
}

/** What a parser knows of the backend. */
export type Backend = Pick<RedisCatalog, 'database' | 'server'>

/** Tells `keys` of the keys of `args`. */
export function parseCommand(parser: ParserName, args: Args, keys: KeyReader, backend: Backend): Parsed {
  switch (parser) {
    case 'set':
      return parseSet(args, keys)
    case 'bitfield':
      return parseBitfield(args, keys)
    case 'zadd':
      return parseZadd(args, keys)
    case 'sort':
      return parseSort(args, keys, true)
    case 'sort_ro':
      return parseSort(args, keys, false)
    case 'georadius':
      return parseGeoradius(args, keys, 6)
    case 'georadiusbymember':
      return parseGeoradius(args, keys, 5)
    case 'xread':
      return parseXread(args, keys, false, backend)
    case 'xreadgroup':
      return parseXread(args, keys, true, backend)
    case 'copy':
      return parseCopy(args, keys, backend.database)
    case 'scan':
      return parseScan(args, keys)
    case 'keys':
      return keyPattern(args, keys, 1)
    case 'tracking':
      return parseTracking(args, keys)
  }
}

/** `SET key value [NX|XX|IFEQ value] [GET] [EX s|PX ms|EXAT t|PXAT t|KEEPTTL]`: GET and IFEQ also read. */
function parseSet(args: Args, keys: KeyReader): Parsed {
  let reads = false
  for (let i = 3; i < args.count; i++) {
    switch (args.word(i)) {
      case 'nx':
      case 'xx':
      case 'keepttl':
        break
      case 'get':
        reads = true
        break
      case 'ifeq':
        reads = true
        i += 1
        break
      case 'ex':
      case 'px':
      case 'exat':
      case 'pxat':
        i += 1
        // No time, and to the server's ACL the option.
        if (i < args.count && args.word(i) === 'get') return SYNTAX
        break
      default:
        return SYNTAX
    }
    if (i >= args.count) return SYNTAX
  }
  keys.key(args, 1, reads ? 'RW' : 'W')
  return NAMED_KEYS
}

/** `BITFIELD key [GET enc off] [SET enc off v] [INCRBY enc off by] [OVERFLOW how]`: only GETs only read. */
function parseBitfield(args: Args, keys: KeyReader): Parsed {
  let writes = false
  let i = 2
  while (i < args.count) {
    switch (args.word(i)) {
      case 'get':
        i += 3
        break
      case 'set':
      case 'incrby':
        writes = true
        i += 4
        break
      case 'overflow':
        i += 2
        break
      default:
        return SYNTAX
    }
    if (i > args.count) return SYNTAX
  }
  keys.key(args, 1, writes ? 'RW' : 'R')
  return NAMED_KEYS
}

/** `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member …`: INCR answers with the score and so reads. */
function parseZadd(args: Args, keys: KeyReader): Parsed {
  let reads = false
  let i = 2
  for (; i < args.count; i++) {
    const word = args.word(i)
    if (word === 'incr') reads = true
    else if (word !== 'nx' && word !== 'xx' && word !== 'gt' && word !== 'lt' && word !== 'ch') break
  }
  const rest = args.count - i
  if (rest === 0 || rest % 2 !== 0) return SYNTAX
  keys.key(args, 1, reads ? 'RW' : 'W')
  return NAMED_KEYS
}

/**
 * `SORT key [BY pattern] [LIMIT off n] [GET pattern …] [ASC|DESC] [ALPHA] [STORE target]`; `SORT_RO` has no STORE.
 *
 * The server's key metadata takes the first word STORE for the option even where it is the argument of BY, and its
 * ACL then sees the wrong target. A BY or GET with `*` reads keys whose names come from the data.
 */
function parseSort(args: Args, keys: KeyReader, maySave: boolean): Parsed {
  keys.key(args, 1, 'R')
  let allKeys = false
  for (let i = 2; i < args.count; i++) {
    const left = args.count - i - 1
    switch (args.word(i)) {
      case 'asc':
      case 'desc':
      case 'alpha':
        break
      case 'limit':
        if (left < 2) return SYNTAX
        i += 2
        break
      case 'store':
        if (left < 1 || !maySave) return SYNTAX
        i += 1
        // The server's ACL would take it for the option again.
        if (args.word(i) === 'store') return SYNTAX
        keys.key(args, i, 'W')
        break
      case 'by':
        if (left < 1) return SYNTAX
        i += 1
        if (args.includes(i, 0x2a)) allKeys = true
        break
      case 'get':
        if (left < 1) return SYNTAX
        i += 1
        if (args.word(i) !== '#') allKeys = true
        break
      default:
        return SYNTAX
    }
  }
  return allKeys ? ALL_KEYS : NAMED_KEYS
}

/**
 * `GEORADIUS key lon lat radius unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT n [ANY]] [ASC|DESC] [STORE k]
 * [STOREDIST k]`, and `GEORADIUSBYMEMBER` with one argument less. Of several targets the server writes the last and
 * its ACL has seen the first; here every one counts.
 */
function parseGeoradius(args: Args, keys: KeyReader, options: number): Parsed {
  if (args.count < options) return SYNTAX
  keys.key(args, 1, 'R')
  for (let i = options; i < args.count; i++) {
    const word = args.word(i)
    switch (word) {
      case 'withdist':
      case 'withhash':
      case 'withcoord':
      case 'any':
      case 'asc':
      case 'desc':
        break
      case 'count':
      case 'store':
      case 'storedist': {
        i += 1
        if (i >= args.count) return SYNTAX
        // The server's ACL would take an argument of such a name for the option, and what follows for the target.
        const argument = args.word(i)
        if (argument === 'store' || argument === 'storedist') return SYNTAX
        if (word !== 'count') keys.key(args, i, 'W')
        break
      }
      default:
        return SYNTAX
    }
  }
  return NAMED_KEYS
}

/**
 * `XREAD [COUNT n] [BLOCK ms] STREAMS key … id …`; with `GROUP group consumer` and `[NOACK]` for `XREADGROUP`, which
 * also writes: the consumer, its pending entries and the last id delivered.
 *
 * The server's key metadata looks for the word STREAMS alone, and finds it where it is a group's name.
 */
function parseXread(args: Args, keys: KeyReader, group: boolean, { server }: Backend): Parsed {
  let grouped = false
  for (let i = 1; i < args.count; i++) {
    const left = args.count - i - 1
    switch (args.word(i)) {
      case 'count':
      case 'block':
        if (left < 1) return SYNTAX
        i += 1
        if (args.word(i) === 'streams') return SYNTAX
        break
      case 'noack':
        if (!group) return onlyInGroups('NOACK')
        break
      case 'group':
        if (left < 2) return SYNTAX
        if (!group) return onlyInGroups('GROUP')
        // The server's ACL would take what follows such a name for keys.
        if (args.word(i + 1) === 'streams' || args.word(i + 2) === 'streams') return SYNTAX
        grouped = true
        i += 2
        break
      case 'streams': {
        if (left === 0) return SYNTAX
        if (left % 2 !== 0) return unbalanced(group, server)
        if (grouped !== group) return NO_GROUP
        for (let k = i + 1; k <= i + left / 2; k++) keys.key(args, k, group ? 'RW' : 'R')
        return NAMED_KEYS
      }
      default:
        return SYNTAX
    }
  }
  return SYNTAX
}

const NO_GROUP = error('Missing GROUP option for XREADGROUP')

function onlyInGroups(option: string): Parsed {
  return error(`The ${option} option is only supported by XREADGROUP. You called XREAD instead.`)
}

function unbalanced(group: boolean, server: RedisCatalog['server']): Parsed {
  const command = group ? 'xreadgroup' : 'xread'
  const last = group ? "ID or '>'" : server === 'valkey' ? "ID or '$'" : "ID, '+', or '$'"
  return error(`Unbalanced '${command}' list of streams: for each stream key an ${last} must be specified.`)
}

/** `COPY source target [DB n] [REPLACE]`. */
function parseCopy(args: Args, keys: KeyReader, database: number): Parsed {
  keys.key(args, 1, 'R')
  keys.key(args, 2, 'W')
  let elsewhere: number | undefined
  for (let i = 3; i < args.count; i++) {
    const word = args.word(i)
    if (word === 'replace') continue
    if (word !== 'db' || i + 1 >= args.count) return SYNTAX
    i += 1
    const target = args.integer(i)
    if (target === undefined) return error('value is not an integer or out of range')
    if (target !== database) elsewhere = target
  }
  if (elsewhere === undefined) return NAMED_KEYS
  return { found: 'hop', hop: 'wrong_database', why: 'copies to another database', target: String(elsewhere) }
}

/**
 * A pattern of keys that is answered with the names of those that match: covered where a granted pattern covers
 * everything that it can match.
 */
function keyPattern(args: Args, keys: KeyReader, i: number): Parsed {
  if (args.size(i) > PATTERN_BYTES_MAX) return TOO_LONG
  keys.pattern(i, args.latin1(i))
  return NAMED_KEYS
}

/** `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`: without MATCH it names every key. */
function parseScan(args: Args, keys: KeyReader): Parsed {
  let match: number | undefined
  for (let i = 2; i < args.count; i += 2) {
    if (i + 1 >= args.count) return SYNTAX
    const word = args.word(i)
    // Of several patterns the server takes the last: too clever to follow.
    if (word === 'match' && match === undefined) match = i + 1
    else if (word !== 'count' && word !== 'type') return SYNTAX
  }
  return match === undefined ? ALL_KEYS : keyPattern(args, keys, match)
}

/**
 * `CLIENT TRACKING ON|OFF [OPTIN] [OPTOUT] [NOLOOP] [BCAST] [PREFIX p …] [REDIRECT id]`. Without BCAST the server
 * names only keys that this client has read. With it, it names every key written that begins with a prefix.
 */
function parseTracking(args: Args, keys: KeyReader): Parsed {
  const mode = args.word(2)
  if (mode !== 'on' && mode !== 'off') return SYNTAX
  let broadcast = false
  let prefixes = 0
  for (let i = 3; i < args.count; i++) {
    switch (args.word(i)) {
      case 'optin':
      case 'optout':
      case 'noloop':
        break
      case 'bcast':
        broadcast = true
        break
      case 'prefix': {
        i += 1
        if (i >= args.count) return SYNTAX
        if (args.size(i) > PATTERN_BYTES_MAX) return TOO_LONG
        prefixes += 1
        const pattern = `${args.latin1(i).replaceAll(/[\\*?[]/g, '\\$&')}*`
        keys.pattern(i, pattern)
        break
      }
      case 'redirect':
        return { found: 'hop', hop: 'cross_run', why: 'sends to another connection', target: 'client' }
      default:
        return SYNTAX
    }
  }
  return broadcast && prefixes === 0 ? ALL_KEYS : NAMED_KEYS
}
