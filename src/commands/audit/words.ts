/** A record as a person reads it: when, what, where, who, and then what there is to say; nothing that a terminal obeys. */

import { escaped } from '../../audit/escape.ts'
import type { AuditRecord } from '../../audit/record.ts'
import { colors } from '../colors.ts'
import { bytesWords } from './progress.ts'

/** Widths of the columns before the last one; longer contents push it. */
const WORD_WIDTH = 10
const SYSTEM_WIDTH = 10
const RUN_WIDTH = 12

/** The last column begins here: what belongs to the line above stands below it. */
const INDENT = ' '.repeat('2026-11-23 17:05:01.123 '.length + WORD_WIDTH + SYSTEM_WIDTH + RUN_WIDTH + 3)

/** Members that stand in columns or say nothing to a reader. */
const KNOWN = new Set([
  ...['time', 'seq', 'event', 'prev', 'hash', 'system', 'protocol', 'run', 'agent', 'grant', 'grant_sha256'],
  ...['jti', 'session', 'client', 'judged_by', 'root_run', 'jws'],
])

/** One line, or two where a second helps; without the line's end. @param width characters of the terminal */
export function recordWords(record: AuditRecord, width: number): string {
  const [word, colour] = headWord(record)
  const time = `${record.time.slice(0, 10)} ${record.time.slice(11, 23)}`
  const start = `${colors.dim(visible(time))} ${colour(visible(word).padEnd(WORD_WIDTH))} ${visible(record.system ?? '').padEnd(SYSTEM_WIDTH)} ${visible(record.run ?? '').padEnd(RUN_WIDTH)} `
  const room = Math.max(30, width - INDENT.length)
  const [first, second] = detail(record)
  const below = second === undefined ? '' : `\n${INDENT}${colors.dim(cut(second, room))}`
  return `${start}${cut(first, room)}${below}`
}

function headWord(record: AuditRecord): readonly [string, (text: string) => string] {
  const { event, verdict } = record
  switch (event) {
    case 'statement':
      if (verdict === 'allow') return ['ALLOW', colors.green]
      return verdict === 'would_deny' ? ['WOULD-DENY', colors.yellow] : ['DENY', colors.red]
    case 'hop':
      return ['HOP', (text) => colors.bold(colors.red(text))]
    case 'result':
      return ['result', record.error === undefined ? colors.dim : colors.yellow]
    case 'auth.failure':
    case 'quarantine':
    case 'protocol.error':
    case 'backend.error':
      return [event, colors.red]
    default:
      return [event, colors.cyan]
  }
}

/** What there is to say, and what stands below it. */
function detail(record: AuditRecord): readonly [string, string?] {
  switch (record.event) {
    case 'statement': {
      const text = record.statement === undefined ? accessWords(record.accesses) : visible(record.statement)
      if (record.verdict === 'allow') return [text]
      const missing = accessWords(record.missing)
      return [
        text,
        [visible(record.reason ?? ''), visible(record.why ?? ''), missing].filter(Boolean).join(': '),
      ]
    }
    case 'result': {
      const { error } = record
      const [rows = 0, bytes = 0, us = 0] = [record.rows, record.bytes, record.duration_us].map(Number)
      const failed = error === undefined ? '' : `, error ${visible(error)}`
      return [
        `${rows} row${rows === 1 ? '' : 's'}, ${bytesWords(bytes)}, ${(us / 1_000).toFixed(1)} ms${failed}`,
      ]
    }
    case 'hop':
      return [`${visible(record.kind ?? '')}${record.to === undefined ? '' : ` → ${visible(record.to)}`}`]
    case 'session.start':
      return [
        `${visible(record.agent ?? '')} from ${visible(record.client ?? '')} under ${visible(record.grant ?? '')}`,
      ]
    default:
      return [otherMembers(record)]
  }
}

function accessWords(accesses: AuditRecord['accesses']): string {
  return (accesses ?? []).map(({ action, resource }) => visible(`${action} ${resource}`)).join('; ')
}

function otherMembers(record: AuditRecord): string {
  return Object.entries(record)
    .filter(([name]) => !KNOWN.has(name))
    .map(([name, value]) => `${visible(name)}=${visible(value)}`)
    .join(' ')
}

/** One line, with controls and what turns the direction of writing shown as escapes. */
function visible(text: unknown): string {
  const plain = typeof text === 'string' ? text : (JSON.stringify(text) ?? '')
  return escaped(JSON.stringify(plain).slice(1, -1)).replaceAll('\\"', '"')
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`
}
