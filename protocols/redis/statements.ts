import type { Args } from './args.ts'
import { quoteWord } from './command-line.ts'

/** Bytes of one argument that a record keeps. */
const ARGUMENT_BYTES_MAX = 256

/** Arguments that a record keeps. */
const ARGUMENTS_MAX = 64

/** How many words of a command may be kept where the rest can be a secret. */
const KEPT_WORDS: ReadonlyMap<string, number> = new Map([
  ['auth', 1],
  ['hello', 2],
  ['migrate', 3],
  ['acl', 3],
  ['config', 3],
])

/** Bytes of which a word is shown as it is: printable, and neither a quote nor a backslash. */
const SHOWN_AS_IS: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte > 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x27 && byte !== 0x5c ? 1 : 0,
)

const SPACE = 0x20

/** Where a text is put together; nothing of it is kept between two calls. */
const scratch = Buffer.alloc(ARGUMENTS_MAX * (ARGUMENT_BYTES_MAX + 1))

/** The command as words for the record: quoted where they must be, cut where they are long, without passwords. */
export function statementText(args: Args): string {
  const kept = args.count > 1 && mayHoldSecret(args) ? KEPT_WORDS.get(args.word(0) ?? '') : undefined
  if (kept === undefined && args.count <= ARGUMENTS_MAX)
    return plainText(args) ?? quotedText(args, args.count)
  const shown = Math.min(args.count, kept ?? ARGUMENTS_MAX)
  const text = quotedText(args, shown)
  if (shown === args.count) return text
  return kept === undefined ? `${text} … ${args.count - shown} more` : `${text} (redacted)`
}

/** Takes the marks of what was cut out of a text of {@link statementText}: the words that are left, and how many are not. */
export function uncut(text: string): { readonly line: string; readonly more: string } {
  const whole = text.replaceAll(/…\(\d+ bytes\)/g, '')
  const more = / … \d+ more$/.exec(whole)?.[0] ?? ''
  return { line: more === '' ? whole.replace(/ \(redacted\)$/, ' ?') : whole.slice(0, -more.length), more }
}

/** The first letters of `KEPT_WORDS`: most commands are known by theirs not to be one of them. */
function mayHoldSecret(args: Args): boolean {
  switch ((args.buffer[args.start(0)] ?? 0) | 0x20) {
    case 0x61:
    case 0x63:
    case 0x68:
    case 0x6d:
      return true
    default:
      return false
  }
}

/** Most commands need no quotes: one pass over their bytes, and one string. */
function plainText(args: Args): string | undefined {
  const { buffer } = args
  let to = 0
  for (let i = 0; i < args.count; i++) {
    const start = args.start(i)
    const end = args.end(i)
    if (end === start || end - start > ARGUMENT_BYTES_MAX) return undefined
    if (i > 0) scratch[to++] = SPACE
    for (let at = start; at < end; at++) {
      const byte = buffer[at] ?? 0
      if (SHOWN_AS_IS[byte] === 0) return undefined
      scratch[to++] = byte
    }
  }
  return scratch.toString('latin1', 0, to)
}

function quotedText(args: Args, shown: number): string {
  let text = ''
  for (let i = 0; i < shown; i++) text += i === 0 ? argumentText(args, i) : ` ${argumentText(args, i)}`
  return text
}

function argumentText(args: Args, i: number): string {
  const start = args.start(i)
  const size = args.size(i)
  if (size <= ARGUMENT_BYTES_MAX) return quoteWord(args.buffer.toString('latin1', start, start + size))
  const head = args.buffer.toString('latin1', start, start + ARGUMENT_BYTES_MAX)
  return `${quoteWord(head)}…(${size} bytes)`
}
