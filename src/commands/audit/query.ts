import { open } from 'node:fs/promises'
import { readBlocks, readBlocksBackwards } from '../../audit/blocks.ts'
import { Matching } from '../../audit/filter.ts'
import { parseRecord } from '../../audit/record.ts'
import { countOption } from '../option-values.ts'
import { type FilterOptions, filterOf } from './filter-options.ts'
import { filesOf } from './log-files.ts'
import { Printer } from './printer.ts'

export type QueryOptions = FilterOptions & { readonly limit?: string }

/** Prints the records that match, the oldest first; with `--limit` the newest so many. @throws CommandError */
export async function auditQuery(named: readonly string[], options: QueryOptions): Promise<void> {
  const matching = new Matching(filterOf(options))
  const files = filesOf(named, options)
  const printer = new Printer(options.json === true)
  if (options.limit === undefined) {
    for (const file of files) await printAll(file, matching, printer)
  } else {
    for (const line of await newest(files, matching, countOption('--limit', options.limit)))
      await printer.print(line)
  }
  await printer.end()
  printer.sayIfEmpty()
}

async function printAll(file: string, matching: Matching, printer: Printer): Promise<void> {
  const handle = await open(file, 'r')
  try {
    for await (const { bytes } of readBlocks(handle)) {
      for (const line of linesIn(bytes, matching)) await printer.print(line)
      if (printer.isClosed) return
    }
  } finally {
    await handle.close()
  }
}

/**
 * The newest lines that match, the oldest of them first. Read from the end, so that they are told at once of a large log.
 * @param to the byte of the last file to begin before; `undefined`: its end
 */
export async function newest(
  files: readonly string[],
  matching: Matching,
  count: number,
  to?: number,
): Promise<readonly string[]> {
  const found: string[][] = []
  let left = count
  for (const [index, file] of [...files].reverse().entries()) {
    const handle = await open(file, 'r')
    try {
      for await (const { bytes } of readBlocksBackwards(handle, index === 0 ? to : undefined)) {
        const lines = linesIn(bytes, matching).slice(-left)
        found.push(lines)
        left -= lines.length
        if (left === 0) return found.reverse().flat()
      }
    } finally {
      await handle.close()
    }
  }
  return found.reverse().flat()
}

/** The matching lines as they stand in the file. */
export function linesIn(bytes: Buffer, matching: Matching): string[] {
  const lines: string[] = []
  matching.candidates(bytes, (start, end) => {
    const line = bytes.toString('utf8', start, end)
    const record = parseRecord(line)
    if (record !== undefined && matching.matches(record)) lines.push(line)
  })
  return lines
}
