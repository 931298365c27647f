/** Which records somebody waits for: where not all find room, these do. Agents choose how much there is of the others. */
import { WEBHOOK_EVENTS } from './exporter.ts'

const NEWLINE = 0x0a

/** Stands in each line before anything that an agent has written. */
const EVENT = Buffer.from('"event":"')

/** The lines that a webhook may be asked for, and how many there are. */
export function newsOf(lines: Uint8Array): { readonly lines: Uint8Array; readonly records: number } {
  const all = Buffer.from(lines.buffer, lines.byteOffset, lines.length)
  const news: Buffer[] = []
  for (let start = 0; start < all.length; ) {
    const end = all.indexOf(NEWLINE, start) + 1 || all.length
    const at = all.indexOf(EVENT, start) + EVENT.length
    const event = all.toString('latin1', at, all.indexOf('"', at))
    if (WEBHOOK_EVENTS.some((name) => name === event)) news.push(all.subarray(start, end))
    start = end
  }
  return { lines: Buffer.concat(news), records: news.length }
}
