/**
 * The allow lines of SQL systems, written as privileges in `GRANT`:
 *
 *     select, update (status) on orders, sales.tickets
 *     execute on function next_ticket_no
 *     select on reporting.*
 *
 * This file turns a line into data; `sql-matcher.ts` turns lines into an answer. Names keep how they were
 * quoted, because only the system knows how it folds them.
 */
import { RELATION_ACTIONS, type RelationAction } from '../../protocols/access.ts'
import type { Naming } from '../../protocols/naming.ts'
import { AllowLineError } from './allow-line-error.ts'

/** A name as written in the line. */
export type WrittenName = { readonly text: string; readonly quoted: boolean }

/** `name`, `schema.name` or `schema.*`. */
export type WrittenObject = {
  readonly schema: WrittenName | undefined
  /** `undefined` for `*`. */
  readonly name: WrittenName | undefined
}

const OBJECT_KINDS = ['table', 'routine', 'sequence', 'type', 'schema', 'channel'] as const
export type ObjectKind = (typeof OBJECT_KINDS)[number]

export type Privilege = {
  readonly action: string
  /** The columns it is limited to; `undefined`: all. */
  readonly columns: readonly WrittenName[] | undefined
}

export type PrivilegeLine = {
  readonly text: string
  readonly privileges: readonly Privilege[]
  readonly kind: ObjectKind
  readonly objects: readonly WrittenObject[]
}

/** `all` means what `GRANT ALL` means; the DDL verbs are never implied. */
const ALL_OF_TABLE: readonly RelationAction[] = [
  'select',
  'insert',
  'update',
  'delete',
  'truncate',
  'references',
  'trigger',
]

/** The actions of each kind of object, and what `all` stands for there. */
const ACTIONS: Record<ObjectKind, { readonly known: readonly string[]; readonly all: readonly string[] }> = {
  table: { known: RELATION_ACTIONS, all: ALL_OF_TABLE },
  routine: { known: ['execute', 'call'], all: ['execute'] },
  sequence: {
    known: ['usage', 'select', 'update', 'create', 'alter', 'drop'],
    all: ['usage', 'select', 'update'],
  },
  type: { known: ['usage', 'create', 'alter', 'drop'], all: ['usage'] },
  schema: { known: ['usage', 'create', 'alter', 'drop'], all: ['usage', 'create'] },
  channel: { known: ['listen', 'notify'], all: ['listen', 'notify'] },
}

/** The words between `on` and the names. Without one, the objects are tables and views. */
const KIND_WORDS: Readonly<Record<string, ObjectKind>> = {
  table: 'table',
  view: 'table',
  function: 'routine',
  procedure: 'routine',
  routine: 'routine',
  sequence: 'sequence',
  type: 'type',
  domain: 'type',
  schema: 'schema',
  channel: 'channel',
}

const WITH_COLUMNS: ReadonlySet<string> = new Set(['select', 'insert', 'update', 'references'])

type Token = {
  readonly kind: 'word' | 'quoted' | ',' | '(' | ')' | '.' | '*' | 'end'
  readonly text: string
  readonly at: number
}

/** Longer lines are a mistake, not a grant. */
const LINE_CHARACTERS_MAX = 8192

/** @throws AllowLineError */
export function parsePrivilegeLine(
  text: string,
  quote: Naming['identifierQuote'],
  protocol: 'postgres' | 'mysql',
): PrivilegeLine {
  return new LineParser(text, quote, protocol).parse()
}

