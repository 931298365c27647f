/**
 * The shape of a command for a record that must hold no data: the command, its subcommand, its options, its keys and its
 * channels; every other word is a `?`.
 *
 * A word is shown only for its place. That it reads like an option is not enough: in `SET a nx` the `nx` is data.
 */
import type { Args } from './args.ts'
import { quoteWord } from './command-line.ts'
import type { CommandRow } from './commands/row.ts'
import { NAMES } from './commands/table.ts'
import { channelPlaces, type KeyReader, readKeys } from './keys.ts'
import { type Backend, parseCommand } from './parsers.ts'

/** What stands for a text of which not even the words can be told. */
export const UNREADABLE = '?'

/** Where the options of a command begin, and how many words of data follow each. Other words end the options. */
type Options = { readonly from: number; readonly words: ReadonlyMap<string, number> }

const EXPIRY = 'ex:1 px:1 exat:1 pxat:1'
const CONDITION = 'nx xx gt lt'
const TRIM = 'maxlen minid = ~ limit:1'
const GEO_LIST = 'withdist withhash withcoord any asc desc count:1'
const GEO_SEARCH = `frommember:1 fromlonlat:2 byradius:2 bybox:3 ${GEO_LIST}`

/** By command: `index of the first option | options`, each with the number of words of data behind it. */
const OPTIONS: ReadonlyMap<string, Options> = new Map(
  [
    ['set', `3 nx xx keepttl get ifeq:1 ${EXPIRY}`],
    ['getex', `2 persist ${EXPIRY}`],
    ['zadd', `2 ch incr ${CONDITION}`],
    ['bitfield', '2 get:2 set:3 incrby:3 overflow:1'],
    ['bitfield_ro', '2 get:2'],
    ['sort', '2 asc desc alpha limit:2 by:1 get:1 store:1'],
    ['sort_ro', '2 asc desc alpha limit:2 by:1 get:1'],
    ['georadius', `6 store:1 storedist:1 ${GEO_LIST}`],
    ['georadius_ro', `6 ${GEO_LIST}`],
    ['georadiusbymember', `5 store:1 storedist:1 ${GEO_LIST}`],
    ['georadiusbymember_ro', `5 ${GEO_LIST}`],
    ['geosearch', `2 ${GEO_SEARCH}`],
    ['geosearchstore', `3 storedist ${GEO_SEARCH}`],
    ['scan', '2 match:1 count:1 type:1'],
    ['hscan', '3 match:1 count:1 novalues'],
    ['sscan', '3 match:1 count:1'],
    ['zscan', '3 match:1 count:1'],
    ['xread', '1 count:1 block:1 streams:0'],
    ['xreadgroup', '1 count:1 block:1 noack group:2 streams:0'],
    ['xtrim', `2 ${TRIM}`],
    ['expire', `3 ${CONDITION}`],
    ['pexpire', `3 ${CONDITION}`],
    ['expireat', `3 ${CONDITION}`],
    ['pexpireat', `3 ${CONDITION}`],
    ['copy', '3 db:1 replace'],
    ['restore', '4 replace absttl idletime:1 freq:1'],
    ['lpos', '3 rank:1 count:1 maxlen:1'],
    ['zrange', '4 byscore bylex rev withscores limit:2'],
    ['zrangestore', '5 byscore bylex rev limit:2'],
    ['zrevrange', '4 withscores'],
    ['zrangebyscore', '4 withscores limit:2'],
    ['zrevrangebyscore', '4 withscores limit:2'],
    ['zrangebylex', '4 limit:2'],
    ['zrevrangebylex', '4 limit:2'],
    ['client|tracking', '2 on off optin optout noloop bcast prefix:1 redirect:1'],
  ].map(([name = '', text = '']) => [name, optionsOf(text)]),
)

function optionsOf(text: string): Options {
  const [from, ...words] = text.split(' ')
  const counted = words.map((word): [string, number] => {
    const [name = '', count = '0'] = word.split(':')
    return [name, Number(count)]
  })
  return { from: Number(from), words: new Map(counted) }
}

/** Notes the places of keys. */
class KeyPlaces implements KeyReader {
  readonly places = new Set<number>()

  key(_args: Args, i: number): void {
    this.places.add(i)
  }

  pattern(i: number): void {
    this.places.add(i)
  }
}

/**
 * @param command the row of the vetted table that the command is of
 * @param backend the one that it is for
 */
export function redactCommand(args: Args, command: CommandRow | undefined, backend: Backend): string {
  const shown = command === undefined ? nameOnly(args) : shownPlaces(args, command, backend)
  let text = ''
  for (let i = 0; i < args.count; i++) {
    const word = shown.has(i) ? quoteWord(args.latin1(i)) : '?'
    text += i === 0 ? word : ` ${word}`
  }
  return text
}

/** A container of subcommands may be known where the subcommand is not. */
function nameOnly(args: Args): ReadonlySet<number> {
  return new Set(NAMES.has(args.word(0) ?? '') ? [0] : [])
}

function shownPlaces(args: Args, command: CommandRow, backend: Backend): ReadonlySet<number> {
  const name = command.name.includes('|') ? [0, 1] : [0]
  const keys = new KeyPlaces()
  if (!readPlaces(args, command, keys, backend)) return new Set(name)
  const shown = new Set([...name, ...keys.places])
  if (command.channels !== 'none') {
    const [from, to] = channelPlaces(command, args)
    for (let i = from; i < Math.min(to, args.count); i++) shown.add(i)
  }
  const options = OPTIONS.get(command.name)
  if (options !== undefined) addOptions(args, options, shown)
  return shown
}

/** False where the keys are not where they must be: then nothing is where it seems. */
function readPlaces(args: Args, command: CommandRow, keys: KeyReader, backend: Backend): boolean {
  if (command.arity >= 0 ? args.count !== command.arity : args.count < -command.arity) return false
  if (command.parser !== undefined) {
    return parseCommand(command.parser, args, keys, backend).found !== 'error'
  }
  return command.keys.every((spec) => readKeys(spec, args, keys))
}

function addOptions(args: Args, { from, words }: Options, shown: Set<number>): void {
  for (let i = from; i < args.count; i++) {
    const data = words.get(args.word(i) ?? '')
    if (data === undefined) return
    shown.add(i)
    i += data
  }
}
