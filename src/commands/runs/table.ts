import { printable } from '../../runs/printable.ts'

/** Characters of the longest; there may be more texts than a call takes arguments. */
export function widest(texts: readonly string[]): number {
  return texts.reduce((width, { length }) => Math.max(width, length), 0)
}

/** Rows as columns of text, the first row being their headings. */
export function table(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((cells) => cells.map(printable))
  const widths = (rows[0] ?? []).map((_, column) => widest(shown.map((cells) => cells[column] ?? '')))
  return shown
    .map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}