class LineParser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  readonly #protocol: 'postgres' | 'mysql'
  #next = 0

  constructor(text: string, quote: Naming['identifierQuote'], protocol: 'postgres' | 'mysql') {
    if (text.length > LINE_CHARACTERS_MAX) {
      throw new AllowLineError('the line is too long', {
        at: LINE_CHARACTERS_MAX,
        mend: `split it into lines of at most ${LINE_CHARACTERS_MAX} characters`,
      })
    }
    this.#text = text
    this.#tokens = tokens(text, quote)
    this.#protocol = protocol
  }

  parse(): PrivilegeLine {
    const privileges = this.#list(() => this.#privilege())
    this.#word('on', 'write `on` and the objects after the privileges: `select on orders`')
    const kind = this.#kind()
    const objects = this.#list(() => this.#object(kind))
    const rest = this.#peek()
    if (rest.kind !== 'end') {
      this.#fail(
        rest,
        `\`${rest.text}\` is not expected here`,
        'separate objects with commas, and end the line',
      )
    }
    return { text: this.#text, privileges: this.#checked(privileges, kind), kind, objects }
  }

  #list<Item>(item: () => Item): Item[] {
    const items = [item()]
    while (this.#peek().kind === ',') {
      this.#next += 1
      items.push(item())
    }
    return items
  }

  #privilege(): Privilege & { readonly token: Token } {
    const token = this.#peek()
    if (token.kind !== 'word') {
      this.#fail(token, 'a privilege is expected', 'begin with a privilege such as `select` or `insert`')
    }
    this.#next += 1
    const action = token.text.toLowerCase()
    if (action === 'all' && this.#peek().text.toLowerCase() === 'privileges') this.#next += 1
    if (this.#peek().kind !== '(') return { action, columns: undefined, token }
    this.#next += 1
    const columns = this.#list(() => this.#name('a column name is expected'))
    const close = this.#peek()
    if (close.kind !== ')') this.#fail(close, '`)` is expected', 'close the list of columns with `)`')
    this.#next += 1
    return { action, columns, token }
  }

  #kind(): ObjectKind {
    const token = this.#peek()
    const following = this.#tokens[this.#next + 1]
    // `select on table` may name a table called "table": it is the kind only when a name follows.
    if (token.kind !== 'word' || (following?.kind !== 'word' && following?.kind !== 'quoted')) return 'table'
    const kind = KIND_WORDS[token.text.toLowerCase()]
    if (kind === undefined) {
      this.#fail(
        token,
        `\`${token.text}\` is no kind of object`,
        `write one of ${Object.keys(KIND_WORDS).join(', ')}, or a table name alone`,
      )
    }
    if (kind === 'channel' && this.#protocol !== 'postgres') {
      this.#fail(token, 'only PostgreSQL has channels', 'remove this line')
    }
    this.#next += 1
    return kind
  }

  #object(kind: ObjectKind): WrittenObject {
    if (this.#peek().kind === '*') {
      this.#fail(this.#peek(), '`*` alone would be every schema', 'name the schema: `public.*`')
    }
    const first = this.#name('a name is expected')
    if (this.#peek().kind !== '.') return { schema: undefined, name: first }
    const dot = this.#peek()
    if (kind === 'schema' || kind === 'channel') {
      this.#fail(dot, `a ${kind} has no schema`, 'write one name without a dot')
    }
    this.#next += 1
    if (this.#peek().kind === '*') {
      this.#next += 1
      return { schema: first, name: undefined }
    }
    return { schema: first, name: this.#name('a name or `*` is expected after the dot') }
  }

  #name(expected: string): WrittenName {
    const token = this.#peek()
    if (token.kind !== 'word' && token.kind !== 'quoted') {
      this.#fail(
        token,
        expected,
        'write a name; quote it when it has other characters than letters, digits, _ and $',
      )
    }
    this.#next += 1
    return { text: token.text, quoted: token.kind === 'quoted' }
  }

  #checked(privileges: readonly (Privilege & { readonly token: Token })[], kind: ObjectKind): Privilege[] {
    const { known, all } = ACTIONS[kind]
    const checked: Privilege[] = []
    for (const { action, columns, token } of privileges) {
      if (action === 'all') {
        if (columns !== undefined) {
          this.#fail(token, '`all` takes no columns', 'name the privileges: `select (id), update (id)`')
        }
        for (const implied of all) checked.push({ action: implied, columns: undefined })
        continue
      }
      if (!known.includes(action)) {
        const nearest = kind === 'table' ? 'a table or view' : `a ${kind}`
        this.#fail(
          token,
          `\`${token.text}\` is no privilege on ${nearest}`,
          `write one of ${known.join(', ')}, all`,
        )
      }
      if (columns !== undefined && (kind !== 'table' || !WITH_COLUMNS.has(action))) {
        this.#fail(token, `\`${action}\` takes no columns`, 'remove the list in parentheses')
      }
      checked.push({ action, columns })
    }
    return checked
  }

  #word(word: string, mend: string): void {
    const token = this.#peek()
    if (token.kind !== 'word' || token.text.toLowerCase() !== word) {
      this.#fail(token, `\`${word}\` is expected`, mend)
    }
    this.#next += 1
  }

  #peek(): Token {
    const token = this.#tokens[this.#next]
    if (token === undefined) throw new RangeError('read past the end of an allow line')
    return token
  }

  #fail(token: Token, message: string, mend: string): never {
    throw new AllowLineError(message, { at: token.at, mend })
  }
}

/** Letters, digits, `_`, `$` and everything beyond ASCII, as both servers allow without quotes. */
function isNameCharacter(character: string): boolean {
  return /[A-Za-z0-9_$\u0080-\u{10ffff}]/u.test(character)
}

function tokens(text: string, quote: string): Token[] {
  const found: Token[] = []
  let at = 0
  while (at < text.length) {
    const character = text[at] as string
    if (character === ' ' || character === '\t' || character === '\n' || character === '\r') {
      at += 1
    } else if (',().*'.includes(character)) {
      found.push({ kind: character as Token['kind'], text: character, at })
      at += 1
    } else if (character === quote) {
      const token = quotedName(text, at, quote)
      found.push(token.token)
      at = token.end
    } else if (isNameCharacter(character)) {
      let end = at + 1
      while (end < text.length && isNameCharacter(text[end] as string)) end += 1
      found.push({ kind: 'word', text: text.slice(at, end), at })
      at = end
    } else {
      throw new AllowLineError(`\`${character}\` is not expected here`, {
        at,
        mend: `quote names with ${quote}…${quote}`,
      })
    }
  }
  found.push({ kind: 'end', text: 'end of the line', at: text.length })
  return found
}

function quotedName(
  text: string,
  at: number,
  quote: string,
): { readonly token: Token; readonly end: number } {
  let name = ''
  let end = at + 1
  for (;;) {
    const character = text[end]
    if (character === undefined) {
      throw new AllowLineError('the quoted name has no end', { at, mend: `close it with ${quote}` })
    }
    if (character !== quote) {
      name += character
      end += 1
    } else if (text[end + 1] === quote) {
      name += quote
      end += 2
    } else {
      break
    }
  }
  if (name === '') throw new AllowLineError('a quoted name cannot be empty', { at, mend: 'write the name' })
  return { token: { kind: 'quoted', text: name, at }, end: end + 1 }
}
