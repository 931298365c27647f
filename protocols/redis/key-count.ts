/**
 * The servers' own sentences for a number of keys that cannot be: each command has its own, and drivers and people
 * look for them. What they refuse is refused here before any key is looked for.
 */
import type { Args } from './args.ts'

type Wording = {
  /** It is no integer, or none that the command counts with. */
  readonly notInteger: string
  /** It is 0, where there must be a key, or negative. */
  readonly tooFew: string
  /** There are not so many arguments. */
  readonly tooMany: string
  /** The greatest number that the command counts with; 2^63 - 1 where it is not here. */
  readonly max?: bigint
}

const INTEGER = 'value is not an integer or out of range'
const SYNTAX = 'syntax error'
const POSITIVE = 'numkeys should be greater than 0'
const NEGATIVE = "Number of keys can't be negative"
const BEYOND = "Number of keys can't be greater than number of args"
const INVALID = 'invalid numkeys value or out of range'

/** `evalGenericCommand` in `eval.c`. */
const SCRIPT: Wording = { notInteger: INTEGER, tooFew: NEGATIVE, tooMany: BEYOND }
/** `fcallCommandGeneric` in `functions.c`. */
const FUNCTION: Wording = { notInteger: 'Bad number of keys provided', tooFew: NEGATIVE, tooMany: BEYOND }
/** `lmpopGenericCommand` in `t_list.c`, `zmpopGenericCommand` in `t_zset.c`. */
const POP: Wording = { notInteger: POSITIVE, tooFew: POSITIVE, tooMany: SYNTAX }

const WORDINGS: ReadonlyMap<string, Wording> = new Map([
  ['eval', SCRIPT],
  ['eval_ro', SCRIPT],
  ['evalsha', SCRIPT],
  ['evalsha_ro', SCRIPT],
  ['fcall', FUNCTION],
  ['fcall_ro', FUNCTION],
  ['lmpop', POP],
  ['blmpop', POP],
  ['zmpop', POP],
  ['bzmpop', POP],
  // `sinterCardCommand` in `t_set.c`.
  ['sintercard', { notInteger: POSITIVE, tooFew: POSITIVE, tooMany: BEYOND }],
  // `msetexCommand` in `t_string.c`.
  ['msetex', { notInteger: INVALID, tooFew: INVALID, tooMany: SYNTAX, max: 2n ** 31n - 1n }],
])

/** An integer as `string2ll` takes it. */
const CANONICAL = /^(?:0|-?[1-9][0-9]{0,18})$/
const LONG_MIN = -(2n ** 63n)
const LONG_MAX = 2n ** 63n - 1n

/** What the server says where argument `i` of `command` is a number of keys that there cannot be. */
export function keyCountError(command: string, args: Args, i: number): string {
  const { notInteger, tooFew, tooMany, max = LONG_MAX } = WORDINGS.get(command) ?? ofSortedSets(command)
  const text = args.size(i) > 20 ? '' : args.latin1(i)
  const count = CANONICAL.test(text) ? BigInt(text) : undefined
  if (count === undefined || count < LONG_MIN || count > max) return notInteger
  return count <= 0n ? tooFew : tooMany
}

/** `zunionInterDiffGenericCommand` in `t_zset.c`. */
function ofSortedSets(command: string): Wording {
  return {
    notInteger: INTEGER,
    tooFew: `at least 1 input key is needed for '${command}' command`,
    tooMany: SYNTAX,
  }
}
