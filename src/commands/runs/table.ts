import { printable } from '../../runs/printable.ts'

/** Rows as columns of text, the first row being their headings. */
export function table(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((cells) => cells.map(printable))
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...shown.map((cells) => cells[column]?.length ?? 0)),
  )
  return shown
    .map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}
