/**
 * Accesses as a record has them: two words that can be searched, `select` on `public.customers(email)`, and exact enough to be
 * decided again. A part of a name that holds anything a resource is made of stands in double quotes, as in SQL.
 */
import type { Access, CommandAccess } from '../../protocols/access.ts'

/** An access as recorded. */
export type RecordedAccess = { readonly action: string; readonly resource: string }

/** Characters of resources that a record keeps. A command may name a million keys, and a record must stay one. */
const RESOURCES_CHARACTERS_MAX = 65_536

/** Stands where something is left out; a name that holds it is quoted. */
const CUT = '…'

/** The accesses as recorded: all of them, unless they are so many that the last one only says how many more there were. */
export function recordedAccesses(accesses: readonly Access[]): readonly RecordedAccess[] {
  const recorded: RecordedAccess[] = []
  let left = RESOURCES_CHARACTERS_MAX
  for (const access of accesses) {
    if (left <= 0) {
      recorded.push({ action: CUT, resource: `${accesses.length - recorded.length} more` })
      break
    }
    const { action, resource } = recordedAccess(access, left)
    left -= action.length + resource.length
    recorded.push({ action, resource })
  }
  return recorded
}

function recordedAccess(access: Access, charactersMax: number): RecordedAccess {
  switch (access.kind) {
    case 'relation': {
      const name = `${quoted(access.schema)}.${quoted(access.name)}`
      if (access.columns === undefined) return { action: access.action, resource: name }
      const columns = joined(access.columns, quoted, { separator: ',', charactersMax })
      return { action: access.action, resource: `${name}(${columns})` }
    }
    case 'routine':
    case 'sequence':
    case 'type':
      return {
        action: access.action,
        resource: `${access.kind} ${quoted(access.schema)}.${quoted(access.name)}`,
      }
    case 'schema':
    case 'channel':
      return { action: access.action, resource: `${access.kind} ${quoted(access.name)}` }
    case 'metadata':
      return { action: access.level, resource: `metadata ${access.name}` }
    case 'command':
      return { action: `+${commandName(access)}`, resource: commandResource(access, charactersMax) }
  }
}

function commandName({ command, subcommand }: CommandAccess): string {
  return subcommand === undefined ? command : `${command}|${subcommand}`
}

/** The accesses as a member of a record; put together by hand, because every command has one. */
export function accessesMember(member: 'accesses' | 'missing', accesses: readonly Access[]): string {
  if (accesses.length === 0) return ''
  let text = ''
  for (const { action, resource } of recordedAccesses(accesses)) {
    const json = PLAIN_RESOURCE.test(resource) ? `"${resource}"` : JSON.stringify(resource)
    text += `${text === '' ? '' : ','}{"action":"${action}","resource":${json}}`
  }
  return `,"${member}":[${text}]`
}

/** What JSON writes as it is. */
const PLAIN_RESOURCE = /^[ !#-[\]-~]*$/

/** What of a name needs quotes: the marks that resources are made of, blanks, and no name at all. */
const SPECIAL = /[\s."'(),…\\]|^$/

function quoted(name: string): string {
  return SPECIAL.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}

/** `R~cart:7`, `RW~"two words"`, `PR~cart:*` (a pattern), `&news`, `P&news.*`, `allkeys`; a blank between them. */
function commandResource(access: CommandAccess, charactersMax: number): string {
  const { keys, channels, allKeys } = access
  const [only] = keys
  // The hot path: nearly every command has one key and nothing else.
  if (only !== undefined && keys.length === 1 && channels.length === 0 && !allKeys) {
    const word = keyWord(only)
    if (word.length <= charactersMax) return word
  }
  return joined(commandWords(access), (word) => word, { separator: ' ', charactersMax })
}

function* commandWords({ keys, channels, allKeys }: CommandAccess): Iterable<string> {
  for (const key of keys) yield keyWord(key)
  for (const { channel, pattern } of channels) yield `${pattern ? 'P' : ''}&${quotedBytes(channel)}`
  if (allKeys) yield 'allkeys'
}

function keyWord({ key, read, write, pattern }: CommandAccess['keys'][number]): string {
  return `${pattern === true ? 'P' : ''}${read ? 'R' : ''}${write ? 'W' : ''}~${quotedBytes(key)}`
}

/** Printable ASCII without what a quoted word is made of. */
const PLAIN_BYTES = /^[!#-[\]-~]+$/

/** Bytes (one character each), as redis-cli writes them where they are not plain: `"caf\xc3\xa9"`. */
function quotedBytes(bytes: string): string {
  if (PLAIN_BYTES.test(bytes)) return bytes
  // A key may have half a gigabyte, of which a record keeps so much: escaping more of it would take minutes, and gigabytes.
  const escaped = bytes
    .slice(0, RESOURCES_CHARACTERS_MAX)
    .replaceAll(/[^ !#-[\]-~]/g, (byte) =>
      byte === '"' || byte === '\\' ? `\\${byte}` : `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
  return `"${escaped}"`
}

/** The words, until there are more characters than may be kept; then how many are left out. */
function joined<Word>(
  words: Iterable<Word>,
  written: (word: Word) => string,
  { separator, charactersMax }: { readonly separator: string; readonly charactersMax: number },
): string {
  let text = ''
  let count = 0
  let more = 0
  for (const word of words) {
    if (text.length > charactersMax) {
      more += 1
      continue
    }
    const left = charactersMax - text.length
    const whole = written(word)
    const kept = whole.length > left ? `${whole.slice(0, left)}${CUT}(${whole.length} characters)` : whole
    text += count === 0 ? kept : `${separator}${kept}`
    count += 1
  }
  return more === 0 ? text : `${text}${separator}${CUT} ${more} more`
}
