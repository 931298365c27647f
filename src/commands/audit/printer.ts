import { once } from 'node:events'
import { parseRecord } from '../../audit/record.ts'
import { recordWords } from './words.ts'

/** Characters that are collected before they are written; a write for each of a million lines would be slow. */
const BATCH_CHARACTERS = 64 << 10

/** Of a file or a pipe, which have no width. */
const WIDTH_DEFAULT = 200

/** Lines of the log on standard output: as people read them, or (`--json`) as they stand in the file. */
export class Printer {
  readonly #json: boolean
  #batch = ''
  #isEmpty = true
  /** True once nobody reads any more (`| head`). */
  isClosed = false

  constructor(json: boolean) {
    this.#json = json
    process.stdout.on('error', () => {
      this.isClosed = true
    })
  }

  async print(line: string): Promise<void> {
    this.#isEmpty = false
    if (this.#json) this.#batch += `${line}\n`
    else {
      const record = parseRecord(line)
      if (record !== undefined)
        this.#batch += `${recordWords(record, process.stdout.columns ?? WIDTH_DEFAULT)}\n`
    }
    if (this.#batch.length > BATCH_CHARACTERS) await this.end()
  }

  /** Says so where nothing was printed: a word that was mistyped finds nothing, too. For people only. */
  sayIfEmpty(): void {
    if (this.#isEmpty && !this.#json) process.stderr.write('no record matches\n')
  }

  /** Writes what was collected, and waits for a slow reader. */
  async end(): Promise<void> {
    const batch = this.#batch
    this.#batch = ''
    if (batch === '' || this.isClosed || process.stdout.write(batch)) return
    await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')])
  }
}
