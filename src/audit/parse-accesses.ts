/** Recorded accesses read back exactly, so that they can be decided again. */
import {
  type Access,
  type ChannelUse,
  type CommandAccess,
  type KeyUse,
  RELATION_ACTIONS,
  type RelationAction,
} from '../../protocols/access.ts'
import type { RecordedAccess } from './accesses.ts'

/** What the vetted table knows of a Redis command, by its name (`get`, `client|id`); `undefined`: there is none such. */
export type CategoriesOf = (command: string) => ReadonlySet<string> | undefined

/** `undefined` where anything is cut, or is no access as this version records them. */
export function parseAccesses(
  recorded: readonly RecordedAccess[],
  categoriesOf: CategoriesOf,
): readonly Access[] | undefined {
  const accesses: Access[] = []
  for (const { action, resource } of recorded) {
    const access = action.startsWith('+')
      ? parseCommand(action.slice(1), resource, categoriesOf)
      : parseObject(action, resource)
    if (access === undefined) return undefined
    accesses.push(access)
  }
  return accesses
}

const KINDS = /^(routine|sequence|type|schema|channel|metadata) /

function parseObject(action: string, resource: string): Access | undefined {
  const kind = KINDS.exec(resource)?.[1]
  const rest = kind === undefined ? resource : resource.slice(kind.length + 1)
  if (kind === 'metadata') {
    if (action !== 'driver' && action !== 'introspect') return undefined
    return { kind, level: action, name: rest }
  }
  const reader = new NameReader(rest)
  const first = reader.name()
  if (first === undefined) return undefined
  if (kind === 'schema' || kind === 'channel') {
    return reader.atEnd ? ({ kind, action, name: first } as Access) : undefined
  }
  const name = reader.takes('.') ? reader.name() : undefined
  if (name === undefined) return undefined
  if (kind !== undefined) {
    return reader.atEnd ? ({ kind, action, schema: first, name } as Access) : undefined
  }
  if (!isRelationAction(action)) return undefined
  const relation = { kind: 'relation', action, schema: first, name } as const
  if (reader.atEnd) return { ...relation, columns: undefined }
  const columns = reader.list()
  return columns === undefined || !reader.atEnd ? undefined : { ...relation, columns }
}

function isRelationAction(action: string): action is RelationAction {
  return RELATION_ACTIONS.some((known) => known === action)
}

/** Names as {@link recordedAccesses} writes them, from left to right. */
class NameReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length
  }

  takes(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false
    this.#at += 1
    return true
  }

  name(): string | undefined {
    const rest = this.#text.slice(this.#at)
    const quoted = /^"((?:[^"]|"")*)"/.exec(rest)
    const found = quoted ?? /^[^\s."'(),…\\]+/.exec(rest)
    if (found === null) return undefined
    this.#at += found[0].length
    return quoted === null ? found[0] : (quoted[1] ?? '').replaceAll('""', '"')
  }

  /** `(a,b)`, `()`. */
  list(): readonly string[] | undefined {
    if (!this.takes('(')) return undefined
    const names: string[] = []
    if (this.takes(')')) return names
    do {
      const name = this.name()
      if (name === undefined) return undefined
      names.push(name)
    } while (this.takes(','))
    return this.takes(')') ? names : undefined
  }
}

/** A word of a command's resource: how it is used, and its bytes, plain or in quotes. */
const WORD = /(P?)(?:(R?)(W?)~|(&))(?:"((?:[^"\\]|\\.)*)"|([!#-[\]-~]+))(?: |$)|allkeys(?: |$)/gy

function parseCommand(name: string, resource: string, categoriesOf: CategoriesOf): CommandAccess | undefined {
  const categories = categoriesOf(name)
  if (categories === undefined) return undefined
  const keys: KeyUse[] = []
  const channels: ChannelUse[] = []
  let allKeys = false
  let at = 0
  for (const found of resource.matchAll(WORD)) {
    at = found.index + found[0].length
    const [, pattern = '', read = '', write = '', isChannel, inQuotes, plain] = found
    const bytes = plain ?? unquoted(inQuotes ?? '')
    if (found[0].startsWith('allkeys')) allKeys = true
    else if (isChannel !== undefined) channels.push({ channel: bytes, pattern: pattern !== '' })
    else {
      const use = { key: bytes, read: read !== '', write: write !== '' }
      keys.push(pattern === '' ? use : { ...use, pattern: true })
    }
  }
  if (at !== resource.length) return undefined
  const [command = '', subcommand] = name.split('|')
  return { kind: 'command', command, subcommand, categories, keys, channels, allKeys }
}

function unquoted(text: string): string {
  return text.replaceAll(
    /\\(?:x([0-9a-f]{2})|(.))/g,
    (_, code: string | undefined, mark: string | undefined) =>
      code === undefined ? (mark ?? '') : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
