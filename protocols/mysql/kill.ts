/**
 * `KILL`, by which a client ends a statement or a session of its own: the command-line clients send it on a new
 * connection when their user presses Ctrl-C. The ids that clients know are those of our greetings, so it never reaches
 * the backend; whether it names a session of the same run, the owner of the sessions knows.
 */
import type { Analysis } from '../analysis.ts'
import type { KillRequest } from '../session.ts'
import { type LexerRules, lex } from './lexer/lexer.ts'

/** How the session of a connection is named; the id is unique within the process. */
export function cancelKeyOf(connectionId: number): string {
  return `mysql ${connectionId}`
}

/** Sent in the place of a KILL that is ours to do, so that the server answers with its own status. */
const NOTHING_STATEMENT = Buffer.from('DO 0')

const ALLOWED: Analysis = { outcome: 'accesses', action: 'session', accesses: [] }

/** @returns `undefined` where it is not plainly a KILL of one connection by its number */
export function readKill(text: string, rules: LexerRules): KillRequest | undefined {
  const lexed = lex(text, rules)
  if (!lexed.ok) return undefined
  // A number as a string is one to the server, but no client writes it so.
  const words = lexed.tokens.map(({ kind, upper }) => (kind === 'string' ? '' : upper))
  if (words.shift() !== 'KILL') return undefined
  if (rules.flavour === 'mariadb' && (words[0] === 'HARD' || words[0] === 'SOFT')) words.shift()
  const scope = words[0] === 'QUERY' || words[0] === 'CONNECTION' ? words.shift() : undefined
  const [id = '', ...rest] = words
  const ends = rest.join(' ')
  if (!/^\d{1,10}$/.test(id) || (ends !== '' && ends !== '; ')) return undefined
  return { key: cancelKeyOf(Number(id)), what: scope === 'QUERY' ? 'statement' : 'session' }
}

type KillReading = {
  readonly analysis: Analysis
  readonly forward: Buffer | undefined
  readonly kill?: KillRequest
}

/** The kills of one session. */
export class Kills {
  #isOwn: (key: string) => boolean = () => false
  #asked: KillRequest | undefined

  /** @param isOwn whether a key is that of an open session of the same run */
  own(isOwn: (key: string) => boolean): void {
    this.#isOwn = isOwn
  }

  /** What is read of a command, where it kills: allowed and harmless, if that is of the same run. */
  judge<Reading extends KillReading>(reading: Reading): Reading {
    if (reading.kill === undefined || !this.#isOwn(reading.kill.key)) return reading
    return { ...reading, analysis: ALLOWED, forward: NOTHING_STATEMENT }
  }

  relayed({ kill }: KillReading): void {
    if (kill !== undefined) this.#asked = kill
  }

  take(): KillRequest | undefined {
    const asked = this.#asked
    this.#asked = undefined
    return asked
  }
}
