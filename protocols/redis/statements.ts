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

/** The command as words for the record: quoted where they must be, cut where they are long, without passwords. */
export function statementText(args: Args): string {
  const kept = args.count < 2 ? undefined : KEPT_WORDS.get(args.word(0) ?? '')
  const shown = Math.min(args.count, kept ?? ARGUMENTS_MAX)
  let text = ''
  for (let i = 0; i < shown; i++) text += i === 0 ? argumentText(args, i) : ` ${argumentText(args, i)}`
  if (shown === args.count) return text
  return kept === undefined ? `${text} … ${args.count - shown} more` : `${text} (redacted)`
}

function argumentText(args: Args, i: number): string {
  const start = args.start(i)
  const size = args.size(i)
  if (size <= ARGUMENT_BYTES_MAX) return quoteWord(args.buffer.toString('latin1', start, start + size))
  const head = args.buffer.toString('latin1', start, start + ARGUMENT_BYTES_MAX)
  return `${quoteWord(head)}…(${size} bytes)`
}
