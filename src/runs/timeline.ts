/** What a run did, from the audit log: one line for each thing, over all systems and protocols, in order. */
import type { AuditRecord } from '../audit/record.ts'
import { printable } from './printable.ts'

/** A statement with what came of it, or any other event. */
export type Moment = {
  readonly time: string
  readonly run: string
  readonly system: string
  /** In capitals what an investigator looks for: DENY, HOP, QUARANTINE. */
  readonly what: string
  readonly text: string
}

/** Characters of a statement that one line shows. */
const STATEMENT_CHARACTERS_MAX = 160

/** Keeps the last moments of what is added, and joins results to their statements. */
export class Timeline {
  readonly #max: number
  readonly #moments: { record: AuditRecord; result: AuditRecord | undefined }[] = []
  /** Statements that wait for their result, by session and number. */
  readonly #open = new Map<string, { record: AuditRecord; result: AuditRecord | undefined }>()
  /** How many moments were forgotten because newer ones came. */
  forgotten = 0

  /** @param max moments that are kept */
  constructor(max: number) {
    this.#max = max
  }

  add(record: AuditRecord): void {
    if (record.event === 'result') {
      const key = keyOf(record)
      const statement = this.#open.get(key)
      if (statement !== undefined) statement.result = record
      this.#open.delete(key)
      return
    }
    const moment = { record, result: undefined }
    this.#moments.push(moment)
    if (record.event === 'statement' && record.verdict !== 'deny') this.#open.set(keyOf(record), moment)
    if (this.#moments.length <= this.#max * 2) return
    const old = this.#moments.splice(0, this.#moments.length - this.#max)
    this.forgotten += old.length
    for (const { record: gone } of old) this.#open.delete(keyOf(gone))
  }

  /** The last ones, the oldest first. */
  moments(): Moment[] {
    const last = this.#moments.slice(-this.#max)
    this.forgotten += this.#moments.length - last.length
    return last.map(({ record, result }) => ({
      time: printable(record.time),
      run: printable(record.run ?? ''),
      system: printable(record.system ?? (typeof record['target'] === 'string' ? '-' : '')),
      ...onOneLine(said(record, result)),
    }))
  }
}

function keyOf({ session, id }: AuditRecord): string {
  return `${session} ${id}`
}

function said(record: AuditRecord, result: AuditRecord | undefined): Pick<Moment, 'what' | 'text'> {
  const { event, reason, kind, cause } = record
  switch (event) {
    case 'session.start':
      return { what: 'session', text: `starts under ${record.grant} from ${record.client}` }
    case 'session.end':
      return { what: 'session', text: `ends: ${cause}` }
    case 'session.regrant':
      return { what: 'session', text: `goes on under ${record.grant} as it is now` }
    case 'statement':
      return statementSaid(record, result)
    case 'hop':
      return { what: 'HOP', text: `${kind}${record.to === undefined ? '' : ` to ${record.to}`}` }
    case 'quarantine':
      return { what: 'QUARANTINE', text: `after a hop: ${kind}` }
    case 'auth.failure':
      return { what: 'REFUSED', text: `login: ${reason}` }
    case 'revoked':
    case 'released':
      return { what: event.toUpperCase(), text: `by ${record['by']}: ${record.why}` }
    case 'secret.registered':
      return { what: 'secret', text: `for ${record.agent} under ${record.grant}, by ${record['by']}` }
    default:
      return { what: event, text: String(record['message'] ?? '') }
  }
}

function statementSaid(record: AuditRecord, result: AuditRecord | undefined): Pick<Moment, 'what' | 'text'> {
  const text = oneLine(record.statement ?? record['shape'] ?? record.action ?? '')
  if (record.verdict === 'deny') {
    const missing = record.missing?.map(({ action, resource }) => `${action} on ${resource}`).join('; ')
    return { what: 'DENY', text: `${text}  [${record.reason}${missing === undefined ? '' : `: ${missing}`}]` }
  }
  const what = record.verdict === 'would_deny' ? 'WOULD DENY' : 'allow'
  if (result === undefined) return { what, text }
  const { rows, duration_us: durationUs, error } = result
  const outcome = error === undefined ? `${rows} row${rows === 1 ? '' : 's'}` : `error ${error}`
  return { what, text: `${text}  [${outcome}, ${((durationUs ?? 0) / 1_000).toFixed(1)} ms]` }
}

/** A record may hold what a terminal would obey, from a statement or from a token. */
function onOneLine({ what, text }: Pick<Moment, 'what' | 'text'>): Pick<Moment, 'what' | 'text'> {
  return { what: printable(what), text: printable(text) }
}

function oneLine(value: unknown): string {
  const text = String(value).replace(/\s+/g, ' ')
  return text.length > STATEMENT_CHARACTERS_MAX ? `${text.slice(0, STATEMENT_CHARACTERS_MAX)}…` : text
}
