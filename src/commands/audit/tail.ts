import { type FileHandle, open, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { readBlocks, readBlocksBackwards } from '../../audit/blocks.ts'
import { auditFiles, rotatedFiles, seqOfRotated } from '../../audit/files.ts'
import { Matching } from '../../audit/filter.ts'
import { parseRecord } from '../../audit/record.ts'
import { countOption } from '../option-values.ts'
import { type FilterOptions, filterOf } from './filter-options.ts'
import { configOf, filesOf } from './log-files.ts'
import { Printer } from './printer.ts'
import { linesIn, newest } from './query.ts'

/** How often the file is looked at; milliseconds. */
const LOOK_MS = 200

const NEWLINE = 0x0a

export type TailOptions = FilterOptions & { readonly follow?: true; readonly lines: string }

/** Prints the newest records that match, and with `--follow` those that come, over rotations, until it is ended. */
export async function auditTail(options: TailOptions): Promise<void> {
  const count = countOption('--lines', options.lines)
  const matching = new Matching(filterOf(options))
  const printer = new Printer(options.json === true)
  if (options.follow === undefined) {
    for (const line of await newest(filesOf([], options), matching, count)) await printer.print(line)
    await printer.end()
    printer.sayIfEmpty()
    return
  }
  const { auditFile } = configOf(options)
  const follower = new Follower(auditFile, matching, printer)
  await follower.begin(count)
  while (!printer.isClosed) await follower.look()
}

class Follower {
  readonly #file: string
  readonly #matching: Matching
  readonly #printer: Printer
  #handle: FileHandle | undefined
  /** Where the next line begins. */
  #offset = 0
  #lastSeq = 0

  constructor(file: string, matching: Matching, printer: Printer) {
    this.#file = file
    this.#matching = matching
    this.#printer = printer
  }

  /** Prints the newest records; everything behind them is still to come. */
  async begin(count: number): Promise<void> {
    const handle = await awaited(this.#file)
    this.#handle = handle
    for await (const { bytes, offset } of readBlocksBackwards(handle)) {
      this.#see(bytes)
      this.#offset = offset + bytes.length
      break
    }
    const before = this.#lastSeq === 0 ? [] : auditFiles(this.#file)
    for (const line of await newest(before, this.#matching, count, this.#offset))
      await this.#printer.print(line)
    await this.#printer.end()
  }

  /** Prints what has come, and waits where nothing has. */
  async look(): Promise<void> {
    const handle = this.#handle ?? (await awaited(this.#file))
    this.#handle = handle
    const before = this.#lastSeq
    await this.#read(handle)
    const own = await handle.stat()
    const named = await stat(this.#file).catch(() => undefined)
    if (named === undefined || (named.ino === own.ino && named.dev === own.dev)) {
      if (this.#lastSeq === before) await sleep(LOOK_MS)
      return
    }
    // What was written between that read and the rotation; then files that came and went meanwhile.
    await this.#read(handle)
    await handle.close()
    for (const path of rotatedFiles(this.#file)) {
      if (seqOfRotated(path) <= this.#lastSeq) continue
      const rotated = await open(path, 'r')
      this.#offset = 0
      await this.#read(rotated).finally(() => rotated.close())
    }
    this.#handle = undefined
    this.#offset = 0
  }

  async #read(handle: FileHandle): Promise<void> {
    for await (const { bytes, offset } of readBlocks(handle, { from: this.#offset })) {
      this.#see(bytes)
      this.#offset = offset + bytes.length
      for (const line of linesIn(bytes, this.#matching)) await this.#printer.print(line)
    }
    await this.#printer.end()
  }

  /** Remembers the number of the last record. */
  #see(bytes: Buffer): void {
    const start = bytes.lastIndexOf(NEWLINE, bytes.length - 2) + 1
    this.#lastSeq = parseRecord(bytes.toString('utf8', start))?.seq ?? this.#lastSeq
  }
}

/** Opens the file once it is there. */
async function awaited(file: string): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(file, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await sleep(LOOK_MS)
    }
  }
}
